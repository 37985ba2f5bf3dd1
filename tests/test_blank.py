"""Networks that wait for a file's weights draw none, and all others draw as ever."""

import threading

import keras
import numpy as np
import pytest
from keras import layers

from keras_vssl.blank import blank_weights
from tests.backends import to_numpy

DRAWN = ("glorot_uniform", "orthogonal", "random_normal", "random_uniform", "truncated_normal")


def kernel(initializer="glorot_uniform"):
    layer = layers.Dense(3, kernel_initializer=initializer)
    layer.build((None, 5))
    return to_numpy(layer.kernel)


def test_a_block_draws_nothing_in_its_own_thread_alone(monkeypatch):
    draws = []
    for name in DRAWN:
        kind = type(keras.initializers.get(name))
        owner = next(k for k in kind.__mro__ if "__call__" in vars(k))
        draw = owner.__call__
        counted = lambda self, *a, draw=draw, **k: draws.append(self) or draw(self, *a, **k)  # noqa: E731
        monkeypatch.setattr(owner, "__call__", counted)
    with blank_weights():
        assert {kernel(name).shape for name in DRAWN} == {(5, 3)} and not draws
        assert kernel("ones").min() == 1
        thread = threading.Thread(target=kernel)
        thread.start()
        thread.join()
    assert len(draws) == 1
    for name in DRAWN:
        kernel(name)
    assert len(draws) == 1 + len(DRAWN)


def test_what_is_built_after_a_block_starts_as_it_would_have():
    keras.utils.set_random_seed(3)
    kernel()
    expected = kernel()
    draw = keras.initializers.VarianceScaling.__call__
    keras.utils.set_random_seed(3)
    with pytest.raises(RuntimeError), blank_weights(), blank_weights():
        kernel()
        raise RuntimeError
    assert keras.initializers.VarianceScaling.__call__ is draw
    assert np.array_equal(kernel(), expected) and np.ptp(expected) > 0
