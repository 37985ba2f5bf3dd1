"""Pairs of clips under one temporal transformation that two videos share. Pure NumPy."""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_vssl.data.samplers import Plan, Sampler, Spatial, View

ORDERS = ("overlapping", "ordered", "unordered")
# The columns of a target; the five from "speed_a" to "shift" are the transformation.
TARGET = ("pair", "speed_a", "speed_b", "direction_a", "direction_b", "shift", "order")


def order_label(first, second):
    """The index in `ORDERS` of two extents `[start, end)` on the original time line."""
    if first[0] < second[1] and second[0] < first[1]:
        return 0
    return 1 if first[1] <= second[0] else 2


@dataclasses.dataclass(frozen=True)
class TransformedClips(Sampler):
    """Two clips of a video at speeds, directions and a distance that its neighbour shares.

    Videos are grouped in pairs, neighbours in a batch. The draw of a pair (`common`) is made for
    its shorter video, so both can follow it and no clip is cut: speeds 2^k with k uniform on
    0..min(floor(log2(length / frames)), speeds - 1), directions, and starts uniform where the clip
    fits, of which only their distance is kept. Each video draws the start of its earlier clip,
    crops and flips for itself.

    Views `[2, T, H, W, 3]`; target int32 `[7]`, see `TARGET`: the pair's number, the k of both
    speeds, both directions (1 is backwards), the second start less the first in frames, and the
    class of the order. `pair` is random in 0..2^24, exact as a float32.
    """

    frames: int = 16
    speeds: int = 4
    spatial: Spatial = dataclasses.field(default_factory=Spatial)
    short: str = "loop"

    group: ClassVar = 2

    def __post_init__(self):
        self._check()
        if self.speeds < 1:
            raise ValueError(f"Expected at least one speed, received speeds={self.speeds}.")

    @property
    def views(self):
        return 2

    def span(self, info):
        return self.frames

    def extents(self, common):
        """`((start, end), (start, end))` of both clips, the earlier start being 0."""
        starts = max(-common[5], 0), max(common[5], 0)
        return tuple((s, s + (self.frames - 1) * 2**k + 1) for s, k in zip(starts, common[1:3]))

    def common(self, infos, rng):
        total = min(info.frames for info in infos)
        most = min((total // self.frames).bit_length() - 1, self.speeds - 1)
        speeds = rng.integers(0, max(most, 0) + 1, size=2).tolist()
        directions = rng.integers(0, 2, size=2).tolist()
        room = [max(total - (self.frames - 1) * 2**k, 1) for k in speeds]
        first, second = (int(rng.integers(0, starts)) for starts in room)
        return (int(rng.integers(2**24)), *speeds, *directions, second - first)

    def fits(self, info, common):
        # A plain clip at distance 0 is filled by the rule for short videos.
        need = max(end for _, end in self.extents(common))
        return need == self.frames or need <= info.frames

    def plan(self, info, rng, common=None):
        common = self.common([info], rng) if common is None else common
        if not self.fits(info, common):
            raise ValueError(
                f"Expected a video that holds the clips of its pair, received {info.frames} frames; "
                "draw the pair's `common` for both videos."
            )
        extents = self.extents(common)
        room = max(info.frames - max(end for _, end in extents), 0)
        start, views = int(rng.integers(0, room + 1)), []
        for (offset, _), k, backwards in zip(extents, common[1:3], common[3:5]):
            frames = self.fill(start + offset + 2**k * np.arange(self.frames), info.frames)
            ((box, flip),) = self.spatial.boxes(info, rng)
            frames = frames[::-1] if backwards else frames
            views.append(View(frames, box, self.spatial.shape, flip))
        return Plan(tuple(views), np.array([*common, order_label(*extents)], dtype=np.int32))
