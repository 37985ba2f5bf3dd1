"""Samplers: from a video's metadata and a random generator to a plan of what to read.

Pure NumPy. A plan names frames, crop boxes, audio spans and the target, so the decoder reads
nothing that is not needed and a pretext can be tested without a framework.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np

SHORT_RULES = ("loop", "clamp", "skip")


@dataclasses.dataclass(frozen=True)
class View:
    """One clip to read.

    Args:
        frames: int64 array `[T]`, frame numbers in presentation order (0 is the first).
        box: (left, top, right, bottom) of the crop as fractions 0..1 of the upright frame.
        size: (height, width) in pixels of the result.
        flip: bool, mirror left and right after cropping.
    """

    frames: np.ndarray
    box: tuple
    size: tuple
    flip: bool = False


@dataclasses.dataclass(frozen=True)
class AudioSpan:
    """A stretch of sound: `start` and `duration` in seconds from the first frame, `rate` in Hz."""

    start: float
    duration: float
    rate: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one sample consists of: its views, sound and target."""

    views: tuple
    target: object = None
    audio: tuple = ()


def plan_rng(seed, epoch, key):
    """The random generator of one (seed, epoch, video).

    Counter-based (Philox), so a plan never depends on order, workers, or resuming.

    Args:
        seed: int, the run's seed.
        epoch: int >= 0.
        key: int, the video's key (`Videos.keys`, from its relative path) or any other number.
    """
    words = [int(seed) & (2**64 - 1), ((int(epoch) & 0xFFFFFFFF) << 32) | (int(key) & 0xFFFFFFFF)]
    return np.random.Generator(np.random.Philox(key=np.array(words, dtype=np.uint64)))


@dataclasses.dataclass(frozen=True)
class Spatial:
    """Resize and crop, as one box in the source frame.

    Args:
        resize: the virtual frame that is cropped from. `(height, width)` ignores the aspect
            ratio (VCOP: (128, 171)); an int is the length of the shorter side; None is the
            largest frame of the source's aspect ratio whose shorter side equals the crop.
        size: int or (height, width), the crop in pixels.
        mode: "random" (uniform position), "centre", "three" (three crops along the longer
            side, test time), or "random_resized" (area and ratio drawn; `resize` unused).
        area: (least, most) share of the frame for "random_resized".
        ratio: (least, most) width/height for "random_resized".
        flip: probability of mirroring, for the random modes.
    """

    resize: object = (128, 171)
    size: object = 112
    mode: str = "random"
    area: tuple = (0.2, 1.0)
    ratio: tuple = (3 / 4, 4 / 3)
    flip: float = 0.0

    MODES: ClassVar = ("random", "centre", "three", "random_resized")

    def __post_init__(self):
        if self.mode not in self.MODES:
            raise ValueError(f"Expected mode to be one of {self.MODES}, received {self.mode!r}.")
        height, width = self.shape
        if isinstance(self.resize, (tuple, list)) and (
            self.resize[0] < height or self.resize[1] < width
        ):
            raise ValueError(
                f"Expected resize to be at least the crop {self.shape}, received {self.resize}; "
                "make resize larger or size smaller."
            )
        if isinstance(self.resize, int) and self.resize < min(height, width):
            raise ValueError(
                f"Expected a shorter side of at least {min(height, width)} pixels, received "
                f"resize={self.resize}; make resize larger or size smaller."
            )

    @property
    def shape(self):
        """(height, width) of the crop."""
        if isinstance(self.size, (tuple, list)):
            return tuple(int(v) for v in self.size)
        return int(self.size), int(self.size)

    def boxes(self, info, rng):
        """The crop boxes of one clip: `[(box, flip), ...]`, three for mode "three", else one."""
        height, width = self.shape
        flip = bool(self.flip and self.mode.startswith("random") and rng.random() < self.flip)
        if self.mode == "random_resized":
            return [(self._random_resized(info, rng), flip)]
        frame_height, frame_width = self._frame(info)
        room_y, room_x = frame_height - height, frame_width - width
        if self.mode == "random":
            # Whole pixels of the resized frame, as the field's crops are.
            offsets = [
                (
                    int(rng.integers(0, math.floor(room_y) + 1)),
                    int(rng.integers(0, math.floor(room_x) + 1)),
                )
            ]
        elif self.mode == "centre":
            offsets = [(round(room_y / 2), round(room_x / 2))]
        elif room_x >= room_y:
            offsets = [(room_y / 2, x) for x in (0, room_x / 2, room_x)]
        else:
            offsets = [(y, room_x / 2) for y in (0, room_y / 2, room_y)]
        return [
            (
                (
                    x / frame_width,
                    y / frame_height,
                    (x + width) / frame_width,
                    (y + height) / frame_height,
                ),
                flip,
            )
            for y, x in offsets
        ]

    def _frame(self, info):
        height, width = self.shape
        if isinstance(self.resize, (tuple, list)):
            return float(self.resize[0]), float(self.resize[1])
        scale = max(height / info.height, width / info.width)
        if self.resize is not None:
            scale = max(scale, self.resize / min(info.height, info.width))
        return info.height * scale, info.width * scale

    def _random_resized(self, info, rng):
        for _ in range(10):
            area = info.height * info.width * rng.uniform(*self.area)
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if width <= info.width and height <= info.height:
                x = rng.uniform(0, info.width - width)
                y = rng.uniform(0, info.height - height)
                break
        else:  # the largest centred box of an allowed ratio
            ratio = min(max(info.width / info.height, self.ratio[0]), self.ratio[1])
            width = min(info.width, info.height * ratio)
            height = width / ratio
            x, y = (info.width - width) / 2, (info.height - height) / 2
        return (
            x / info.width,
            y / info.height,
            (x + width) / info.width,
            (y + height) / info.height,
        )


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
    """

    @property
    def views(self):
        """Number of clips V of a plan."""
        raise NotImplementedError

    @property
    def shape(self):
        """Shape `(V, T, H, W, 3)` of the clips of one sample."""
        return (self.views, self.frames, *self.spatial.shape, 3)

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

    def refuses(self, info):
        """Why a video can't be sampled (one sentence), or None."""
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
