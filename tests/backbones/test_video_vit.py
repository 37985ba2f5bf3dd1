"""The video vision transformers keep what their papers and their published code say."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import VideoViT
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import DividedBlock
from keras_vssl.layers import TransformerBlock, masking
from tests import backends
from tests.contract import video_vit

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 32, 3), dtype=np.uint8)
DIVIDED = {
    "attention": "divided",
    "positions": "space_time",
    "class_token": True,
    "output": "class",
    "qkv_bias": "all",
}


def parameters(width, depth, mlp, inputs, qkv_biases):
    """Encoder parameters by the formula: blocks, embedding, final normalisation."""
    attention = 4 * width**2 + (qkv_biases + 1) * width
    block = attention + 2 * width * mlp + mlp + width + 4 * width
    return depth * block + inputs * width + width + 2 * width


def test_base_has_the_parameters_of_the_formula():
    backbone = VideoViT.from_preset("video_vit_base")
    assert backbone.count_params() == parameters(768, 12, 3072, 2 * 16 * 16 * 3, 2) == 86_227_200
    assert backbone.grid == (8, 14, 14) and backbone.clip["frames"] == 16
    assert not any("position" in w.path for w in backbone.weights), "no position table"


@pytest.mark.parametrize("size", ["tiny", "small", "large", "huge", "giant", "nano"])
def test_the_presets_say_their_true_size(size):
    entry = ARCHITECTURES[f"video_vit_{size}"]
    c = {"width": 768, "depth": 12, "patch": [2, 16, 16], **entry["config"]}
    count = parameters(
        c["width"], c["depth"], c.get("mlp_width", 4 * c["width"]), 3 * int(np.prod(c["patch"])), 2
    )
    assert f"({count / 1e6:.{2 if count < 1e6 else 1}f}M parameters)" in entry["description"]
    if size == "nano":
        assert VideoViT.from_preset("video_vit_nano").count_params() == count


def test_timesformer_has_its_tables_and_says_its_size():
    backbone = VideoViT.from_preset("timesformer_base")
    assert "(121.3M parameters)" in ARCHITECTURES["timesformer_base"]["description"]
    assert round(backbone.count_params() / 1e6, 1) == 121.3
    positions = backbone.get_layer("positions")
    assert positions.space.shape == (197, 768) and positions.time.shape == (8, 768)
    assert backbone.output.shape == (None, 1, 1, 1, 768)
    assert backbone.clip["stride"] == 32


def test_endpoints_are_tokens_and_the_output_is_their_map():
    backbone = video_vit()
    assert list(backbone.endpoints) == ["embedded", "block1", "block2", "norm", "map"]
    tokens = backends.to_numpy(backbone.endpoint("norm")(CLIPS))
    assert tokens.shape == (2, 4 * 2 * 2, 48)
    assert np.array_equal(tokens.reshape(2, 4, 2, 2, 48), backends.to_numpy(backbone(CLIPS)))


def test_some_tokens_alone_are_as_if_the_others_were_masked():
    backbone = video_vit()
    tokens = backbone.embed_tokens(keras.ops.convert_to_tensor(CLIPS))
    mask = masking.random_mask(2, backbone.grid, 0.5, 0)
    visible, _ = masking.split_indices(mask, 8)
    alone = backbone.encode_tokens(masking.gather_tokens(tokens, visible))
    x = tokens
    for index in (1, 2):
        x = backbone.get_layer(f"block{index}")(x, key_mask=keras.ops.logical_not(mask))
    among = masking.gather_tokens(backbone.get_layer("norm")(x), visible)
    assert np.abs(backends.to_numpy(alone) - backends.to_numpy(among)).max() < 1e-5
    everything = backends.to_numpy(backbone.encode_tokens(tokens))
    assert np.abs(everything - backends.to_numpy(backbone(CLIPS)).reshape(2, 16, 48)).max() < 1e-5


def test_time_attention_starts_from_nothing_and_leaves_space_attention():
    keras.utils.set_random_seed(0)
    block = DividedBlock(12, 3, grid=(4, 2, 2))
    block.build((None, 17, 12))
    assert not backends.to_numpy(block.time_fc.kernel).any()
    x = np.random.default_rng(0).normal(size=(2, 17, 12)).astype("float32")
    got = backends.to_numpy(block(x))

    space = TransformerBlock(12, 3)
    space.build((None, None, 12))
    for name in ("norm1", "attention", "norm2", "fc1", "fc2"):
        getattr(space, name).set_weights(getattr(block, name).get_weights())
    frames = x[:, 1:].reshape(8, 4, 12)
    frames = np.concatenate([np.repeat(x[:, :1], 4, axis=0), frames], axis=1)
    attended = space.attention(space.norm1(frames))
    attended = backends.to_numpy(attended).reshape(2, 4, 5, 12)
    token = x[:, :1] + attended[:, :, 0].mean(1, keepdims=True)
    places = x[:, 1:] + attended[:, :, 1:].reshape(2, 16, 12)
    want = backends.to_numpy(space.feed_forward(np.concatenate([token, places], 1)))
    assert np.abs(got - want).max() < 1e-5


def test_divided_attention_over_time_sees_its_own_place_alone():
    keras.utils.set_random_seed(0)
    block = DividedBlock(12, 3, grid=(4, 2, 2), class_token=False, zero_time=False)
    block.build((None, 16, 12))
    for layer in (block.attention, block.fc2):  # the time step alone
        layer.set_weights([0 * w for w in layer.get_weights()])
    x = np.random.default_rng(0).normal(size=(1, 16, 12)).astype("float32")
    changed = x.copy()
    changed[0, 5, 0] += 1.0  # slot 1, place 1
    moved = np.abs(backends.to_numpy(block(changed)) - backends.to_numpy(block(x))).max(-1)[0]
    assert set(np.flatnonzero(moved > 1e-6)) == {1, 5, 9, 13}


@pytest.mark.parametrize(
    "options",
    [
        {"positions": "learned", "class_token": True},
        {"positions": "rotary", "activation": "gelu_tanh"},
        {"positions": "sine_cosine_3d_half"},
        {"positions": "sine_cosine_3d", "final_norm": False, "qkv_bias": "none"},
        {**DIVIDED, "patch": (1, 16, 16)},
    ],
)
def test_every_form_comes_back_from_its_config(options):
    backbone = video_vit(drop_path=0.2, **options)
    copy = VideoViT.from_config(backbone.get_config())
    copy.set_weights(backbone.get_weights())
    want = backends.to_numpy(backbone(CLIPS))
    assert np.array_equal(backends.to_numpy(copy(CLIPS)), want)
    assert want.shape == (2, *((1, 1, 1) if options.get("output") else backbone.grid), 48)
    assert [backbone.get_layer(f"block{i}").drop_path for i in (1, 2)] == [0.0, 0.2]
    dropped = backends.to_numpy(backbone(CLIPS, training=True))
    assert np.isfinite(dropped).all()


def test_divided_blocks_but_the_first_start_without_time():
    backbone = video_vit(**DIVIDED)
    first, second = (
        backends.to_numpy(backbone.get_layer(f"block{i}").time_fc.kernel) for i in (1, 2)
    )
    assert first.any() and not second.any()
    with pytest.raises(ValueError, match="joint"):
        backbone.encode_tokens(np.zeros((1, 3, 48), "float32"))


def test_bad_arguments_are_one_sentence():
    for options, words in (
        ({"positions": "rope"}, "positions"),
        ({"positions": "rotary", "class_token": True}, "no class token"),
        ({"positions": "rotary", "attention": "divided"}, "no class token"),
        ({"activation": "relu"}, "activation"),
        ({"attention": "space"}, "attention"),
        ({"output": "class"}, "class_token=True"),
        ({"clip_shape": (None, 32, 32, 3)}, "fixed clip_shape"),
        ({"clip_shape": (16, 33, 32, 3)}, "choose multiples"),
    ):
        with pytest.raises(ValueError, match=words):
            video_vit(**options)
