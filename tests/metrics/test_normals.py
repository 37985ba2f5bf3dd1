"""Angles between normals, and the codebook of directions."""

import numpy as np
import pytest

from keras_vssl.metrics import NormalCodebook, angular_errors, normal_scores


def normals(shape=(2, 40, 60), seed=0):
    vectors = np.random.default_rng(seed).normal(size=(*shape, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_identical_normals_are_0_degrees_apart_and_opposite_ones_180():
    n = normals()
    assert angular_errors(n, 3 * n).max() < 1e-5  # the cosine's rounding is 2e-6 degrees there
    assert np.allclose(angular_errors(n, -n), 180)
    assert angular_errors([1, 0, 0], [1, 1, 0]) == pytest.approx(45)


def test_shares_are_monotone_in_the_threshold():
    n = normals()
    moved = n + 0.4 * normals(seed=1)
    levels = np.linspace(0, 180, 50)
    scores = normal_scores(moved, n, levels=levels)
    shares = [scores[f"within_{level:g}"] for level in levels]
    assert np.all(np.diff(shares) >= 0) and shares[-1] == 1
    standard = normal_scores(moved, n)
    assert list(standard) == ["mean", "median", "within_11.25", "within_22.5", "within_30"]


def test_only_valid_pixels_count_and_leaving_out_a_prediction_does_not_pay():
    n = normals((4, 4))
    guess, valid = n.copy(), np.ones((4, 4), bool)
    guess[0], valid[0] = -n[0], False
    assert normal_scores(guess, n, valid)["mean"] < 1e-5
    truth = np.where(valid[..., None], n, 0)
    assert normal_scores(guess, truth)["mean"] < 1e-5
    guess[0] = 0
    assert normal_scores(guess, n)["mean"] == pytest.approx(45, abs=1e-4)
    with pytest.raises(ValueError, match="valid pixel"):
        normal_scores(guess, n, valid & False)


def test_decoding_a_one_hot_cell_returns_exactly_that_unit_vector():
    book = NormalCodebook.fit(normals(), 20)
    assert len(book) == 20
    assert np.allclose(np.linalg.norm(book.directions, axis=1), 1, atol=1e-6)
    assert np.array_equal(book.decode(np.eye(20, dtype="float32")), book.directions)
    assert np.array_equal(book.decode(np.arange(20)), book.directions)
    assert np.array_equal(book.encode(book.directions), np.arange(20))
    mean = book.decode(np.full(20, 0.05))
    assert np.linalg.norm(mean) == pytest.approx(1, abs=1e-6)


def test_a_codebook_of_20_directions_is_nearer_than_20_random_ones():
    n = normals()
    fitted = NormalCodebook.fit(n, 20)
    random = NormalCodebook(normals((20,), seed=3))
    errors = [angular_errors(b.decode(b.encode(n)), n).mean() for b in (fitted, random)]
    assert errors[0] < 19 < errors[1]  # measured: 17.2 and 21.1 degrees
    with pytest.raises(ValueError, match="different normals"):
        NormalCodebook.fit(n[0, :1, :5], 20)


def test_cells_average_valid_normals_alone():
    n = np.zeros((1, 40, 60, 3))
    n[0, :20, :, 2] = 1
    n[0, 20:, :30, 0] = 2.0
    n[0, 0, 0] = np.nan
    cells = NormalCodebook.cells(n, 4)
    assert cells.shape == (1, 4, 4, 3)
    assert np.allclose(cells[0, :2], [0, 0, 1]) and np.allclose(cells[0, 2:, :2], [1, 0, 0])
    assert np.isnan(cells[0, 2:, 2:]).all()
    book = NormalCodebook([[0, 0, 1], [1, 0, 0]])
    ids = book.encode(cells)
    assert ids[0].tolist() == [[0] * 4] * 2 + [[1, 1, -1, -1]] * 2
    assert np.array_equal(book.decode(ids)[0, 3, 3], [0, 0, 0])
