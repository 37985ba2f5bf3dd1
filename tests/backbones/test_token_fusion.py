"""Everything at Once's fusion transformer keeps what its card says."""

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.convert import ConvertError, convert
from tests import contract
from tests.convert.check import check_format

RANDOM = np.random.default_rng(0)
SIZES = {"text": 5, "video": 7, "audio": 6}
TINY = {**SIZES, "width": 8, "heads": 2, "output": 4}


def tokens(counts=(3, 4, 2), batch=2, seed=1):
    rng = np.random.default_rng(seed)
    found = {}
    for (name, channels), count in zip(SIZES.items(), counts):
        found[name] = rng.normal(size=(batch, count, channels)).astype("float32")
        found[f"{name}_mask"] = np.ones((batch, count), "float32")
    return found


@pytest.fixture(scope="module")
def fusion():
    network = kv.backbones.TokenFusion(**TINY)
    for weight in network.weights:
        weight.assign(RANDOM.normal(scale=0.5, size=weight.shape))
    return network


def test_tokens_that_are_padding_change_nothing(fusion):
    inputs, padded = tokens(), tokens()
    for name in SIZES:
        junk = RANDOM.normal(size=(2, 2, SIZES[name])).astype("float32")
        padded[name] = np.concatenate([inputs[name], junk], axis=1)
        padded[f"{name}_mask"] = np.pad(inputs[f"{name}_mask"], ((0, 0), (0, 2)))
    got, expected = contract.outputs(fusion, padded), contract.outputs(fusion, inputs)
    assert expected.shape == (2, 6, 4)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_order_of_tokens_does_not_matter_and_pairs_are_fused(fusion):
    inputs = tokens()
    turned = {k: v[:, ::-1].copy() for k, v in inputs.items()}
    out = contract.outputs(fusion, inputs)
    np.testing.assert_allclose(contract.outputs(fusion, turned), out, atol=1e-5)
    unit = out / np.linalg.norm(out, axis=-1, keepdims=True)
    apart = (unit[:, 0] + unit[:, 1]) / 2
    assert np.abs(out[:, 3] - apart).max() > 1e-2, "in a pair the tokens see each other"


def test_a_missing_modality_is_one_learned_token_and_touches_no_other(fusion):
    inputs = tokens()
    inputs["text_mask"][0] = 0
    other = {**inputs, "text": inputs["text"].copy()}
    other["text"][0] += 1.0
    got, expected = contract.outputs(fusion, other), contract.outputs(fusion, inputs)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    full = contract.outputs(fusion, tokens())
    np.testing.assert_allclose(expected[0, [1, 2, 5]], full[0, [1, 2, 5]], atol=1e-6)
    np.testing.assert_allclose(expected[1], full[1], atol=1e-6)
    token = fusion.get_layer("absent").token
    before = token.numpy() if hasattr(token, "numpy") else np.array(token)
    token.assign(before + 1.0)
    moved = contract.outputs(fusion, inputs)
    token.assign(before)
    assert np.abs(moved[0, 0] - expected[0, 0]).max() > 1e-3
    np.testing.assert_allclose(moved[1], expected[1], atol=1e-6)


def test_presets_precision_and_inputs_that_are_missing(fusion, tmp_path):
    fusion.save_to_preset(tmp_path / "fusion")
    loaded = kv.backbones.TokenFusion.from_preset(str(tmp_path / "fusion"))
    expected = contract.outputs(fusion, tokens())
    np.testing.assert_allclose(contract.outputs(loaded, tokens()), expected, atol=1e-6)
    half = kv.backbones.TokenFusion(**TINY, dtype="mixed_bfloat16")
    half.set_weights(fusion.get_weights())
    assert np.abs(contract.outputs(half, tokens()) - expected).max() < 0.1 * np.abs(expected).max()
    with pytest.raises(ValueError, match="audio_mask"):
        fusion({k: v for k, v in tokens().items() if k != "audio_mask"})


def state():
    def dense(name, out, into):
        return {
            f"{name}.weight": RANDOM.normal(size=(out, into)),
            f"{name}.bias": RANDOM.normal(size=out),
        }

    def norm(name, width=128):
        return {f"{name}.{k}": RANDOM.normal(size=width) for k in ("weight", "bias")}

    found = {"fusion.masking_token": RANDOM.normal(size=128)}
    block = "fusion.blocks.0"
    for name, out in (("attn.qkv", 384), ("attn.proj", 128), ("mlp.fc1", 128), ("mlp.fc2", 128)):
        found |= dense(f"{block}.{name}", out, 128)
    for name in (f"{block}.norm1", f"{block}.norm2", "fusion.norm"):
        found |= norm(name)
    for name, channels in SIZES.items():
        found |= norm(f"{name}_norm_layer")
        found |= dense(f"{name}_token_proj.fc", 128, channels)
        found |= dense(f"{name}_token_proj.cg.fc", 128, 128)
        found |= dense(f"{name}_proj.fc", 4, 128) | dense(f"{name}_proj.cg.fc", 4, 4)
    return {name: array.astype("float32") for name, array in found.items()}


def test_the_published_names_are_read(tmp_path):
    victim = "text_proj.cg.fc.bias"
    model = check_format(
        state(), "everything_at_once", tmp_path, inputs=tokens(), victim=victim, part="fusion"
    )
    assert type(model) is kv.backbones.TokenFusion and model.heads == 2 and model.width == 128
    with pytest.raises(ConvertError, match="does not hold"):
        convert(state(), format="everything_at_once", part="audio")
