"""Pose regression: the loss, the views, coordinates of the original image, and that it is learnt."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_vssl import downstream as d
from keras_vssl.downstream.pose import VisibleJointError
from tests import backends
from tests.downstream.image_files import write_flic
from tests.downstream.test_image_classifier import network


def test_joints_that_are_not_visible_cost_nothing():
    rng = np.random.default_rng(0)
    target, outputs = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 7, 2))
    target[..., 2] = rng.random((2, 7)) < 0.5
    seen = target[..., 2].astype(bool)
    squares = (outputs - target[..., :2]) ** 2
    expected = [squares[i][seen[i]].mean() for i in range(2)]
    loss = VisibleJointError(reduction=None)
    assert np.allclose(backends.to_numpy(loss(target, outputs)), expected, atol=1e-5)
    outputs[~seen] = 1e3
    assert np.allclose(backends.to_numpy(loss(target, outputs)), expected, atol=1e-5)


def test_crops_are_standardised_channel_by_channel():
    task = d.PoseRegressor(network(), hidden=(8,))
    clips = np.random.default_rng(0).integers(0, 100, (3, 1, 48, 48, 3), dtype="uint8")
    frames = backends.to_numpy(task.frames(clips))
    assert np.allclose(frames.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    assert np.allclose(frames.std(axis=(1, 2, 3)), 1, atol=1e-3)
    # Light and contrast of a channel make no difference.
    changed = clips.astype("float32") * [2.0, 0.5, 1.0] + [9, 0, 50]
    outputs = [backends.to_numpy(task(c[:, None])) for c in (clips, changed)]
    assert np.allclose(*outputs, atol=1e-3)
    plain = d.PoseRegressor(network(), hidden=(8,), standardize=False)
    assert np.array_equal(plain.frames(clips), clips)


@pytest.fixture(scope="module")
def poses(tmp_path_factory):
    paths = write_flic(tmp_path_factory.mktemp("flic"), {"train": 160, "test": 60})
    train, test = (d.Poses.from_csv(paths[split]) for split in ("train", "test"))
    # In place of the torso, which the file does not have: twice the shoulders' width.
    width = np.linalg.norm(test.joints[:, 2] - test.joints[:, 4], axis=-1)
    return train, dataclasses.replace(test, lengths=2 * width)


def test_poses_are_learnt_beyond_the_mean_pose(poses):
    """Measured PCK at 0.2: 0.97 on 60 persons; the mean pose has 0.45, untrained 0.01."""
    train, test = poses
    keras.utils.set_random_seed(0)
    task = d.PoseRegressor(network(), hidden=(64,), dropout=0.0)
    task.compile(keras.optimizers.Adam(2e-3), task.loss)
    floor = d.pose_scores(d.mean_pose(train, test, task.sampler), test)
    assert 0.3 < floor["pck"] < 0.55 and task.evaluate(test)["pck"] < 0.2
    task.fit(train, epochs=10, batch_size=16, verbose=0)
    scores = task.evaluate(test)
    assert scores["pck"] > 0.8 and scores["auc"] > floor["auc"] + 0.15
    wrists = task.evaluate(test, subset=(0, 6))["pck"]
    assert wrists > 0.6  # which move most


def test_errors_are_measured_in_the_original_image(poses):
    task = d.PoseRegressor(network(), hidden=(8,))
    few = poses[1][:4]
    predicted = task.predict(few)
    assert predicted.shape == (4, 7, 2) and np.allclose(predicted, task.predict(few, batch_size=1))
    # An untrained network says "the middle of the crop": of the box, in the image's pixels.
    middle = (few.joints.min(axis=1) + few.joints.max(axis=1) + 1) / 2
    assert np.abs(predicted.mean(axis=1) - middle).max() < 15
    exact = d.pose_scores(few.joints, few)
    assert exact == {"pck": 1.0, "auc": 1.0}
    with pytest.raises(ValueError, match="torsos or heads"):
        d.pose_scores(few.joints, dataclasses.replace(few, lengths=None))


def test_joints_and_swaps_have_to_fit(poses):
    with pytest.raises(ValueError, match="swaps of joints 0 to 4"):
        d.PoseRegressor(network(), joints=5, hidden=())
    task = d.PoseRegressor(network(), joints=16, swaps=d.MPII_SWAPS, hidden=())
    with pytest.raises(ValueError, match="16 joints"):
        task.fit(poses[0])
    with pytest.raises(ValueError, match="16 joints"):
        task.predict(poses[0])
