"""LAVISH's adapters: what they add, what they see, what they cost."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.layers import AdaptedBlock, LatentAdapter, TransformerBlock
from tests import backends
from tests.backends import to_numpy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 7, 16)).astype("float32")
Y = RNG.normal(size=(2, 5, 16)).astype("float32")


def adapter(open_gates=True, **options):
    """A small adapter, its gates open so that it does something."""
    keras.utils.set_random_seed(1)
    layer = LatentAdapter(**{"latents": 3, "reduction": 4, "groups": 2, **options})
    layer.build(X.shape, Y.shape)
    if open_gates:
        for gate in (layer.gate, layer.gate_other, layer.gate_latents):
            if gate is not None:
                gate.assign([0.7])
    if layer.batch_norm:
        # Else a token whose bottleneck is all below zero is a division by next to nothing.
        layer.bn1.beta.assign(np.ones(layer.bn1.beta.shape))
        layer.bn2.beta.assign(np.linspace(-1, 1, X.shape[-1]))
    return layer


def reference(layer, x, y):
    """The formulas, in NumPy."""

    def softmax(z):
        z = np.exp(z - z.max(axis=-1, keepdims=True))
        return z / z.sum(axis=-1, keepdims=True)

    def normalize(z, norm):
        z = z - z.mean(axis=-1, keepdims=True)
        z = z / np.sqrt(z.var(axis=-1, keepdims=True) + norm.epsilon)
        return z * to_numpy(norm.gamma.value) + to_numpy(norm.beta.value)

    def grouped(z, kernel):
        parts = np.split(z, len(kernel), axis=-1)
        return np.concatenate([p @ k for p, k in zip(parts, kernel)], axis=-1)

    def batch_norm(z, norm):
        z = (z - to_numpy(norm.moving_mean.value)) / np.sqrt(
            to_numpy(norm.moving_variance.value) + norm.epsilon
        )
        return z * to_numpy(norm.gamma.value) + to_numpy(norm.beta.value)

    latents = to_numpy(layer.latents.value)
    summary = softmax(latents @ y.swapaxes(1, 2)) @ y
    if layer.latent_gated:
        summary = summary * to_numpy(layer.gate_latents.value)
    latents = latents + summary
    x = x + to_numpy(layer.gate_other.value) * (softmax(x @ latents.swapaxes(1, 2)) @ latents)
    if layer.norm_before:
        x = normalize(x, layer.ln_before)
    x = grouped(x, to_numpy(layer.down.value))
    if layer.batch_norm:
        x = batch_norm(x, layer.bn1)
    x = grouped(np.maximum(x, 0), to_numpy(layer.up.value))
    if layer.batch_norm:
        x = batch_norm(x, layer.bn2)
    gate = to_numpy(layer.gate.value) if layer.gated else 1.0
    if layer.gate_first:
        return normalize(gate * x, layer.ln_post)
    return gate * (normalize(x, layer.ln_post) if layer.norm_after else x)


FORMS = {
    "ave": {},
    "avs": {"batch_norm": False, "norm_before": False, "gate_first": True},
    "avs_audio": {"batch_norm": False, "norm_before": False, "gate": False},
    "second_version": {"latent_gate": True, "norm_after": False},
}


def test_the_formulas():
    for options in FORMS.values():
        layer = adapter(**options)
        rng = np.random.default_rng(2)
        for weight in layer.weights:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) * rng.choice([-1, 1], weight.shape))
        for norm in (layer.bn1, layer.bn2):
            if norm is not None:
                norm.moving_variance.assign(rng.uniform(0.5, 1.5, norm.moving_variance.shape))
        got = to_numpy(layer(X, Y, training=False))
        np.testing.assert_allclose(got, reference(layer, X, Y), rtol=1e-4, atol=1e-4)


def test_a_closed_gate_adds_nothing():
    for options in (FORMS["ave"], FORMS["avs"]):
        assert not to_numpy(adapter(open_gates=False, **options)(X, Y)).any()
    block = TransformerBlock(16, 2, name="block")
    adapted = AdaptedBlock(block, {"reduction": 4})
    adapted.build(X.shape, Y.shape)
    for got, x in zip(adapted(X, Y), (X, Y)):
        np.testing.assert_allclose(to_numpy(got), to_numpy(block(x)), atol=1e-5)


def test_gradients():
    """Of the whole layer, against differences of its outputs."""
    layer = adapter()
    slope = ops.convert_to_tensor(RNG.normal(size=X.shape).astype("float32"))

    def loss(x, y):
        return ops.sum(layer(x, y, training=False) * slope)

    _, gradients = backends.value_and_grad(loss, X, Y)
    step = 1e-2
    for place, (array, gradient) in enumerate(zip((X, Y), gradients)):
        towards = RNG.normal(size=array.shape).astype("float32")
        pair = []
        for sign in (1, -1):
            inputs = [X, Y]
            inputs[place] = array + sign * step * towards
            pair.append(float(to_numpy(loss(*map(ops.convert_to_tensor, inputs)))))
        want = (pair[0] - pair[1]) / (2 * step)
        assert abs((gradient * towards).sum() - want) < 0.02 * max(1.0, abs(want))


def test_precision_and_config():
    layer = adapter()
    half = LatentAdapter.from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    half.build(X.shape, Y.shape)
    half.set_weights(layer.get_weights())
    want = to_numpy(layer(X, Y))
    assert np.abs(to_numpy(half(X, Y)) - want).max() < 0.1 * np.abs(want).max()
    copy = LatentAdapter.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    adapted = AdaptedBlock(TransformerBlock(16, 2, name="block"), {"reduction": 4}, {"gate": False})
    copy = AdaptedBlock.from_config(adapted.get_config())
    assert copy.get_config() == adapted.get_config()


def test_the_other_modality_counts_only_behind_its_gate():
    layer = adapter()
    other = Y[:, ::-1] * 2
    assert not np.allclose(to_numpy(layer(X, Y)), to_numpy(layer(X, other)), atol=1e-3)
    layer.gate_other.assign([0.0])
    assert np.array_equal(to_numpy(layer(X, Y)), to_numpy(layer(X, other)))


def test_the_order_of_the_others_tokens_is_nothing_and_ones_own_is_kept():
    layer, want = adapter(), None
    want = to_numpy(layer(X, Y))
    np.testing.assert_allclose(to_numpy(layer(X, Y[:, ::-1].copy())), want, atol=1e-5)
    turned = to_numpy(layer(X[:, ::-1].copy(), Y))
    np.testing.assert_allclose(turned[:, ::-1], want, atol=1e-5)


def test_no_matrix_of_both_streams_lengths_is_formed(monkeypatch):
    layer, shapes = adapter(), []
    einsum = ops.einsum

    def recording(*args):
        out = einsum(*args)
        shapes.append(tuple(out.shape))
        return out

    monkeypatch.setattr(ops, "einsum", recording)
    x, y = np.zeros((1, 101, 16), "float32"), np.zeros((1, 103, 16), "float32")
    layer(x, y)
    assert len(shapes) >= 6 and not [s for s in shapes if {101, 103} <= set(s)]


def test_the_published_count_of_parameters():
    layer = LatentAdapter(latents=2, reduction=8, groups=2)
    layer.build((None, 4, 192), (None, 4, 192))
    assert sum(int(np.prod(w.shape)) for w in layer.trainable_weights) == 6194


def test_the_second_adapters_read_what_attention_left():
    keras.utils.set_random_seed(3)
    block = TransformerBlock(16, 2, name="block")
    adapted = AdaptedBlock(block, {"reduction": 4}, {"reduction": 2})
    adapted.build(X.shape, Y.shape)
    for layer in (*adapted.adapters, *adapted.other_adapters):
        layer.gate.assign([1.0])
        layer.gate_other.assign([0.5])
    x, y = ops.convert_to_tensor(X), ops.convert_to_tensor(Y)
    branches = (
        lambda z: block.attention(block.norm1(z)),
        lambda z: block.fc2(block.fc1(block.norm2(z))),
    )
    for branch, own, other in zip(branches, adapted.adapters, adapted.other_adapters):
        x, y = x + branch(x) + own(x, y), y + branch(y) + other(y, x)
    for got, want in zip(adapted(X, Y), (x, y)):
        np.testing.assert_allclose(to_numpy(got), to_numpy(want), atol=1e-5)


def test_groups_that_do_not_divide_are_one_sentence():
    with pytest.raises(ValueError, match="divide 16 channels"):
        adapter(groups=3)
