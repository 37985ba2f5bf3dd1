"""Convolution of clips that is fast and right on a CPU."""

import keras
from keras import ops

from keras_vssl.precision import is_cpu_only


@keras.saving.register_keras_serializable(package="keras_vssl")
class Conv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D` that computes through 2-D convolutions where a CPU needs it.

    Weights, outputs and gradients are those of the Keras layer. On a CPU, in two cases, the frames
    that one output frame sees are put side by side as channels, and one 2-D convolution runs over
    them:

    - under JAX, where XLA has no fast kernel for the gradients of a 3-D convolution (a strided
      7x7 stem takes sixty times as long);
    - in bfloat16 under TensorFlow and PyTorch, where oneDNN's filter gradient of a 3-D
      convolution reads memory that nobody wrote (`keras_vssl.precision`).

    Everywhere else the Keras layer itself runs.

    Args: those of `keras.layers.Conv3D`.
    """

    def convolution_op(self, inputs, kernel):
        if not self._is_stackable(inputs):
            return super().convolution_op(inputs, kernel)
        batch, frames, height, width, channels = ops.shape(inputs)
        taps, stride, dilation = self.kernel_size[0], self.strides[0], self.dilation_rate[0]
        span = (taps - 1) * dilation + 1
        if self.padding == "valid":
            frames_out = (frames - span) // stride + 1
        else:
            frames_out = (frames + stride - 1) // stride
            if taps > 1:
                padding = (frames_out - 1) * stride + span - frames
                before = padding // 2  # as TensorFlow pads: the odd frame goes behind
                inputs = ops.pad(inputs, [(0, 0), (before, padding - before), *[(0, 0)] * 3])
        last = (frames_out - 1) * stride + 1
        seen = [inputs[:, t * dilation : t * dilation + last : stride] for t in range(taps)]
        stacked = ops.concatenate(seen, axis=-1) if taps > 1 else seen[0]
        kernel = ops.transpose(kernel, (1, 2, 0, 3, 4))
        outputs = ops.conv(
            ops.reshape(stacked, (batch * frames_out, height, width, taps * channels)),
            ops.reshape(kernel, (*self.kernel_size[1:], taps * channels, self.filters)),
            self.strides[1:],
            self.padding,
            dilation_rate=self.dilation_rate[1:],
        )
        _, height, width, _ = ops.shape(outputs)
        return ops.reshape(outputs, (batch, frames_out, height, width, self.filters))

    def _is_stackable(self, inputs):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        return (
            (keras.config.backend() == "jax" or dtype == "bfloat16")
            and self.groups == 1
            and self.data_format == "channels_last"
            and self.padding in ("same", "valid")
            and (self.kernel_size[0] == 1 or self.strides[0] <= self.kernel_size[0])
            and is_cpu_only()
        )


@keras.saving.register_keras_serializable(package="keras_vssl")
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` whose groups need no XLA under TensorFlow.

    TensorFlow's own kernels know no groups on a CPU, so Keras compiles such a convolution by XLA,
    which is slow and keeps a model from being exported. Here each group is a convolution of its
    own there; the kernel's shape and the outputs are those of the Keras layer.

    Args: those of `keras.layers.Conv2D`.
    """

    def convolution_op(self, inputs, kernel):
        if self.groups == 1 or keras.config.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        groups = zip(ops.split(inputs, self.groups, -1), ops.split(kernel, self.groups, -1))
        parts = [super(GroupedConv2D, self).convolution_op(x, part) for x, part in groups]
        return ops.concatenate(parts, axis=-1)
