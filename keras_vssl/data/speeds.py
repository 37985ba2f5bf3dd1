"""Clips of one video at several signed speeds: what is sorted or named by them."""

import dataclasses
import itertools

import numpy as np

from keras_vssl.data.samplers import Plan, Sampler, Spatial, View

SPEEDS = (-4, -2, -1, 1, 2, 4)


def encode_ranks(speeds):
    """The class of clips of these speeds: the lexicographic number of their ranks.

    Args:
        speeds: distinct ints; rank 0 is the smallest one, minus sign and all.
    """
    ranks = tuple(np.argsort(np.argsort(speeds)).tolist())
    return list(itertools.permutations(range(len(ranks)))).index(ranks)


def decode_ranks(label, count):
    """The rank of each clip, from the class that `encode_ranks` gave `count` of them."""
    return next(itertools.islice(itertools.permutations(range(count)), int(label), None))


@dataclasses.dataclass(frozen=True)
class SpeedClips(Sampler):
    """Clips of one video at distinct signed speeds, in random order, each with a start of its own.

    Views `[clips, T, H, W, 3]`, each with its own crop; target int `[clips]`, the place of each
    clip's speed in `speeds`.

    A clip of speed s shows every |s|-th frame, and shows them backwards where s < 0; at speed 0 it
    shows one frame throughout. Speeds whose clips a video can't hold are not drawn for it. Where
    fewer than `clips` are left, all are drawn, and the rule for short videos fills what is missing;
    "loop" goes on at the first frame.

    Args:
        clips: int. frames: int, frames of a clip (T).
        speeds: distinct ints, ascending; the magnitude is in source frames a clip frame.
        short: "loop", "clamp" or "skip" (leave out a video that can't hold the `clips` slowest).
        spatial: `Spatial`.
        fitting: bool. False draws all speeds for all videos, whatever they can hold; "skip" then
            leaves out a video that can't hold the fastest.
    """

    clips: int = 3
    frames: int = 16
    speeds: tuple = SPEEDS
    short: str = "loop"
    spatial: Spatial = dataclasses.field(default_factory=Spatial)
    fitting: bool = True

    def __post_init__(self):
        self._check()
        speeds = tuple(int(speed) for speed in self.speeds)
        if list(speeds) != sorted(set(speeds)) or len(speeds) < 2:
            raise ValueError(
                f"Expected two or more distinct speeds, ascending (-1 before 1), received "
                f"{self.speeds}."
            )
        if not 1 <= self.clips <= len(speeds):
            raise ValueError(
                f"Expected 1 to {len(speeds)} clips, for each has another of the speeds {speeds}, "
                f"received clips={self.clips}."
            )
        object.__setattr__(self, "speeds", speeds)

    @property
    def views(self):
        return self.clips

    def reach(self, speed):
        """Source frames that a clip of a speed extends over."""
        return (self.frames - 1) * abs(speed) + 1

    def span(self, info):
        return sorted(map(self.reach, self.speeds))[self.clips - 1 if self.fitting else -1]

    def eligible(self, info):
        """The speeds that are drawn for a video."""
        fitting = [speed for speed in self.speeds if self.reach(speed) <= info.frames]
        enough = self.fitting and len(fitting) >= self.clips
        return fitting if enough else list(self.speeds)

    def indices(self, speed, start, total):
        """Frame numbers `[T]` of a clip whose earliest frame is `start`, of `total` frames."""
        forwards = self.fill(start + abs(speed) * np.arange(self.frames), total)
        return forwards if speed > 0 else forwards[::-1].copy()

    def plan(self, info, rng):
        speeds = rng.choice(self.eligible(info), self.clips, replace=False)
        views = []
        for speed in speeds.tolist():
            start = rng.integers(0, max(info.frames - self.reach(speed), 0) + 1)
            ((box, flip),) = self.spatial.boxes(info, rng)
            frames = self.indices(speed, start, info.frames)
            views.append(View(frames, box, self.spatial.shape, flip))
        return Plan(tuple(views), self.target(speeds))

    def target(self, speeds):
        """What is predicted of clips of these speeds."""
        return np.searchsorted(self.speeds, speeds).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class SortedSpeedClips(SpeedClips):
    """`SpeedClips` whose target is one int, the class of the clips' ranks (`encode_ranks`)."""

    def target(self, speeds):
        return np.int64(encode_ranks(speeds))
