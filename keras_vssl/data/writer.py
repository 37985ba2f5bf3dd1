"""Writing a video with sound, frame by frame: whole or absent. Imports av."""

import os
from fractions import Fraction

import av
import numpy as np
from PIL import Image

from keras_vssl.files import atomic_file

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Sampling rates that AAC has (ISO 14496-3, table 1.18).
_AAC_RATES = (
    7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000,
)  # fmt: skip


def check_target(path):
    """Refuses a file name whose ending says no format that can be written.

    Raises:
        ValueError: another ending, or a folder.
    """
    if os.path.isdir(path):
        raise ValueError(f"Expected the name of a video to write, but {path} is a folder.")
    if os.path.splitext(path)[1].lower() not in FORMATS:
        raise ValueError(
            f"Expected the name of a video to write to end in {', '.join(FORMATS)}, received {path}."
        )


def sound_rate(rate):
    """The lowest sampling rate that AAC has and that loses nothing of `rate`, in Hz."""
    return next((r for r in _AAC_RATES if r >= rate), _AAC_RATES[-1])


class VideoWriter:
    """A video file (H.264 or MPEG-4, AAC) that appears under its name when the `with` block succeeds.

    Frames and sound are encoded as they come; hand over both in step, so that neither waits for the
    other in memory.

    Args:
        path: str, ends in .mp4, .m4v, .mov or .mkv. A file of that name is replaced at the end.
        fps: float, frames a second.
        size: (height, width). H.264 takes even numbers: a last odd row or column is left out.
        rate: int, Hz, of the sound (see `sound_rate`), or None for none.
        quality: int, x264's constant rate factor; lower is better and larger.
        interval: int or None, frames from one key frame to the next. With it the video is made to
            be read at random, in MPEG-4 part 2 instead of H.264: that opens and decodes in half the
            time and takes more disk. `quality` is then its quantiser, 1 to 31.
        ticks: int or None, of the clock, a second, 65535 at most for MPEG-4. With it each frame
            comes with its time, and need not be `1 / fps` after the one before.

    Raises:
        ValueError: the ending is none of these, or the size has less than 2 pixels a side.

    Example:

    ```python
    with VideoWriter("out.mp4", 25.0, (240, 320), rate=16000) as writer:
        for image in images:           # uint8 [240, 320, 3]
            writer.frame(image)
        writer.sound(samples)          # float32 [n], one channel, -1..1
    ```
    """

    def __init__(self, path, fps, size, rate=None, quality=18, interval=None, ticks=None):
        check_target(path)
        if min(size) < 2:
            raise ValueError(f"Expected frames of at least 2 x 2 pixels, received {tuple(size)}.")
        self.path, self.fps, self.rate = os.fspath(path), float(fps), rate
        self.height, self.width = (int(side) // 2 * 2 for side in size)
        self.quality, self.interval, self.ticks = int(quality), interval, ticks
        self._samples, self._last = 0, -1

    def __enter__(self):
        self._whole = atomic_file(self.path)
        part = self._whole.__enter__()
        try:
            kind = FORMATS[os.path.splitext(self.path)[1].lower()]
            self._file = av.open(part, "w", format=kind)
            rate = Fraction(self.fps).limit_denominator(1001)
            codec = "mpeg4" if self.interval else "libx264"
            self._picture = self._file.add_stream(codec, rate=rate)
            self._picture.width, self._picture.height = self.width, self.height
            self._picture.pix_fmt = "yuv420p"
            quality = str(self.quality)
            self._picture.options = {"crf": quality, "preset": "veryfast"}
            if self.interval:
                # `qmin` and `qmax` yield to the bit rate, these do not: 118 are one quantiser step.
                bounds = dict.fromkeys(("lmin", "lmax"), str(118 * self.quality))
                spent = {"mbd": "rd", "trellis": "1", "threads": "1"}  # time, for fewer bytes
                self._picture.options = {"qmin": quality, "qmax": quality, **bounds, **spent}
                self._picture.options |= {"g": str(self.interval)}
            if self.ticks:
                self._picture.codec_context.time_base = Fraction(1, self.ticks)
            self._sound = None
            if self.rate:
                self._sound = self._file.add_stream("aac", rate=self.rate, layout="mono")
        except BaseException as error:
            self._whole.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                for stream in (self._picture, self._sound):
                    if stream is not None:
                        self._file.mux(stream.encode())
            self._file.close()
        except BaseException as failure:
            self._whole.__exit__(type(failure), failure, failure.__traceback__)
            if kind is None:
                raise
            return False  # what went wrong first is what the caller is to hear
        return self._whole.__exit__(kind, error, trace)

    def frame(self, image, seconds=None):
        """Adds one frame, uint8 `[H, W, 3]`; one of another size is resized.

        Args:
            seconds: float, when it is shown, where the clock has `ticks`. A frame that is not after
                the one before, by the clock, is shown a tick after it.
        """
        if image.shape[0] // 2 * 2 != self.height or image.shape[1] // 2 * 2 != self.width:
            image = np.asarray(Image.fromarray(image).resize((self.width, self.height)))
        image = np.ascontiguousarray(image[: self.height, : self.width])
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        if self.ticks:
            frame.pts = self._last = max(round(seconds * self.ticks), self._last + 1)
            frame.time_base = Fraction(1, self.ticks)
        self._file.mux(self._picture.encode(frame))

    def sound(self, samples):
        """Adds sound, float32 `[n]` in -1..1, after what was added before."""
        if not len(samples):
            return
        samples = np.clip(samples, -1.0, 1.0).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        # Without a time stamp the encoder's run-up is not cut, and all is heard too late.
        frame.sample_rate, frame.pts = self.rate, self._samples
        frame.time_base = Fraction(1, self.rate)
        self._samples += len(samples)
        self._file.mux(self._sound.encode(frame))
