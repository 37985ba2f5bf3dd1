"""Mel-frequency cepstral coefficients and how they change."""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.layers.front_ends import front_end_config
from keras_vssl.layers.spectrogram import LogMelSpectrogram


@keras.saving.register_keras_serializable(package="keras_vssl")
class MFCC(layers.Layer):
    """Kaldi's cepstra of a log-mel spectrogram, and their differences in time.

    The first `coefficients` of an orthonormal cosine transform over the bands, each multiplied by
    `1 + lifter / 2 sin(pi i / lifter)`; the energy is not put in the place of the first. Differences
    are slopes of a line through 5 steps, the ends repeated. With the defaults they are the 39
    values whose clusters AV-HuBERT's first iteration predicts. It runs in float32 whatever the
    policy.

    Args:
        front_end: name or arguments of a `LogMelSpectrogram`; its layout is always time first.
        coefficients: int.
        lifter: float, 0 for none.
        deltas: int, orders of differences that are appended.

    Call arguments:
        waveform: float `[..., n]`, n static. Kaldi's samples are 16-bit integers as floats; scaled
            to [-1, 1] they give another first coefficient, and the floor of the logarithm is nearer.

    Returns:
        float32 `[..., T, coefficients * (1 + deltas)]`.

    Example:

    ```python
    keras_vssl.layers.MFCC()(np.zeros((1, 16000), "float32")).shape  # (1, 98, 39)
    ```

    Reference:
        [Shi et al. ICLR 2022](https://arxiv.org/abs/2201.02184)
    """

    def __init__(self, front_end="kaldi-mfcc", coefficients=13, lifter=22.0, deltas=2, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        config = {**front_end_config(front_end), "layout": "time_frequency"}
        self.front_end = LogMelSpectrogram(**config, name="front_end")
        self.coefficients, self.lifter = int(coefficients), float(lifter)
        self.deltas = int(deltas)
        bands = self.front_end.bands
        if not 1 <= coefficients <= bands:
            raise ValueError(
                f"Expected between 1 and {bands} coefficients, one a band, received {coefficients}."
            )
        order = np.arange(self.coefficients)
        matrix = np.cos(np.pi / bands * (np.arange(bands)[:, None] + 0.5) * order)
        matrix *= np.where(order == 0, np.sqrt(1 / bands), np.sqrt(2 / bands))
        if self.lifter:
            matrix *= 1 + self.lifter / 2 * np.sin(np.pi * order / self.lifter)
        self._matrix = matrix.astype("float32")

    def call(self, waveform):
        x = ops.matmul(self.front_end(waveform), ops.convert_to_tensor(self._matrix))
        parts = [x]
        for _ in range(self.deltas):
            parts.append(_slopes(parts[-1]))
        return ops.concatenate(parts, axis=-1)

    def compute_output_spec(self, waveform):
        *batch, samples = waveform.shape
        frames = None if samples is None else self.front_end.count(samples)
        shape = (*batch, frames, self.coefficients * (1 + self.deltas))
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "front_end": front_end_config(self.front_end),
            "coefficients": self.coefficients,
            "lifter": self.lifter,
            "deltas": self.deltas,
        }


def _slopes(x):
    """Least-squares slopes over steps t - 2 to t + 2 of `[..., T, C]`."""
    steps = x.shape[-2]
    first, last = x[..., :1, :], x[..., -1:, :]
    x = ops.concatenate([first, first, x, last, last], axis=-2)
    offsets = range(-2, 3)
    return sum(k * x[..., k + 2 : k + 2 + steps, :] for k in offsets if k) / 10.0
