"""Swin V2: published sizes and files, frames by themselves, attention as its paper writes it."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import SwinV2, VideoBackbone
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import ConvertError, convert
from keras_vssl.downstream import VideoClassifier
from keras_vssl.layers import WindowBlock
from keras_vssl.layers.window_attention import WindowAttention
from tests.backends import to_numpy
from tests.convert.check import check_format
from tests.convert.test_audio_vit import Checkpoint

SMALL = {"width": 8, "depths": (1, 2), "heads": (1, 2), "window": 4}
CLIPS = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), dtype=np.uint8)


def small(**options):
    keras.utils.set_random_seed(0)
    return SwinV2(**{**SMALL, "clip_shape": (None, 32, 32, 3), **options})


def swin_state(prefix="", merge_first=False, tables=True, classes=5, width=8, head="head"):
    """Random tensors under the published names: two stages of 1 and 2 blocks, windows of 4."""
    state = Checkpoint()
    state.layer(f"{prefix}patch_embed.proj", width, 3, 4, 4)
    state.layer(f"{prefix}patch_embed.norm", width)
    for stage, depth in enumerate((1, 2)):
        size, heads = width * 2**stage, stage + 1
        for index in range(depth):
            name = f"{prefix}layers.{stage}.blocks.{index}"
            state.put(f"{name}.attn.logit_scale", heads, 1, 1)
            state.put(f"{name}.attn.qkv.weight", 3 * size, size)
            state.put(f"{name}.attn.q_bias", size)
            state.put(f"{name}.attn.v_bias", size)
            state.layer(f"{name}.attn.cpb_mlp.0", 512, 2)
            state.put(f"{name}.attn.cpb_mlp.2.weight", heads, 512)
            state.layer(f"{name}.attn.proj", size, size)
            state.layer(f"{name}.mlp.fc1", 4 * size, size)
            state.layer(f"{name}.mlp.fc2", size, 4 * size)
            state.layer(f"{name}.norm1", size)
            state.layer(f"{name}.norm2", size)
            if tables:
                state[f"{name}.attn.relative_coords_table"] = np.zeros((1, 7, 7, 2), "float32")
    downsample = f"{prefix}layers.{int(merge_first)}.downsample"
    state.put(f"{downsample}.reduction.weight", 2 * width, 4 * width)
    state.layer(f"{downsample}.norm", 2 * width)
    state.layer(f"{prefix}norm", 2 * width)
    if classes:
        state.layer(f"{prefix}{head}", classes, 2 * width)
    return dict(state)


def parameters(width, depths, heads, patch=4):
    """Of the network without a classifier, by the formula."""
    count = patch * patch * 3 * width + width + 2 * width
    for stage, (depth, number) in enumerate(zip(depths, heads)):
        c = width * 2**stage
        attention = 3 * c * c + 2 * c + c * c + c + number + 512 * (2 + 1) + 512 * number
        count += depth * (attention + 8 * c * c + 5 * c + 4 * c)
        if stage < len(depths) - 1:
            count += 8 * c * c + 4 * c
    return count + 2 * c


# timm's counts, with the classifier of as many classes.
PUBLISHED = {
    "swin_v2_tiny": (28_347_154, 1000),
    "swin_v2_small": (49_728_418, 1000),
    "swin_v2_base": (87_918_816, 1000),
    "swin_v2_base_192": (109_280_841, 21_841),
    "swin_v2_large_192": (228_772_549, 21_841),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_presets_have_the_published_parameters(name):
    entry = ARCHITECTURES[name]
    config = {"width": 96, "depths": (2, 2, 6, 2), "heads": (3, 6, 12, 24), **entry["config"]}
    count = parameters(config["width"], config["depths"], config["heads"])
    total, classes = PUBLISHED[name]
    assert count + classes * (8 * config["width"] + 1) == total
    assert f"({count / 1e6:.1f}M parameters)" in entry["description"]


def test_the_formula_counts_what_the_network_has():
    backbone = SwinV2.from_preset("swin_v2_nano")
    config = ARCHITECTURES["swin_v2_nano"]["config"]
    count = parameters(config["width"], config["depths"], config["heads"])
    assert backbone.count_params() == count
    assert f"({count / 1e6:.2f}M parameters)" in ARCHITECTURES["swin_v2_nano"]["description"]


def test_the_published_grids():
    tiny = {"width": 8, "heads": (1, 1, 2, 2), "depths": (1, 1, 1, 1)}
    backbone = SwinV2.from_preset("swin_v2_large_192", **tiny)
    shapes = [tuple(backbone.endpoints[f"layer{i}"].shape[2:4]) for i in (1, 2, 3, 4)]
    assert shapes == [(48, 48), (24, 24), (12, 12), (6, 6)]
    assert backbone.get_layer("layer4_block1").window == (6, 6)
    assert backbone.clip["size"] == 192 and backbone.feature_dim == 64


def test_frames_are_by_themselves():
    backbone = small()
    features = to_numpy(backbone(CLIPS))
    assert features.shape == (2, 3, 4, 4, 16)
    np.testing.assert_allclose(to_numpy(backbone(CLIPS[:, ::-1]))[:, ::-1], features, atol=1e-5)
    np.testing.assert_allclose(to_numpy(backbone(CLIPS[:, 1:2])), features[:, 1:2], atol=1e-5)
    assert to_numpy(backbone.endpoint("layer1")(CLIPS)).shape == (2, 3, 8, 8, 8)


def test_every_second_block_shifts_where_there_is_more_than_a_window():
    backbone = SwinV2(8, (2, 2), (1, 2), 4, clip_shape=(1, 32, 32, 3))
    shifts = [backbone.get_layer(f"layer{s}_block{b}").shift for s in (1, 2) for b in (1, 2)]
    assert shifts == [(0, 0), (2, 2), (0, 0), (0, 0)]


def attention(layer, x, trained):
    """Sec. 3.2 and 3.3 in NumPy, in float64, for one window."""
    high, wide = layer.window
    qkv = x @ to_numpy(layer.qkv.kernel.value)
    bias = np.zeros(qkv.shape[-1])
    bias[: x.shape[-1]] = to_numpy(layer.query_bias.value)
    bias[-x.shape[-1] :] = to_numpy(layer.value_bias.value)
    query, key, value = np.split(qkv + bias, 3, axis=-1)
    out = np.zeros_like(value)
    size = x.shape[-1] // layer.heads
    places = [(r, c) for r in range(high) for c in range(wide)]
    weights = [
        to_numpy(w.value) for w in (layer.bias1.kernel, layer.bias1.bias, layer.bias2.kernel)
    ]
    for head in range(layer.heads):
        part = slice(head * size, (head + 1) * size)
        q, k = query[:, part], key[:, part]
        norm = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(k, axis=1)[None]
        logits = q @ k.T / norm / to_numpy(layer.temperature.value)[head]
        for i, a in enumerate(places):
            for j, b in enumerate(places):
                d = 8.0 * (np.array(a) - b) / (np.array(trained) - 1)
                d = np.sign(d) * np.log2(1 + np.abs(d)) / np.log2(8)
                hidden = np.maximum(d @ weights[0] + weights[1], 0)
                logits[i, j] += 16 / (1 + np.exp(-(hidden @ weights[2])[head]))
        soft = np.exp(logits - logits.max(axis=1, keepdims=True))
        out[:, part] = soft / soft.sum(axis=1, keepdims=True) @ value[:, part]
    return out @ to_numpy(layer.project.kernel.value) + to_numpy(layer.project.bias.value)


@pytest.mark.parametrize("trained", [(3, 2), (2, 2)])
def test_attention_is_the_papers(trained):
    keras.utils.set_random_seed(0)
    layer = WindowAttention(2, (3, 2), 512, 0.0, trained, "query_value")
    layer.build((None, 6, 8))
    rng = np.random.default_rng(0)
    for weight in (layer.query_bias, layer.value_bias, layer.temperature):
        weight.assign(rng.uniform(0.1, 1.0, weight.shape))
    x = rng.normal(size=(1, 6, 8)).astype("float32")
    want = attention(layer, x[0].astype("float64"), trained)
    np.testing.assert_allclose(to_numpy(layer(x))[0], want, atol=1e-5)


def test_the_bias_of_pairs_at_one_distance_is_computed_once():
    """With dropout every pair has its own draw; without, the same bias comes of fewer rows."""
    options = {"window": (3, 2), "bias_hidden": 8}
    once, all_pairs = (WindowAttention(2, bias_dropout=rate, **options) for rate in (0.0, 0.5))
    for layer in (once, all_pairs):
        layer.build((None, 6, 8))
    all_pairs.set_weights(once.get_weights())
    x = np.random.default_rng(0).normal(size=(1, 6, 8)).astype("float32")
    np.testing.assert_allclose(to_numpy(once(x)), to_numpy(all_pairs(x, training=False)), atol=1e-5)
    assert len(once._distance) == 15 and len(all_pairs._distance) == 36


def test_a_file_with_its_classifier(tmp_path):
    model = check_format(
        swin_state(),
        "timm_swin",
        tmp_path,
        inputs=CLIPS[:, None].astype("float32") / 255,
        victim="layers.1.blocks.1.norm2.bias",
        clip_shape=(None, 32, 32, 3),
    )
    assert isinstance(model, VideoClassifier) and model.num_classes == 5
    config = model.backbone.get_config()
    assert {name: config[name] for name in SMALL} == {k: list(v) if isinstance(v, tuple) else v
                                                      for k, v in SMALL.items()}  # fmt: skip


def test_both_places_of_the_merging_and_both_names_of_the_classifier():
    old = swin_state(head="head")
    new = {
        name.replace("layers.0.downsample", "layers.1.downsample").replace("head.", "head.fc."): a
        for name, a in old.items()
        if "table" not in name
    }
    options = {"clip_shape": (None, 32, 32, 3)}
    x = CLIPS[:, None].astype("float32") / 255
    got = [to_numpy(convert(old, **options).model(x)),
           to_numpy(convert(new, window=4, **options).model(x))]  # fmt: skip
    assert np.array_equal(*got)
    backbone = convert(new, window=4, backbone_only=True, **options).model
    assert type(backbone) is SwinV2
    with pytest.raises(ConvertError, match="4 wide, but received 8"):
        convert(old, window=8, **options)


def test_a_preset_round_trip(tmp_path):
    backbone = small(trained_windows=(3, 2), drop_path=0.1, clip_shape=(3, 32, 32, 3))
    backbone.save_to_preset(tmp_path / "preset")
    again = VideoBackbone.from_preset(str(tmp_path / "preset"))
    assert again.get_config() == backbone.get_config()
    np.testing.assert_allclose(to_numpy(again(CLIPS)), to_numpy(backbone(CLIPS)), atol=1e-5)
    block = WindowBlock.from_config(backbone.get_layer("layer2_block2").get_config())
    assert block.drop.rate == pytest.approx(0.1) and block.attention.bias_window == (2, 2)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"clip_shape": (None, 48, 48, 3), "window": 5}, "whole windows"),
        ({"clip_shape": (None, None, 32, 3)}, "fixed height and width"),
        ({"heads": (1, 2, 4)}, "as many stages"),
        ({"clip_shape": (None, 12, 12, 3), "window": 3}, "even grid"),
        ({"clip_shape": (None, 30, 32, 3)}, "cubes"),
    ],
)
def test_bad_arguments_are_one_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        small(**options)


def test_keras_hubs_first_version_is_still_there():
    """The class this file's docstring names, for those who want the first Swin."""
    import keras_hub

    swin = keras_hub.models.SwinTransformerBackbone(
        image_shape=(32, 32, 3), embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4
    )
    assert np.isfinite(to_numpy(swin(np.zeros((1, 32, 32, 3), "float32")))).all()
