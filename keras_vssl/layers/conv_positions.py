"""Positions as a wide convolution sees them: wav2vec 2.0's."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class ConvPositions(layers.Layer):
    """`x + gelu(conv(x))`, a grouped convolution along time under weight normalisation.

    Its kernel is `gain * direction / |direction|`, the length taken for each tap over all its
    channels. It pads half a kernel of zeros before and half a kernel less one step behind, if the
    kernel is even, so T steps stay T.

    Args:
        width: int, channels of the steps.
        kernel: int, steps.
        groups: int, which divide the width evenly.

    Returns:
        `[B, T, width]`.

    Reference:
        Baevski et al. NeurIPS 2020, Sec. 2 (https://arxiv.org/abs/2006.11477).
    """

    def __init__(self, width, kernel=128, groups=16, **kwargs):
        super().__init__(**kwargs)
        if groups < 1 or width % groups:
            raise ValueError(
                f"Expected groups that divide the width {width} evenly, received {groups}."
            )
        self.width, self.kernel, self.groups = int(width), int(kernel), int(groups)

    def build(self, input_shape):
        shape = (self.kernel, self.width // self.groups, self.width)
        # fairseq's start: std sqrt(4 / (kernel * width)), so the gain is that times the root of
        # how many values a tap has.
        std = (4.0 / (self.kernel * self.width)) ** 0.5
        self.direction = self.add_weight(
            name="direction", shape=shape, initializer=keras.initializers.RandomNormal(stddev=std)
        )
        self.gain = self.add_weight(
            name="gain",
            shape=(self.kernel,),
            initializer=keras.initializers.Constant(std * (shape[1] * shape[2]) ** 0.5),
        )
        self.bias = self.add_weight(name="bias", shape=(self.width,), initializer="zeros")
        self.built = True

    def call(self, x):
        direction = ops.cast(self.direction, "float32")
        length = ops.sqrt(ops.sum(ops.square(direction), axis=(1, 2)))
        kernel = direction * (ops.cast(self.gain, "float32") / length)[:, None, None]
        kernel = ops.cast(kernel, x.dtype)
        before = self.kernel // 2
        padded = ops.pad(x, [(0, 0), (before, self.kernel - 1 - before), (0, 0)])
        if keras.config.backend() == "tensorflow":
            # TensorFlow's own kernels know no groups on a CPU.
            pairs = zip(ops.split(padded, self.groups, -1), ops.split(kernel, self.groups, -1))
            y = ops.concatenate([ops.conv(part, taps) for part, taps in pairs], axis=-1)
        else:
            y = ops.conv(padded, kernel)  # the kernel's shape tells the groups
        y = keras.activations.gelu(y + ops.cast(self.bias, x.dtype), approximate=False)
        return x + y

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "kernel": self.kernel,
            "groups": self.groups,
        }
