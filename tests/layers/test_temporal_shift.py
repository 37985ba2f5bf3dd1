"""The temporal shift moves what its conventions say, and nothing else."""

import numpy as np
import pytest

from keras_vssl.layers import TemporalShift
from tests.backends import to_numpy

RANDOM = np.random.default_rng(0)


def shift(x, *arguments):
    return to_numpy(TemporalShift(*arguments)(x))


def clip(frames=4, channels=16):
    return RANDOM.normal(size=(2, frames, 2, 3, channels)).astype("float32")


@pytest.mark.parametrize("convention", ["mit", "mmv"])
def test_a_clip_constant_in_time_changes_at_its_ends_only(convention):
    x = np.repeat(clip(1), 5, axis=1)
    y = shift(x, 1 / 8, convention)
    if convention == "mit":
        np.testing.assert_array_equal(y[:, 1:-1], x[:, 1:-1])
    assert np.abs(y[:, 1:-1] - y[:, 2:3]).max() == 0
    assert np.abs(y[:, 0] - y[:, 1]).max() > 0 and np.abs(y[:, -1] - y[:, 1]).max() > 0


def test_mit_keeps_the_places():
    x = clip()
    y = shift(x, 1 / 8, "mit")
    np.testing.assert_array_equal(y[:, :-1, ..., :2], x[:, 1:, ..., :2])
    np.testing.assert_array_equal(y[:, 1:, ..., 2:4], x[:, :-1, ..., 2:4])
    np.testing.assert_array_equal(y[..., 4:], x[..., 4:])
    assert not y[:, -1, ..., :2].any() and not y[:, 0, ..., 2:4].any()


def test_mmv_swaps_the_places():
    x = clip()
    y = shift(x, 1 / 8, "mmv")
    np.testing.assert_array_equal(y[:, :-1, ..., :2], x[:, 1:, ..., 14:])
    np.testing.assert_array_equal(y[:, 1:, ..., 14:], x[:, :-1, ..., :2])
    np.testing.assert_array_equal(y[..., 2:14], x[..., 2:14])


@pytest.mark.parametrize("convention", ["mit", "mmv"])
def test_of_one_frame_the_shifted_channels_are_zero(convention):
    y = shift(clip(1), 1 / 4, convention)
    moved = y[..., :8] if convention == "mit" else np.concatenate([y[..., :4], y[..., 12:]], -1)
    assert not moved.any() and np.count_nonzero(y) == y.size // 2


def test_without_a_fraction_nothing_moves():
    x = clip()
    np.testing.assert_array_equal(shift(x, 0.0), x)


@pytest.mark.parametrize("arguments", [(0.6,), (-0.1,), (0.125, "google")])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="Expected"):
        TemporalShift(*arguments)
