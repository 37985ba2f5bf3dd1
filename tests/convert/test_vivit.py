"""ViViT's and TimeSformer's files, in every naming, at their own size and at others."""

import numpy as np
import pytest

from keras_vssl.backbones import FactorisedViT
from keras_vssl.convert import ConvertError, convert
from keras_vssl.convert.vit import HUB, TIMM
from keras_vssl.layers.positions import resize_table
from tests import backends
from tests.convert.check import check_format, save_safetensors
from tests.convert.vit_states import block, embedding, filled, linear, norm

WIDTH, CLIP = 48, (4, 16, 16, 3)
CLIPS = np.random.default_rng(0).normal(size=(2, *CLIP)).astype("float32")


def vivit(rows=9):
    name = "vivit.embeddings"
    return filled(
        {
            f"{name}.cls_token": (1, 1, WIDTH),
            f"{name}.position_embeddings": (1, rows, WIDTH),
            **embedding(f"{name}.patch_embeddings.projection", WIDTH, (2, 8, 8)),
            **block("vivit.encoder.layer.0", WIDTH, 96, HUB),
            **norm("vivit.layernorm", WIDTH),
            **linear("classifier", 5, WIDTH),
        }
    )


def layer_norm(x, state, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * state[f"{name}.weight"] + state[f"{name}.bias"]


def reference(state, clips, heads=3):
    """ViViT's logits in NumPy, from the names of the published file."""

    def dense(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    kernel = state["vivit.embeddings.patch_embeddings.projection.weight"]
    cubes = clips.reshape(-1, 2, 2, 2, 8, 2, 8, 3).transpose(0, 1, 3, 5, 7, 2, 4, 6)
    x = cubes.reshape(len(clips), 8, -1) @ kernel.reshape(WIDTH, -1).T
    x = x + state["vivit.embeddings.patch_embeddings.projection.bias"]
    token = np.repeat(state["vivit.embeddings.cls_token"], len(clips), axis=0)
    x = np.concatenate([token, x], axis=1) + state["vivit.embeddings.position_embeddings"]
    name = "vivit.encoder.layer.0"
    y = layer_norm(x, state, f"{name}.layernorm_before")
    q, k, v = (
        dense(y, f"{name}.attention.attention.{part}").reshape(len(x), 9, heads, -1)
        for part in ("query", "key", "value")
    )
    score = np.einsum("bnhd,bmhd->bhnm", q, k) / np.sqrt(WIDTH / heads)
    score = np.exp(score - score.max(-1, keepdims=True))
    score /= score.sum(-1, keepdims=True)
    y = np.einsum("bhnm,bmhd->bnhd", score, v).reshape(x.shape)
    x = x + dense(y, f"{name}.attention.output.dense")
    y = dense(layer_norm(x, state, f"{name}.layernorm_after"), f"{name}.intermediate.dense")
    y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    x = layer_norm(x + dense(y, f"{name}.output.dense"), state, "vivit.layernorm")
    return dense(x[:, 0], "classifier")


def test_vivit_is_its_formula_and_names_what_is_wrong(tmp_path):
    state, options = vivit(), {"heads": 3, "clip_shape": CLIP}
    model = check_format(
        state, "vivit", tmp_path, save_safetensors, CLIPS[:, None], "vivit.layernorm.bias",
        **options,
    )  # fmt: skip
    got = backends.to_numpy(model(CLIPS[:, None], training=False))
    np.testing.assert_allclose(got, reference(state, CLIPS), atol=1e-4)
    assert model.backbone.mean == [0.5] * 3 and model.backbone.clip["stride"] == 2
    in_memory = {
        name.replace("encoder.layer.", "layers.")
        .replace("attention.attention.query", "attention.q_proj")
        .replace("attention.attention.key", "attention.k_proj")
        .replace("attention.attention.value", "attention.v_proj")
        .replace("attention.output.dense", "attention.o_proj")
        .replace("intermediate.dense", "mlp.fc1")
        .replace("0.output.dense", "0.mlp.fc2"): array
        for name, array in state.items()
    }
    other = convert(in_memory, **options).model
    assert np.array_equal(backends.to_numpy(other(CLIPS[:, None], training=False)), got)


def test_a_table_is_interpolated_to_twice_the_frames():
    state = vivit()
    table = state["vivit.embeddings.position_embeddings"][0]
    backbone = convert(
        state, heads=3, clip_shape=(8, 24, 16, 3), trained_shape=CLIP, backbone_only=True
    ).model
    assert backbone.grid == (4, 3, 2) and backbone.clip["frames"] == 8
    got = backends.to_numpy(backbone.get_layer("positions").space)
    want = resize_table(table, (2, 2, 2), (4, 3, 2), 1, ("linear", "cubic", "cubic"))
    assert np.array_equal(got, want) and np.array_equal(got[0], table[0])
    longer = convert(state, heads=3, clip_shape=(8, 16, 16, 3), backbone_only=True).model
    assert longer.grid == (4, 2, 2), "the height and width tell the table's time"
    with pytest.raises(ConvertError, match="8 rows.*trained_shape="):
        convert(state, heads=3, clip_shape=(8, 40, 24, 3))


def timesformer(form):
    shapes = {
        **embedding("model.patch_embed.proj", WIDTH, (8, 8)),
        "model.cls_token": (1, 1, WIDTH),
        "model.pos_embed": (1, 5, WIDTH),
        **({} if form == "space" else {"model.time_embed": (1, 4, WIDTH)}),
        **block("model.blocks.0", WIDTH, 96, TIMM),
        **norm("model.norm", WIDTH),
        **linear("model.head", 5, WIDTH),
    }
    if form == "divided":
        time = block("model.blocks.0", WIDTH, 96, TIMM)
        shapes |= {
            name.replace("attn", "temporal_attn").replace("norm1", "temporal_norm1"): shape
            for name, shape in time.items()
            if "attn" in name or "norm1" in name
        }
        shapes |= linear("model.blocks.0.temporal_fc", WIDTH, WIDTH)
    return filled(shapes)


@pytest.mark.parametrize("form", ["divided", "joint", "space"])
def test_every_form_of_timesformer_is_told_by_its_tensors(form, tmp_path):
    state, frames = timesformer(form), 8 if form == "space" else 4
    clips = np.random.default_rng(1).normal(size=(2, frames, 16, 16, 3)).astype("float32")
    model = check_format(
        state, "timesformer", tmp_path, inputs=clips[:, None], victim="model.norm.bias", heads=3
    )
    backbone = model.backbone
    assert backbone.clip_shape == (frames, 16, 16, 3) and model.num_classes == 5
    assert isinstance(backbone, FactorisedViT) == (form == "space")
    if form != "space":
        assert backbone.attention == form
    hub = {}
    for name, array in state.items():
        name = name.removeprefix("model.")
        for old, new in (
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("cls_token", "embeddings.cls_token"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("time_embed", "embeddings.time_embeddings"),
            ("blocks.0.", "encoder.layer.0."),
            ("temporal_norm1", "temporal_layernorm"),
            ("norm1", "layernorm_before"),
            ("norm2", "layernorm_after"),
            ("temporal_attn.qkv", "temporal_attention.attention.qkv"),
            ("temporal_attn.proj", "temporal_attention.output.dense"),
            ("attn.qkv", "attention.attention.qkv"),
            ("attn.proj", "attention.output.dense"),
            ("temporal_fc", "temporal_dense"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ):
            name = name.replace(old, new)
        if name.startswith("norm."):
            name = f"layer{name}"
        hub[name.replace("head", "classifier") if "head" in name else f"timesformer.{name}"] = array
    same = convert(hub, heads=3).model
    got, want = (backends.to_numpy(m(clips[:, None], training=False)) for m in (same, model))
    assert np.array_equal(got, want)


def test_timesformers_tables_of_space_and_time_are_resized_by_themselves():
    state = timesformer("divided")
    backbone = convert(state, heads=3, clip_shape=(8, 32, 16, 3), backbone_only=True).model
    positions = backbone.get_layer("positions")
    time = state["model.time_embed"][0]
    assert np.array_equal(backends.to_numpy(positions.time), np.repeat(time, 2, axis=0))
    space = state["model.pos_embed"][0]
    got = backends.to_numpy(positions.space)
    assert np.array_equal(
        got,
        np.concatenate([space[:1], np.repeat(space[1:].reshape(2, 2, -1), 2, 0).reshape(8, -1)]),
    )


def test_videomaes_learned_table_is_placed_and_fitted():
    shapes = {
        **embedding("encoder.patch_embed.proj", WIDTH, (2, 8, 8)),
        "encoder.pos_embed": (1, 9, WIDTH),
        **block("encoder.blocks.0", WIDTH, 96, TIMM),
        **norm("encoder.norm", WIDTH),
    }
    state = filled(shapes)
    del state["encoder.blocks.0.attn.qkv.bias"]
    for name in ("q_bias", "v_bias"):
        state[f"encoder.blocks.0.attn.{name}"] = np.zeros(WIDTH, "float32")
    table = state["encoder.pos_embed"][0]
    backbone = convert(state, heads=3, clip_shape=CLIP).model
    got = backends.to_numpy(backbone.get_layer("positions").space)
    assert np.array_equal(got, table[1:]), "the pre-training code's first row is not used"
    tuned = {name.removeprefix("encoder."): array for name, array in state.items()}
    tuned["pos_embed"] = table[None, 1:]
    longer = convert(tuned, heads=3, clip_shape=(8, 16, 16, 3)).model
    got = backends.to_numpy(longer.get_layer("positions").space)
    assert np.array_equal(got, resize_table(table[1:], (2, 2, 2), (4, 2, 2)))
