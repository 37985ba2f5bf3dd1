"""A ring buffer of embeddings."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class MemoryQueue(keras.layers.Layer):
    """The last `size` keys, as negatives for a contrastive loss.

    A first-in first-out ring buffer (He et al. CVPR 2020, Sec. 3.2). A batch need not divide the
    size: it wraps around. A batch larger than the queue leaves its last `size` rows. The queue
    starts empty; `valid` says which places hold a key. It is a weight like any other: saved with
    the task and restored by a checkpoint.

    Under `tf.distribute` the same rows must be enqueued on every replica: gather them first
    (`keras_vssl.distribution.gather`).

    Args:
        size: int, places.
        dim: int, width of a key.

    Example:

    ```python
    queue = MemoryQueue(4096, 128)
    loss = info_nce(query, key, queue.keys(), queue.valid(), temperature=0.1)
    queue.enqueue(key)
    ```
    """

    def __init__(self, size, dim, **kwargs):
        super().__init__(**kwargs)
        if size < 1 or dim < 1:
            raise ValueError(f"Expected a size and a width of at least 1, received {size}, {dim}.")
        self.size, self.dim = int(size), int(dim)
        self.buffer = self._state("buffer", (self.size, self.dim), "float32")
        # Float, because TensorFlow keeps int32 variables off accelerators; exact up to 2**24.
        self.place = self._state("place", (), "float32")
        self.count = self._state("count", (), "float32")
        self.built = True

    def _state(self, name, shape, dtype):
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def keys(self):
        """The buffer `[size, dim]`, a copy without gradient; rows in no particular order."""
        # A copy: the variable is assigned later in the same step.
        return ops.stop_gradient(ops.copy(ops.convert_to_tensor(self.buffer)))

    def valid(self):
        """bool `[size]`: which rows of `keys` hold a key."""
        return ops.cast(ops.arange(self.size), "float32") < ops.copy(
            ops.convert_to_tensor(self.count)
        )

    def enqueue(self, keys):
        """Writes `keys` `[B, dim]` over the oldest rows."""
        keys = ops.stop_gradient(ops.cast(keys, "float32"))
        keys = keys[-self.size :]
        rows = ops.shape(keys)[0]
        first = ops.cast(ops.convert_to_tensor(self.place), "int32")
        buffer = ops.copy(ops.convert_to_tensor(self.buffer))
        places = ops.mod(ops.arange(rows, dtype="int32") + first, self.size)
        self.buffer.assign(ops.scatter_update(buffer, places[:, None], keys))
        self.place.assign(ops.cast(ops.mod(first + rows, self.size), "float32"))
        count = ops.convert_to_tensor(self.count) + ops.cast(rows, "float32")
        self.count.assign(ops.minimum(count, float(self.size)))

    def call(self, inputs=None):
        """The same as `keys`."""
        return self.keys()

    def get_config(self):
        return {**super().get_config(), "size": self.size, "dim": self.dim}
