"""MMV's pre-activation ResNets on frames and on sound."""

import tempfile

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AudioBackbone, AudioResNetV2, TSMResNetV2, VideoBackbone
from tests.contract import check_precisions, outputs

RANDOM = np.random.default_rng(0)
TINY = {"width": 8, "blocks": (1, 2, 1, 1)}
CLIPS = RANDOM.normal(size=(2, 4, 37, 45, 3)).astype("float32")
SOUND = RANDOM.normal(size=(2, 51, 33)).astype("float32")


def small(network, **kwargs):
    keras.utils.set_random_seed(0)
    return network(**{**TINY, **kwargs})


def on_sound(**kwargs):
    return small(AudioResNetV2, **{"spectrogram_shape": (None, None), **kwargs})


def check_odd_sizes_round_up():
    assert outputs(small(TSMResNetV2), CLIPS).shape == (2, 4, 2, 2, 256)
    assert outputs(on_sound(), SOUND).shape == (2, 2, 2, 256)


def check_padding_is_behind_where_it_is_odd():
    """7x7 of stride 2 on an even size sees 2 pixels before the first and 3 behind the last."""
    for size, first in ((8, 2), (9, 3)):
        network = small(TSMResNetV2, width=1)
        kernel = np.zeros(network.get_layer("stem").kernel.shape, "float32")
        kernel[0, 0, 0, 0, 0] = 1.0  # picks the upper left corner of its window
        network.get_layer("stem").kernel.assign(kernel)
        clip = np.arange(1.0, 1 + size, dtype="float32")
        clip = np.broadcast_to(clip[:, None] * clip, (1, 1, size, size))[..., None].repeat(3, -1)
        got = outputs(network.endpoint("stem_conv"), clip)[0, 0, :, :, 0]
        seen = np.arange(0, size, 2) - first
        expected = np.where(seen >= 0, seen + 1.0, 0.0)
        np.testing.assert_allclose(got, expected[:, None] * expected)


def check_the_pool_takes_negative_values():
    network = small(TSMResNetV2)
    stem = network.get_layer("stem")
    stem.kernel.assign(-np.ones(stem.kernel.shape, "float32"))
    clip = np.ones((1, 1, 32, 32, 3), "float32")
    assert outputs(network.endpoint("stem_pool"), clip).max() < 0


def check_without_a_shift_frames_are_seen_by_themselves():
    order = [2, 0, 3, 1]
    network = small(TSMResNetV2, fraction=0.0)
    plain = outputs(network, CLIPS)
    np.testing.assert_allclose(outputs(network, CLIPS[:, order]), plain[:, order], atol=1e-5)
    network = small(TSMResNetV2)
    plain = outputs(network, CLIPS)
    assert np.abs(outputs(network, CLIPS[:, order]) - plain[:, order]).max() > 1e-4


def check_shortcuts_see_no_shift():
    """A stage whose residual branch is nothing leaves every frame in its place."""
    network = small(TSMResNetV2)
    for index in (0, 1):
        last = network.get_layer(f"layer2_{index}_conv3")
        last.kernel.assign(np.zeros(last.kernel.shape, "float32"))
    names = ("layer1", "layer2")
    before, after = (outputs(network.endpoint(name), CLIPS) for name in names)
    kernel = np.asarray(keras.ops.convert_to_numpy(network.get_layer("layer2_0_shortcut").kernel))
    activated = np.maximum(before, 0) / np.sqrt(1 + 1e-5)  # statistics as they start
    expected = activated[:, :, ::2, ::2] @ kernel[0, 0, 0]
    np.testing.assert_allclose(after, expected, rtol=1e-3, atol=1e-4)


def check_configurations_and_presets_come_back():
    made = small(TSMResNetV2, fraction=0.25), on_sound(front_end=None, epsilon=1e-3)
    for network, inputs, base in zip(made, (CLIPS, SOUND), (VideoBackbone, AudioBackbone)):
        network(inputs, training=True)  # statistics that are not the initial ones
        with tempfile.TemporaryDirectory() as folder:
            network.save_to_preset(f"{folder}/preset")
            loaded = base.from_preset(f"{folder}/preset")
        assert type(loaded) is type(network) and loaded.get_config() == network.get_config()
        np.testing.assert_allclose(outputs(loaded, inputs), outputs(network, inputs), atol=1e-5)


def check_sound_in_half_precision_stays_near():
    check_precisions(on_sound, on_sound(), SOUND)


CHECKS = [
    v for k, v in list(globals().items()) if k.startswith("check_") and v.__module__ == __name__
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_preactivation(check):
    check()


def main():
    for check in CHECKS:
        check()


def trainable(base, name):
    """As papers count: without running statistics."""
    network = base.from_preset(name, kernel_initializer="zeros")
    assert network.endpoints["last"].shape[-1] == network.feature_dim
    return network.feature_dim, sum(int(np.prod(w.shape)) for w in network.trainable_weights)


def test_published_sizes():
    assert trainable(VideoBackbone, "tsm_resnet_50_mmv") == (2048, 23_500_352)
    # The stem sees one channel in place of three.
    assert trainable(AudioBackbone, "audio_resnet_50_mmv") == (2048, 23_500_352 - 2 * 49 * 64)


def test_waveforms_go_through_the_front_end():
    network = on_sound(front_end="mmv", spectrogram_shape=(None, 80))
    wave = RANDOM.uniform(-1, 1, (2, 12032)).astype("float32")
    spectrogram = keras.ops.convert_to_numpy(network.front_end(wave))
    np.testing.assert_allclose(outputs(network, wave), outputs(network, spectrogram), atol=1e-4)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="four stages"):
        TSMResNetV2((3, 4, 6))
    with pytest.raises(ValueError, match="four stages"):
        AudioResNetV2((3, 4, 0, 3))
    with pytest.raises(ValueError, match="at most a half"):
        TSMResNetV2(fraction=0.6, **TINY)
