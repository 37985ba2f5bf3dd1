"""PCK, PCKh and the areas under them."""

import numpy as np
import pytest

from keras_vssl.metrics import head_lengths, pck, pck_auc, torso_lengths


def people(count=20, joints=7, seed=0):
    """Joints, visibility with some hidden, torso lengths, and predictions a few pixels off."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 200, (count, joints, 2))
    visible = rng.random((count, joints)) < 0.8
    return places + rng.normal(0, 8, places.shape), places, visible, rng.uniform(40, 80, count)


def test_pck_is_monotone_in_the_threshold():
    predicted, joints, visible, lengths = people()
    shares = [pck(predicted, joints, visible, lengths, t) for t in np.linspace(0, 0.6, 25)]
    assert np.all(np.diff(shares) >= 0) and shares[0] == 0 and shares[-1] > 0.9


def test_exact_predictions_have_pck_1_and_auc_1():
    _, joints, visible, lengths = people()
    assert pck(joints, joints, visible, lengths, 0.0) == 1
    assert pck_auc(joints, joints, visible, lengths, 0.2) == 1


def test_auc_of_predictions_beyond_the_largest_threshold_is_0():
    _, joints, visible, lengths = people()
    far = joints + np.array([0.21, 0.0]) * lengths[:, None, None]
    assert pck_auc(far, joints, visible, lengths, 0.2) == 0
    assert pck_auc(far, joints, visible, lengths, 0.4) == pytest.approx(1 - 0.21 / 0.4)


def test_auc_is_the_area_under_pck():
    predicted, joints, visible, lengths = people()
    grid = np.linspace(0, 0.5, 2001)
    curve = [pck(predicted, joints, visible, lengths, t) for t in grid]
    area = pck_auc(predicted, joints, visible, lengths, 0.5)
    assert area == pytest.approx(np.mean(curve), abs=1e-3)


def test_joints_that_are_not_annotated_and_persons_without_a_length_are_left_out():
    predicted, joints, visible, lengths = people()
    wrong = np.where(visible[..., None], predicted, np.nan)
    wrong[3], lengths[3] = 1e6, np.nan
    rest = np.arange(20) != 3
    expected = pck(predicted[rest], joints[rest], visible[rest], lengths[rest], 0.2)
    assert pck(wrong, joints, visible, lengths, 0.2) == expected
    visible[:, 2] = False
    assert np.isnan(pck(predicted, joints, visible, lengths, 0.2, per_joint=True)[2])
    with pytest.raises(ValueError, match="visible joint"):
        pck(predicted, joints, visible & False, lengths, 0.2)


def test_mean_pck_weighs_joints_alike():
    joints = np.zeros((4, 2, 2))
    predicted, visible = joints.copy(), np.ones((4, 2), bool)
    predicted[0, 1], visible[1:, 1] = 100, False  # one person's second joint, wrong
    assert pck(predicted, joints, visible, np.ones(4), 0.2) == 0.5
    assert pck(predicted, joints, visible, np.ones(4), 0.2, per_joint=True).tolist() == [1, 0]


def test_lengths_of_head_and_torso():
    # 0.6 times the diagonal: without it PCKh counts errors of 1/0.6 as much.
    assert head_lengths([[10, 10, 40, 50]])[0] == pytest.approx(30)
    joints = np.array([[[0, 0], [3, 4.0]], [[0, 0], [1, 1.0]]])
    lengths = torso_lengths(joints, np.array([[True, True], [True, False]]), 0, 1)
    assert lengths[0] == 5 and np.isnan(lengths[1])
