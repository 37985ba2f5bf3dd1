"""Plans of a clip and of sounds that are, or are not, of the same time. Pure NumPy."""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from keras_vssl.data.samplers import AudioSpan, Plan, Sampler, Spatial, View


@dataclasses.dataclass(frozen=True)
class SynchronizedClips(Sampler):
    """A clip, its sound, and a sound of the same video at another time.

    Clips `[1, T, H, W, 3]` and audio `[2, seconds * rate]`: the sound of the very time that the
    clip shows, then one that begins at least `seconds + gap` before or after it. The target is a
    uniform draw in [0, 1): the other sound is a hard negative where the draw is below the share of
    hard negatives. In a video too short for two stretches and the gap the other sound lies anywhere,
    and the target is 1: never a hard negative.

    Picture and sound are matched by time, the frame rate taken as constant. Videos without sound
    or shorter than `seconds` are refused.

    Args:
        frames: int, frames of a clip, spread evenly over `seconds`.
        seconds: float, length of the clip and of each sound.
        rate: int, Hz. gap: float, seconds between a clip and a hard negative.
        super_hard: float in [0, 1], share of other sounds that overlap the clip's time instead.
        spatial: `Spatial`.
    """

    frames: int = 25
    seconds: float = 1.0
    rate: int = 16000
    gap: float = 0.5
    super_hard: float = 0.0
    spatial: Spatial = dataclasses.field(default_factory=Spatial)

    short: ClassVar = "skip"

    def __post_init__(self):
        self._check()
        if self.seconds <= 0 or self.gap < 0 or not 0 <= self.super_hard <= 1:
            raise ValueError(
                f"Expected seconds above 0, a gap of 0 or more and super_hard in [0, 1], received "
                f"{self.seconds}, {self.gap} and {self.super_hard}."
            )

    @property
    def views(self):
        return 1

    @property
    def shapes(self):
        return {**super().shapes, "audio": ((2, round(self.seconds * self.rate)), "float32")}

    def span(self, info):
        return max(math.ceil(self.seconds * info.fps - 1e-6), 1)

    def refuses(self, info):
        silent = "it has no sound" if info.audio_rate is None else None
        return silent or super().refuses(info)

    def plan(self, info, rng):
        firsts = np.arange(info.frames - self.span(info) + 1)  # frames at which a stretch may begin
        away = math.ceil((self.seconds + self.gap) * info.fps - 1e-6)
        choices = np.maximum(firsts - away + 1, 0) + np.maximum(firsts[::-1] - away + 1, 0)
        fits = choices.any()
        draw = rng.random() if fits else 1.0
        # All pairs far enough apart are equally likely, in either order: own and other sounds are
        # then drawn alike, and where in the video a sound lies says nothing.
        first = rng.choice(firsts, p=choices / choices.sum() if fits else None)
        distance = abs(firsts - first)
        legal = distance >= (away if fits else 0)
        overlap = (distance > 0) & (distance < self.seconds * info.fps)
        if rng.random() < self.super_hard and overlap.any():
            legal, draw = overlap, rng.random()
        other = rng.choice(firsts[legal])
        within = (np.arange(self.frames) + 0.5) * self.seconds / self.frames
        frames = first + np.floor(within * info.fps + 1e-6).astype(np.int64)
        ((box, flip),) = self.spatial.boxes(info, rng)
        view = View(frames, box, self.spatial.shape, flip)
        sounds = (AudioSpan(at / info.fps, self.seconds, self.rate) for at in (first, other))
        return Plan((view,), np.float32(draw), tuple(sounds))
