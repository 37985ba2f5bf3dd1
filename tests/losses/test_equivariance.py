"""The contrast of relations keeps TEC's "Must hold" list."""

import numpy as np
import pytest
from keras import ops

from keras_vssl.losses import equivariance_accuracy, equivariance_nce
from tests import backends


def vectors(count=6, width=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype("float32")


def masks(kinds, partners):
    """Positives and equals of rows by the kind of transformation and the row that is its match."""
    kinds, rows = np.array(kinds), np.arange(len(kinds))
    return rows[None] == np.array(partners)[:, None], kinds[:, None] == kinds[None]


PARTNERS = [1, 0, 3, 2, 5, 4]
APART = masks([0, 0, 1, 1, 2, 2], PARTNERS)
# The third pair has the first's transformation.
ALIKE = masks([0, 0, 1, 1, 0, 0], PARTNERS)


def loss(query, key, given=APART, **options):
    return backends.run(lambda q, k: equivariance_nce(q, k, *given, **options), query, key)


def expected(query, key, candidates, temperature=0.1):
    """The formula, row by row: the first of a row's candidates is its positive."""
    q, k = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, key))
    found = []
    for row, columns in zip(q, candidates):
        e = np.exp(k[columns] @ row / temperature)
        found.append(-np.log(e[0] / e.sum()))
    return np.array(found)


def test_the_loss_is_its_formula():
    q, k = vectors(), vectors(seed=1)
    candidates = [[1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [3, 0, 1, 4, 5], [2, 0, 1, 4, 5]]
    candidates += [[5, 0, 1, 2, 3], [4, 0, 1, 2, 3]]
    assert np.allclose(loss(q, k), expected(q, k, candidates), rtol=1e-4)


def test_a_duplicate_transformation_is_not_in_the_denominator():
    q, k = vectors(), vectors(seed=1)
    candidates = [[1, 2, 3], [0, 2, 3], [3, 0, 1, 4, 5], [2, 0, 1, 4, 5], [5, 2, 3], [4, 2, 3]]
    assert np.allclose(loss(q, k, ALIKE), expected(q, k, candidates), rtol=1e-4)
    moved = k.copy()
    moved[4:] = vectors(2, seed=2)
    assert np.allclose(loss(q, k, ALIKE)[:2], loss(q, moved, ALIKE)[:2])
    assert not np.allclose(loss(q, k)[:2], loss(q, moved)[:2])


def test_identical_vectors_give_the_log_of_1_and_the_number_of_negatives():
    one = np.repeat(vectors(1), 6, axis=0)
    assert np.allclose(loss(one, one), np.log(1 + 4), rtol=1e-4)
    assert np.allclose(loss(one, one, ALIKE), np.log([3, 3, 5, 5, 3, 3]), rtol=1e-4)


def test_scaling_a_vector_changes_nothing():
    q, k = vectors(), vectors(seed=1)
    scale = np.array([[0.1], [3], [1], [20], [0.5], [7]], "float32")
    assert np.allclose(loss(q, k), loss(q * scale, k / scale), rtol=1e-4)


@pytest.mark.parametrize("stop", [True, False])
def test_stopped_keys_get_no_gradient(stop):
    q, k = vectors(), vectors(seed=1)
    _, (to_query, to_key) = backends.value_and_grad(
        lambda q, k: ops.sum(equivariance_nce(q, k, *APART, stop_gradient=stop)), q, k
    )
    assert np.abs(to_query).min(axis=1).max() > 0
    assert to_key.any() != stop


def test_a_row_without_a_match_counts_for_nothing():
    positives, same = APART
    alone = positives.copy()
    alone[:2] = False
    values = loss(vectors(), vectors(seed=1), (alone, same))
    assert (np.abs(values[:2]) < 1e-6).all() and (values[2:] > 0).all()


def test_the_accuracy_leaves_out_equals_and_rows_without_a_match():
    k = np.eye(6, dtype="float32")
    q = k[[1, 0, 3, 4, 5, 4]]  # row 3's nearest is a negative
    args = backends.run(lambda q, k: equivariance_accuracy(q, k, *APART), q, k)
    assert np.isclose(args, 5 / 6)
    q = k[[4, 5, 3, 2, 5, 4]] + 0.5 * k[PARTNERS]  # rows 0 and 1 are nearest to their equals
    assert np.isclose(backends.run(lambda q, k: equivariance_accuracy(q, k, *ALIKE), q, k), 1.0)
    alone = APART[0].copy()
    alone[3] = False
    q = k[[1, 0, 3, 4, 5, 4]]
    score = backends.run(lambda q, k: equivariance_accuracy(q, k, alone, APART[1]), q, k)
    assert np.isclose(score, 1.0)


def test_the_temperature_is_positive():
    with pytest.raises(ValueError, match="above 0, received 0"):
        loss(vectors(), vectors(), temperature=0)
