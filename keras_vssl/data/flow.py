"""Optical flow of videos, computed once and kept on disk."""

import io
import os
import zipfile
import zlib

import numpy as np
from PIL import Image

from keras_vssl.data.cache import VideoCache, every_frame
from keras_vssl.data.frame_index import ReadError
from keras_vssl.files import write_atomic

_FORMAT = 1  # of the cached files and the methods' constants; another number is another cache


def _dis(cv2):
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda before, after: method.calc(before, after, None)


def _farneback(cv2):
    # Pyramid 0.5 of 3 levels, windows of 15, 3 iterations, polynomials over 5 pixels, sigma 1.2.
    return lambda before, after: cv2.calcOpticalFlowFarneback(
        before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0
    )


def _tvl1(cv2):
    if not hasattr(cv2, "optflow"):
        raise ValueError(
            'Method "tvl1" is in OpenCV\'s contributed modules alone; pip install '
            "opencv-contrib-python-headless in place of opencv-python-headless."
        )
    method = cv2.optflow.DualTVL1OpticalFlow_create()
    return lambda before, after: method.calc(before, after, None)


# name -> function of the module cv2 that makes the function of two grey frames.
METHODS = {"dis": _dis, "farneback": _farneback, "tvl1": _tvl1}


def make_flow(method="dis"):
    """A function of two consecutive grey frames (uint8 `[H, W]`) that gives their flow.

    The flow is float32 `[H, W, 2]`, pixels: `u` to the right and `v` downwards, so that what is at
    (x, y) in the first frame is at (x + u, y + v) in the second. For use by one thread.

    Args:
        method: "dis" (Kroeger et al. ECCV 2016, medium preset), "farneback" (SCIA 2003) or "tvl1"
            (Zach et al. DAGM 2007; needs opencv-contrib).

    Raises:
        ValueError: an unknown method, or OpenCV is not installed or lacks it.
    """
    _check_method(method)
    try:
        import cv2
    except ImportError:
        raise ValueError(
            "Optical flow needs OpenCV, which is not installed; pip install keras-vssl[flow]."
        ) from None
    return METHODS[method](cv2)


class FlowCache(VideoCache):
    """The optical flow of videos, one compressed file a video, computed once.

    Flow `t` leads from frame `t` to frame `t + 1`, in pixels of the resized frame: a video of n
    frames has n - 1 of them. A component is kept as one signed byte, finer near zero:
    `round(127 sign(x) sqrt(|x| / bound))`, clamped at the bound. The error is at most
    `sqrt(|x| bound) / 127 + bound / 127^2 / 4` pixels: 0.04 at 1 pixel, 0.14 at 10.

    The files are named as `VideoCache` says. They are `.npz` archives: `flow_0`, `flow_1`, ...,
    int8 `[2, H, W]`, each compressed on its own, so that a clip is read without the rest.

    Args:
        folder: str or None, where it is kept; None is `flow` in `KERAS_VSSL_CACHE`, else in
            `~/.cache/keras_vssl`.
        method: str, of `METHODS`.
        short_side: int, pixels of the resized frame's shorter side; a smaller video keeps its
            size. 256 takes four times the time and the disk of 128.
        bound: float, the largest component that is told apart, pixels a frame.

    Example:

    ```python
    cache = FlowCache()
    cache.write("clip.mp4")  # needs OpenCV: pip install keras-vssl[flow]
    cache.read("clip.mp4", plan.views)  # does not; float16 [V, T, h, w, 2]
    ```
    """

    def __init__(self, folder=None, method="dis", short_side=128, bound=32.0):
        _check_method(method)
        if short_side < 16 or not bound > 0:
            raise ValueError(
                f"Expected short_side of at least 16 pixels and a bound above 0, received "
                f"{short_side} and {bound}."
            )
        super().__init__(folder, "flow", f"{method}-{int(short_side)}-{bound:g}-v{_FORMAT}")
        self.method, self.short_side, self.bound = method, int(short_side), float(bound)

    def require(self):
        make_flow(self.method)

    def write(self, video, timeout=20.0):
        """Computes a video's flow and keeps it; complete or not at all.

        Args:
            video: path.
            timeout: float, seconds that decoding 32 frames may take.

        Returns:
            str, the file's path.

        Raises:
            ReadError: a frame does not decode.
            ValueError: OpenCV is not installed or lacks the method.
        """
        path, file = self.path(video), io.BytesIO()
        flows = _flows(video, make_flow(self.method), self.short_side, timeout)
        count = 0
        # What `np.savez_compressed` writes, but one map at a time: a long video's would not fit.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for i, flow in flows:
                _add(archive, f"flow_{i}", self._quantise(np.moveaxis(flow, -1, 0)))
                count += 1
            _add(archive, "count", np.array(count))
            _add(archive, "bound", np.array(self.bound))
        write_atomic(path, file.getvalue())
        return path

    def read(self, video, views):
        """Flow clips, cropped, resized and mirrored like frames.

        Values stay in pixels of the kept frame: resizing a crop does not change them. A mirrored
        clip has the sign of u changed. A frame number from the last one on gives the last flow.

        Args:
            video: path.
            views: `View`s of equal length and size; `frames` number the first frame of each flow.

        Returns:
            float16 `[V, T, h, w, 2]`.

        Raises:
            ReadError: the video's flow is not kept, or the file is damaged.
        """
        path, kept = self.path(video), {}
        if not os.path.isfile(path):
            raise ReadError(video, self.absent())
        try:
            with np.load(path, allow_pickle=False) as file:
                last = int(file["count"]) - 1
                for number in {min(int(i), last) for view in views for i in view.frames}:
                    kept[number] = self._restore(file[f"flow_{number}"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            reason = f"its optical flow is damaged ({error}); delete {path}"
            raise ReadError(video, reason) from None
        return np.stack(
            [
                np.stack([_crop(kept[min(int(i), last)], view) for i in view.frames])
                for view in views
            ]
        )

    def absent(self):
        """Why a video whose flow is not kept can't be used, and what to do."""
        return (
            f"its optical flow is not in {self.folder}; run keras-vssl flow on its folder "
            f"(--method {self.method} --size {self.short_side} --cache {self.folder})"
        )

    def _quantise(self, flow):
        steps = 127 * np.sqrt(np.minimum(np.abs(flow) / self.bound, 1.0))
        return np.rint(np.copysign(steps, flow)).astype(np.int8)

    def _restore(self, steps):
        """int8 `[2, H, W]` to float32, pixels."""
        steps = steps.astype(np.float32) / 127
        return steps * np.abs(steps) * self.bound


def _add(archive, name, array):
    with archive.open(f"{name}.npy", "w") as entry:
        np.lib.format.write_array(entry, array, allow_pickle=False)


def _flows(video, flow, short_side, timeout):
    """(t, flow from frame t to the next one); a video of one frame gives one flow of zeros."""
    import cv2

    before = size = None
    for t, frame in enumerate(every_frame(video, timeout)):
        if size is None:
            scale = min(short_side / min(frame.shape[:2]), 1.0)
            size = tuple(round(side * scale) for side in frame.shape[1::-1])
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        after = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        if before is not None:
            yield t - 1, flow(before, after)
        before = after
    if t == 0:
        yield 0, np.zeros((*before.shape, 2), np.float32)


def _crop(maps, view):
    """float32 `[2, H, W]` to float16 `[h, w, 2]`, by the box that `reader.crop` uses for pixels."""
    height, width = maps.shape[1:]
    left, top, right, bottom = view.box
    box = left * width, top * height, min(right * width, width), min(bottom * height, height)
    size = view.size[1], view.size[0]
    maps = np.stack(
        [np.asarray(Image.fromarray(m).resize(size, Image.Resampling.BILINEAR, box)) for m in maps],
        axis=-1,
    )
    if view.flip:
        maps = maps[:, ::-1] * np.array([-1, 1], np.float32)
    return maps.astype(np.float16)


def _check_method(method):
    if method not in METHODS:
        raise ValueError(f"Expected a method of {', '.join(METHODS)}, received {method!r}.")
