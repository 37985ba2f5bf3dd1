"""Local response normalisation divides alpha by its window and ends where the channels do."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import LocalResponseNormalization
from tests.backends import to_numpy


def test_a_map_of_ones_tells_interior_from_edge():
    got = to_numpy(LocalResponseNormalization()(np.ones((1, 2, 2, 7), "float32")))
    inner, edge, next_to_it = (
        (1 + 1e-4) ** -0.75,
        (1 + 0.6e-4) ** -0.75,
        (1 + 0.8e-4) ** -0.75,
    )
    expected = [edge, next_to_it, inner, inner, inner, next_to_it, edge]
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=1e-7)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_it_is_the_formula_on_any_rank(channels):
    x = np.random.RandomState(0).normal(0, 100, (2, 3, channels)).astype("float32")
    got = to_numpy(LocalResponseNormalization(size=3, alpha=0.02, beta=0.5, k=2.0)(x))
    expected = np.empty_like(x)
    for c in range(channels):
        window = x[..., max(0, c - 1) : c + 2]
        expected[..., c] = x[..., c] / np.sqrt(2 + 0.02 / 3 * (window**2).sum(-1))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_caffe_activations_survive_float16():
    x = np.full((1, 6), 600.0, "float16")  # 600 squared is beyond float16
    layer = LocalResponseNormalization(dtype="float16")
    got = layer(x)
    assert keras.backend.standardize_dtype(got.dtype) == "float16"
    expected = to_numpy(LocalResponseNormalization()(x.astype("float32")))
    np.testing.assert_allclose(to_numpy(got), expected, rtol=2e-3)


def test_a_window_has_a_middle():
    with pytest.raises(ValueError, match="odd number of channels, received 4"):
        LocalResponseNormalization(size=4)
