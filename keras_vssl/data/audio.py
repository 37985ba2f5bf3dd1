"""Sound as arrays: mono mixing and placing decoded pieces on a time line."""

import numpy as np


def to_mono(samples, channels, planar):
    """The mean of the channels as float32 in [-1, 1].

    The mean, not a weighted downmix: it can't clip, and is the same for every layout.

    Args:
        samples: array as decoded: `[channels, n]` if planar else `[1, n * channels]`; uint8,
            int16, int32, int64 (full scale is the type's range) or float (full scale is 1).
        channels: int.
        planar: bool.
    """
    if not planar:
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.uint8:
        scaled = (samples.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(samples.dtype, np.integer):
        scaled = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    else:
        scaled = samples.astype(np.float32)
    return scaled.mean(axis=0)


class Timeline:
    """A stretch of silence that pieces of sound are laid on by their time stamps.

    Args:
        start: float, seconds, when the stretch begins.
        samples: int, its length.
        rate: int, Hz.
    """

    # Containers round time stamps (Matroska to 1 ms): a piece that begins this close to the
    # end of the one before it continues it, without a gap or an overlap.
    SLACK = 0.003

    def __init__(self, start, samples, rate):
        self.start = start
        self.rate = rate
        self.samples = np.zeros(samples, dtype=np.float32)
        self._end = None  # sample at which the piece laid last ended

    @property
    def end(self):
        """Seconds at which the stretch ends."""
        return self.start + len(self.samples) / self.rate

    def lay(self, piece, seconds):
        """Lay `piece`, float32 `[n]`, at `seconds` (None: right after the one before)."""
        follows = 0 if self._end is None else self._end
        at = follows if seconds is None else round((seconds - self.start) * self.rate)
        if self._end is not None and abs(at - self._end) <= self.SLACK * self.rate:
            at = self._end
        first, last = max(at, 0), min(at + len(piece), len(self.samples))
        if first < last:
            self.samples[first:last] = piece[first - at : last - at]
        self._end = at + len(piece)
