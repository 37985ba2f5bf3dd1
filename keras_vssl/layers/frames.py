"""Frames of a clip as images of a batch, and back."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class FoldFrames(keras.layers.Layer):
    """Puts the frames of clips side by side in the batch: `[B, T, ...]` to `[B * T, ...]`."""

    def call(self, inputs):
        return ops.reshape(inputs, (-1, *ops.shape(inputs)[2:]))

    def compute_output_shape(self, input_shape):
        batch, frames, *rest = input_shape
        return (None if None in (batch, frames) else batch * frames, *rest)


@keras.saving.register_keras_serializable(package="keras_vssl")
class UnfoldFrames(keras.layers.Layer):
    """Undoes `FoldFrames`: `[images, clips]`, `[B * T, ...]` and `[B, T, ...]`, to `[B, T, ...]`.

    Of `clips` only the shape is read.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        images, clips = inputs
        shape = (*ops.shape(clips)[:2], *ops.shape(images)[1:])
        return ops.reshape(images, shape)

    def compute_output_shape(self, input_shape):
        images, clips = input_shape
        return (*clips[:2], *images[1:])


@keras.saving.register_keras_serializable(package="keras_vssl")
class WholeFrames(keras.layers.Layer):
    """Cuts the end of a waveform that fills no whole frame: `[B, n]` to `[B, n // hop * hop]`.

    Args:
        hop: int, samples of a frame.
    """

    def __init__(self, hop, **kwargs):
        super().__init__(**kwargs)
        self.hop = int(hop)

    def call(self, inputs):
        samples = ops.shape(inputs)[1]
        if isinstance(samples, int) and samples < self.hop:
            raise ValueError(
                f"Expected a waveform of at least {self.hop} samples, but received {samples}; pad "
                f"it with zeros."
            )
        return inputs[:, : samples // self.hop * self.hop]

    def compute_output_spec(self, inputs):
        batch, samples = inputs.shape
        length = samples and samples // self.hop * self.hop
        return keras.KerasTensor((batch, length), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "hop": self.hop}
