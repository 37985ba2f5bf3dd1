"""The factorised transformers keep what their papers say."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import FactorisedViT, VideoViT
from keras_vssl.backbones.presets import ARCHITECTURES
from tests import backends

CLIP = (8, 16, 16, 3)
CLIPS = np.random.default_rng(0).integers(0, 256, (2, *CLIP), dtype=np.uint8)


def made(time_depth=1, **options):
    keras.utils.set_random_seed(0)
    options = {"patch": (2, 8, 8), "clip_shape": CLIP, **options}
    return FactorisedViT(48, 2, 3, time_depth, **options)


def test_endpoints_are_slots_then_time():
    backbone = made()
    names = ["embedded", "block1", "block2", "slots", "time1", "norm", "map"]
    assert list(backbone.endpoints) == names and backbone.grid == (4, 2, 2)
    assert backends.to_numpy(backbone.endpoint("block2")(CLIPS)).shape == (8, 5, 48)
    assert backends.to_numpy(backbone.endpoint("slots")(CLIPS)).shape == (2, 4, 48)
    assert backends.to_numpy(backbone.endpoint("time1")(CLIPS)).shape == (2, 5, 48)
    assert backends.to_numpy(backbone(CLIPS)).shape == (2, 1, 1, 1, 48)


def test_space_sees_its_own_slot_alone():
    backbone = made()
    changed = CLIPS.copy()
    changed[:, 2:4] = 255 - changed[:, 2:4]
    slots = backbone.endpoint("slots")
    gap = np.abs(backends.to_numpy(slots(changed)) - backends.to_numpy(slots(CLIPS))).max((0, 2))
    assert gap[1] > 1e-3 and np.abs(np.delete(gap, 1)).max() < 1e-5


def test_a_still_clip_gives_the_image_networks_output():
    """Must hold: in the space-only variant; and its frames have no order."""
    clip = (8, 16, 16, 3)
    video = made(0, patch=(1, 8, 8), clip_shape=clip)
    image = made(0, patch=(1, 8, 8), clip_shape=(1, 16, 16, 3))
    image.set_weights(video.get_weights())
    frame = CLIPS[:, :1]
    still = backends.to_numpy(video(np.repeat(frame, 8, axis=1)))
    np.testing.assert_allclose(still, backends.to_numpy(image(frame)), atol=1e-5)
    got, back = (backends.to_numpy(video(x)) for x in (CLIPS, CLIPS[:, ::-1].copy()))
    np.testing.assert_allclose(got, back, atol=1e-5)


def test_time_blocks_see_the_order():
    backbone = made()
    rng = np.random.default_rng(0)
    table = backbone.get_layer("time_positions").space
    table.assign(rng.normal(size=table.shape))
    got, back = (backends.to_numpy(backbone(x)) for x in (CLIPS, CLIPS[:, ::-1].copy()))
    assert np.abs(got - back).max() > 1e-3


@pytest.mark.parametrize(
    "options", [{"drop_path": 0.2}, {"time_depth": 0, "activation": "gelu_tanh"}]
)
def test_every_form_comes_back_from_its_config(options):
    backbone = made(**options)
    copy = FactorisedViT.from_config(backbone.get_config())
    assert copy.get_config() == backbone.get_config()
    copy.set_weights(backbone.get_weights())
    assert np.array_equal(backends.to_numpy(copy(CLIPS)), backends.to_numpy(backbone(CLIPS)))
    assert np.isfinite(backends.to_numpy(backbone(CLIPS, training=True))).all()


def block_parameters(width, mlp):
    return 4 * width**2 + 4 * width + 2 * width * mlp + mlp + width + 4 * width


def parameters(config):
    """By the formula: embedding, class tokens, tables, blocks, normalisations."""
    config = {"width": 768, "depth": 12, "time_depth": 4, "patch": [2, 16, 16], **config}
    width, (slots, *places) = config["width"], np.array(config["clip_shape"][:3]) // config["patch"]
    slots, places = int(slots), int(np.prod(places))
    count = (3 * int(np.prod(config["patch"])) + 1) * width
    count += width + (places + 1) * width + 2 * width
    if config["time_depth"]:
        count += width + (slots + 1) * width + 2 * width
    depth = config["depth"] + config["time_depth"]
    return count + depth * block_parameters(width, 4 * width)


@pytest.mark.parametrize(
    "name", ["vivit_base_factorised", "vivit_large_factorised", "timesformer_base_space"]
)
def test_the_presets_say_their_true_size(name):
    entry = ARCHITECTURES[name]
    count = parameters(entry["config"])
    assert f"({count / 1e6:.1f}M parameters)" in entry["description"]
    # Counted of the same network with few blocks: the large one would take gigabytes.
    short = {**entry["config"], "depth": 1}
    short["time_depth"] = min(1, short.get("time_depth", 4))
    assert FactorisedViT.from_config(short).count_params() == parameters(short)


@pytest.mark.parametrize(
    "name, count",
    [
        ("vjepa_large", 303_885_312),
        ("vjepa_huge", 631_648_000),
        ("vjepa_huge_384", 631_648_000),
        ("vjepa2_large", 303_885_312),
        ("vjepa2_huge", 631_648_000),
        ("vjepa2_giant", 1_012_173_952),
        ("vjepa2_giant_384", 1_012_173_952),
        ("vivit_base", 88_646_400),
        ("timesformer_base_joint", 85_804_800),
    ],
)
def test_the_presets_with_joint_attention_say_their_true_size(name, count):
    """The card: L 304 M, H 632 M, g 1.01 B, B 86-87 M (ViViT's table of 3137 rows comes atop)."""
    entry = ARCHITECTURES[name]
    assert f"({count / 1e6:.1f}M parameters)" in entry["description"]
    config = entry["config"]
    short = VideoViT.from_config({**config, "depth": 1})
    width = short.width
    blocks = config.get("depth", 12) - 1
    assert short.count_params() + blocks * block_parameters(width, short.mlp_width) == count


def test_bad_arguments_are_one_sentence():
    for options, words in (
        ({"activation": "relu"}, "activation"),
        ({"clip_shape": (None, 16, 16, 3)}, "fixed clip_shape"),
        ({"clip_shape": (8, 17, 16, 3)}, "choose multiples"),
    ):
        with pytest.raises(ValueError, match=words):
            made(**options)
