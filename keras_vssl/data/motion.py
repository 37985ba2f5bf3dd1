"""Clips together with the motion of the same time, as pixels or as optical flow."""

import dataclasses
import math

import numpy as np

from keras_vssl.data.flow import FlowCache
from keras_vssl.data.plans import Plan, Spatial, View
from keras_vssl.data.samplers import Sampler


@dataclasses.dataclass(frozen=True)
class VisualMotionClips(Sampler):
    """A query and a key of one video, each an RGB clip and a motion clip of the same time.

    The key begins `offset` seconds before or after the query, or as far away as the video allows.
    "clips" `[2, T, H, W, 3]`; "motion" either uint8 pixels `[2, 2 T', H', W', 3]`, T' pairs of
    consecutive frames, or with `flow` float16 flow `[2, T', H', W', 2]`. All four clips have crop
    and flip of their own. No target.

    Args:
        frames, stride: the RGB clip. motion_frames, motion_stride: the motion clip. Strides count
            frames of a video of `fps` frames a second.
        offset: (least, most) seconds between the starts of query and key.
        fps: float, frames a second that videos are taken to have been resampled to.
        spatial, motion_spatial: `Spatial`.
        flow: `FlowCache` or None (pixels).
    """

    frames: int = 8
    stride: int = 8
    motion_frames: int = 16
    motion_stride: int = 4
    offset: tuple = (0.5, 10.0)
    fps: float = 30.0
    spatial: Spatial = dataclasses.field(default_factory=Spatial)
    motion_spatial: Spatial = dataclasses.field(default_factory=Spatial)
    flow: FlowCache | None = None
    short: str = "clamp"

    def __post_init__(self):
        self._check()
        if not 0 <= self.offset[0] <= self.offset[1]:
            raise ValueError(f"Expected offset=(least, most) seconds, received {self.offset}.")

    @property
    def views(self):
        return 2

    @property
    def shapes(self):
        size = 2, self.motion_frames, *self.motion_spatial.shape
        pairs = (size[0], 2 * size[1], *size[2:], 3), "uint8"
        motion = ((*size, 2), "float16") if self.flow else pairs
        return {"clips": (self.shape, "uint8"), "motion": motion}

    def _lengths(self, info):
        """Source frames of the RGB clip and of the motion clip, floats."""
        scale = info.fps / self.fps
        return self.frames * self.stride * scale, self.motion_frames * self.motion_stride * scale

    def span(self, info):
        return math.ceil(max(self._lengths(info)))

    @property
    def mined(self):
        return (self.flow,) if self.flow else ()

    def starts(self, info, rng):
        """First frames of query and key."""
        room = max(info.frames - self.span(info), 0)
        least = min(math.ceil(self.offset[0] * info.fps), room)
        most = max(min(math.floor(self.offset[1] * info.fps), room), least)
        distance = rng.integers(least, most + 1)
        first = rng.integers(0, room - distance + 1)
        return rng.permutation([first, first + distance])

    def plan(self, info, rng):
        clips, motion = [], []
        length, motion_length = self._lengths(info)
        for start in self.starts(info, rng):
            frames = _spread(start, length, self.frames, info.frames)
            clips.append(_view(frames, self.spatial, info, rng))
            # The last frame has no next one, so its motion is that of the one before.
            frames = _spread(start, motion_length, self.motion_frames, max(info.frames - 1, 1))
            if not self.flow:
                frames = np.stack([frames, np.minimum(frames + 1, info.frames - 1)], -1).ravel()
            view = _view(frames, self.motion_spatial, info, rng)
            motion.append(dataclasses.replace(view, source="flow" if self.flow else "frames"))
        return Plan(tuple(clips), groups={"motion": tuple(motion)})


def _spread(start, length, count, total):
    """PySlowFast's frames: `count` from `start` to the end of `length`, inside the video."""
    frames = np.linspace(start, start + max(length - 1, 0), count)
    return np.clip(frames, 0, total - 1).astype(np.int64)


def _view(frames, spatial, info, rng):
    ((box, flip),) = spatial.boxes(info, rng)
    return View(frames, box, spatial.shape, flip)
