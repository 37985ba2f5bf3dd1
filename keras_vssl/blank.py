"""Networks that are built for weights to come: nothing is drawn that a file is going to replace."""

import contextlib
import contextvars
import functools
import math
import threading

import keras
import numpy as np
from keras import ops

# All of Keras' random initializers are one of these or of a subclass.
_RANDOM = (
    keras.initializers.Orthogonal,
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
    keras.initializers.VarianceScaling,
)
_ALIGNMENT = 64  # bytes
_is_blank = contextvars.ContextVar("is_blank", default=False)
_lock = threading.Lock()
_originals = {}
_open = 0


@contextlib.contextmanager
def blank_weights(blank=True):
    """In the block, and in this thread, Keras' random initializers draw nothing.

    A draw needs about three times the memory of its tensor, and a single tensor can be nearly half
    of a network. The variables hold whatever is in memory, which costs none before they are
    assigned: only for networks of which every variable gets its value from a file before anyone
    sees them. Initializers take their seeds as ever, so that whatever is built afterwards starts
    as it would have; those that are not random (zeros, tables of positions) do as ever.

    Args:
        blank: bool, `False` changes nothing.

    Example:

    ```python
    with blank_weights():
        backbone = C3D(dense=4096)
    backbone.load_weights("model.weights.h5")
    ```
    """
    if not blank:
        yield
        return
    token = _is_blank.set(True)
    _enter()
    try:
        yield
    finally:
        _leave()
        _is_blank.reset(token)


def _enter():
    global _open
    with _lock:
        _open += 1
        if _open == 1:
            for kind in _RANDOM:
                _originals[kind] = kind.__call__
                kind.__call__ = _nothing_or(kind.__call__)


def _leave():
    global _open
    with _lock:
        _open -= 1
        if _open == 0:
            for kind, original in _originals.items():
                kind.__call__ = original
            _originals.clear()


def _nothing_or(draw):
    @functools.wraps(draw)
    def call(self, shape, dtype=None, **options):
        if _is_blank.get():
            return _blank(shape, dtype)
        return draw(self, shape, dtype, **options)

    return call


def _blank(shape, dtype):
    """A tensor for which the system gives no memory before it is written to."""
    backend = keras.config.backend()
    dtype = keras.backend.standardize_dtype(dtype)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.raw_ops.Empty(shape=shape, dtype=dtype, init=False)
    if backend == "jax":
        import jax

        # JAX shares an aligned array, and NumPy's zeros are pages that nobody has touched.
        dtype = jax.numpy.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        pages = np.zeros(size + _ALIGNMENT, "uint8")
        start = -pages.ctypes.data % _ALIGNMENT
        values = pages[start : start + size].view(dtype).reshape(shape)
        return jax.device_put(values, may_alias=True)
    return ops.empty(shape, dtype)
