"""k-NN and linear probe on stored features."""

import numpy as np
import pytest

from keras_vssl.downstream.knn import knn_accuracy, knn_scores
from keras_vssl.downstream.probe import LinearProbe, group_folds


def blobs(videos=60, classes=3, width=20, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, width))
    labels = np.arange(videos) % classes
    return centres[labels] + noise * rng.normal(size=(videos, width)), labels


def test_knn_weights_votes_by_similarity():
    gallery = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    scores = knn_scores(np.array([[1.0, 0.0]]), gallery, [0, 1, 1], classes=3, k=3)
    assert scores.argmax() == 0  # two far votes weigh less than one near
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert scores[0, 2] == 0


def test_knn_of_one_is_the_nearest_neighbour():
    train, labels = blobs()
    test, test_labels = blobs(seed=1)
    expected = labels[
        (train / np.linalg.norm(train, axis=1, keepdims=True) @ test.T).argmax(axis=0)
    ]
    scores = knn_scores(test, train, labels, classes=3, k=1)
    np.testing.assert_array_equal(scores.argmax(axis=1), expected)
    assert knn_accuracy(test, train, test_labels, labels, k=5) > 0.8


def test_knn_refuses_unlabelled_gallery_videos():
    with pytest.raises(ValueError, match="leave unlabelled videos out"):
        knn_scores(np.ones((1, 2)), np.ones((2, 2)), [0, -1], classes=2)


def test_probe_separates_what_is_separable_and_repeats_exactly():
    train, labels = blobs(noise=0.5)
    test, test_labels = blobs(noise=0.5, seed=1)
    first = LinearProbe().fit(train, labels)
    assert (first.predict(test) == test_labels).mean() > 0.95
    np.testing.assert_array_equal(first.kernel, LinearProbe().fit(train, labels).kernel)


def test_probe_reaches_the_optimum():
    train, labels = blobs()
    probe = LinearProbe(strength=0.01).fit(train, labels)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    rows, kernel = (train - mean) / scale, probe.kernel * scale[:, None]
    logits = probe.logits(train)
    error = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = error / error.sum(axis=1, keepdims=True) - np.eye(3)[labels]
    assert np.abs(rows.T @ error / len(rows) + 0.01 * kernel).max() < 1e-4
    assert np.abs(error.mean(axis=0)).max() < 1e-4


def test_more_features_than_videos_gives_the_same_solution():
    """Solving in the span of the rows is exact: compare with padding that changes nothing."""
    train, labels = blobs(videos=30, width=40)
    wide = LinearProbe(strength=0.1, batch_norm=False).fit(train, labels)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))[0]
    turned = LinearProbe(strength=0.1, batch_norm=False).fit(train @ rotation, labels)
    np.testing.assert_allclose(rotation @ turned.kernel, wide.kernel, atol=1e-4)


def test_clips_of_a_video_vote_together():
    train, labels = blobs()
    clips = train[:, None] + 0.1 * np.random.default_rng(2).normal(size=(60, 4, 20))
    probe = LinearProbe(strength=0.01).fit(clips, labels)
    expected = (clips @ probe.kernel + probe.bias).mean(axis=1)
    np.testing.assert_allclose(probe.logits(clips), expected)


def test_constant_features_do_not_blow_up():
    train, labels = blobs()
    train[:, 3] = 7.0
    probe = LinearProbe(strength=0.01).fit(train, labels)
    test = train.copy()
    test[:, 3] = 7.001
    np.testing.assert_array_equal(probe.predict(test), probe.predict(train))


def test_folds_keep_groups_whole_and_classes_spread():
    labels = np.arange(100) % 4
    groups = np.arange(100) // 3
    folds = group_folds(labels, groups, 5)
    assert set(folds) == set(range(5))
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1
    counts = np.array([[((folds == f) & (labels == c)).sum() for c in range(4)] for f in range(5)])
    assert counts.min() >= 3


def test_strength_is_chosen_with_whole_groups():
    """Features that only tell the recording apart look good unless groups are respected."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 4)
    labels = groups % 3
    features = rng.normal(size=(30, 25))[groups] + 0.01 * rng.normal(size=(120, 25))
    respected = LinearProbe().fit(features, labels, groups).strength_
    ignored = LinearProbe().fit(features, labels).strength_
    assert respected > ignored


def test_probe_names_what_is_wrong_with_labels():
    train, labels = blobs()
    with pytest.raises(ValueError, match="leave unlabelled videos out"):
        LinearProbe().fit(train, labels - 1)
    with pytest.raises(ValueError, match="one label a video"):
        LinearProbe().fit(train, labels[:-1])
    with pytest.raises(ValueError, match="at least two groups"):
        LinearProbe().fit(train, labels, groups=["same"] * 60)
