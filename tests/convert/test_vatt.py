"""VATT's checkpoints, written here by TensorFlow in the official nesting, and read back."""

import math

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.convert import ConvertError, convert, read_state_dict
from keras_vssl.layers.positions import resize_table
from tests import contract
from tests.convert.check import check_format
from tests.convert.test_slow_tensorflow import SUFFIX, write

WIDTH, DEPTH, MLP = 128, 2, 24
BASE = "model/_base_layer"
AXES = {"video": ("temporal", "vertical", "horizontal"), "audio": ("temporal",)}
STEMS = {"video": ("voxel_to_patch", (2, 4, 4, 3)), "audio": ("wave_to_patch", (8, 1))}
GRIDS = {"video": (2, 3, 3), "audio": (6,)}


def tower(part, seed=0):
    """Random tensors under the attributes' names, without a prefix."""
    rng = np.random.default_rng(seed)
    shapes = {"agg_token_embd": (WIDTH,), "mask_token_embd": (WIDTH,)}
    stem, patch = STEMS[part]
    shapes |= {f"{stem}/kernel": (*patch, WIDTH), f"{stem}/bias": (WIDTH,)}
    for axis, count in zip(AXES[part], GRIDS[part]):
        name = f"pos_embedding_lookup/{axis}_position_embeddings/embeddings"
        shapes[name] = (count, WIDTH)
    norms = ["pos_embedding_lookup/layernorm", "tx/final_layer_norm"]
    for i in range(DEPTH):
        layer = f"tx/layers/{i}"
        norms += [f"{layer}/layer_norm", f"{layer}/feed_forward/layer_norm"]
        for name, size in [(f"mha/{k}", (WIDTH, WIDTH)) for k in "qkvo"] + [
            ("feed_forward/mlp/wi", (WIDTH, MLP)),
            ("feed_forward/mlp/wo", (MLP, WIDTH)),
        ]:
            shapes |= {f"{layer}/{name}/kernel": size, f"{layer}/{name}/bias": size[1:]}
    for name in norms:
        shapes |= {f"{name}/gamma": (WIDTH,), f"{name}/beta": (WIDTH,)}
    return {k: rng.normal(scale=0.3, size=s).astype("float32") for k, s in shapes.items()}


def forward(part, state, tokens):
    """The official code's computation, in NumPy and float64, from flattened patches `[N, P]`."""
    s = {name: array.astype("float64") for name, array in state.items()}
    erf = np.vectorize(math.erf)

    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * s[f"{name}/gamma"]
            + s[f"{name}/beta"]
        )

    def dense(name, x):
        return x @ s[f"{name}/kernel"].reshape(-1, s[f"{name}/bias"].size) + s[f"{name}/bias"]

    total = 0.0
    for axis, name in enumerate(AXES[part]):
        shape = [1] * len(GRIDS[part]) + [WIDTH]
        shape[axis] = -1
        table = s[f"pos_embedding_lookup/{name}_position_embeddings/embeddings"]
        total = total + table.reshape(shape)
    x = dense(STEMS[part][0], tokens)
    x = x + norm("pos_embedding_lookup/layernorm", total.reshape(-1, WIDTH))
    x = np.concatenate([s["agg_token_embd"][None], x])
    for i in range(DEPTH):
        layer = f"tx/layers/{i}"
        h = norm(f"{layer}/layer_norm", x)
        q, k, v = (dense(f"{layer}/mha/{n}", h).reshape(-1, 2, 64) for n in "qkv")
        scores = np.einsum("qhd,khd->hqk", q, k) / 8.0
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", weights, v).reshape(-1, WIDTH)
        x = x + dense(f"{layer}/mha/o", mixed)
        h = norm(f"{layer}/feed_forward/layer_norm", x)
        h = dense(f"{layer}/feed_forward/mlp/wi", h)
        x = x + dense(f"{layer}/feed_forward/mlp/wo", h * (1 + erf(h / math.sqrt(2))) / 2)
    return norm("tx/final_layer_norm", x)[0]


def named(state, backbone, suffix=SUFFIX):
    return {f"{BASE}/{backbone}/_base/{name}{suffix}": v for name, v in state.items()}


def test_the_video_network_computes_what_the_official_code_does():
    state = tower("video")
    clip = np.random.default_rng(3).uniform(-1, 1, (1, 4, 12, 12, 3)).astype("float32")
    model = convert(named(state, "vid_backbone"), format="vatt").model
    assert type(model) is kv.backbones.VideoViT and model.clip_shape == (4, 12, 12, 3)
    assert model.heads == 2 and model.mlp_width == MLP and model.grid == (2, 3, 3)
    tokens = clip.reshape(2, 2, 3, 4, 3, 4, 3).transpose(0, 2, 4, 1, 3, 5, 6).reshape(18, -1)
    expected = forward("video", state, tokens)
    got = contract.outputs(model, clip)
    assert got.shape == (1, 1, 1, 1, WIDTH)
    np.testing.assert_allclose(got.ravel(), expected, rtol=1e-4, atol=1e-4)


def test_the_audio_network_computes_what_the_official_code_does():
    state = tower("audio")
    wave = np.random.default_rng(3).uniform(-1, 1, (1, 48)).astype("float32")
    model = convert(named(state, "aud_backbone"), format="vatt").model
    assert type(model) is kv.backbones.WaveViT and model.samples == 48 and model.patch == 8
    expected = forward("audio", state, wave.reshape(6, 8))
    np.testing.assert_allclose(
        contract.outputs(model, wave).ravel(), expected, rtol=1e-4, atol=1e-4
    )


def test_a_whole_checkpoint_is_read_part_by_part(tmp_path):
    both = {**named(tower("video"), "vid_backbone"), **named(tower("audio", 1), "aud_backbone")}
    both |= {
        f"{BASE}/txt_backbone/embedding/embeddings{SUFFIX}": np.zeros((5, 3), "float32"),
        f"model/_head_layer/bridge/kernel{SUFFIX}": np.zeros((3, 3), "float32"),
        f"optimizer/iter{SUFFIX}": np.zeros((), "int64"),
    }
    prefix = write(tmp_path / "ckpt-500000", both)
    for part in ("video", "audio"):
        model = convert(prefix, part=part).model
        plain = convert(named(tower(part, int(part == "audio")), "b"), format="vatt").model
        for got, expected in zip(model.weights, plain.weights, strict=True):
            np.testing.assert_array_equal(np.array(got), np.array(expected))
    assert set(read_state_dict(prefix)) >= set(named(tower("video"), "vid_backbone"))


def test_missing_extra_and_misshapen_tensors_are_named(tmp_path):
    state = {name: array for name, array in tower("video").items()}
    victim = "tx/layers/1/mha/o/bias"
    model = check_format(
        state, "vatt", tmp_path, save=lambda s, f: write(f / "c", _suffixed(s)),
        victim=f"{victim}{SUFFIX}",
    )  # fmt: skip
    assert model.depth == DEPTH
    with pytest.raises(ConvertError, match="does not hold"):
        convert(state, format="vatt", part="audio")
    with pytest.raises(ConvertError, match="all modalities share"):
        convert({**state, "pre_proj/kernel": np.zeros((2, 2))}, format="vatt")


def _suffixed(state):
    return {f"{name}{SUFFIX}": array for name, array in state.items()}


def test_tables_are_fitted_by_the_spline_through_their_rows(tmp_path):
    """A cubic polyharmonic spline goes through its points and keeps straight lines."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(4, 3)).astype("float32")
    finer = resize_table(table, (4,), (8,), 0, "spline")
    np.testing.assert_allclose(finer[::2], table, atol=1e-5)
    line = np.arange(4)[:, None] * np.ones((1, 2))
    np.testing.assert_allclose(
        resize_table(line, (4,), (8,), 0, "spline")[:, 0], np.arange(8) / 2, atol=1e-5
    )
    model = convert(tower("video"), format="vatt").model
    model.save_to_preset(tmp_path / "vatt")
    larger = kv.backbones.VideoViT.from_preset(str(tmp_path / "vatt"), clip_shape=(8, 12, 12, 3))
    assert larger.grid == (4, 3, 3)
    got, old = (np.array(m.get_layer("positions").tables[0]) for m in (larger, model))
    np.testing.assert_allclose(got[::2], old, atol=1e-5)
    audio = convert(tower("audio"), format="vatt", samples=96).model
    assert audio.samples == 96
    with pytest.raises(ValueError, match="stretches"):
        kv.backbones.WaveViT(samples=100)
