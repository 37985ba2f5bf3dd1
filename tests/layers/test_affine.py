"""Affine warps: parameters, matrices, and what becomes of the pixels."""

import numpy as np
import pytest
from keras import ops

from keras_vssl.layers.affine import AffineWarp, affine_matrix, affine_parameters, warp
from tests.backends import to_numpy


def smooth(count=2, size=48):
    y, x = np.mgrid[:size, :size] / size
    rows = [np.sin(5 * x + i) * np.cos(4 * y - i) for i in range(6 * count)]
    return (0.5 + 0.4 * np.stack(rows).reshape(count, 2, 1, 3, size, size)).transpose(
        0, 1, 2, 4, 5, 3
    ).astype("float32")  # fmt: skip


def draws(count, width=5, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, width)).astype("float32")


def test_parameters_and_matrix_are_inverse_functions():
    layer, u = AffineWarp(), draws(64)
    matrix = to_numpy(layer.matrix(u))
    assert np.abs(to_numpy(layer.parameters(matrix)) - u).max() < 2e-6
    again = to_numpy(affine_matrix(affine_parameters(matrix)))
    assert np.abs(again - matrix).max() < 1e-6


def test_the_composition_is_rotate_scale_shear_translate():
    degrees, factor, lean = 25.0, 1.3, 12.0
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    shear = np.array([[1, np.tan(np.radians(lean))], [0, 1]])
    want = np.column_stack([shear @ (factor * np.array([[c, -s], [s, c]])), [0.2, -0.1]])
    got = to_numpy(affine_matrix(np.array([degrees, factor, lean, 0.2, -0.1], "float32")))
    assert np.abs(got - want).max() < 1e-6


def test_a_right_angle_turns_clockwise_and_a_shift_goes_right_and_down():
    x = smooth(1, 16)
    turned = to_numpy(warp(x, affine_matrix(np.array([[90.0, 1, 0, 0, 0]], "float32"))))
    assert np.abs(turned - np.rot90(x, -1, axes=(-3, -2))).max() < 1e-4
    moved = to_numpy(warp(x, affine_matrix(np.array([[0, 1, 0, 0.25, 0.125]], "float32"))))
    assert np.abs(moved[..., 2:, 4:, :] - x[..., :-2, :-4, :]).max() < 1e-4
    assert not moved[..., :2, :, :].any() and not moved[..., :4, :].any()


def test_the_identity_has_targets_of_0_and_changes_nothing():
    layer, x = AffineWarp(), smooth()
    matrix = layer.matrix(np.zeros((2, 5), "float32"))
    assert np.abs(to_numpy(layer.parameters(matrix))).max() < 1e-6
    assert np.abs(to_numpy(layer(x, np.zeros((2, 5), "float32"))) - x).max() < 1e-5
    cut = AffineWarp(size=(20, 24))
    centre = x[..., 14:34, 12:36, :]
    assert np.abs(to_numpy(cut(x, np.zeros((2, 5), "float32"))) - centre).max() < 1e-5
    assert np.abs(to_numpy(cut(x)) - centre).max() == 0


def test_all_frames_get_the_clips_warp_and_its_inverse_restores_them():
    layer, x = AffineWarp(), smooth(4)
    matrix = to_numpy(layer.matrix(draws(4)))
    warped = warp(x, matrix)
    alone = np.stack([to_numpy(warp(x[:, t : t + 1], matrix)) for t in range(2)], axis=1)[:, :, 0]
    assert np.abs(to_numpy(warped) - alone).max() < 1e-6
    inverse = np.linalg.inv(matrix[..., :2])
    back = np.concatenate([inverse, -inverse @ matrix[..., 2:]], axis=-1).astype("float32")
    middle = np.s_[..., 16:32, 16:32, :]
    error = np.abs(to_numpy(warp(warped, back)) - x)[middle].mean()
    assert error < 0.02 * x[middle].mean(), error


@pytest.mark.parametrize("ranges", [{}, {"rotation": 45.0, "shear": 0.0, "translation": 0.05}])
def test_the_clear_share_holds_no_black_corner_and_is_not_timid(ranges):
    layer = AffineWarp(**ranges)
    extreme = np.array(np.meshgrid(*[[-1, -0.7, 0, 0.7, 1]] * len(layer.names)), "float32")
    u = extreme.reshape(len(layer.names), -1).T
    side = 2 * int(layer.clear_share * 64 / 2 - 1)
    white = np.ones((len(u), 1, 64, 64, 1), "float32")
    assert to_numpy(warp(white, layer.matrix(u), (side, side))).min() > 0.999
    larger = side + 6
    assert to_numpy(warp(white, layer.matrix(u), (larger, larger))).min() < 0.5


def test_a_range_of_0_takes_its_parameter_away():
    layer = AffineWarp(shear=0.0, translation=0.0)
    assert layer.names == ("rotation", "scale") and layer.get_config()["shear"] == 0
    assert to_numpy(layer.matrix(draws(3, 2))).shape == (3, 2, 3)
    assert ops.shape(layer(np.zeros((3, 1, 8, 8, 3), "uint8"), draws(3, 2))) == (3, 1, 8, 8, 3)
    with pytest.raises(ValueError, match="not all 0"):
        AffineWarp(0, 0, 0, 0)
