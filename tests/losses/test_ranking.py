"""The ranking loss equals its formula, chooses negatives as published, on three back ends."""

import numpy as np
import pytest
from keras import ops

from keras_vssl.losses import mine_negatives, rank_hard_loss
from tests import backends

RNG = np.random.default_rng(0)
P, K = 12, 4


def rows(count=P, width=16, seed=0):
    x = np.abs(np.random.default_rng(seed).normal(size=(count, width))).astype("float32")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


LABELS = np.arange(P)
HINGE = RNG.uniform(0.1, 1.0, (P, 2 * P)).astype("float32")
ALLOWED = LABELS[:, None] != np.tile(LABELS, 2)[None]


def chosen(hinge=HINGE, allowed=ALLOWED, seed=0, **options):
    return backends.run(lambda h, a: mine_negatives(h, a, seed=seed, **options), hinge, allowed)


def check_formula():
    a, p = rows(seed=1), rows(seed=2)
    everything = np.concatenate([a, p])

    def loss(first, second):
        labels = ops.convert_to_tensor(LABELS)
        return rank_hard_loss(first, second, labels, None, None, 0.5, K, hard=K, random=0, seed=0)

    got = backends.run(loss, a, p, jit=True)
    for i in range(P):
        own = a[i] @ p[i]
        l1, l2 = (np.maximum(0, x[i] @ everything.T - own + 0.5) for x in (a, p))
        cosines = np.where(ALLOWED[i] & (l1 > 0), a[i] @ everything.T, -1)
        hardest = np.argsort(-cosines)[:K]
        assert np.isclose(got[i], (l1 + l2)[hardest].sum() / (2 * K), atol=1e-5)


def check_choice():
    mask = chosen(hard=K, random=0)
    for i in range(P):
        want = np.argsort(np.where(ALLOWED[i], -HINGE[i], 1))[:K]
        assert set(np.flatnonzero(mask[i])) == set(want), "the hardest and no others"
    mask = chosen(hard=2, random=2)
    hardest = chosen(hard=K, random=0)
    assert (mask.sum(axis=1) == 4).all() and not (mask * ~ALLOWED).any()
    assert ((mask * hardest).sum(axis=1) >= 2).all()


def test_the_loss_is_its_formula():
    check_formula()


def test_hard_only_takes_the_most_similar_of_other_labels():
    check_choice()


@pytest.mark.parametrize("hard, random", [(2, 2), (0, 4), (1, 0), (3, 1)])
def test_never_more_than_asked_for_and_never_of_the_own_label(hard, random):
    for seed in range(5):
        mask = chosen(hard=hard, random=random, seed=seed)
        assert (mask.sum(axis=1) == hard + random).all() and not (mask * ~ALLOWED).any()


def test_draws_reach_every_candidate_and_hard_ones_come_from_the_hardest():
    seen = np.zeros_like(HINGE)
    for seed in range(200):
        seen += chosen(hard=0, random=4, seed=seed)
    share = seen[ALLOWED] / 200  # 4 of 22 each
    assert share.min() > 0.07 and share.max() < 0.32 and abs(share.mean() - 4 / 22) < 1e-6
    hardest = chosen(hard=K, random=0)
    seen = sum(chosen(hard=1, random=0, seed=seed) for seed in range(100))
    assert not seen[hardest == 0].any() and seen[hardest == 1].min() > 5


def test_all_alike_cost_the_margin_and_a_perfect_embedding_nothing():
    same = np.tile(rows(1), (P, 1))
    loss = rank_hard_loss(same, same, LABELS, margin=1.0, negatives=K, seed=0)
    assert np.allclose(backends.to_numpy(loss), 1.0, atol=1e-5)
    apart = np.eye(P, dtype="float32")
    loss = rank_hard_loss(apart, apart, LABELS, margin=1.0, negatives=K, seed=0)
    assert np.abs(backends.to_numpy(loss)).max() < 1e-6


def test_few_candidates_are_all_taken_and_the_divisor_stays():
    a, p = rows(2, seed=3), rows(2, seed=4)
    loss = backends.to_numpy(rank_hard_loss(a, p, np.arange(2), hard=1, random=0, seed=0))
    for i in range(2):
        own, others = a[i] @ p[i], np.stack([a[1 - i], p[1 - i]])
        hinges = sum(np.maximum(0, others @ x[i] - own + 1.0).sum() for x in (a, p))
        assert np.isclose(loss[i], hinges / (2 * 4), atol=1e-5)


def test_pairs_of_one_label_are_never_negatives_of_each_other():
    loss = rank_hard_loss(rows(seed=1), rows(seed=2), np.zeros(P), seed=0)
    assert not backends.to_numpy(loss).any()


def test_the_gradient_of_a_negative_is_the_pair():
    """(a + p) / (2 K P) for each choice of it, with both hinges active."""
    a, p = rows(2, seed=5), rows(2, seed=6)
    negative = rows(1, seed=7)

    def loss(first, second, others):
        labels = ops.convert_to_tensor(np.zeros(2))
        return ops.mean(
            rank_hard_loss(first, second, labels, others, labels[:1] + 1.0, negatives=K, seed=0)
        )

    _, (_, _, gradient) = backends.value_and_grad(loss, a, p, negative)
    assert np.allclose(gradient[0], (a + p).sum(axis=0) / (2 * K * 2), atol=1e-6)


def test_impossible_arguments_are_one_sentence():
    with pytest.raises(ValueError, match="margin above 0"):
        rank_hard_loss(rows(), rows(), LABELS, margin=0.0)
    with pytest.raises(ValueError, match="at least one negative"):
        rank_hard_loss(rows(), rows(), LABELS, negatives=0)


def main():
    check_formula()
    check_choice()
