"""Samplers: from a video's metadata and a random generator to a plan of what to read.

Pure NumPy. A plan names frames, crop boxes, audio spans and the target, so the decoder reads
nothing that is not needed and a pretext can be tested without a framework.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from keras_vssl.data.plans import AudioSpan, Plan, Spatial, View, plan_rng

__all__ = [
    "AudioSpan",
    "Clips",
    "ConsecutiveClips",
    "Plan",
    "Sampler",
    "Spatial",
    "StridedClip",
    "View",
    "linspace_starts",
    "plan_rng",
]

SHORT_RULES = ("loop", "clamp", "skip")


def linspace_starts(total, span, count):
    """Starts of `count` test clips of `span` consecutive frames, as VCOP's retrieval cuts them.

    Centres at `linspace(span/2, total - span/2, count)`, start = int(centre - span/2). A video
    shorter than `span` gives zeros: its clips are filled by the sampler's rule for short videos.
    """
    if total <= span:
        return np.zeros(count, dtype=np.int64)
    centres = np.linspace(span / 2, total - span / 2, count)
    return (centres - span / 2).astype(np.int64)


class Sampler:
    """Makes plans. A subclass is a frozen dataclass with `plan`, `span` and `views`.

    Attributes:
        frames: int, frames of a clip (T).
        spatial: `Spatial`.
        short: what happens to a video shorter than the clip: "loop" repeats it from its
            start, "clamp" holds its last frame, "skip" leaves the video out.
        group: int, how many videos, neighbours in a batch, share a draw. With more than one,
            `plan` takes that draw as a third argument, `common`, and makes its own without.
    """

    group = 1

    @property
    def views(self):
        """Number of clips V of a plan."""
        raise NotImplementedError

    @property
    def shape(self):
        """Shape `(V, T, H, W, 3)` of the clips of one sample."""
        return (self.views, self.frames, *self.spatial.shape, 3)

    @property
    def shapes(self):
        """What one sample holds: dict of name to (shape, dtype).

        A sampler with sound or further groups of clips adds them.
        """
        return {"clips": (self.shape, "uint8")}

    def span(self, info):
        """Frames of the source that one plan extends over."""
        raise NotImplementedError

    def plan(self, info, rng):
        """The `Plan` for a video.

        Args:
            info: `VideoInfo` (frames, width, height, fps).
            rng: `numpy.random.Generator`, from `plan_rng`.
        """
        raise NotImplementedError

    @property
    def mined(self):
        """Tuple of the `VideoCache`s that plans are drawn by: filled before training."""
        return ()

    def common(self, infos, rng):
        """What the plans of a group of videos share; where `group` is above 1.

        Args:
            infos: list of `VideoInfo`, one a video: all must be able to follow the draw.
            rng: `numpy.random.Generator`, the group's own.
        """
        raise NotImplementedError

    def fits(self, info, common):
        """Whether a video can follow the draw of a group that it was not in."""
        return True

    def refuses(self, info):
        """Why a video can't be sampled (one sentence), or None."""
        absent = (cache.absent() for cache in self.mined if not cache.has(info.path))
        return self.too_short(info) or next(absent, None)

    def too_short(self, info):
        """Why a video is refused for its length (one sentence), or None."""
        if info.frames < 1:
            return "it has no frames"
        need = self.span(info)
        if self.short == "skip" and info.frames < need:
            return f"it has {info.frames} frames and one sample needs {need}"
        return None

    def _check(self):
        if self.short not in SHORT_RULES:
            raise ValueError(f"Expected short to be one of {SHORT_RULES}, received {self.short!r}.")
        if self.frames < 1:
            raise ValueError(f"Expected at least one frame a clip, received {self.frames}.")

    def fill(self, frames, total):
        """Frame numbers made valid for a video of `total` frames by the rule for short videos."""
        frames = np.asarray(frames, dtype=np.int64)
        if self.short == "loop":
            return frames % total
        return np.minimum(frames, total - 1)


def _step(info, stride, stride_seconds):
    if stride_seconds is None:
        return float(stride)
    # A clock stride slower than one frame repeats frames: 1 fps video, 25 steps a second.
    return stride_seconds * info.fps


@dataclasses.dataclass(frozen=True)
class Clips(Sampler):
    """Clips drawn independently of one another.

    Args:
        frames: int, frames of a clip.
        stride: int, source frames from one clip frame to the next.
        stride_seconds: float or None. Time from one clip frame to the next: videos of 25 and
            60 frames a second then show the same stretch of time. Takes the place of `stride`.
        count: int, clips.
        mode: "random" (uniform starts), "uniform" (equally spaced, `linspace_starts`), or
            "centre" (the middle clip).
        short: "loop", "clamp" or "skip".
        spatial: `Spatial`. Mode "three" gives three views a clip.
    """

    frames: int = 16
    stride: int = 1
    stride_seconds: float | None = None
    count: int = 1
    mode: str = "random"
    short: str = "loop"
    spatial: Spatial = dataclasses.field(default_factory=Spatial)

    MODES: ClassVar = ("random", "uniform", "centre")

    def __post_init__(self):
        self._check()
        if self.mode not in self.MODES:
            raise ValueError(f"Expected mode to be one of {self.MODES}, received {self.mode!r}.")

    @property
    def views(self):
        return self.count * (3 if self.spatial.mode == "three" else 1)

    def span(self, info):
        step = _step(info, self.stride, self.stride_seconds)
        return int(math.floor((self.frames - 1) * step)) + 1

    def plan(self, info, rng):
        step = _step(info, self.stride, self.stride_seconds)
        span = self.span(info)
        if self.mode == "random":
            starts = rng.integers(0, max(info.frames - span, 0) + 1, size=self.count)
        elif self.mode == "uniform":
            # `stride` frames belong to each clip frame: 16 x 2 is cut as 32 consecutive frames.
            long = max(span, int(round(self.frames * step)))
            starts = linspace_starts(info.frames, long, self.count)
        else:
            starts = np.full(self.count, max(info.frames - span, 0) // 2)
        views = []
        for start in starts:
            frames = start + np.floor(np.arange(self.frames) * step).astype(np.int64)
            frames = self.fill(frames, info.frames)
            for box, flip in self.spatial.boxes(info, rng):
                views.append(View(frames, box, self.spatial.shape, flip))
        return Plan(tuple(views))


@dataclasses.dataclass(frozen=True)
class ConsecutiveClips(Sampler):
    """`clips` clips of one stretch of video, in order, `gap` frames apart, never overlapping.

    Args:
        clips: int, clips.
        frames: int, frames of a clip.
        gap: int, source frames between the end of one clip and the start of the next.
        stride: int, source frames from one clip frame to the next.
        stride_seconds: float or None, the same in seconds; `gap` then counts clip frames, so
            the whole plan scales with the frame rate.
        short: "loop", "clamp" or "skip" (papers leave short videos out).
        random: bool, a uniformly drawn start, else the middle of the video.
        spatial: `Spatial`; the crop is drawn for each clip on its own.
    """

    clips: int = 3
    frames: int = 16
    gap: int = 8
    stride: int = 1
    stride_seconds: float | None = None
    short: str = "skip"
    random: bool = True
    spatial: Spatial = dataclasses.field(default_factory=Spatial)

    def __post_init__(self):
        self._check()
        if self.gap < 0:
            raise ValueError(f"Expected a gap of 0 frames or more, received {self.gap}.")
        if self.spatial.mode == "three":
            raise ValueError('Expected one crop a clip; mode "three" is for test-time `Clips`.')

    @property
    def views(self):
        return self.clips

    def _offsets(self, info):
        """Source frame offsets `[clips, frames]` from the start."""
        within = np.arange(self.frames)
        if self.stride_seconds is not None:
            step = self.stride_seconds * info.fps
            clip = np.arange(self.clips)[:, None] * (self.frames + self.gap)
            return np.floor((clip + within) * step).astype(np.int64)
        length = (self.frames - 1) * self.stride + 1
        clip = np.arange(self.clips)[:, None] * (length + self.gap)
        return clip + within * self.stride

    def span(self, info):
        return int(self._offsets(info)[-1, -1]) + 1

    def plan(self, info, rng):
        room = max(info.frames - self.span(info), 0)
        start = int(rng.integers(0, room + 1)) if self.random else room // 2
        views = []
        for offsets in self._offsets(info):
            ((box, flip),) = self.spatial.boxes(info, rng)
            frames = self.fill(start + offsets, info.frames)
            views.append(View(frames, box, self.spatial.shape, flip))
        return Plan(tuple(views))


@dataclasses.dataclass(frozen=True)
class StridedClip(Sampler):
    """One random clip of a video, cropped `copies` times. Views `[copies, T, H, W, 3]`, no target.

    The start is uniform in `[0, total - frames * stride]`. In a shorter video it is 0, and the last
    frame that whole strides reach is repeated.
    """

    frames: int = 16
    stride: int = 4
    copies: int = 1
    spatial: Spatial = dataclasses.field(default_factory=Spatial)

    short: ClassVar = "clamp"

    def __post_init__(self):
        self._check()
        if self.stride < 1 or self.copies < 1:
            raise ValueError(
                "Expected a stride and a number of copies of at least 1, received "
                f"{self.stride} and {self.copies}."
            )

    @property
    def views(self):
        return self.copies

    def span(self, info):
        return self.frames * self.stride

    def plan(self, info, rng):
        start = int(rng.integers(0, max(info.frames - self.span(info), 0) + 1))
        steps = np.minimum(np.arange(self.frames), (info.frames - 1 - start) // self.stride)
        frames = start + self.stride * steps.astype(np.int64)
        boxes = [self.spatial.boxes(info, rng)[0] for _ in range(self.copies)]
        return Plan(tuple(View(frames, box, self.spatial.shape, flip) for box, flip in boxes))
