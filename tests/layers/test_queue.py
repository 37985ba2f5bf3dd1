"""The memory queue is a ring buffer on every back end, jitted and not."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import MemoryQueue
from tests import backends


def keys(first, count, dim=3):
    return np.repeat(np.arange(first, first + count, dtype="float32")[:, None], dim, axis=1)


def held(queue):
    content = backends.to_numpy(queue.keys())[backends.to_numpy(queue.valid())]
    return sorted(content[:, 0].tolist())


def check_wraps_around():
    queue = MemoryQueue(5, 3)
    assert held(queue) == []
    for first, want in ((0, [0, 1]), (2, [0, 1, 2, 3]), (4, [1, 2, 3, 4, 5])):
        queue.enqueue(keys(first, 2))
        assert held(queue) == want
    queue.enqueue(keys(6, 3))
    assert held(queue) == [4, 5, 6, 7, 8]
    queue.enqueue(keys(20, 7))  # larger than the queue
    assert held(queue) == [22, 23, 24, 25, 26]
    queue.enqueue(keys(30, 1))
    assert held(queue) == [23, 24, 25, 26, 30]


class Enqueuing(keras.Model):
    """A model whose training step enqueues its inputs."""

    def __init__(self):
        super().__init__()
        self.queue = MemoryQueue(5, 3)
        self.dense = keras.layers.Dense(3)
        self.dense.build((None, 3))
        self.built = True

    def call(self, x):
        return self.dense(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        similarity = keras.ops.matmul(y_pred, keras.ops.transpose(self.queue.keys()))
        self.queue.enqueue(x)
        return keras.ops.mean(keras.ops.square(similarity)) + keras.ops.mean(y_pred**2)


def check_inside_a_compiled_step():
    model = Enqueuing()
    model.compile("sgd", jit_compile=keras.config.backend() == "jax")
    for step in range(4):
        model.train_on_batch(keys(2 * step, 2))
    assert held(model.queue) == [3, 4, 5, 6, 7]


def check_is_saved_with_the_model():
    import os
    import tempfile

    model = Enqueuing()
    model.queue.enqueue(keys(7, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "all.weights.h5")
        model.save_weights(path)
        other = Enqueuing()
        other.load_weights(path)
    assert held(other.queue) == [7, 8, 9]
    other.queue.enqueue(keys(10, 3))
    assert held(other.queue) == [8, 9, 10, 11, 12]


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_memory_queue(check):
    check()


def test_config_round_trip_and_bad_sizes():
    queue = MemoryQueue.from_config(MemoryQueue(5, 3).get_config())
    assert (queue.size, queue.dim) == (5, 3)
    with pytest.raises(ValueError, match="at least 1"):
        MemoryQueue(0, 3)


def main():
    for check in CHECKS:
        check()
