"""V-JEPA's files, in both namings, become encoders, predictors and probes."""

import numpy as np
import pytest

from keras_vssl.backbones import VideoViT
from keras_vssl.convert import ConvertError, convert, vjepa
from keras_vssl.convert.vit import TIMM
from keras_vssl.layers import AttentiveProbe, JepaPredictor, masking
from tests import backends
from tests.convert.check import check_format, save_safetensors
from tests.convert.vit_states import block, embedding, filled, linear, norm

WIDTH, NARROW, CLIP = 48, 24, (4, 16, 16, 3)
CLIPS = np.random.default_rng(0).normal(size=(2, *CLIP)).astype("float32")


def official(tables=True):
    encoder = {
        **embedding("patch_embed.proj", WIDTH, (2, 8, 8)),
        **block("blocks.0", WIDTH, 96, TIMM),
        **norm("norm", WIDTH),
        "pos_embed": (1, 8, WIDTH),
    }
    predictor = {
        **linear("predictor_embed", NARROW, WIDTH),
        **block("predictor_blocks.0", NARROW, 48, TIMM),
        **norm("predictor_norm", NARROW),
        **linear("predictor_proj", WIDTH, NARROW),
        **{f"mask_tokens.{index}": (1, 1, NARROW) for index in range(2 if tables else 10)},
        **({"predictor_pos_embed": (1, 8, NARROW)} if tables else {}),
    }
    towers = {"encoder": encoder, "target_encoder": encoder, "predictor": predictor}
    return {
        f"{tower}.{name}": array
        for seed, (tower, shapes) in enumerate(towers.items())
        for name, array in filled(shapes, seed).items()
    }


def hub(state):
    """The same encoder and predictor as transformers name them."""
    renamed = {}
    for name, array in state.items():
        tower, name = name.split(".", 1)
        if tower == "target_encoder":
            continue
        name = name.replace("predictor_blocks.", "blocks.").replace("blocks.", "layer.")
        for old, new in (
            ("patch_embed.proj", "embeddings.patch_embeddings.proj"),
            ("predictor_embed", "embeddings.predictor_embeddings"),
            ("predictor_norm", "layernorm"),
            ("predictor_proj", "proj"),
            ("attn.proj", "attention.proj"),
        ):
            name = name.replace(old, new)
        if name.startswith("norm."):
            name = f"layer{name}"
        if "attn.qkv" in name:
            for part, third in zip(("query", "key", "value"), np.split(array, 3)):
                renamed[f"{tower}.{name.replace('attn.qkv', f'attention.{part}')}"] = third
        elif "pos_embed" not in name and "mask_tokens" not in name:
            renamed[f"{tower}.{name}"] = array
    tokens = [array for name, array in state.items() if ".mask_tokens." in name]
    return renamed | {"predictor.embeddings.mask_tokens": np.stack(tokens)}


@pytest.mark.parametrize("part", ["encoder", "predictor"])
def test_transformers_naming_is_the_same_network(part, tmp_path):
    state = official(tables=False)
    options = {"part": part, "heads": 2, "clip_shape": CLIP}
    inputs = CLIPS if part == "encoder" else None
    victim = "layernorm.bias"
    model = check_format(
        hub(state), "vjepa", tmp_path, save_safetensors, inputs, f"{part}.{victim}", **options
    )
    same = convert(state, rope=True, **options).model
    for mine, other in zip(model.weights, same.weights, strict=True):
        assert np.array_equal(backends.to_numpy(mine), backends.to_numpy(other)), mine.path


def test_a_whole_file_of_the_authors_tells_its_generation(tmp_path):
    torch = pytest.importorskip("torch")
    for tables, part, positions in (
        (True, "target_encoder", "sine_cosine_3d"),
        (False, "encoder", "rotary"),
    ):
        state, content = official(tables), {"opt": {"state": {}}, "epoch": 3, "lr": 1e-3}
        for name, array in state.items():
            tower, name = name.split(".", 1)
            content.setdefault(tower, {})[f"module.backbone.{name}"] = torch.tensor(array)
        path = tmp_path / "vitl16.pth.tar"
        torch.save(content, path)
        model = convert(path, heads=2, clip_shape=CLIP).model
        assert isinstance(model, VideoViT) and model.positions == positions
        want = state[f"{part}.norm.weight"]
        assert np.array_equal(backends.to_numpy(model.get_layer("norm").gamma), want)


def test_one_wrong_tensor_of_the_authors_is_named(tmp_path):
    state = official()
    options = {"heads": 2, "clip_shape": CLIP}
    check_format(
        state, "vjepa", tmp_path, inputs=CLIPS, victim="target_encoder.norm.bias", **options
    )
    predictor = {"part": "predictor", **options}
    victim = "predictor.predictor_norm.bias"
    model = check_format(state, "vjepa", tmp_path, victim=victim, **predictor)
    assert isinstance(model, JepaPredictor) and model.positions == "sine_cosine_3d"


def test_an_encoder_alone_has_to_be_told_its_generation():
    state = {
        name.removeprefix("encoder."): array
        for name, array in official().items()
        if name.startswith("encoder.")
    }
    assert vjepa.recognizes(state)
    with pytest.raises(ConvertError, match="rope=False"):
        convert(state, heads=2, clip_shape=CLIP)
    model = convert(state, heads=2, rope=False, clip_shape=CLIP).model
    half = convert(state, heads=2, rope=False, uniform_power=False, clip_shape=CLIP).model
    assert model.positions == "sine_cosine_3d" and half.positions == "sine_cosine_3d_half"
    state["cls_token"] = np.zeros((1, 1, WIDTH), "float32")
    assert not vjepa.recognizes(state), "some other transformer"


def test_the_clip_may_be_longer_than_the_one_of_training():
    state = official(tables=False)
    long = (8, 24, 16, 3)
    model = convert(state, heads=2, clip_shape=long).model
    assert model.grid == (4, 3, 2)
    clips = np.zeros((1, *long), "float32")
    assert backends.to_numpy(model(clips)).shape == (1, 4, 3, 2, WIDTH)
    predictor = convert(state, part="predictor", heads=2, clip_shape=long).model
    assert predictor.grid == model.grid


def probe(depth=2, classes=5):
    return {
        "pooler.query_tokens": (1, 1, WIDTH),
        **norm("pooler.cross_attention_block.norm1", WIDTH),
        **linear("pooler.cross_attention_block.xattn.q", WIDTH, WIDTH),
        **linear("pooler.cross_attention_block.xattn.kv", 2 * WIDTH, WIDTH),
        **norm("pooler.cross_attention_block.norm2", WIDTH),
        **linear("pooler.cross_attention_block.mlp.fc1", 96, WIDTH),
        **linear("pooler.cross_attention_block.mlp.fc2", WIDTH, 96),
        **{
            name: shape
            for index in range(depth - 1)
            for name, shape in block(f"pooler.blocks.{index}", WIDTH, 96, TIMM).items()
        },
        **linear("linear", classes, WIDTH),
    }


def test_a_probe_of_the_authors_and_one_of_transformers_are_the_same(tmp_path):
    state = filled(probe(), 5)
    tokens = np.random.default_rng(1).normal(size=(2, 8, WIDTH)).astype("float32")
    model = check_format(state, "vjepa", tmp_path, inputs=tokens, victim="linear.bias", heads=4)
    assert isinstance(model, AttentiveProbe) and (model.depth, model.classes) == (2, 5)
    names = {
        "cross_attention_block.norm": "cross_attention_layer.layer_norm",
        "cross_attention_block": "cross_attention_layer",
        "blocks.0.norm": "self_attention_layers.0.layer_norm",
        "blocks.0.attn.proj": "self_attention_layers.0.self_attn.out_proj",
        "blocks.0": "self_attention_layers.0",
        "xattn.q.": "cross_attn.q_proj.",
        "linear": "classifier",
    }
    renamed = {}
    for name, array in state.items():
        for old, new in names.items():
            name = name.replace(old, new)
        for joined, parts in (("attn.qkv", ("q", "k", "v")), ("xattn.kv", ("k", "v"))):
            if joined in name:
                new = "self_attn" if joined == "attn.qkv" else "cross_attn"
                for part, share in zip(parts, np.split(array, len(parts))):
                    renamed[name.replace(joined, f"{new}.{part}_proj")] = share
                break
        else:
            renamed[name] = array
    whole = {**{f"vjepa2.{k}": v for k, v in hub(official(False)).items()}, **renamed}
    other = convert(whole, part="probe", heads=4, epsilon=1e-5).model
    got, want = (backends.to_numpy(m(tokens)) for m in (other, model))
    np.testing.assert_allclose(got, want, atol=1e-6)
    encoder = convert(whole, heads=4, clip_shape=CLIP).model
    assert isinstance(encoder, VideoViT), "the probe's names are known and left out"


def test_context_tokens_are_encoded_at_their_places():
    """Must hold: the encoder on some tokens is attention restricted to them."""
    model = convert(official(tables=False), heads=2, clip_shape=CLIP).model
    index = np.array([[0, 3, 6], [1, 2, 7]], "int32")
    tokens = model.embed_tokens(CLIPS)
    some = masking.gather_tokens(tokens, index)
    got = backends.to_numpy(model.encode_tokens(some, index=index))
    mask = np.zeros((2, 8), bool)
    np.put_along_axis(mask, index, True, axis=1)
    among = model.get_layer("norm")(model.get_layer("block1")(tokens, key_mask=mask))
    among = backends.to_numpy(masking.gather_tokens(among, index))
    np.testing.assert_allclose(got, among, atol=1e-5)
    with pytest.raises(ValueError, match="pass index="):
        model.encode_tokens(some)
