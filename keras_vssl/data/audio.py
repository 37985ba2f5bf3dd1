"""Sound as arrays: mono mixing, another rate, and placing decoded pieces on a time line."""

import math

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


def resample(samples, rate, new_rate, zeros=6, rolloff=0.99):
    """Sound at another rate, by a windowed sinc (torchaudio's `sinc_interp_hann`).

    For arrays whose values must equal torchaudio's; sound from files is resampled while it is
    read.

    Args:
        samples: float `[..., n]`.
        rate, new_rate: int, Hz.
        zeros: int, zero crossings of the sinc on each side of the window.
        rolloff: float in (0, 1], the cut-off as a share of the lower Nyquist frequency.

    Returns:
        float32 `[..., ceil(n * new_rate / rate)]`.

    Raises:
        ValueError: a rate is not a positive whole number.
    """
    if int(rate) != rate or int(new_rate) != new_rate or min(rate, new_rate) < 1:
        raise ValueError(f"Expected whole rates in Hz, received {rate} and {new_rate}.")
    samples = np.asarray(samples, dtype="float32")
    divisor = math.gcd(int(rate), int(new_rate))
    old, new = int(rate) // divisor, int(new_rate) // divisor
    if old == new:
        return samples
    cutoff = min(old, new) * rolloff
    reach = math.ceil(zeros * old / cutoff)
    # Output k lies at k * old / new; its place between two inputs repeats after `new` outputs.
    whole, part = np.divmod(np.arange(new) * old, new)
    taps = np.arange(-reach, reach + 2)
    time = np.clip((taps / old - part[:, None] / (new * old)) * cutoff, -zeros, zeros)
    kernels = np.sinc(time) * np.cos(time * np.pi / zeros / 2) ** 2 * (cutoff / old)
    count = math.ceil(samples.shape[-1] * new / old)
    turns, phase = np.divmod(np.arange(count), new)
    centres = turns * old + whole[phase] + reach
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(reach, reach + 2)])
    around = padded[..., centres[:, None] + taps]
    return np.einsum("...kt,kt->...k", around, kernels[phase]).astype("float32")


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
