"""The transformer block computes what its formula says, on every back end."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import Attention, DropPath, TransformerBlock
from tests import backends

TOKENS = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")


def made(layer, seed=0):
    """A built layer whose every weight is random."""
    layer.build((None, None, 12))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, 0.3, w.shape).astype("float32") for w in layer.weights])
    return layer


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def check_attention_is_the_formula_with_three_dense_layers():
    layer = made(Attention(12, 3, "query_value"))
    w = {v.path.split("/", 1)[-1]: backends.to_numpy(v) for v in layer.weights}
    assert set(w) == {"qkv/kernel", "proj/kernel", "proj/bias", "query_bias", "value_bias"}
    query, key, value = np.split(TOKENS @ w["qkv/kernel"], 3, axis=-1)  # no bias for keys
    query, value = query + w["query_bias"], value + w["value_bias"]
    heads = []
    for head in np.split(np.arange(12), 3):
        scores = query[..., head] @ key[..., head].swapaxes(1, 2) / 2.0  # 4 channels a head
        heads.append(softmax(scores) @ value[..., head])
    want = np.concatenate(heads, -1) @ w["proj/kernel"] + w["proj/bias"]
    for jit in (False, True):
        assert np.abs(backends.run(layer, TOKENS, jit=jit) - want).max() < 1e-5


def check_a_masked_key_is_as_good_as_absent():
    block = made(TransformerBlock(12, 3))
    mask = np.array([[True, True, True, False, False], [True] * 5])
    masked = backends.run(lambda x, m: block(x, key_mask=m), TOKENS, mask, jit=True)
    assert np.abs(masked[0, :3] - backends.run(block, TOKENS[:1, :3])[0]).max() < 1e-5
    assert np.abs(masked[1] - backends.run(block, TOKENS)[1]).max() < 1e-5


def check_dropped_paths_leave_whole_samples_and_keep_the_mean():
    keras.utils.set_random_seed(0)
    drop = DropPath(0.25)
    x = np.ones((4000, 2, 3), "float32")
    seen = backends.run(lambda x: drop(x, training=True), x)
    assert np.allclose(seen, seen[:, :1, :1]), "a sample is dropped as a whole"
    assert np.allclose(np.where(seen > 0, seen, 4 / 3), 4 / 3)
    assert abs(seen.mean() - 1) < 0.04
    assert np.array_equal(backends.run(drop, x), x)
    again = backends.run(lambda x: drop(x, training=True), x)
    assert not np.array_equal(seen, again), "the draws move on"


def check_bfloat16_is_near():
    block = made(TransformerBlock(12, 3, qkv_bias="none"))
    half = TransformerBlock(12, 3, qkv_bias="none", dtype="mixed_bfloat16")
    half.build((None, None, 12))
    half.set_weights(block.get_weights())
    want, got = backends.run(block, TOKENS), backends.run(half, TOKENS)
    assert np.abs(got - want).max() < 0.05 * np.abs(want).max()


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_transformer(check):
    check()


@pytest.mark.parametrize("qkv_bias", ["all", "query_value", "none"])
def test_config_round_trip(qkv_bias):
    block = made(TransformerBlock(12, 3, 20, qkv_bias, 1e-5, "relu", 0.1, "he_normal"))
    copy = TransformerBlock.from_config(block.get_config())
    assert copy.get_config() == block.get_config()
    copy.build((None, None, 12))
    copy.set_weights(block.get_weights())
    assert np.array_equal(backends.run(copy, TOKENS), backends.run(block, TOKENS))
    biases = {"all": 36, "query_value": 24, "none": 0}[qkv_bias]
    attention, mlp, norms = 4 * 12 * 12 + 12 + biases, 2 * 12 * 20 + 20 + 12, 4 * 12
    assert block.count_params() == attention + mlp + norms


def test_bad_arguments_are_one_sentence():
    with pytest.raises(ValueError, match="divide the width 12"):
        Attention(12, 5)
    with pytest.raises(ValueError, match="qkv_bias"):
        Attention(12, 3, qkv_bias="key")
    with pytest.raises(ValueError, match="drop path"):
        DropPath(1.0)


def main():
    for check in CHECKS:
        check()
