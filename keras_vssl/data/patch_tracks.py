"""Tracks of patches to paste onto a clip: where each is, how large, and how it looks."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_vssl.data.samplers import Plan, Sampler, Spatial, View

# How likely 0, 1, 2 further key frames are between the first and the last one.
_TURNS, _TURNS_OF_LIGHT = (0.5, 0.3, 0.2), (0.7, 0.3)
_RATIOS = (0.5, 0.67, 0.75, 1.0, 1.33, 1.5, 2.0)


def key_frames(count, turns, rng):
    """Frames at which a track changes its course: the first, the last, and some between.

    Args:
        count: int, frames, 2 or more. turns: probabilities of 0, 1, ... frames between.

    Returns:
        int64, ascending, from 0 to `count - 1`.
    """
    inner = int(rng.choice(len(turns), p=turns))
    spacing = count / (inner + 1)
    between = (spacing * np.arange(1, inner + 1)).astype(np.int64)
    if (reach := int(spacing / 3)) > 0:
        between = between + rng.integers(-reach, reach, inner)
    return np.unique([0, *between, count - 1])


def between_keys(values, keys, rng):
    """Values at all frames from those at the key frames: even, speeding up or slowing down.

    Args:
        values: `[K, ...]`. keys: `[K]`, see `key_frames`.

    Returns:
        `[count, ...]`.
    """
    values = np.asarray(values, dtype=np.float64)
    parts = [values[:1]]
    for i, gap in enumerate(np.diff(keys)):
        share = np.arange(1, gap + 1) / gap
        law = rng.choice(3, p=(0.7, 0.15, 0.15))
        share = (share, share**2, 1 - (1 - share) ** 2)[law]
        share = share.reshape(-1, *[1] * (values.ndim - 1))
        parts.append(values[i] + share * (values[i + 1] - values[i]))
    return np.concatenate(parts)


@dataclasses.dataclass(frozen=True)
class PatchTracks(Sampler):
    """A clip, and what is to be pasted onto it.

    "clips" `[1, T, H, W, 3]`, at a stride drawn from `strides`, each frame moved by up to a stride;
    "tracks" float32 `[patches, T, 5]`: (left, top, right, bottom) in whole pixels of the crop, and
    the opacity, 0 where a patch is not shown; "patches" float32 `[patches, 3]`: the frame that the
    patch is cut from, at its place there; its shape (0 a rectangle, 1 an ellipse, 2 a rhombus); how
    far from its centre it begins to fade, in shares of its size (0.5: nowhere); "light" float32
    `[T, 2]`: an offset and a gain less 1. Large patches come first: they are pasted first. A patch
    is always shown on the first frame and on its own. No target: it is in the tracks.

    Args:
        frames: int, T. strides: ints. patches: int.
        sides: pixels, the geometric means of width and height. jitter: float, both sides are scaled
            by up to e^jitter. Widths over heights are 0.5 to 2.
        velocity: float, the largest speed in pixels a frame. growth: float, the largest change of
            the logarithm of a side a frame.
        shown: float, the probability that a patch is shown on a frame.
        light: float, the probability that brightness, and that contrast, change over the clip.
        scales: the shorter sides of the frame that is cropped from, over that of the crop.
        spatial: `Spatial`; its `resize` is not read.
    """

    frames: int = 16
    strides: tuple = (1, 2, 3, 4, 5)
    patches: int = 3
    sides: tuple = (16, 24, 28, 32, 48, 64)
    jitter: float = 0.18
    velocity: float = 3.0
    growth: float = 0.025
    shown: float = 0.8
    light: float = 0.5
    scales: tuple = (1.0, 8 / 7, 9 / 7)  # 112, 128, 144 of 112
    spatial: Spatial = dataclasses.field(default_factory=lambda: Spatial(None, flip=0.5))

    short: ClassVar = "clamp"

    def __post_init__(self):
        self._check()
        least = min(min(self.strides, default=0), min(self.sides, default=0), self.patches)
        if least < 1 or self.frames < 2:
            raise ValueError(
                f"Expected strides, sides and patches of at least 1 and at least 2 frames, received "
                f"{self.strides}, {self.sides}, {self.patches} and {self.frames}."
            )

    @property
    def views(self):
        return 1

    @property
    def shapes(self):
        arrays = {"tracks": (self.patches, self.frames, 5), "patches": (self.patches, 3)}
        arrays["light"] = (self.frames, 2)
        return {**super().shapes, **{name: (shape, "float32") for name, shape in arrays.items()}}

    def span(self, info):
        return (self.frames - 1) * max(self.strides) + 1

    def plan(self, info, rng):
        stride = int(rng.choice(self.strides))
        room = info.frames - (self.frames - 1) * stride - 1
        start = rng.integers(0, max(room, 0) + 1)
        moved = rng.integers(0, stride, self.frames)
        frames = self.fill(start + stride * np.arange(self.frames) + moved, info.frames)
        shorter = round(min(self.spatial.shape) * float(rng.choice(self.scales)))
        spatial = dataclasses.replace(self.spatial, resize=max(shorter, min(self.spatial.shape)))
        ((box, flip),) = spatial.boxes(info, rng)
        tracks, patches = self.tracks(rng)
        arrays = {"tracks": tracks, "patches": patches, "light": self.lights(rng)}
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        return Plan((View(frames, box, spatial.shape, flip),), arrays=arrays)

    def tracks(self, rng):
        """A draw of "tracks" and "patches"."""
        boxes, count, total = self.boxes(rng), self.patches, self.frames
        areas = np.prod((boxes[..., 2:] - boxes[..., :2]).mean(axis=1), axis=-1)
        boxes = boxes[np.argsort(-areas, kind="stable")]
        source = rng.integers(0, total, count)
        shown = rng.uniform(size=(count, total)) <= self.shown
        shown[:, 0] = shown[np.arange(count), source] = True
        keys = [key_frames(total, _TURNS, rng) for _ in range(count)]
        opacity = [between_keys(rng.uniform(0.8, 1, len(k)), k, rng) for k in keys]
        shape = rng.choice(3, count, p=(0.5, 0.35, 0.15))
        edge = np.where(rng.random(count) < 0.5, rng.uniform(0.3, 0.45, count), 0.5)
        tracks = np.concatenate([boxes, (opacity * shown)[..., None]], axis=-1)
        return tracks, np.stack([source, shape, edge], axis=-1)

    def boxes(self, rng):
        """Boxes `[patches, T, 4]` that move and grow within the crop, in whole pixels."""
        height, width = self.spatial.shape
        frame, pair = np.array([width, height], dtype=np.float64), (self.patches, 2)
        ratio = np.sqrt(rng.choice(_RATIOS, self.patches))
        sides = rng.choice(self.sides, self.patches)
        size = np.stack([sides * ratio, sides / ratio], axis=-1)
        size = np.clip(size * np.exp(rng.uniform(-self.jitter, self.jitter, pair)), 1, frame - 1)
        low, high = size / 2, frame - size / 2
        centres, sizes = [rng.uniform(low, high)], [size]
        keys = key_frames(self.frames, _TURNS, rng)
        for gap in np.diff(keys):
            shift = rng.uniform(-self.velocity * gap, self.velocity * gap, pair)
            centres.append(np.clip(centres[-1] + shift, low, high))
        centres = between_keys(centres, keys, rng)
        keys = key_frames(self.frames, _TURNS, rng)
        for gap in np.diff(keys):
            sizes.append(
                sizes[-1] * np.exp(rng.uniform(-self.growth * gap, self.growth * gap, pair))
            )
        half = between_keys(sizes, keys, rng) / 2
        boxes = np.concatenate([centres - half, centres + half], axis=-1)
        return np.round(np.clip(boxes, 0, np.tile(frame, 2))).transpose(1, 0, 2)

    def lights(self, rng):
        """A draw of "light": smooth changes of brightness and of contrast, each with `light`."""
        light = np.zeros((self.frames, 2))
        for column, draw in enumerate(
            (
                lambda n: rng.uniform(-30, 30, n) / 255,
                lambda n: np.exp(rng.uniform(-0.12, 0.12, n)) - 1,
            )
        ):
            if rng.random() < self.light:
                keys = key_frames(self.frames, _TURNS_OF_LIGHT, rng)
                light[:, column] = between_keys(draw(len(keys)), keys, rng)
        return light
