"""The spread of embeddings says whether they have collapsed, on every back end."""

import numpy as np
import pytest

from keras_vssl.metrics import alignment, feature_std, uniformity
from tests import backends

RNG = np.random.default_rng(0)
SPREAD = RNG.standard_normal((256, 64)).astype("float32")
SAME = np.ones((256, 64), "float32")


def check_feature_std():
    assert abs(backends.run(feature_std, SPREAD, jit=True) - 1.0) < 0.02
    assert backends.run(feature_std, SAME) < 1e-3


def check_alignment():
    x = SPREAD / np.linalg.norm(SPREAD, axis=1, keepdims=True)
    other = x[::-1].copy()
    want = ((x - other) ** 2).sum(axis=1).mean()
    assert np.isclose(backends.run(alignment, SPREAD, 3 * other, jit=True), want, atol=1e-4)
    assert backends.run(alignment, SPREAD, 2 * SPREAD) < 1e-6


def check_uniformity():
    x = (SPREAD / np.linalg.norm(SPREAD, axis=1, keepdims=True)).astype("float64")
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=-1)
    want = np.log(np.exp(-2 * squared)[~np.eye(256, dtype=bool)].mean())
    assert np.isclose(backends.run(uniformity, SPREAD, jit=True), want, atol=1e-3)
    assert abs(backends.run(uniformity, SAME)) < 1e-3


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_spread_of_embeddings(check):
    check()


def main():
    for check in CHECKS:
        check()
