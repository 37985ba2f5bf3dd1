"""Pixel targets are normalised as published, and the loss counts what it should."""

import numpy as np
import pytest

from keras_vssl.losses import channel_normalized, masked_mse, patch_normalized
from tests import backends

# 512 pixels of three channels, as a cube of 2 x 16 x 16 has.
CUBES = np.random.default_rng(0).uniform(size=(2, 5, 512 * 3)).astype("float32")


@pytest.mark.parametrize("jit", [False, True])
def test_each_channel_has_mean_zero_and_unbiased_deviation_one(jit):
    cubes = CUBES.copy()
    cubes[0, 0] = np.tile([0.1, 0.2, 0.3], 512)
    target = backends.run(channel_normalized, cubes, jit=jit).reshape(2, 5, 512, 3)
    assert np.abs(target.mean(2)).max() < 1e-5
    deviation = target.std(2, ddof=1)
    assert np.abs(deviation[1] - 1).max() < 1e-3
    assert not target[0, 0].any(), "a constant cube"


def test_a_constant_cube_is_zero():
    assert not backends.run(channel_normalized, np.full((1, 1, 48), 0.5, "float32")).any()
    assert not backends.run(patch_normalized, np.full((1, 1, 48), 0.5, "float32")).any()


def test_the_epsilon_is_outside_the_root_for_videomae_and_inside_for_mae():
    small = (1e-6 * np.array([-1.0, 1.0] * 8, "float32"))[None, None]
    spread = np.std(small, ddof=1)
    outside = backends.run(lambda x: channel_normalized(x, channels=1), small)
    assert np.allclose(np.abs(outside), 1e-6 / (spread + 1e-6), rtol=1e-3)
    inside = backends.run(patch_normalized, small)
    assert np.allclose(np.abs(inside), 1e-6 / np.sqrt(spread**2 + 1e-6), rtol=1e-3)


def test_a_patch_is_normalised_over_all_its_values():
    target = backends.run(patch_normalized, CUBES)
    assert np.abs(target.mean(-1)).max() < 1e-5
    assert np.abs(target.std(-1, ddof=1) - 1).max() < 1e-3


def test_the_loss_of_a_perfect_and_of_a_constant_prediction():
    target = backends.run(channel_normalized, CUBES)
    assert np.array_equal(backends.run(masked_mse, target, target), [0, 0])
    constant = backends.run(masked_mse, np.zeros_like(target), target)
    assert np.abs(constant - 511 / 512).max() < 1e-4


def test_weights_count_tokens_alike_however_many_a_sample_has():
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=(2, 5, 6)).astype("float32")
    target = rng.normal(size=(2, 5, 6)).astype("float32")
    weight = np.array([[1, 1, 1, 1, 0], [0, 0, 1, 0, 0]], "float32")
    got = backends.run(masked_mse, prediction, target, weight).mean()
    errors = ((prediction - target) ** 2).mean(-1)
    assert np.isclose(got, errors[weight == 1].mean(), rtol=1e-5)
    plain = backends.run(masked_mse, prediction, target)
    ones = backends.run(masked_mse, prediction, target, np.ones((2, 5), "float32"))
    assert np.allclose(plain, ones) and plain.dtype == np.float32
    assert not backends.run(masked_mse, prediction, target, np.zeros((2, 5), "float32")).any()
