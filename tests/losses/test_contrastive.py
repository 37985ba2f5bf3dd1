"""The contrastive losses equal their formulas, on three back ends, stable in bfloat16."""

import numpy as np
import pytest
from keras import ops

from keras_vssl.losses import (
    cosine_regression,
    info_nce,
    margin_contrastive,
    multi_positive_nce,
    nt_xent,
)
from tests import backends

RNG = np.random.default_rng(0)
A, B = (RNG.standard_normal((6, 8)).astype("float32") for _ in range(2))
QUEUE = RNG.standard_normal((5, 8)).astype("float32")


def rows(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def softmax_loss(logits, target):
    logits = logits.astype("float64")
    return np.log(np.exp(logits).sum()) - logits[target]


def check_info_nce():
    a, b, queue = rows(A), rows(B), rows(QUEUE)
    got = backends.run(lambda q, k: info_nce(q, k, temperature=0.2), a, b, jit=True)
    want = [softmax_loss(b @ a[i] / 0.2, i) for i in range(6)]
    assert np.allclose(got, want, atol=1e-5)
    got = backends.run(lambda q, k, n: info_nce(q, k, n, temperature=0.1), a, b, queue)
    want = [softmax_loss(np.append(a[i] @ b[i], queue @ a[i]) / 0.1, 0) for i in range(6)]
    assert np.allclose(got, want, atol=1e-5)
    two = np.array([True, True, False, False, False])
    got = backends.run(lambda q, k, n: info_nce(q, k, n, two, 0.1), a, b, queue)
    want = [softmax_loss(np.append(a[i] @ b[i], queue[:2] @ a[i]) / 0.1, 0) for i in range(6)]
    assert np.allclose(got, want, atol=1e-5)
    got = backends.run(lambda q, k, n: info_nce(q, k, n, np.zeros(5, bool), 0.1), a, b, queue)
    assert np.allclose(got, 0.0, atol=1e-6), "no negatives, no loss"


def check_nt_xent():
    got = backends.run(lambda a, b: nt_xent(a, b, 0.1), A, B, jit=True)
    a, b = rows(A), rows(B)
    want = []
    for i in range(6):
        others = np.arange(6) != i
        forth = np.concatenate([b @ a[i], a[others] @ a[i]]) / 0.1
        back = np.concatenate([a @ b[i], b[others] @ b[i]]) / 0.1
        want.append(softmax_loss(forth, i) + softmax_loss(back, i))
    assert np.allclose(got, want, atol=1e-4)
    swapped = backends.run(lambda a, b: nt_xent(a, b, 0.1), B, A)
    assert np.allclose(got, swapped, atol=1e-5), "symmetric in the two views"
    equal = np.ones((6, 8), "float32")
    got = backends.run(lambda a, b: nt_xent(a, b, 0.1), equal, equal)
    assert np.allclose(got, 2 * np.log(11), atol=1e-4)
    # A replica's rows against everybody's give that replica's part of the whole.
    whole = backends.run(lambda a, b: nt_xent(a, b, 0.1), A, B)
    part = backends.run(lambda a, b: nt_xent(a[2:4], b[2:4], 0.1, a, b, 2), A, B)
    assert np.allclose(part, whole[2:4], atol=1e-5)


def check_multi_positive():
    logits = RNG.standard_normal((3, 4)).astype("float32")
    positives = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    got = backends.run(lambda s: multi_positive_nce(s, positives), logits, jit=True)
    e = np.exp(logits.astype("float64"))
    want = [-np.log(e[0, :2].sum() / e[0].sum()), -np.log(e[1, 3] / e[1].sum()), 0.0]
    assert np.allclose(got, want, atol=1e-5)
    single = multi_positive_nce(
        ops.convert_to_tensor(A @ B.T), ops.convert_to_tensor(np.eye(6, dtype=bool))
    )
    pairs = info_nce(ops.convert_to_tensor(A), ops.convert_to_tensor(B), temperature=1.0)
    assert np.allclose(backends.to_numpy(single), backends.to_numpy(pairs), atol=1e-5)


def check_margin():
    zero = np.zeros((1, 4), "float32")

    def at(distance, same):
        other = np.array([[distance, 0, 0, 0]], "float32")
        loss = lambda a, b: ops.mean(margin_contrastive(a, b, np.array([same])))  # noqa: E731
        return backends.value_and_grad(loss, zero, other)

    assert np.isclose(at(0.0, 1)[0], 0.0)
    assert np.isclose(at(0.0, 0)[0], 0.9801, atol=1e-5)
    assert np.isclose(at(0.49, 0)[0], 0.25, atol=1e-5)
    assert np.isclose(at(0.5, 1)[0], 0.25, atol=1e-6)
    value, gradients = at(1.2, 0)
    assert value == 0.0 and not np.any(gradients[0]) and not np.any(gradients[1])
    assert np.isfinite(at(0.0, 0)[1][0]).all(), "the gradient at distance 0 is a number"


def check_cosine_regression():
    got = backends.run(cosine_regression, A, B)
    assert np.allclose(got, ((rows(A) - rows(B)) ** 2).sum(-1), atol=1e-5)
    assert np.allclose(backends.run(cosine_regression, A, 3 * A), 0.0, atol=1e-5)


LOSSES = {
    "info_nce": lambda a, b: ops.mean(info_nce(a, b, temperature=0.5)),
    "queue": lambda a, b: ops.mean(info_nce(a, b, QUEUE, temperature=0.5)),
    "nt_xent": lambda a, b: ops.mean(nt_xent(a, b, 0.5)),
    "multi": lambda a, b: ops.mean(
        multi_positive_nce(ops.matmul(a, ops.transpose(b)), np.tri(6, dtype=bool))
    ),
    "margin": lambda a, b: ops.mean(margin_contrastive(a, b, np.arange(6) % 2, 5.0)),
    "cosine": lambda a, b: ops.mean(cosine_regression(a, b)),
}


def check_gradients():
    step = 1e-2
    for name, loss in LOSSES.items():
        _, (gradient, _) = backends.value_and_grad(loss, A, B)
        for place in ((0, 0), (3, 5), (5, 7)):
            plus, minus = A.copy(), A.copy()
            plus[place] += step
            minus[place] -= step
            both = [backends.value_and_grad(loss, x, B)[0] for x in (plus, minus)]
            numeric = (both[0] - both[1]) / (2 * step)
            assert np.isclose(gradient[place], numeric, atol=2e-3), (name, place)


def check_bfloat16():
    for name, loss in LOSSES.items():
        exact = backends.value_and_grad(loss, A, B)[0]
        half = loss(*(ops.cast(ops.convert_to_tensor(x), "bfloat16") for x in (A, B)))
        assert np.isclose(backends.to_numpy(half), exact, rtol=0.03, atol=0.03), name
    # Unit vectors at a small temperature: logits of 100 overflow no exponential.
    same = rows(A)
    for temperature in (0.01, 0.07):
        value = backends.run(lambda a: nt_xent(a, a, temperature), same)  # noqa: B023
        assert np.isfinite(value).all()


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_losses_equal_their_formulas(check):
    check()


def test_the_published_loss_and_gradient(shared):
    import importlib.util

    spec = importlib.util.spec_from_file_location("fixture", shared / "goldens" / "fixture.py")
    fixture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixture)
    _, _, inputs, expected = fixture.load(shared / "goldens" / "cvrl-loss")
    value, (gradient,) = backends.value_and_grad(
        lambda h: ops.mean(nt_xent(h[:6], h[6:], 0.1)), inputs["hidden"]
    )
    assert np.isclose(value, expected["loss"], atol=1e-4)
    assert np.abs(gradient - expected["grad"]).max() < 1e-4


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="temperature above 0"):
        nt_xent(A, B, 0.0)


def main():
    for check in CHECKS:
        check()
