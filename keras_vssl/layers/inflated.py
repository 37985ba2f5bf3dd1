"""Image layers that look at several frames: kernels of images, spread over time."""

import keras
from keras import layers, ops

from keras_vssl.layers.convolution import Conv3D


@keras.saving.register_keras_serializable(package="keras_vssl")
class InflatedConv(Conv3D):
    """A `Conv3D` that keeps every frame although its "valid" padding is of height and width alone.

    With "same" padding it is `Conv3D`. With "valid" (an image network that pads by itself), zero
    frames are put before and behind, so that time is as long as its stride says.

    Args: those of `keras.layers.Conv3D`.
    """

    def call(self, inputs):
        taps = self.kernel_size[0]
        if self.padding == "valid" and taps > 1:
            around = ((taps - 1) // 2, taps // 2)
            inputs = ops.pad(inputs, [(0, 0), around, *[(0, 0)] * (len(inputs.shape) - 2)])
        return super().call(inputs)

    def compute_output_shape(self, input_shape):
        if self.padding == "valid" and input_shape[1] is not None:
            batch, frames, *rest = input_shape
            input_shape = (batch, frames + self.kernel_size[0] - 1, *rest)
        return super().compute_output_shape(input_shape)


@keras.saving.register_keras_serializable(package="keras_vssl")
class InflatedDepthwise(layers.Layer):
    """A depthwise convolution over several frames: one of images for each, and their sum.

    Args:
        taps: odd int, frames that one output frame sees.
        image: dict, the configuration of the `keras.layers.DepthwiseConv2D` for each of them.
        **kwargs: of the layer.

    Call arguments: `[B, T, H, W, C]`; the output has as many frames.
    """

    def __init__(self, taps, image, **kwargs):
        super().__init__(**kwargs)
        if taps % 2 == 0:
            raise ValueError(f"Expected an odd number of frames, received {taps}.")
        self.taps, self.image = int(taps), dict(image)
        self.frames = []
        for index in range(taps):
            # The bias is added once, after the sum.
            config = {**self.image, "use_bias": self.image["use_bias"] and not index}
            config |= {"name": f"frame{index}", "activation": None, "dtype": self.dtype_policy}
            self.frames.append(layers.DepthwiseConv2D.from_config(config))
        self.activation = keras.activations.get(self.image["activation"])

    def build(self, input_shape):
        for layer in self.frames:
            layer.build((None, *input_shape[2:]))

    def call(self, x):
        count, before = ops.shape(x)[1], self.taps // 2
        padded = ops.pad(x, [(0, 0), (before, before), *[(0, 0)] * 3])
        total = 0.0
        for index, layer in enumerate(self.frames):
            seen = padded[:, index : index + count]
            maps = layer(ops.reshape(seen, (-1, *ops.shape(seen)[2:])))
            total = total + ops.reshape(maps, (-1, count, *ops.shape(maps)[1:]))
        return self.activation(total)

    def compute_output_shape(self, input_shape):
        frame = self.frames[0].compute_output_shape((None, *input_shape[2:]))
        return (*input_shape[:2], *frame[1:])

    def get_config(self):
        return {**super().get_config(), "taps": self.taps, "image": dict(self.image)}
