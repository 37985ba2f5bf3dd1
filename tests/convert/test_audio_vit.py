"""Checkpoints of AST and AudioMAE become the networks that their tensors describe."""

import numpy as np
import pytest

from keras_vssl.backbones import AudioViT
from keras_vssl.convert import ConvertError, audio_ast, audio_mae, convert
from keras_vssl.downstream import AudioClassifier
from keras_vssl.layers import MaskedDecoder
from tests.backends import to_numpy

SMALL = {"frames": 64, "bands": 48, "heads": 2}


class Checkpoint(dict):
    """Random tensors in PyTorch's layout."""

    def __init__(self, seed=0):
        self.random = np.random.RandomState(seed)

    def put(self, name, *shape):
        self[name] = self.random.normal(0, 0.1, shape).astype("float32")

    def layer(self, name, *shape):
        self.put(f"{name}.weight", *shape)
        self.put(f"{name}.bias", shape[0])

    def blocks(self, name, depth, width, ratio=2):
        for index in range(depth):
            block = f"{name}.{index}"
            self.layer(f"{block}.norm1", width)
            self.layer(f"{block}.attn.qkv", 3 * width, width)
            self.layer(f"{block}.attn.proj", width, width)
            self.layer(f"{block}.norm2", width)
            self.layer(f"{block}.mlp.fc1", ratio * width, width)
            self.layer(f"{block}.mlp.fc2", width, ratio * width)


def ast(width=16, classes=5, places=5 * 4):
    state = Checkpoint()
    for name in ("cls_token", "dist_token"):
        state.put(f"v.{name}", 1, 1, width)
    state.put("v.pos_embed", 1, places + 2, width)
    state.layer("v.patch_embed.proj", width, 1, 16, 16)
    state.blocks("v.blocks", 2, width)
    state.layer("v.norm", width)
    state.layer("v.head", 10, width)
    state.layer("v.head_dist", 10, width)
    state.layer("mlp_head.0", width)
    state.layer("mlp_head.1", classes, width)
    return state


def hub_ast(state):
    """The same tensors under the names of transformers."""
    hub, renamed = "audio_spectrogram_transformer", {}
    fixed = {
        "v.cls_token": f"{hub}.embeddings.cls_token",
        "v.dist_token": f"{hub}.embeddings.distillation_token",
        "v.pos_embed": f"{hub}.embeddings.position_embeddings",
    }
    starts = {
        "v.patch_embed.proj": f"{hub}.embeddings.patch_embeddings.projection",
        "v.norm": f"{hub}.layernorm",
        "mlp_head.0": "classifier.layernorm",
        "mlp_head.1": "classifier.dense",
    }
    parts = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    for name, value in state.items():
        start, _, kind = name.rpartition(".")
        if name in fixed:
            renamed[fixed[name]] = value
        elif start in starts:
            renamed[f"{starts[start]}.{kind}"] = value
        elif name.startswith("v.blocks."):
            number, part = start.removeprefix("v.blocks.").split(".", 1)
            block = f"{hub}.encoder.layer.{number}"
            if part == "attn.qkv":
                for third, array in zip(("query", "key", "value"), np.split(value, 3)):
                    renamed[f"{block}.attention.attention.{third}.{kind}"] = array
            else:
                renamed[f"{block}.{parts[part]}.{kind}"] = value
    return renamed


def audiomae(width=16, places=4 * 3, table=True, norm=True):
    state = Checkpoint()
    state.put("cls_token", 1, 1, width)
    if table:
        state.put("pos_embed", 1, places + 1, width)
    state.layer("patch_embed.proj", width, 1, 16, 16)
    state.blocks("blocks", 2, width)
    state.layer("norm" if norm else "fc_norm", width)
    return state


def with_decoder(state, windowed=False, width=8, depth=2, table=True):
    state.layer("decoder_embed", width, 16)
    state.put("mask_token", 1, 1, width)
    if table:
        state.put("decoder_pos_embed", 1, 13, width)
    state.blocks("decoder_blocks", depth, width, ratio=4)
    if windowed:
        for index in range(depth):
            name = f"decoder_blocks.{index}.attn"
            state.put(f"{name}.tau", 2)
            state.layer(f"{name}.meta_mlp.fc1", 384, 2)
            state.layer(f"{name}.meta_mlp.fc2", 2, 384)
    state.layer("decoder_norm", width)
    state.layer("decoder_pred", 256, width)
    return state


def spectrogram():
    return np.random.RandomState(1).normal(size=(2, 64, 48)).astype("float32")


def test_both_namings_of_ast_are_one_network():
    state = ast()
    model = convert({f"module.{name}": value for name, value in state.items()}, **SMALL).model
    assert type(model) is AudioClassifier and model.num_classes == 5 and model.epsilon == 1e-5
    backbone = model.backbone
    assert (backbone.depth, backbone.width, backbone.mlp_width) == (2, 16, 32)
    assert backbone.grid == (5, 4) and backbone.stride == (10, 10) and backbone.extra_tokens == 2
    assert backbone.front_end.frames == 64 and backbone.front_end.bands == 48
    result = convert(hub_ast(state), **SMALL)
    assert result.provenance["format"] == "audio_ast"
    x = spectrogram()
    assert np.array_equal(to_numpy(model(x)), to_numpy(result.model(x)))
    assert type(convert(state, backbone_only=True, **SMALL).model) is AudioViT


def test_the_kernel_of_ast_is_turned():
    state = ast()
    backbone = convert(state, backbone_only=True, **SMALL).model
    x = spectrogram()
    patch = x[0, 20:36, 10:26]  # the third time, the second band
    kernel = state["v.patch_embed.proj.weight"][:, 0]  # [O, frequency, time]
    want = np.einsum("oft,tf->o", kernel, patch) + state["v.patch_embed.proj.bias"]
    got = to_numpy(backbone.endpoint("patches")(x))[0].reshape(4, 5, 16)  # frequency first
    assert np.allclose(got[1, 2], want, atol=1e-4)


def test_lengths_are_read_from_the_table():
    read = {places: convert(ast(places=places), heads=2).model for places in (12 * 50, 12 * 12)}
    assert [model.backbone.frames for model in read.values()] == [512, 128]
    assert [model.backbone.sound["seconds"] for model in read.values()] == [5.0, 1.0]
    assert convert(ast(places=12 * 7), heads=2).model.backbone.frames == 76
    speech = convert(ast(places=12 * 12), heads=2, front_end="ast-speech").model.backbone
    assert abs(float(speech.front_end.mean) + 6.845978) < 1e-6
    with pytest.raises(ConvertError, match="give `bands` or `stride`"):
        convert(ast(places=13), heads=2)


def test_positions_are_cut_in_the_middle_or_stretched():
    state = ast(places=12 * 12)
    state["v.pos_embed"][:, 2:] = np.tile(np.arange(12.0), 12)[None, :, None]  # the time
    tables = {
        frames: to_numpy(
            convert(state, heads=2, frames=frames, backbone_only=True)
            .model.get_layer("token_embedding")
            .table
        )
        for frames in (128, 86, 256)
    }
    for table in tables.values():
        assert np.array_equal(table[:2], state["v.pos_embed"][0, :2])
    times = {frames: table[2:, 0].reshape(12, -1) for frames, table in tables.items()}
    assert np.allclose(times[128], np.arange(12.0))
    assert np.allclose(times[86], np.arange(2.0, 10.0)), "the middle 8 of 12"
    assert times[256].shape == (12, 25) and (np.diff(times[256], axis=1) >= 0).all()
    torch = pytest.importorskip("torch")
    row = torch.arange(12.0)[None, None, None]
    want = torch.nn.functional.interpolate(row, size=(1, 25), mode="bilinear")[0, 0, 0]
    assert np.allclose(times[256], want.numpy(), atol=1e-5)


def test_the_deit_that_ast_starts_from():
    state = Checkpoint()
    for name in ("cls_token", "dist_token"):
        state.put(name, 1, 1, 16)
    state.put("pos_embed", 1, 24 * 24 + 2, 16)
    state.layer("patch_embed.proj", 16, 3, 16, 16)
    state.blocks("blocks", 1, 16)
    state.layer("norm", 16)
    state.layer("head", 10, 16)
    state.layer("head_dist", 10, 16)
    model = convert(state, heads=2).model
    assert type(model) is AudioViT and model.grid == (101, 12)
    kernel = to_numpy(model.get_layer("patch_embed").kernel)
    want = state["patch_embed.proj.weight"].sum(axis=1).transpose(2, 1, 0)
    assert np.allclose(kernel[:, :, 0], want, atol=1e-6)
    # Frequency keeps the middle 12 rows of 24; time is stretched from 24 to 101.
    table = to_numpy(model.get_layer("token_embedding").table)[2:].reshape(12, 101, 16)
    square = state["pos_embed"][0, 2:].reshape(24, 24, 16)
    assert np.allclose(table[0, 0], square[6, 0], atol=1e-6)
    assert np.allclose(table[11, 100], square[17, 23], atol=1e-6)
    # The centre of 101 lies between the twelfth and the thirteenth of 24.
    assert np.allclose(table[3, 50], square[9, 11:13].mean(axis=0), atol=1e-5)


def test_a_pre_trained_audiomae_is_its_encoder_and_its_decoder():
    state = with_decoder(audiomae())
    backbone = convert(state, **SMALL).model
    assert type(backbone) is AudioViT and backbone.final_norm and backbone.grid == (4, 3)
    table = to_numpy(backbone.get_layer("token_embedding").table)
    assert np.array_equal(table, state["pos_embed"][0]), "the table is the checkpoint's"
    decoder = convert(state, decoder_only=True, decoder_heads=4, **SMALL).model
    assert type(decoder) is MaskedDecoder and decoder.heads == 4 and decoder.window is None
    assert np.array_equal(to_numpy(decoder.table), state["decoder_pos_embed"][0])
    assert np.array_equal(to_numpy(decoder.predict.bias), state["decoder_pred.bias"])


def test_windows_in_the_decoder_are_recognised():
    state = with_decoder(audiomae(places=4 * 4), windowed=True, table=False)
    decoder = convert(state, frames=64, bands=64, heads=2, decoder_only=True).model
    assert decoder.window == (4, 4) and decoder.heads == 2
    tau = state["decoder_blocks.1.attn.tau"]
    assert np.array_equal(to_numpy(decoder.blocks[1].attention.temperature), tau)


def test_a_fine_tuned_audiomae_is_a_classifier():
    state = audiomae(norm=False, table=False)
    state.layer("head", 7, 16)
    model = convert(state, **SMALL).model
    assert type(model) is AudioClassifier and model.num_classes == 7
    assert not model.backbone.final_norm and model.epsilon == 1e-6
    x = spectrogram()
    pooled = to_numpy(model.backbone.endpoint("tokens")(x))[:, 1:].mean(axis=1)
    pooled = (pooled - pooled.mean(-1, keepdims=True)) / np.sqrt(pooled.var(-1) + 1e-6)[:, None]
    pooled = pooled * state["fc_norm.weight"] + state["fc_norm.bias"]
    want = pooled @ state["head.weight"].T + state["head.bias"]
    assert np.allclose(to_numpy(model(x)), want, atol=1e-4)
    assert type(convert(state, backbone_only=True, **SMALL).model) is AudioViT


def test_a_converted_classifier_is_a_preset(tmp_path):
    model = convert(ast(), tmp_path / "preset", **SMALL).model
    again = AudioClassifier.from_preset(str(tmp_path / "preset"))
    x = spectrogram()
    assert np.allclose(to_numpy(again(x)), to_numpy(model(x)), atol=1e-5)


def test_misfits_are_named():
    with pytest.raises(ConvertError, match="pass heads="):
        convert(ast(), frames=64, bands=48)
    state = with_decoder(audiomae())
    del state["blocks.1.mlp.fc2.bias"], state["cls_token"]
    state["extra"] = np.zeros(2, "float32")
    with pytest.raises(ConvertError) as caught:
        convert(state, **SMALL)
    assert all(
        name in str(caught.value) for name in ("blocks.1.mlp.fc2.bias", "cls_token", "extra")
    )
    with pytest.raises(ConvertError, match="has no option clip"):
        convert(ast(), clip={"frames": 4}, **SMALL)
    mavil = audiomae()
    mavil.layer("patch_embed_v.proj", 16, 3, 2, 16, 16)
    with pytest.raises(ConvertError, match="MAViL"):
        convert(mavil, **SMALL)
    assert not audio_mae.recognizes({"patch_embed.proj.weight": np.zeros((4, 3, 16, 16))})
    assert not audio_ast.recognizes({"patch_embed.proj.weight": np.zeros((4, 1, 16, 16))})
