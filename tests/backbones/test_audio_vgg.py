"""AudioVGG takes waveforms and spectrograms alike, survives its preset, and has AVTS's shape."""

import tempfile

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AudioBackbone, AudioVGG
from tests.backends import to_numpy

WAVE = np.random.default_rng(0).uniform(-1, 1, (2, 4800)).astype("float32")


def small(**kwargs):
    keras.utils.set_random_seed(0)
    options = {"channels": (4, 8, 8), "pools": (1, 3), "dense": (16,), "dense_shape": (8, 10)}
    return AudioVGG(**{**options, "front_end": "avts", **kwargs})


def features(backbone, x):
    return to_numpy(backbone(x, training=False))


def check_waveform_and_spectrogram_agree():
    backbone = small()
    assert backbone.sound["rate"] == 16000
    spectrogram = backbone.front_end(WAVE)
    assert tuple(spectrogram.shape) == (2, 29, 40)
    want = features(backbone, WAVE)
    assert want.shape == (2, 1, 1, backbone.feature_dim) and np.isfinite(want).all()
    np.testing.assert_array_equal(features(backbone, spectrogram), want)
    last = list(backbone.endpoints)[-1]
    np.testing.assert_allclose(features(backbone.endpoint(last), WAVE), want, atol=1e-5)


def check_configuration_and_preset_come_back():
    backbone = small()
    backbone(WAVE, training=True)  # statistics that are not the initial ones
    config = backbone.get_config()
    assert AudioVGG.from_config(config).get_config() == config
    with tempfile.TemporaryDirectory() as folder:
        backbone.save_to_preset(f"{folder}/preset")
        loaded = AudioBackbone.from_preset(f"{folder}/preset")
    assert type(loaded) is AudioVGG and loaded.get_config() == config
    np.testing.assert_allclose(features(loaded, WAVE), features(backbone, WAVE), atol=1e-5)


def check_bfloat16_keeps_float32_weights_and_stays_near():
    backbone, half = small(), small(dtype="mixed_bfloat16")
    half.set_weights(backbone.get_weights())
    assert {keras.backend.standardize_dtype(w.dtype) for w in half.weights} == {"float32"}
    assert keras.backend.standardize_dtype(half(WAVE).dtype) == "bfloat16"
    want = features(backbone, WAVE)
    assert np.abs(features(half, WAVE) - want).max() < 0.1 * max(1.0, np.abs(want).max())


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_audio_vgg(check):
    check()


def test_the_map_is_time_first_and_follows_the_sound():
    backbone = AudioVGG((4, 4, 4, 4, 4), front_end="avts")
    ends = {name: tuple(t.shape)[1:] for name, t in backbone.endpoints.items()}
    assert list(ends) == ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]
    for seconds, steps in ((1, 13), (2, 25)):
        wave = np.zeros((1, seconds * 16000), "float32")
        assert tuple(backbone(wave).shape) == (1, steps, 5, 4)
    quiet = np.zeros((1, 16000), "float32")
    late = quiet.copy()
    late[:, 14000:] = WAVE[:1, :2000]
    changed = np.abs(features(backbone, late) - features(backbone, quiet))[0].max(axis=(1, 2))
    assert changed[:5].max() < 1e-6 < changed[-1], "time is the first axis, and runs forward"


@pytest.mark.parametrize("name, millions", [("audio_vgg_avts", 10.8), ("audio_vgg_nano", 0.67)])
def test_presets_say_their_size_and_take_a_second(name, millions):
    backbone = AudioBackbone.from_preset(name)
    assert abs(backbone.count_params() / 1e6 - millions) < 0.05 * millions
    assert tuple(backbone(np.zeros((1, 16000), "float32")).shape) == (1, 1, 1, backbone.feature_dim)
    assert backbone.sound == {"rate": 16000, "seconds": 1.0}


def test_a_pooling_after_no_convolution_is_refused():
    with pytest.raises(ValueError, match="convolutions from 1 to 2"):
        AudioVGG((4, 8), pools=(3,))


def main():
    for check in CHECKS:
        check()
