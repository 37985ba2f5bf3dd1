"""One global batch on many devices: negatives and statistics from all of them, rows exchanged.

Two ways of sharing a batch: under `tf.distribute` (TensorFlow) each replica has an array of its own
rows; under `keras.distribution` (JAX) arrays are global and their rows lie on the devices one part
after the other. Keras trains on one device under PyTorch, and everything here then does nothing.
"""

import keras
from keras import ops


def _context():
    """TensorFlow's replica context with more than one replica, or None."""
    if keras.config.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def replica_count():
    """Over how many replicas the batch is split into arrays of its own (1 where arrays are global)."""
    context = _context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_id():
    """This replica's number, an int or an int32 tensor."""
    context = _context()
    return 0 if context is None else ops.cast(context.replica_id_in_sync_group, "int32")


def replica_share(loss):
    """This replica's part of a mean over the global batch, what `compute_loss` has to return.

    Keras sums the gradients of the replicas under `tf.distribute`. Its own losses are divided by
    the number of replicas for that; a loss of one's own isn't, and would train with a rate that
    many times as high. Everywhere else it is the loss itself.

    Args:
        loss: scalar, the mean over this replica's rows.
    """
    count = replica_count()
    return loss if count == 1 else loss / count


def gather(x):
    """The rows of all replicas, in the order of the replicas, with gradient.

    Under `keras.distribution` (JAX) arrays are global: `x` holds all rows and comes back as it is.
    Under `tf.distribute` each replica has rows of its own and gets everybody's; a loss that each
    replica takes as the `replica_share` of the mean over its own rows against all rows has the
    gradients of one device with the global batch.

    Args:
        x: `[B, ...]`, the same B on every replica.

    Returns:
        `[replicas * B, ...]`.
    """
    context = _context()
    if context is None:
        return x
    import tensorflow as tf

    # A sum of zero-padded blocks: its gradient is a sum over replicas too, which an all-gather's
    # is not in every TensorFlow release.
    count = context.num_replicas_in_sync
    place = tf.one_hot(context.replica_id_in_sync_group, count, dtype=x.dtype)
    blocks = tf.tensordot(place, x, axes=0)  # [replicas, B, ...]
    total = context.all_reduce("sum", blocks)
    return ops.reshape(total, (-1, *x.shape[1:]))


def all_sum(x):
    """The sum of a tensor over the replicas, with gradient; `x` itself where arrays are global."""
    context = _context()
    return x if context is None else context.all_reduce("sum", x)


def data_shards():
    """Into how many parts, each on a device of its own, the rows of a global array are split.

    1 on one device, and under `tf.distribute`, where arrays aren't global.
    """
    distribution = keras.distribution.distribution()
    if keras.config.backend() != "jax" or distribution is None:
        return 1
    mesh = distribution.device_mesh
    return int(mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)])


def shuffle(x, seed=None):
    """Exchanges rows at random over the whole global batch, replicas included.

    What a key encoder with local batch statistics needs: without it the statistics tell which rows
    came together, and the contrastive task is solved by that (He et al. CVPR 2020, sec. 3.3).

    Args:
        x: floating-point `[B, ...]`, the same B on every replica.
        seed: `keras.random.SeedGenerator`, one order a call; an int gives the same order each time.

    Returns:
        `(rows, order)`: `[B, ...]` and what `unshuffle` needs, the drawn order of all rows.

    Example:

    ```python
    rows, order = shuffle(clips, self.seed_generator)
    keys = unshuffle(self.encoder(rows, training=True), order)
    ```
    """
    total = ops.shape(x)[0] * replica_count()
    draw = keras.random.uniform((total,), seed=seed)
    # The first replica's draw is everybody's, whatever their generators hold.
    order = ops.argsort(all_sum(draw * ops.cast(ops.equal(replica_id(), 0), draw.dtype)))
    return ops.take(gather(x), _own(order), axis=0), order


def unshuffle(x, order):
    """The rows of `shuffle`'s result, or of what was computed from each, where they came from.

    Args:
        x: `[B, ...]`. order: the second result of `shuffle`.
    """
    return ops.take(gather(x), _own(ops.argsort(order)), axis=0)


def _own(order):
    """This replica's part of an order of all rows."""
    return ops.take(ops.reshape(order, (replica_count(), -1)), replica_id(), axis=0)
