"""AV-HuBERT's frames of sound: filter banks of neighbouring steps side by side."""

import keras
from keras import layers, ops

from keras_vssl.layers.front_ends import front_end_config
from keras_vssl.layers.spectrogram import LogMelSpectrogram


@keras.saving.register_keras_serializable(package="keras_vssl")
class StackedFilterbanks(layers.Layer):
    """A log-mel spectrogram whose every `stack` steps are one frame, normalised for itself.

    Zeros complete the last frame. With `frames` the sequence is cut or zeros are added, as
    AV-HuBERT fits sound to its clip; each frame is then normalised over its values to mean 0 and
    variance 1. It runs in float32 whatever the policy.

    Args:
        front_end: name or arguments of a `LogMelSpectrogram`; its layout is always time first.
        stack: int, steps of a frame: 4 of 100 a second for clips of 25 frames.
        frames: int, how many frames come out, or `None` for what the waveform gives.
        normalize: bool.
        epsilon: float, of the normalisation.

    Call arguments:
        waveform: float in [-1, 1], `[..., n]`, n static.

    Returns:
        float32 `[..., T, stack * bands]`.

    Example:

    ```python
    layer = keras_vssl.layers.StackedFilterbanks(frames=25)
    layer(np.zeros((1, 16000), "float32")).shape  # (1, 25, 104)
    ```

    Reference:
        [Shi et al. ICLR 2022](https://arxiv.org/abs/2201.02184)
    """

    def __init__(
        self, front_end="av_hubert", stack=4, frames=None, normalize=True, epsilon=1e-5, **kwargs
    ):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        config = {**front_end_config(front_end), "layout": "time_frequency"}
        self.front_end = LogMelSpectrogram(**config, name="front_end")
        self.stack, self.frames = int(stack), frames
        self.normalize, self.epsilon = bool(normalize), float(epsilon)

    def count(self, samples):
        """How many frames a waveform of `samples` samples gives."""
        if self.frames is not None:
            return self.frames
        return -(-self.front_end.count(samples) // self.stack)

    def call(self, waveform):
        x = self.front_end(waveform)
        *batch, steps, bands = x.shape
        frames = -(-steps // self.stack)
        wanted = self.frames or frames
        x = x[..., : wanted * self.stack, :]
        lacking = wanted * self.stack - x.shape[-2]
        x = ops.pad(x, [(0, 0)] * len(batch) + [(0, lacking), (0, 0)])
        x = ops.reshape(x, (*ops.shape(x)[:-2], wanted, self.stack * bands))
        if not self.normalize:
            return x
        mean = ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axis=-1, keepdims=True)
        return (x - mean) * ops.rsqrt(variance + self.epsilon)

    def compute_output_spec(self, waveform):
        *batch, samples = waveform.shape
        frames = self.frames if samples is None else self.count(samples)
        shape = (*batch, frames, self.stack * self.front_end.bands)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "front_end": front_end_config(self.front_end),
            "stack": self.stack,
            "frames": self.frames,
            "normalize": self.normalize,
            "epsilon": self.epsilon,
        }
