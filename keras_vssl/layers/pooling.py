"""Max pooling of clips in every precision."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class MaxPooling3D(keras.layers.MaxPooling3D):
    """`keras.layers.MaxPooling3D` that also takes float16 on TensorFlow's CPU.

    TensorFlow has no such kernel there; pooling in float32 and casting back is exact.
    """

    def call(self, inputs):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if keras.config.backend() == "tensorflow" and dtype == "float16":
            return ops.cast(super().call(ops.cast(inputs, "float32")), dtype)
        return super().call(inputs)


@keras.saving.register_keras_serializable(package="keras_vssl")
class CeilMaxPooling2D(keras.layers.MaxPooling2D):
    """Max pooling of images whose size rounds up, as Caffe's does.

    `ceil((n - pool) / stride) + 1` outputs; a window that overhangs the right or bottom edge is cut
    off there. `MaxPooling2D` rounds down with "valid" and pads on both sides with "same".

    Args:
        pool_size: int.
        strides: int, at most `pool_size`.
        name, dtype: of the layer.
    """

    def __init__(self, pool_size=3, strides=2, **kwargs):
        super().__init__(pool_size, strides, **{**kwargs, "padding": "valid"})

    def call(self, inputs):
        # One column short of a stride more: a window that would start behind it never appears.
        edges = [(0, stride - 1) for stride in self.strides]
        return super().call(
            ops.pad(inputs, [(0, 0), *edges, (0, 0)], constant_values=-float("inf"))
        )

    def compute_output_shape(self, input_shape):
        batch, *size, channels = input_shape
        grown = [n and n + stride - 1 for n, stride in zip(size, self.strides)]
        return super().compute_output_shape((batch, *grown, channels))


@keras.saving.register_keras_serializable(package="keras_vssl")
class SymmetricMaxPooling2D(keras.layers.MaxPooling2D):
    """Max pooling of images with half a window of minus infinity on every side, as PyTorch's.

    "same" pads pictures of an even size at the right and bottom alone. Zeros instead would win over
    negative values, which PReLU and swish have.

    Args:
        pool_size: odd int.
        strides: int.
        name, dtype: of the layer.
    """

    def __init__(self, pool_size=3, strides=2, **kwargs):
        super().__init__(pool_size, strides, **{**kwargs, "padding": "valid"})

    def call(self, inputs):
        edges = [(size // 2, size // 2) for size in self.pool_size]
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if keras.config.backend() == "tensorflow" and dtype == "float16":
            inputs = ops.cast(inputs, "float32")  # TensorFlow's CPU has no such kernel
        x = ops.pad(inputs, [(0, 0), *edges, (0, 0)], constant_values=-float("inf"))
        return ops.cast(super().call(x), dtype)

    def compute_output_shape(self, input_shape):
        batch, *size, channels = input_shape
        grown = [n and n + 2 * (pool // 2) for n, pool in zip(size, self.pool_size)]
        return super().compute_output_shape((batch, *grown, channels))
