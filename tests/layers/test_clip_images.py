"""Clips as one image: what the odd-one-out card says of its encodings."""

import keras
import numpy as np
import pytest

from keras_vssl.layers.clip_images import DynamicImage, StackOfDifferences, SumOfDifferences
from tests.backends import to_numpy

LAYERS = (StackOfDifferences, SumOfDifferences, DynamicImage)


@pytest.fixture
def clips():
    return np.random.default_rng(0).integers(0, 256, (2, 4, 6, 8, 9, 3), dtype=np.uint8)


def test_the_stack_has_three_channels_a_difference_and_sums_to_last_minus_first(clips):
    x, layer = clips / np.float32(255), StackOfDifferences()
    got = to_numpy(layer(clips))
    assert got.shape == (2, 4, 1, 8, 9, 15) == layer.compute_output_shape(clips.shape)
    blocks = got[:, :, 0].reshape(2, 4, 8, 9, 5, 3)
    assert np.allclose(blocks.sum(axis=-2), x[:, :, -1] - x[:, :, 0], atol=1e-6)
    assert np.allclose(blocks[..., 1, :], x[:, :, 2] - x[:, :, 1], atol=1e-6)
    grey = StackOfDifferences(grayscale=True)
    luma = np.array([0.299, 0.587, 0.114], "float32")
    assert np.allclose(to_numpy(grey(clips))[:, :, 0], blocks @ luma, atol=1e-6)
    assert grey.compute_output_shape(clips.shape)[-1] == 5


@pytest.mark.parametrize("layer", LAYERS)
def test_what_stands_still_is_0(layer, clips):
    still = np.repeat(clips[:, :, :1], 6, axis=2)
    assert np.abs(to_numpy(layer()(still))).max() < 1e-5
    assert np.abs(to_numpy(layer()(clips))).max() > 0.5


SQUARES = SumOfDifferences([1, 4, 9, 16, 25])


@pytest.mark.parametrize("layer", [StackOfDifferences(), SQUARES, DynamicImage()], ids=type)
def test_the_order_of_the_frames_between_the_ends_is_seen(layer, clips):
    shuffled = clips[:, :, [0, 3, 1, 4, 2, 5]]
    assert np.abs(to_numpy(layer(shuffled)) - to_numpy(layer(clips))).max() > 0.1


def test_weights_that_grow_linearly_see_only_which_frame_is_last(clips):
    layer = SumOfDifferences()
    assert layer.coefficients(6) == [-1, -1, -1, -1, -1, 5]
    same, other = clips[:, :, [3, 1, 4, 2, 0, 5]], clips[:, :, [0, 1, 2, 3, 5, 4]]
    assert np.allclose(to_numpy(layer(same)), to_numpy(layer(clips)), atol=1e-5)
    assert np.abs(to_numpy(layer(other)) - to_numpy(layer(clips))).max() > 0.1
    with pytest.raises(ValueError, match="5 weights for 6 frames"):
        SumOfDifferences([1.0, 2.0])(clips)


def test_dynamic_images_have_the_published_coefficients(clips):
    assert DynamicImage().coefficients(6) == [-5, -3, -1, 1, 3, 5]
    for frames in (2, 3, 6, 11):
        assert sum(DynamicImage().coefficients(frames)) == 0
    x = clips / np.float32(255)
    want = np.einsum("t,bvthwc->bvhwc", [-5, -3, -1, 1, 3, 5], x)
    assert np.allclose(to_numpy(DynamicImage()(clips))[:, :, 0], want, atol=1e-5)


def test_the_weighted_sum_is_the_sum_over_time(clips):
    x = clips / np.float32(255)
    want = sum(t * (x[:, :, t] - x[:, :, t - 1]) for t in range(1, 6))
    assert np.allclose(to_numpy(SumOfDifferences()(clips))[:, :, 0], want, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_they_compute_in_float32_and_survive_their_configuration(layer, clips):
    half = layer(dtype="mixed_bfloat16")
    got = half(clips)
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    exact = to_numpy(layer()(clips))
    assert np.abs(to_numpy(got) - exact).max() < 0.004 * np.abs(exact).max()
    copy = layer.from_config(layer().get_config())
    assert np.array_equal(to_numpy(copy(clips)), exact)
    with pytest.raises(ValueError, match="two frames or more"):
        layer()(clips[:, :, :1])
