"""Batch normalisation of clips that is fast on a CPU."""

import keras
from keras import ops

from keras_vssl.precision import is_cpu_only


@keras.saving.register_keras_serializable(package="keras_vssl")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with a fused path for clips on a CPU.

    Weights, outputs, gradients and running statistics are those of the Keras layer. On the
    TensorFlow backend without an accelerator, `[B, T, H, W, C]` inputs are viewed as 4-D and go
    through TensorFlow's fused kernel, which takes bfloat16 and float16 as they are and computes
    the statistics in float32; the Keras layer makes float32 copies of the activations. Everywhere
    else (JAX, PyTorch, GPUs and TPUs under XLA, other ranks, masks) the Keras layer itself runs.

    Args:
        momentum: float in [0, 1), the share of the old running statistics that a step keeps.
            PyTorch's "momentum" of 0.1 is 0.9 here.
        epsilon: float, added to the variance.
        **kwargs: further arguments of `keras.layers.BatchNormalization`.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if not self._is_fusable(inputs, mask):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, bool(training) and self.trainable)

    def _is_fusable(self, inputs, mask):
        return (
            keras.config.backend() == "tensorflow"
            and mask is None
            and len(inputs.shape) == 5
            and self.axis in (-1, 4)
            and self.scale
            and self.center
            and not self.synchronized
            and not self.renorm
            and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16", "float16")
            and is_cpu_only()
        )

    def _fused(self, inputs, training):
        import tensorflow as tf

        x = tf.cast(inputs, self.compute_dtype)
        shape = tf.shape(x)
        flat = tf.reshape(x, [shape[0] * shape[1], shape[2], shape[3], x.shape[4]])
        moving_mean = tf.cast(self.moving_mean, "float32")
        moving_variance = tf.cast(self.moving_variance, "float32")
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=flat,
            scale=tf.cast(self.gamma, "float32"),
            offset=tf.cast(self.beta, "float32"),
            mean=moving_mean[:0] if training else moving_mean,
            variance=moving_variance[:0] if training else moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel returns the unbiased variance; Keras keeps the biased one.
            count = tf.cast(tf.reduce_prod(shape[:4]), "float32")
            variance = variance * tf.maximum(count - 1.0, 1.0) / count
            for moving, batch in (
                (self.moving_mean, mean),
                (self.moving_variance, variance),
            ):
                moving.assign(
                    ops.cast(
                        moving * self.momentum
                        + ops.cast(tf.stop_gradient(batch), moving.dtype) * (1.0 - self.momentum),
                        moving.dtype,
                    )
                )
        outputs = tf.reshape(outputs, shape)
        outputs.set_shape(inputs.shape)
        return outputs
