"""An audio backbone takes waveforms and spectrograms alike."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AudioBackbone


def small(**kwargs):
    spectrogram = keras.Input((99, 40))
    picture = keras.layers.Reshape((99, 40, 1))(spectrogram)
    features = keras.layers.Conv2D(8, 3, 2, name="conv1")(picture)
    return AudioBackbone(spectrogram, {"conv1": features}, 8, **kwargs)


WAVE = np.random.default_rng(0).uniform(-1, 1, (2, 16000)).astype("float32")


def test_a_waveform_goes_through_the_front_end():
    backbone = small(front_end="avts")
    features = keras.ops.convert_to_numpy(backbone(WAVE))
    assert features.shape == (2, 49, 19, 8) and backbone.sound["rate"] == 16000
    assert np.array_equal(features, backbone(backbone.front_end(WAVE)))
    assert np.array_equal(features, backbone.endpoint("conv1")(WAVE))


def test_without_a_front_end_waveforms_are_refused():
    with pytest.raises(ValueError, match="has no front-end"):
        small()(WAVE)


def test_the_rate_is_the_front_ends():
    with pytest.raises(ValueError, match="rate 8000 Hz"):
        small(front_end="avts", sound={"rate": 8000})
    with pytest.raises(ValueError, match="takes the keys rate, seconds"):
        small(sound={"channels": 2})
