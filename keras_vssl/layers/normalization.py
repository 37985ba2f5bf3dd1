"""Batch normalisation of clips: fast on a CPU, and with stated statistics on many devices."""

import keras
from keras import ops

from keras_vssl.distribution import all_sum, data_shards, replica_count
from keras_vssl.precision import is_cpu_only

STATISTICS = (None, "local", "synchronized")


@keras.saving.register_keras_serializable(package="keras_vssl")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` that is fast on a CPU and says whose rows it averages.

    Weights, outputs, gradients and running statistics are those of the Keras layer. On the
    TensorFlow backend without an accelerator, `[B, T, H, W, C]` inputs are viewed as 4-D and go
    through TensorFlow's fused kernel, which takes bfloat16 and float16 as they are and computes
    the statistics in float32; the Keras layer makes float32 copies of the activations. Everywhere
    else (JAX, PyTorch, GPUs and TPUs under XLA, other ranks, masks) the Keras layer itself runs.

    On several devices a training step's mean and variance are those of

    | `statistics` | under `tf.distribute` | under `keras.distribution` (JAX) |
    |---|---|---|
    | None | each replica's rows | all rows |
    | "local" | each replica's rows | each device's rows |
    | "synchronized" | all rows | all rows |

    with gradients through the sums over replicas; on one device, so always under PyTorch, all three
    are the same. A device's rows are a contiguous part of a global array: rows that a method has
    brought into another order count where they then lie. Running statistics take the mean over the
    groups (PyTorch keeps those of its first process).

    Args:
        momentum: float in [0, 1), the share of the old running statistics that a step keeps.
            PyTorch's "momentum" of 0.1 is 0.9 here.
        epsilon: float, added to the variance.
        statistics: None, "local" or "synchronized"; see above. It may be set later, before the step
            is traced (`set_statistics`).
        groups: int. The rows that share statistics are split into this many contiguous groups of
            their own (ghost batch normalisation, Hoffer et al. 2017): many small devices on one.
        **kwargs: further arguments of `keras.layers.BatchNormalization`.

    Raises:
        ValueError: the rows of a batch can't be split evenly; or groups meet what they can't be
            combined with: "synchronized", a mask, renormalisation.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, statistics=None, groups=1, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.set_statistics(statistics, groups)

    def set_statistics(self, statistics, groups=1):
        """Changes `statistics` and `groups`; a step that is traced already keeps the old ones."""
        if statistics not in STATISTICS:
            raise ValueError(
                f"Expected statistics to be one of {STATISTICS}, received {statistics!r}."
            )
        if groups < 1 or (groups > 1 and statistics == "synchronized"):
            raise ValueError(
                f"Expected one group or more, and one with synchronized statistics, received "
                f"{groups} with {statistics!r}."
            )
        self.statistics, self.groups = statistics, int(groups)

    def call(self, inputs, training=None, mask=None):
        if training and self.trainable:
            groups = self.groups * (data_shards() if self.statistics == "local" else 1)
            across = self.statistics == "synchronized" and replica_count() > 1
            if groups > 1 or across:
                return self._in_groups(inputs, mask, groups, across)
        if not self._is_fusable(inputs, mask):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs, bool(training) and self.trainable)

    def _in_groups(self, inputs, mask, groups, across):
        """Normalises each group of rows by itself, or one group over all replicas."""
        if mask is not None or self.renorm:
            raise ValueError(
                "Expected no mask and no renormalisation where statistics are of groups of rows or "
                f"of all replicas (statistics={self.statistics!r}, {groups} groups); leave them out."
            )
        shape, rank = ops.shape(inputs), len(inputs.shape)
        rows = inputs.shape[0]
        if rows is not None and rows % groups:
            raise ValueError(
                f"Expected a batch that {groups} groups share evenly, received {rows} rows; change "
                "the batch size or the number of devices."
            )
        x = ops.reshape(ops.cast(inputs, "float32"), (groups, -1, *shape[1:]))
        axis = self.axis % rank + 1
        axes = [i for i in range(1, rank + 1) if i != axis]

        def average(values):  # [groups, 1, ..., C, ..., 1]
            if not across:
                return ops.mean(values, axes, keepdims=True)
            count = ops.cast(ops.size(values) // values.shape[axis], "float32")
            return all_sum(ops.sum(values, axes, keepdims=True)) / all_sum(count)

        mean = average(x)
        centred = x - mean
        variance = average(ops.square(centred))
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            batch = ops.mean(ops.reshape(ops.stop_gradient(batch), (groups, -1)), axis=0)
            old = ops.cast(ops.convert_to_tensor(moving), "float32")
            new = old * self.momentum + batch * (1.0 - self.momentum)
            moving.assign(ops.cast(new, moving.dtype))
        channels = [-1 if i == axis else 1 for i in range(rank + 1)]
        outputs = centred * ops.rsqrt(variance + self.epsilon)
        if self.scale:
            outputs = outputs * ops.reshape(ops.cast(self.gamma, "float32"), channels)
        if self.center:
            outputs = outputs + ops.reshape(ops.cast(self.beta, "float32"), channels)
        return ops.cast(ops.reshape(outputs, shape), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "statistics": self.statistics, "groups": self.groups}

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


def set_statistics(layer, statistics, groups=1):
    """Sets `statistics` and `groups` of every `BatchNormalization` within a layer or model.

    Args:
        layer: `keras.Layer` or `keras.Model`; also layers in lists and dicts of its are found.
        statistics, groups: as for `BatchNormalization`.

    Returns:
        How many layers were set.
    """
    seen, todo, count = set(), [layer], 0
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, BatchNormalization):
            item.set_statistics(statistics, groups)
            count += 1
        elif isinstance(item, keras.Layer):
            todo.extend(vars(item).values())
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, (list, tuple, set)):
            todo.extend(item)
    return count
