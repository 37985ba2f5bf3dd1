"""Waveforms as log-mel spectrograms, in any of the published definitions."""

import inspect

import keras
import numpy as np
from keras import ops

from keras_vssl.layers.filterbanks import band_centres, mel_filters, pair_filters, taper_window
from keras_vssl.layers.front_ends import front_end_config

_CHOICES = {
    "taper": ("hann", "povey", "rectangular"),
    "pad_mode": ("reflect", "zero"),
    "preemphasis_over": ("frame", "signal"),
    "power": (1, 2),
    "log": ("add", "max", "linear_below", "decibel", None),
    "reference": (None, "max"),
    "frames_mode": ("pad", "subsample"),
    "layout": ("time_frequency", "frequency_time"),
}


@keras.saving.register_keras_serializable(package="keras_vssl")
class LogMelSpectrogram(keras.layers.Layer):
    """Short-time power spectra, a fixed filter matrix, a logarithm, fixed statistics.

    Keras' `MelSpectrogram` is always centred, and its filters are HTK's with straight sides over
    mel. The published front-ends differ from it and from each other in every switch below; the
    named ones are in `keras_vssl.layers.FRONT_ENDS`. The order of work: gain, mean of the
    waveform, framing, mean of the frame, pre-emphasis, window, transform, filters, choice of
    frames, logarithm, padding, `(x - mean) / std`, layout. It runs in float32 whatever the policy.

    Args:
        rate: int, Hz, of the waveform. Nothing is resampled here.
        gain: float, multiplies the waveform; 32768 for definitions on 16-bit integers.
        remove_mean: bool, subtract the mean of the whole waveform.
        window, hop: int, samples; or float, seconds, cut to whole samples.
        fft: int, length of the transform; `None` is the next power of two.
        taper: `"hann"`, `"povey"` (Kaldi's: Hann to the power 0.85) or `"rectangular"`.
        periodic: bool, the Hann window's period is its length (symmetric otherwise).
        centre: bool, frame i is centred on sample `i * hop`; the ends are padded by `fft // 2`.
        pad_mode: `"reflect"` or `"zero"`, that padding.
        pad_end: bool, zeros complete the last frame (python_speech_features).
        remove_dc: bool, subtract each frame's mean.
        preemphasis: float, `x[i] - preemphasis * x[i - 1]`.
        preemphasis_over: `"frame"`, where sample 0 precedes itself (Kaldi), or `"signal"`, where
            nothing precedes it (python_speech_features).
        power: 2 or 1 (magnitudes).
        scale: float, multiplies the powers, e.g. `1 / fft` for a periodogram.
        filters: `"mel"`; `"pairs"` (see `pair_filters`); `None`, all bins; or an array
            `[fft // 2 + 1, bands]`.
        bands, fmin, fmax, mel_scale, triangle_domain, norm, floored, bin_step, least_width,
            zero_dc, nyquist: see `mel_filters` (`mel_scale` and `triangle_domain` are its `scale`
            and `domain`).
        log: `"add"`, ln(x + floor); `"max"`, ln(max(x, floor)); `"linear_below"`, ln(x) above
            `floor` and x / floor below; `"decibel"`, 10 log10(max(x, floor)); `None`, none.
        floor: float > 0.
        reference: `None`, or `"max"`: decibels are relative to the largest value of the sample.
        top_db: float, decibels below the largest value of the sample are raised to that bound.
        frames: int, how many frames come out; `None` for what the waveform gives.
        frames_mode: `"pad"`, zeros at the end (before normalisation) or a cut; `"subsample"`,
            the frames at the floor of as many even steps from the first to the last.
        mean, std: float, or one number a band.
        layout: `"time_frequency"` or `"frequency_time"`.

    Call arguments:
        waveform: float `[..., n]`, n static. A sample is what one index of the first axis holds
            (everything, where there is one axis).

    Returns:
        float32 `[..., T, F]`, or `[..., F, T]`. T is `1 + n // hop` centred,
        `1 + (n - window) // hop` otherwise, one more where `pad_end` completes a frame.

    Raises:
        ValueError: an unknown choice, a waveform too short or of integers.

    Example:

    ```python
    layer = keras_vssl.layers.LogMelSpectrogram.from_name("crisscross")
    layer(np.zeros((4, 32000), "float32")).shape  # (4, 80, 201)
    ```
    """

    def __init__(
        self,
        rate=16000,
        gain=1.0,
        remove_mean=False,
        window=400,
        fft=None,
        hop=160,
        taper="hann",
        periodic=True,
        centre=False,
        pad_mode="reflect",
        pad_end=False,
        remove_dc=False,
        preemphasis=0.0,
        preemphasis_over="frame",
        power=2,
        scale=1.0,
        filters="mel",
        bands=80,
        fmin=0.0,
        fmax=None,
        mel_scale="htk",
        triangle_domain="hz",
        norm=None,
        floored=False,
        bin_step=None,
        least_width=0.0,
        zero_dc=False,
        nyquist="keep",
        log="max",
        floor=1e-10,
        reference=None,
        top_db=None,
        frames=None,
        frames_mode="pad",
        mean=0.0,
        std=1.0,
        layout="time_frequency",
        **kwargs,
    ):
        # Every argument above is an attribute and comes back from get_config.
        arguments = {k: v for k, v in locals().items() if k in _NAMES}
        # bfloat16's 8 bits would bury a waveform in noise 48 dB below its peak.
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        for name, choices in _CHOICES.items():
            if arguments[name] not in choices:
                raise ValueError(f"`{name}` is one of {choices}, but received {arguments[name]!r}.")
        window, hop = (int(v * rate + 1e-6) if isinstance(v, float) else v for v in (window, hop))
        fft = 2 ** (window - 1).bit_length() if fft is None else fft
        if not 1 <= window <= fft or hop < 1:
            raise ValueError(
                f"Expected 1 <= window <= fft and hop >= 1 in samples, but received "
                f"window={window}, fft={fft}, hop={hop}."
            )
        if log is not None and floor <= 0:
            raise ValueError(f"`floor` is the argument of a logarithm, but received {floor}.")
        self._arguments = {k: _plain(v) for k, v in arguments.items()}
        for name, value in arguments.items():
            setattr(self, name, value)
        self.window, self.hop, self.fft = window, hop, fft
        self._frame = fft if centre else window
        self._taper = taper_window(taper, window, periodic, self._frame)
        self._matrix = self._filter_matrix()
        self.bands = fft // 2 + 1 if self._matrix is None else self._matrix.shape[1]
        self.mean, self.std = (np.asarray(v, dtype="float32") for v in (mean, std))
        if self.std.min() <= 0 or not {self.mean.size, self.std.size} <= {1, self.bands}:
            raise ValueError(
                f"`mean` and `std` (positive) are numbers or {self.bands} numbers, one a band, but "
                f"received {mean} and {std}."
            )

    @classmethod
    def from_name(cls, name, **changes):
        """The front-end of a published method.

        Args:
            name: str, a key of `keras_vssl.layers.FRONT_ENDS`.
            **changes: arguments that replace the definition's.

        Raises:
            ValueError: no front-end has that name.
        """
        return cls(**{**front_end_config(name), **changes})

    @property
    def centres(self):
        """The frequencies of the bands in Hz, `[bands]`; those of the bins without mel filters."""
        if isinstance(self.filters, str) and self.filters == "mel":
            return band_centres(self.bands, self.rate, self.fmin, self.fmax, self.mel_scale)
        bins = np.arange(self.fft // 2 + 1) * self.rate / self.fft
        if self._matrix is None:
            return bins
        return bins @ self._matrix / np.maximum(self._matrix.sum(axis=0), 1e-12)

    def count(self, samples):
        """How many frames a waveform of `samples` samples gives.

        Raises:
            ValueError: it is too short for one.
        """
        least = self.fft // 2 + 1 if self.centre else self.window
        if samples < least:
            raise ValueError(
                f"Expected a waveform of at least {least} samples, but received {samples}; pad "
                f"it or read a longer stretch."
            )
        if self.frames is not None:
            return self.frames
        return self._natural_count(samples)

    def call(self, waveform):
        samples = waveform.shape[-1]
        if samples is None:
            raise ValueError(
                "A spectrogram takes waveforms of a static length; reshape them to it."
            )
        if "float" not in keras.backend.standardize_dtype(waveform.dtype):
            raise ValueError(
                f"Expected a float waveform in [-1, 1], but received {waveform.dtype}; divide "
                f"16-bit samples by 32768."
            )
        self.count(samples)
        x = ops.cast(waveform, "float32") * self.gain
        if self.remove_mean:
            x = x - ops.mean(x, axis=-1, keepdims=True)
        if self.preemphasis and self.preemphasis_over == "signal":
            x = self._emphasize(x, first=x[..., :1])
        x = self._spectra(self._framed(x, samples))
        if self._matrix is not None:
            x = ops.matmul(x, ops.convert_to_tensor(self._matrix))
        # Frames that are cut have no say in the largest value; those that are added are zero
        # after the logarithm.
        x = self._padded(self._logarithm(self._picked(x, self._natural_count(samples))))
        x = (x - ops.convert_to_tensor(self.mean)) / ops.convert_to_tensor(self.std)
        return ops.swapaxes(x, -1, -2) if self.layout == "frequency_time" else x

    def compute_output_shape(self, input_shape):
        *batch, samples = input_shape
        frames = self.frames if samples is None else self.count(samples)
        if self.layout == "frequency_time":
            return (*batch, self.bands, frames)
        return (*batch, frames, self.bands)

    def get_config(self):
        return {**super().get_config(), **self._arguments}

    def _filter_matrix(self):
        if self.filters is None:
            return None
        if not isinstance(self.filters, str):
            matrix = np.asarray(self.filters)
            if matrix.ndim != 2 or matrix.shape[0] != self.fft // 2 + 1:
                raise ValueError(
                    f"`filters` has a row for each of the {self.fft // 2 + 1} bins, but its shape "
                    f"is {matrix.shape}."
                )
        elif self.filters == "pairs":
            matrix = pair_filters(self.fft)
        elif self.filters == "mel":
            matrix = mel_filters(
                self.bands,
                self.fft,
                self.rate,
                self.fmin,
                self.fmax,
                scale=self.mel_scale,
                domain=self.triangle_domain,
                norm=self.norm,
                floored=self.floored,
                bin_step=self.bin_step,
                least_width=self.least_width,
                zero_dc=self.zero_dc,
                nyquist=self.nyquist,
            )
        else:
            raise ValueError(
                f"`filters` is 'mel', 'pairs', None or an array, but received {self.filters!r}."
            )
        return matrix.astype("float32")

    def _natural_count(self, samples):
        if self.centre:
            return 1 + samples // self.hop
        left = samples - self.window
        return 1 + (-(-left // self.hop) if self.pad_end else left // self.hop)

    def _framed(self, x, samples):
        """`[..., n]` as overlapping frames `[..., T, frame]`."""
        # A gather with static indices. keras.ops.extract_sequences is, on JAX, a convolution with
        # the identity: frame x frame products for each frame, in the accelerator's low precision.
        count = self._natural_count(samples)
        before = self.fft // 2 if self.centre else 0
        after = max((count - 1) * self.hop + self._frame - before - samples, 0)
        positions = np.arange(samples)
        if self.centre and self.pad_mode == "reflect":
            positions = np.pad(positions, (before, after), mode="reflect")
        elif before or after:
            x = ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(before, after)])
            positions = np.arange(before + samples + after)
        starts = np.arange(count) * self.hop
        index = positions[starts[:, None] + np.arange(self._frame)]
        return ops.take(x, ops.convert_to_tensor(index, "int32"), axis=-1)

    def _spectra(self, x):
        if self.remove_dc:
            x = x - ops.mean(x, axis=-1, keepdims=True)
        if self.preemphasis and self.preemphasis_over == "frame":
            x = self._emphasize(x, first=x[..., :1] * (1.0 - self.preemphasis))
        # A fast transform, not a product with a DFT matrix: accelerators multiply matrices with
        # 8 to 11 bits, and the logarithm shows that error in every quiet band.
        real, imaginary = ops.rfft(x * ops.convert_to_tensor(self._taper), fft_length=self.fft)
        x = ops.square(real) + ops.square(imaginary)
        if self.power == 1:
            x = ops.sqrt(ops.maximum(x, 1e-30))  # the root's gradient at 0 is infinite
        return x * self.scale

    def _emphasize(self, x, first):
        return ops.concatenate([first, x[..., 1:] - self.preemphasis * x[..., :-1]], axis=-1)

    def _logarithm(self, x):
        if self.log is None:
            return x
        if self.log == "add":
            return ops.log(x + self.floor)
        above = ops.log(ops.maximum(x, self.floor))
        if self.log == "max":
            return above
        if self.log == "linear_below":
            return ops.where(x > self.floor, above, x / self.floor)
        x = above * (10.0 / np.log(10.0))
        if self.reference == "max" or self.top_db is not None:
            # Over all axes but the first: the windows of one sample share their maximum.
            axes = tuple(range(min(1, len(x.shape) - 2), len(x.shape)))
            largest = ops.max(x, axis=axes, keepdims=True)
            if self.top_db is not None:
                x = ops.maximum(x, largest - self.top_db)
            if self.reference == "max":
                x = x - largest
        return x

    def _picked(self, x, count):
        if self.frames is None:
            return x
        if self.frames_mode == "subsample":
            index = np.linspace(0, count - 1, self.frames).astype("int32")
            return ops.take(x, ops.convert_to_tensor(index), axis=-2)
        return x[..., : self.frames, :]

    def _padded(self, x):
        lacking = 0 if self.frames is None else self.frames - x.shape[-2]
        if not lacking:
            return x
        return ops.pad(x, [(0, 0)] * (len(x.shape) - 2) + [(0, lacking), (0, 0)])


_NAMES = tuple(inspect.signature(LogMelSpectrogram.__init__).parameters)[1:-1]


def _plain(value):
    """A value as JSON keeps it."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
