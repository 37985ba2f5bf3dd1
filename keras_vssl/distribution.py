"""One global batch on many devices: negatives from all of them."""

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


def gather(x):
    """The rows of all replicas, in the order of the replicas, with gradient.

    Under `keras.distribution` (JAX) arrays are global: `x` holds all rows and comes back as it is.
    Under `tf.distribute` each replica has rows of its own and gets everybody's. Keras averages the
    replicas' losses' gradients there, so a loss that each replica takes as the mean over its own
    rows against all rows has the gradients of one device with the global batch.

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
