"""Where and when something moves in a video: mined once, kept, and asked by samplers."""

import functools
import importlib.util
import io
import os
import zipfile
import zlib

import numpy as np
from PIL import Image

from keras_vssl.data.cache import VideoCache, every_frame
from keras_vssl.data.flow import make_flow
from keras_vssl.data.frame_index import ReadError
from keras_vssl.files import write_atomic

_FORMAT = 1  # of the kept files; another number is another cache
SHORT_SIDE = 128  # pixels; what magnitudes are stated at
METHODS = ("auto", "farneback", "difference")


class MotionProfile(VideoCache):
    """How much every part of every frame of a video moves, one small file a video, mined once.

    A frame is a grid of cells. Entry `t` of a profile is the mean magnitude of the motion from
    frame `t` to frame `t + 1` in each cell: a video of n frames has n - 1 of them, one of a single
    frame has one of zeros. The mean colour of each cell of each frame is kept beside it. A profile
    takes `5 grid^2` bytes a frame before compression (1.3 KB for 16 x 16).

    Args:
        folder: str or None, where it is kept; None is `motion` in `KERAS_VSSL_CACHE`, else in
            `~/.cache/keras_vssl`.
        method: str. "farneback": the magnitude of Farnebaeck's optical flow, in pixels a frame of
            a video whose shorter side is 128 pixels (larger ones are made smaller; of smaller ones
            the magnitudes are scaled). Needs OpenCV to be mined, not to be read. "difference": the
            absolute difference of grey levels, 0 to 255, a proxy without OpenCV. "auto": the first
            where OpenCV is installed, else the second; the attribute `method` says which.
        grid: int, cells along either side of the frame, whatever its shape.

    Example:

    ```python
    profile = MotionProfile()
    profile.write("clip.mp4")
    motion = profile.read("clip.mp4")  # float32 [T - 1, 16, 16]
    weights = window_weights(motion, length=16)
    start = rng.choice(len(weights), p=weights)
    box = moving_patch(motion, (start, start + 15), size=0.5)
    ```
    """

    def __init__(self, folder=None, method="auto", grid=16):
        if method not in METHODS:
            raise ValueError(f"Expected a method of {', '.join(METHODS)}, received {method!r}.")
        if not 1 <= grid <= SHORT_SIDE:
            raise ValueError(f"Expected a grid of 1 to {SHORT_SIDE} cells, received {grid}.")
        if method == "auto":
            has_opencv = importlib.util.find_spec("cv2") is not None
            method = "farneback" if has_opencv else "difference"
        super().__init__(folder, "motion", f"{method}-{int(grid)}-v{_FORMAT}")
        self.method, self.grid = method, int(grid)

    def require(self):
        _magnitude(self.method)

    def write(self, video, timeout=20.0):
        """Mines a video's profile and keeps it; complete or not at all.

        Args:
            video: path.
            timeout: float, seconds that decoding 32 frames may take.

        Returns:
            str, the file's path.

        Raises:
            ReadError: a frame does not decode.
            ValueError: OpenCV is not installed and the method needs it.
        """
        path, measure = self.path(video), _magnitude(self.method)
        motion, colours, before, size = [], [], None, None
        for frame in every_frame(video, timeout):
            if size is None:
                scale = min(SHORT_SIDE / min(frame.shape[:2]), 1.0)
                size = tuple(max(1, round(side * scale)) for side in frame.shape[1::-1])
            image = Image.fromarray(frame)
            colours.append(np.asarray(self._cells(image)))
            after = np.asarray(image.resize(size, Image.Resampling.BOX).convert("L"))
            if before is not None:
                cells = self._cells(Image.fromarray(measure(before, after)))
                motion.append(np.asarray(cells).astype(np.float16))
            before = after
        motion = np.stack(motion) if motion else np.zeros((1, self.grid, self.grid), np.float16)
        file = io.BytesIO()
        np.savez_compressed(file, motion=motion, colours=np.stack(colours))
        write_atomic(path, file.getvalue())
        return path

    def read(self, video):
        """A video's motion, float32 `[T - 1, grid, grid]`, 0 and more; unit: see `method`.

        Raises:
            ReadError: it is not kept, or the file is damaged.
        """
        return self._read(video, "motion").astype(np.float32)

    def colours(self, video):
        """The mean colour of every cell of every frame, uint8 `[T, grid, grid, 3]`.

        Raises:
            ReadError: as for `read`.
        """
        return self._read(video, "colours")

    def absent(self):
        """Why a video whose profile is not kept can't be used, and what to do."""
        return (
            f"its motion profile is not in {self.folder}; run keras-vssl mine on its folder "
            f"(--kind motion --method {self.method} --grid {self.grid} --cache {self.folder})"
        )

    def _cells(self, image):
        return image.resize((self.grid, self.grid), Image.Resampling.BOX)

    def _read(self, video, name):
        path = self.path(video)
        try:
            return _arrays(path, os.stat(path).st_mtime_ns)[name]
        except FileNotFoundError:
            raise ReadError(video, self.absent()) from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            reason = f"its motion profile is damaged ({error}); delete {path}"
            raise ReadError(video, reason) from None


def motion_profile(motion):
    """What a method's argument `motion` stands for.

    Args:
        motion: True (a `MotionProfile` as it comes), a dict of its arguments, or False or None.

    Returns:
        `MotionProfile` or None.
    """
    if isinstance(motion, dict):
        return MotionProfile(**motion)
    if motion not in (True, False, None):
        raise ValueError(
            f"Expected motion to be True, False or a dict of MotionProfile's arguments, received "
            f"{motion!r}."
        )
    return MotionProfile() if motion else None


def window_weights(profile, length):
    """How likely each window of a video is to be drawn: in proportion to its mean motion.

    A window whose middle does not move has no weight, however much its ends do; where nothing
    moves, all windows are equal.

    Args:
        profile: `[T - 1, grid, grid]` (`MotionProfile.read`), or its means `[T - 1]`.
        length: int, frames of a window, 2 or more.

    Returns:
        float64 `[max(T - length, 0) + 1]`, sums to 1; entry s is the window of the frames s to
        s + length - 1. A video shorter than the window has one weight.
    """
    if length < 2:
        raise ValueError(f"Expected windows of at least 2 frames, received length={length}.")
    motion = np.asarray(profile, np.float64)
    motion = motion.reshape(len(motion), -1).mean(axis=1)
    steps = min(length - 1, len(motion))
    total = np.concatenate([[0.0], np.cumsum(motion)])
    means = (total[steps:] - total[:-steps]) / steps
    # The one or two steps that touch the middle frame of the window.
    first = np.arange(len(means)) + (steps - 1) // 2
    middle = np.maximum(motion[first], motion[first + (steps + 1) % 2])
    weights = np.where(middle > 0, np.maximum(means, 0.0), 0.0)
    if not weights.sum() > 0:
        weights = np.ones_like(weights)
    return weights / weights.sum()


def moving_patch(profile, window, size):
    """The part of the frame where most moves.

    The best place is found exactly: the motion under a box is linear in its position between the
    cells' edges. Of equally good places the one nearest to their middle is taken; where nothing
    moves that is the frame's.

    Args:
        profile: `[T - 1, grid, grid]`, of `MotionProfile.read`.
        window: (first, last), frames; what moves between them counts.
        size: float or (height, width), in shares of the frame, above 0 and at most 1. A square of
            n pixels in a frame of height H and width W is (n / H, n / W).

    Returns:
        (left, top, right, bottom), floats, shares of the frame: a `View`'s box.
    """
    height, width = (float(s) for s in (size if isinstance(size, (tuple, list)) else (size, size)))
    if not (0 < height <= 1 and 0 < width <= 1):
        raise ValueError(f"Expected a size above 0 and at most 1, received {size}.")
    first, last = (int(i) for i in window)
    if not 0 <= first < last <= len(profile):
        raise ValueError(
            f"Expected a window of frames from 0 to {len(profile)}, first before last, received "
            f"{window}."
        )
    cells = np.asarray(profile[first:last], np.float64).mean(axis=0)
    (tops, down), (lefts, across) = (
        _overlaps(side, count) for side, count in zip((height, width), cells.shape)
    )
    scores = down @ cells @ across.T
    best = np.argwhere(scores >= scores.max() * (1 - 1e-9))
    places = np.stack([tops[best[:, 0]], lefts[best[:, 1]]], axis=1)
    distances = np.square(places - (places.min(axis=0) + places.max(axis=0)) / 2).sum(axis=1)
    top, left = places[distances.argmin()]
    return float(left), float(top), float(min(left + width, 1.0)), float(min(top + height, 1.0))


def _overlaps(side, count):
    """Candidate starts `[n]` of a stretch of [0, 1], and what it covers of each cell `[n, count]`.

    An end of the stretch lies on a cell's edge, or the stretch is in the middle.
    """
    edges = np.arange(count + 1) / count
    starts = np.unique(np.round(np.concatenate([edges, edges - side, [(1 - side) / 2]]), 12))
    starts = starts[(starts >= 0) & (starts <= 1 - side + 1e-12)]
    ends = np.minimum(starts[:, None] + side, edges[None, 1:])
    return starts, np.maximum(ends - np.maximum(starts[:, None], edges[None, :-1]), 0.0)


def _magnitude(method):
    """A function of two grey frames uint8 `[H, W]` that gives the magnitude of motion, float32."""
    if method == "difference":
        return lambda before, after: np.abs(after.astype(np.float32) - before)
    flow = make_flow(method)

    def magnitude(before, after):
        # Pixels of a frame whose shorter side is SHORT_SIDE.
        return np.linalg.norm(flow(before, after), axis=-1) * (SHORT_SIDE / min(before.shape))

    return magnitude


@functools.lru_cache(maxsize=1024)  # a hundred megabytes; a plan asks twice, an epoch again
def _arrays(path, modified):
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    for array in found.values():
        array.flags.writeable = False
    return found
