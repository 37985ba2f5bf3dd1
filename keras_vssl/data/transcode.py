"""One video made fast to read at random, and read back: what the workers of `prepare` do."""

import errno
import math

import numpy as np
from PIL import Image

from keras_vssl.data.frame_index import ReadError
from keras_vssl.data.reader import VideoReader
from keras_vssl.data.worker import serve
from keras_vssl.data.writer import VideoWriter, sound_rate

_CHUNK = 32  # frames read at a time
_KEPT = 128 << 20  # bytes of frames kept for reading back; those beyond are decoded again
_TICKS = 60000  # a second: whole for 24, 25, 30, 60, 120 and 30000 / 1001 frames a second
# Seconds of sound read at a time: long, for where reading begins again, a container that rounds its
# times (Matroska to 1 ms) shifts the sound by up to half of that.
_SOUND = 60.0


def transcode(
    path, part, short_side, interval, quality, sound, psnr, timeout=20.0, alive=lambda: None
):
    """Writes a video smaller and with many key frames, reads it back, and says what it holds.

    Frames keep their numbers and, to half a frame, their times. They are stored upright, in an even
    number of rows and columns. Sound is mixed to one channel, as `VideoReader.audio` does, and
    stays in step. Of a damaged video the frames before the first that does not decode are taken.

    Args:
        path: str, the source.
        part: str, the MP4 file to write.
        short_side: int, pixels; a smaller video keeps its size.
        interval, quality: as for `VideoWriter`.
        sound: bool, keep it.
        psnr: float, decibel, that no frame read back may be below.
        timeout: float, seconds that opening, or decoding 32 frames, may take.
        alive: callable, called at least that often while it gets on.

    Returns:
        Dict: "frames", "height", "width", "fps", "duration" (s), "audio_rate" (Hz or None), "psnr"
        (of the mean square error of all frames), "lowest_psnr" (of one frame), in decibel, and
        "damage" (str or None).

    Raises:
        ReadError: the source can't be read, or what was written is not what was meant.
    """
    with VideoReader(path, timeout=timeout) as source:
        alive()
        info = source.info
        if not info.frames:
            raise ReadError(path, info.error)
        meant = _Meant(source, info.frames, short_side, alive)
        rate = info.audio_rate if sound else None
        settings = {"quality": quality, "interval": interval, "ticks": _TICKS}
        damage = info.error
        try:
            _write(meant, part, rate, timeout, settings)
        except ReadError:
            whole = source.verify()
            if whole.decodable != "partly" or not 0 < whole.frames < info.frames:
                raise
            meant, damage = _Meant(source, whole.frames, short_side, alive), whole.error
            _write(meant, part, rate, timeout, settings)
        return {**_read_back(meant, part, rate, psnr, timeout), "damage": damage}


class _Meant:
    """The frames that are to be written: their size, their times, and themselves, chunk by chunk."""

    def __init__(self, source, count, short_side, alive):
        self.source, self.info, self.count, self.alive = source, source.info, count, alive
        self.times = source.timestamps[:count]
        sides = self.info.height, self.info.width
        scale = min(short_side / min(sides), 1.0)
        self.size = tuple(
            round(side * scale / 2) * 2 if scale < 1 else side // 2 * 2 for side in sides
        )
        if min(self.size) < 2:
            raise ReadError(source.path, "expected frames of at least 2 x 2 pixels")
        self._kept, self._room = {}, _KEPT

    @property
    def end(self):
        """Seconds from the first frame to the end of the last."""
        return self.times[-1] + 1 / self.info.fps

    def chunks(self):
        """Lists of (number, frame), from the first to the last."""
        for start in range(0, self.count, _CHUNK):
            numbers = range(start, min(start + _CHUNK, self.count))
            frames = self._kept.get(start)
            if frames is None:
                frames = self._read(numbers)
                self._room -= sum(frame.nbytes for frame in frames)
                if self._room >= 0:
                    self._kept[start] = frames
            yield list(zip(numbers, frames))
            self.alive()

    def _read(self, numbers):
        found = {}
        # One at a time: 32 frames of a large video would be a gigabyte.
        self.source.visit(numbers, lambda i, frame: found.__setitem__(i, self._shrink(frame)))
        return [found[i] for i in numbers]

    def _shrink(self, frame):
        height, width = self.size
        if (frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2) == self.size:
            return np.ascontiguousarray(frame[:height, :width])
        image = Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(image)


def _write(meant, part, rate, timeout, settings):
    """Encodes the frames, and the sound at `rate` (Hz; None: without) in step with them."""
    new_rate = sound_rate(rate) if rate else None
    sound, heard = None, 0
    if rate:  # through a reader of its own: reading sound moves the place in the file
        sound = VideoReader(meant.source.path, timeout=timeout)
        meant.alive()
        total = math.ceil(max(meant.end, meant.info.duration) * new_rate)
    try:
        with VideoWriter(part, meant.info.fps, meant.size, rate=new_rate, **settings) as writer:
            for chunk in meant.chunks():
                for number, frame in chunk:
                    writer.frame(frame, meant.times[number])
                if not sound:
                    continue
                last = number + 1 == meant.count
                until = total if last else min(math.ceil(meant.times[number] * new_rate), total)
                while heard < until:
                    count = min(total - heard, math.ceil(_SOUND * new_rate))
                    writer.sound(sound.audio(heard / new_rate, count / new_rate, new_rate))
                    heard += count
                    meant.alive()
    finally:
        if sound:
            sound.close()


def _read_back(meant, part, rate, psnr, timeout):
    """What the written file holds; ReadError where it is not what was meant."""

    def refuse(reason):
        raise ReadError(meant.source.path, f"what was written is not what was meant: {reason}")

    errors = np.zeros(meant.count)
    with VideoReader(part, timeout=timeout) as written:
        meant.alive()
        info = written.info
        if info.frames != meant.count:
            refuse(f"{info.frames} frames instead of {meant.count}")
        if (info.height, info.width) != meant.size:
            refuse(f"{info.width}x{info.height} pixels instead of {meant.size[1]}x{meant.size[0]}")
        if bool(info.audio_rate) != bool(rate):
            refuse("no sound" if rate else "it has sound")
        late = np.abs(written.timestamps - meant.times)
        if late.max() > 0.5 / meant.info.fps:
            first = np.argmax(late > 0.5 / meant.info.fps)
            refuse(f"frame {first} is shown {late[first]:.3f} s too early or too late")
        for chunk in meant.chunks():
            numbers = [number for number, _ in chunk]
            for (number, frame), got in zip(chunk, written.frames(numbers), strict=True):
                errors[number] = np.square(frame.astype(np.int16) - got, dtype=np.int32).mean()
    worst = _decibel(errors.max())
    if worst < psnr:
        refuse(
            f"frame {errors.argmax()} is {worst:.1f} dB from it, below {psnr:g}; a lower quality "
            "number keeps more"
        )
    return {
        "frames": info.frames,
        "height": info.height,
        "width": info.width,
        "fps": round(info.fps, 6),
        "duration": round(info.duration, 6),
        "audio_rate": info.audio_rate,
        "psnr": round(_decibel(errors.mean()), 2),
        "lowest_psnr": round(worst, 2),
    }


def _decibel(error):
    """Peak signal to noise ratio of a mean square error of 8-bit values; at most 99."""
    return min(10 * math.log10(255**2 / max(error, 1e-9)), 99.0)


def answer(request, alive):
    """`transcode` for a request with its arguments: its result, or the reason as "error".

    Where the disk is full, which no other file would change, "full" is the error's number.
    """
    try:
        return transcode(**request, alive=alive)
    except ReadError as error:
        return {"error": error.reason}
    except MemoryError:
        return {"error": "transcoding takes more memory than there is"}
    except Exception as error:  # whatever a decoder comes up with costs this file only
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return {"full": error.errno}
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    serve(answer)
