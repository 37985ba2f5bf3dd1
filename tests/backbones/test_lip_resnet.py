"""LipResNet and WaveResNet keep the frame rate, pad as PyTorch does and have the published size."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import LipResNet, VideoBackbone, WaveResNet
from keras_vssl.backbones.base import Backbone
from keras_vssl.backbones.presets import ARCHITECTURES
from tests.backends import to_numpy
from tests.contract import check_precisions

RANDOM = np.random.default_rng(0)
TINY = {"width": 4, "blocks": (1, 1, 1, 1)}


def lips(**kwargs):
    keras.utils.set_random_seed(0)
    return LipResNet(**{**TINY, "pooled": True, **kwargs})


def wave(**kwargs):
    keras.utils.set_random_seed(0)
    return WaveResNet(**{**TINY, **kwargs})


def clip(frames, size=88, rows=1):
    return RANDOM.normal(size=(rows, frames, size, size, 1)).astype("float32")


def run(backbone, x):
    return to_numpy(backbone(x, training=False))


@pytest.mark.parametrize("frames, size", [(1, 88), (5, 88), (29, 88), (2, 96), (3, 45)])
def test_any_number_of_frames_keeps_the_frame_rate(frames, size):
    assert run(lips(), clip(frames, size)).shape == (1, frames, 32)


def test_the_last_map_is_3_by_3_and_its_mean_the_feature():
    backbone = lips()
    x = clip(2)
    maps = run(lips(pooled=False), x)
    assert maps.shape == (1, 2, 3, 3, 32)
    np.testing.assert_allclose(maps.mean((2, 3)), run(backbone, x), atol=1e-5)
    assert list(backbone.endpoints) == [
        *("stem", "stem_pool", "layer1", "layer2", "layer3", "layer4", "features")
    ]
    stem = backbone.endpoint("stem_pool")(x)
    assert tuple(stem.shape) == (1, 2, 22, 22, 4)


def test_a_feature_depends_on_two_frames_either_side():
    backbone, x = lips(), clip(9, 40)
    other = x.copy()
    other[:, 4] += 1.0
    changed = np.abs(run(backbone, other) - run(backbone, x)).max((0, 2)) > 1e-6
    assert np.flatnonzero(changed).tolist() == [2, 3, 4, 5, 6]


def test_appended_zero_frames_leave_earlier_features():
    backbone, x = lips(), clip(5, 40)
    longer = np.concatenate([x, np.zeros_like(x[:, :3])], axis=1)
    np.testing.assert_allclose(run(backbone, longer)[:, :5], run(backbone, x), atol=1e-5)


def test_slopes_of_1_are_the_identity_and_of_0_are_relu():
    x = clip(2, 40)
    backbone = lips()
    slopes = [w for w in backbone.weights if w.path.endswith("alpha")]
    assert len(slopes) == 1 + 2 * 4
    for slope in slopes:
        slope.assign(np.zeros(slope.shape))
    relu = lips(activation="relu")
    rest = [w for w in backbone.weights if not w.path.endswith("alpha")]
    for new, old in zip(relu.weights, rest, strict=True):
        new.assign(old)
    np.testing.assert_allclose(run(backbone, x), run(relu, x), atol=1e-5)
    for slope in slopes:
        slope.assign(np.ones(slope.shape))
    # Linear but for the pooling: the stem answers a negated clip with the negative.
    stem = backbone.endpoint("stem")
    np.testing.assert_allclose(run(stem, -x), -run(stem, x), atol=1e-5)


def test_the_pooling_pads_with_minus_infinity():
    backbone = lips()
    backbone.get_layer("stem_bn").beta.assign(np.full(4, -9.0))  # every value is negative
    x = clip(1, 40)
    assert (run(backbone.endpoint("stem"), x) < 0).all()
    assert (run(backbone.endpoint("stem_pool"), x) < 0).all()


def test_640_samples_are_a_feature_and_the_rest_is_cut():
    backbone = wave()
    x = RANDOM.normal(size=(2, 640 * 3 + 639)).astype("float32")
    whole = run(backbone, x[:, : 640 * 3])
    assert whole.shape == (2, 3, 1, 32) and backbone.hop == 640
    np.testing.assert_allclose(run(backbone, x), whole, atol=1e-5)
    assert run(wave(pool=10), x[:, :1920]).shape == (2, 6, 1, 32)
    with pytest.raises(ValueError, match="at least 640 samples"):
        run(backbone, x[:, :639])


def trainable_count(backbone):
    """PyTorch counts no running statistics."""
    return sum(int(np.prod(weight.shape)) for weight in backbone.trainable_weights)


def test_parameter_counts():
    # The card: "about 11.2 M, trunk 11.17 M and stem 0.016 M".
    swish = LipResNet(activation="swish")
    assert trainable_count(swish) == 11_182_784
    stem = sum(w.path.startswith("stem") * int(np.prod(w.shape)) for w in swish.trainable_weights)
    assert stem == 5 * 7 * 7 * 64 + 128
    # One slope a channel: the stem's, and two a block.
    slopes = 64 + 4 * (64 + 128 + 256 + 512)
    assert trainable_count(LipResNet()) == 11_182_784 + slopes
    assert trainable_count(WaveResNet()) == 3_848_576
    for name, millions in (("lip_resnet_18", "11.2"), ("wave_resnet_18", "3.8")):
        assert f"({millions}M parameters)" in ARCHITECTURES[name]["description"]


def test_pixels_configuration_preset_and_half_precision(tmp_path):
    backbone = LipResNet.from_preset("lip_resnet_nano", **TINY, pooled=True)
    pixels = RANDOM.integers(0, 256, (1, 3, 40, 40, 1), dtype="uint8")
    want = run(backbone, pixels)
    scaled = ((pixels / 255.0 - 0.421) / 0.165).astype("float32")
    np.testing.assert_allclose(run(backbone, scaled), want, atol=1e-3)
    for network, inputs in ((backbone, pixels), (wave(), RANDOM.normal(size=(1, 1280)))):
        inputs = inputs if inputs.dtype == "uint8" else inputs.astype("float32")
        config = network.get_config()
        assert type(network).from_config(config).get_config() == config
        network.save_to_preset(tmp_path / "preset")
        loaded = Backbone.from_preset(str(tmp_path / "preset"))
        assert type(loaded) is type(network)
        np.testing.assert_allclose(run(loaded, inputs), run(network, inputs), atol=1e-5)
    check_precisions(lips, lips(), scaled)
    check_precisions(wave, wave(), inputs)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`activation`"):
        LipResNet(activation="gelu")
    with pytest.raises(ValueError, match="`blocks`"):
        WaveResNet(blocks=(1, 1, 1))
    with pytest.raises(ValueError, match="samples as they are"):
        WaveResNet(front_end="avts")
    assert issubclass(LipResNet, VideoBackbone)
