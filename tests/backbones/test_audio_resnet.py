"""AudioResNet and RepLAI's AudioVGG take sound of any length and have the published sizes."""

import tempfile

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AudioBackbone, AudioResNet, AudioVGG
from keras_vssl.backbones.presets import ARCHITECTURES
from tests.backends import to_numpy
from tests.contract import check_precisions

WAVE = np.random.default_rng(0).uniform(-1, 1, (2, 4960)).astype("float32")
TINY = {"channels": (4, 6), "blocks": (2, 1), "strides": (1, 2)}


def small(**kwargs):
    keras.utils.set_random_seed(0)
    return AudioResNet(**{**TINY, "front_end": "crisscross", **kwargs})


def features(backbone, x):
    return to_numpy(backbone(x, training=False))


def trainable_count(backbone):
    """PyTorch counts no running statistics."""
    return sum(int(np.prod(weight.shape)) for weight in backbone.trainable_weights)


def check_waveform_and_spectrogram_agree():
    backbone = small()
    spectrogram = backbone.front_end(WAVE)
    assert tuple(spectrogram.shape) == (2, 32, 80)
    want = features(backbone, WAVE)
    assert want.shape == (2, 4, 10, 6) and np.isfinite(want).all()
    np.testing.assert_array_equal(features(backbone, spectrogram), want)
    assert list(backbone.endpoints) == ["stem", "stem_pool", "layer1", "layer2"]
    np.testing.assert_allclose(features(backbone.endpoint("layer2"), WAVE), want, atol=1e-5)


def check_configuration_and_preset_come_back():
    for options in ({}, {"stem_norm": False, "stem_pool": False, "stem_width": 3}):
        backbone = small(**options)
        backbone(WAVE, training=True)  # statistics that are not the initial ones
        config = backbone.get_config()
        assert AudioResNet.from_config(config).get_config() == config
        with tempfile.TemporaryDirectory() as folder:
            backbone.save_to_preset(f"{folder}/preset")
            loaded = AudioBackbone.from_preset(f"{folder}/preset")
        assert type(loaded) is AudioResNet and loaded.get_config() == config
        np.testing.assert_allclose(features(loaded, WAVE), features(backbone, WAVE), atol=1e-5)


def check_half_precision_stays_near():
    check_precisions(small, small(), WAVE)


CHECKS = [
    v for k, v in list(globals().items()) if k.startswith("check_") and v.__module__ == __name__
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_audio_resnet(check):
    check()


def at(name, frames, **kwargs):
    """A preset at a fixed number of spectrogram frames, with two channels a layer."""
    config = ARCHITECTURES[name]["config"]
    channels = [2] * len(config.get("channels", (0,) * 4))
    bands = config.get("spectrogram_shape", (None, 80))[1]
    options = {"channels": channels, "spectrogram_shape": (frames, bands), **kwargs}
    return AudioBackbone.from_preset(name, **options)


@pytest.mark.parametrize("frames, steps", [(101, 4), (201, 7), (501, 16)])
def test_crisscross_maps_have_three_bands_and_the_cards_steps(frames, steps):
    # 1, 2 and 5 s; pooled by 3 at every other step they are the published 1, 3 and 7.
    backbone = at("audio_resnet_18_crisscross", frames)
    assert backbone.output_shape == (None, steps, 3, 2)
    assert (steps - 3) // 2 + 1 == {101: 1, 201: 3, 501: 7}[frames]


def test_vmzs_form_leaves_a_map_of_four_by_two():
    backbone = at("audio_resnet_18_xdc", 100)
    sizes = [tuple(t.shape[1:3]) for t in backbone.endpoints.values()]
    assert sizes == [(100, 40), (50, 20), (25, 10), (13, 5), (7, 3), (4, 2)]


def test_replais_form_maps_125_by_80_to_8_by_5():
    backbone = at("audio_vgg_replai", 125)
    assert backbone.output_shape == (None, 8, 5, 2)
    assert list(backbone.endpoints) == [f"conv{i}" for i in range(1, 10)]
    wave = np.zeros((1, 32000), "float32")
    assert tuple(backbone.front_end(wave).shape) == (1, 125, 80)


@pytest.mark.parametrize(
    "name, count, width",
    [
        # A ResNet-18 of one channel without its linear layer: 11,689,512 - 513,000 - 6,272.
        ("audio_resnet_18_crisscross", 11_170_240, 512),
        ("audio_resnet_18_xdc", 11_202_528, 512),
        ("audio_resnet_nano", 307_888, 128),
        ("audio_vgg_replai", 4_725_696, 512),
    ],
)
def test_parameter_counts(name, count, width):
    backbone = AudioBackbone.from_preset(name)
    assert trainable_count(backbone) == count and backbone.feature_dim == width
    assert f"{count / 1e6:.1f}M" in ARCHITECTURES[name]["description"]


def test_time_is_the_first_axis_and_runs_forward():
    backbone = small()
    picture = np.zeros((1, 128, 80), "float32")
    late = picture.copy()
    late[:, 120:] = 1.0
    changed = np.abs(features(backbone, late) - features(backbone, picture))[0].max(axis=(1, 2))
    assert changed[:8].max() < 1e-6 < changed[-1]


def test_strided_convolutions_of_the_two_paddings_differ():
    x = np.random.default_rng(0).normal(size=(1, 12, 8)).astype("float32")
    options = {"channels": (3, 3), "pools": (), "strides": (2, 1), "kernels": (7, 3)}
    same, symmetric = (
        AudioVGG(**options, padding=padding, spectrogram_shape=(None, 8))
        for padding in ("same", "symmetric")
    )
    symmetric.set_weights(same.get_weights())
    a, b = features(same, x), features(symmetric, x)
    assert a.shape == b.shape and not np.allclose(a, b)
    assert AudioVGG.from_config(symmetric.get_config()).get_config() == symmetric.get_config()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="one number above 0 for each stage"):
        AudioResNet(channels=(4, 8), blocks=(1,), strides=(1, 2))
    with pytest.raises(ValueError, match="needs `stem_norm=True`"):
        AudioResNet(**TINY, stem_norm=False)
    with pytest.raises(ValueError, match="`kernels` takes odd ints"):
        AudioVGG((4, 8), pools=(), kernels=(4, 3))
    with pytest.raises(ValueError, match="`strides` takes ints above 0"):
        AudioVGG((4, 8), pools=(), strides=(1, 2, 1))
    with pytest.raises(ValueError, match="`padding` is"):
        AudioVGG((4, 8), pools=(), padding="valid")


def main():
    for check in CHECKS:
        check()
