"""Plans: what one sample consists of, and the boxes it is cropped by. Pure NumPy."""

import dataclasses
import math
from typing import ClassVar

import numpy as np


def plain_size(value):
    """A size or None as a configuration holds it: lists instead of tuples."""
    return list(value) if isinstance(value, (list, tuple)) else value


@dataclasses.dataclass(frozen=True)
class View:
    """One clip to read.

    Args:
        frames: int64 array `[T]`, frame numbers in presentation order (0 is the first).
        box: (left, top, right, bottom) of the crop as fractions 0..1 of the upright frame.
        size: (height, width) in pixels of the result.
        flip: bool, mirror left and right after cropping.
        source: "frames" (pixels) or "flow" (cached optical flow, `keras_vssl.data.flow`).
    """

    frames: np.ndarray
    box: tuple
    size: tuple
    flip: bool = False
    source: str = "frames"


@dataclasses.dataclass(frozen=True)
class AudioSpan:
    """A stretch of sound: `start` and `duration` in seconds from the first frame, `rate` in Hz."""

    start: float
    duration: float
    rate: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one sample consists of.

    Args:
        views: tuple of `View` of equal length and size; the sample's "clips".
        target: what is predicted (int, array), or None.
        audio: tuple of `AudioSpan` of equal length and rate; the sample's "audio".
        groups: dict of name to tuple of `View`: clips of another length, size or source than
            `views`, each group under its own name.
        arrays: dict of name to array: numbers that were drawn with the plan and that the task
            needs as inputs, such as the warp of a clip. The sampler's `shapes` name them.
    """

    views: tuple
    target: object = None
    audio: tuple = ()
    groups: dict = dataclasses.field(default_factory=dict)
    arrays: dict = dataclasses.field(default_factory=dict)


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


# Places of a multi-scale crop, in quarters of the room that is left: (down, right).
_CORNERS = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
_POSITIONS = {
    5: _CORNERS,
    13: (*_CORNERS, (2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)),
}


@dataclasses.dataclass(frozen=True)
class Spatial:
    """Resize and crop, as one box in the source frame.

    Args:
        resize: the virtual frame that is cropped from. `(height, width)` ignores the aspect
            ratio (VCOP: (128, 171)); an int is the length of the shorter side; None is the
            largest frame of the source's aspect ratio whose shorter side equals the crop.
        size: int or (height, width), the crop in pixels.
        mode: "random" (uniform position), "centre", "three" (three crops along the longer
            side, test time), "random_resized" (area and ratio drawn; `resize` unused), or
            "multi_scale" (width and height are each the shorter side times one of `scales`, at one
            of a few fixed places; here `resize` None is the source's own frame).
        area: (least, most) share of the frame for "random_resized".
        ratio: (least, most) width/height for "random_resized".
        flip: probability of mirroring, for the random modes.
        ratio_law: how "random_resized" draws the ratio: "log" (uniform in its logarithm, wide and
            tall alike: torchvision, PySlowFast) or "uniform" (CoCLR; TensorFlow's distorted boxes).
        swap: probability that "random_resized" swaps width and height (CoCLR: 0.5).
        scales: the sides of "multi_scale" in shares of the shorter side, large to small. The paper
            of TSN has these four for frames and leaves out the last for flow.
        most_distort: how many steps of `scales` the width and the height may be apart.
        positions: 13 (corners, centre, middles of the edges, quarter points) or 5 (corners, centre).

    Reference:
        "multi_scale": Wang, Xiong, Wang, Qiao, Lin, Tang, Van Gool. Temporal segment networks.
        ECCV 2016 (sec. 3.2); VideoMAE's pre-training crops with it too.
    """

    resize: object = (128, 171)
    size: object = 112
    mode: str = "random"
    area: tuple = (0.2, 1.0)
    ratio: tuple = (3 / 4, 4 / 3)
    flip: float = 0.0
    ratio_law: str = "log"
    swap: float = 0.0
    scales: tuple = (1.0, 0.875, 0.75, 0.66)
    most_distort: int = 1
    positions: int = 13

    MODES: ClassVar = ("random", "centre", "three", "random_resized", "multi_scale")

    def __post_init__(self):
        if self.mode not in self.MODES:
            raise ValueError(f"Expected mode to be one of {self.MODES}, received {self.mode!r}.")
        if self.ratio_law not in ("log", "uniform"):
            raise ValueError(
                f"Expected ratio_law to be 'log' or 'uniform', received {self.ratio_law!r}."
            )
        if self.positions not in _POSITIONS:
            raise ValueError(f"Expected 5 or 13 positions, received {self.positions!r}.")
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise ValueError(
                f"Expected scales above 0 and at most 1, received {self.scales}; they are shares of "
                "the shorter side."
            )
        if self.mode == "multi_scale":  # crops of any size are resized to `size`
            return
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
        drawn = self.mode not in ("centre", "three")
        flip = bool(self.flip and drawn and rng.random() < self.flip)
        if self.mode == "random_resized":
            return [(self._random_resized(info, rng), flip)]
        if self.mode == "multi_scale":
            return [(self._multi_scale(info, rng), flip)]
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

    def _multi_scale(self, info, rng):
        if isinstance(self.resize, (tuple, list)):
            frame_height, frame_width = self.resize
        else:
            shorter = min(info.height, info.width)
            scale = (self.resize or shorter) / shorter
            frame_height, frame_width = round(info.height * scale), round(info.width * scale)
        base = min(frame_height, frame_width)
        sides = [max(1, int(base * scale)) for scale in self.scales]
        pairs = [
            (height, width)
            for i, height in enumerate(sides)
            for j, width in enumerate(sides)
            if abs(i - j) <= self.most_distort
        ]
        height, width = pairs[rng.integers(len(pairs))]
        places = _POSITIONS[self.positions]
        down, right = places[rng.integers(len(places))]
        # Steps of whole pixels, as published: the last place may miss the edge by up to 3.
        y, x = down * ((frame_height - height) // 4), right * ((frame_width - width) // 4)
        return (
            x / frame_width,
            y / frame_height,
            (x + width) / frame_width,
            (y + height) / frame_height,
        )

    def _ratio(self, rng):
        if self.ratio_law == "log":
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
        else:
            ratio = rng.uniform(*self.ratio)
        return 1 / ratio if self.swap and rng.random() < self.swap else ratio

    def _random_resized(self, info, rng):
        for _ in range(10):
            area = info.height * info.width * rng.uniform(*self.area)
            ratio = self._ratio(rng)
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
