"""The windowed block keeps to its windows and works in every precision."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import WindowBlock
from tests import backends


def block(seed=0, **kwargs):
    keras.utils.set_random_seed(seed)
    layer = WindowBlock(2, (8, 4), **kwargs)
    layer.build((None, 32, 8))
    return layer


def check_tokens_see_their_window_alone(jit):
    x = np.random.default_rng(0).normal(size=(1, 32, 8)).astype("float32")
    for shift, seen in (((0, 0), {0, 1, 2, 3}), ((2, 0), {0, 1})):
        layer = block(shift=shift)
        changed = x.copy()
        changed[0, 0] += 1.0  # row 0
        moved = np.abs(backends.run(layer, changed, jit=jit) - backends.run(layer, x, jit=jit))
        rows = moved.reshape(8, 4, 8).max(axis=(1, 2))
        assert set(np.nonzero(rows > 1e-6)[0]) == seen, shift


def check_silence_and_bfloat16():
    layer = block(shift=(2, 0))

    def loss(x):
        return keras.ops.sum(layer(x) ** 2)

    value, (gradient,) = backends.value_and_grad(loss, np.zeros((1, 32, 8), "float32"))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    half = block(shift=(2, 0), dtype="mixed_bfloat16")
    half.set_weights(layer.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 32, 8)).astype("float32")
    want = backends.to_numpy(layer(x))
    assert np.abs(backends.to_numpy(half(x)) - want).max() < 0.05 * np.abs(want).max()


def main():
    check_tokens_see_their_window_alone(jit=True)
    check_silence_and_bfloat16()


@pytest.mark.parametrize("jit", [False, True])
def test_tokens_see_their_window_and_nothing_across_the_seam(jit):
    check_tokens_see_their_window_alone(jit)


def test_zeros_have_finite_gradients_and_bfloat16_is_near():
    check_silence_and_bfloat16()


def test_the_config_round_trip_and_small_grids():
    layer = block(shift=(2, 2))
    assert layer.shift == (2, 0), "one window spans the columns"
    copy = WindowBlock.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    with pytest.raises(ValueError, match="whole windows"):
        WindowBlock(2, (6, 4))
    with pytest.raises(ValueError, match="shared by 3 heads"):
        WindowBlock(3, (8, 4)).build((None, 32, 8))
