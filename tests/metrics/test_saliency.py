"""Metrics of predicted attention, by their definitions."""

import numpy as np
import pytest

from keras_vssl.metrics import (
    auc_judd,
    correlation,
    kl_divergence,
    normalized_scanpath_saliency,
    similarity,
)


def maps(count=3, seed=0):
    return np.random.default_rng(seed).random((count, 12, 10))


def test_a_map_against_itself():
    p = maps()
    assert np.abs(kl_divergence(p, 5 * p)).max() < 1e-9, "scale does not count"
    assert np.allclose(similarity(p, p), 1) and np.allclose(correlation(p, p), 1)


def test_maps_with_nothing_in_common():
    p, q = np.zeros((4, 4)), np.zeros((4, 4))
    p[0, 0] = q[3, 3] = 1.0
    assert similarity(p, q) == 0 and kl_divergence(p, q) > 30
    assert np.isclose(correlation(p, q), -1 / 15)
    assert correlation(np.ones((4, 4)), q) == 0, "a flat map"


def test_a_known_divergence():
    p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    want = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    assert np.isclose(kl_divergence(p, q), want) and np.isclose(similarity(p, q), 0.75)


def test_fixations():
    p, seen = maps(1)[0], np.zeros((12, 10), int)
    seen[np.unravel_index(p.argmax(), p.shape)] = 1
    assert np.isclose(auc_judd(p, seen), 1) and np.isclose(auc_judd(-p, seen), 0)
    best = (p.max() - p.mean()) / p.std()
    assert np.isclose(normalized_scanpath_saliency(p, seen), best)
    assert auc_judd(np.ones_like(p), seen) == 0.5, "ties count half"
    assert normalized_scanpath_saliency(np.ones_like(p), seen) == 0
    assert np.isclose(normalized_scanpath_saliency(p, np.ones_like(seen)), 0)
    pairs = np.random.default_rng(1).random((12, 10)) < 0.2
    ranked = np.mean([a > b for a in p[pairs] for b in p[~pairs]])
    assert np.isclose(auc_judd(p, pairs), ranked)
    assert auc_judd(maps(), np.stack([pairs] * 3)).shape == (3,)


def test_wrong_maps_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        similarity(np.ones((3, 3)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="non-negative"):
        kl_divergence(-np.ones((3, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="at least one fixation"):
        normalized_scanpath_saliency(np.ones((3, 3)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="not fixated"):
        auc_judd(np.ones((3, 3)), np.ones((3, 3)))
