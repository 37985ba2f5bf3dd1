"""Changes of sound have their stated ranges, are drawn for each sample, and rest in evaluation."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import (
    RandomRoll,
    SpectrogramMasks,
    UniformNoise,
    VolumeJitter,
    WaveformMixup,
)
from tests import backends


def changed(layer, array, jit=False):
    return backends.run(lambda x: layer(x, training=True), array, jit=jit)


def check_volume(jit):
    wave = np.ones((512, 8), "float32")
    gains = changed(VolumeJitter(0.2, seed=0), wave, jit)
    assert np.allclose(gains, gains[:, :1]), "one gain a waveform"
    assert gains.min() >= 0.8 and gains.max() <= 1.2 and gains.std() > 0.08
    narrow = changed(VolumeJitter(0.5, concentration=10.0, seed=0), wave, jit)
    # Beta(10, 10) + 0.5 has mean 1 and variance 1 / 84.
    assert abs(narrow.mean() - 1) < 0.02 and abs(narrow.std() - 84**-0.5) < 0.02


def check_roll(jit):
    wave = np.tile(np.arange(10, dtype="float32"), (256, 1))
    rolled = changed(RandomRoll(seed=0), wave, jit)
    steps = (wave[0, 0] - rolled[:, 0]) % 10
    assert (rolled == (wave - steps[:, None]) % 10).all() and len(set(steps)) == 10
    frames = np.tile(np.arange(20, dtype="float32")[:, None], (256, 1, 3))
    rolled = changed(RandomRoll(2, axis=-2, seed=0), frames, jit)
    assert (rolled == rolled[..., :1]).all(), "the bands of a frame stay together"
    assert set((rolled[:, 0, 0] + 2) % 20) == {0, 1, 2, 3, 4}


def check_masks(jit):
    ones = np.ones((256, 40, 30), "float32")
    layer = SpectrogramMasks((1, 10), (0, 1), seed=0)
    hidden = changed(layer, ones, jit) == 0
    assert (hidden == hidden[:, :1]).all(), "whole bands"
    widths = hidden[:, 0].sum(-1)
    assert set(widths) == set(range(10)), "widths 0 to 9, the bound excluded"
    edges = np.abs(np.diff(hidden[:, 0].astype(int), axis=-1)).sum(-1)
    assert edges.max() <= 2, "one stretch"
    hidden = changed(SpectrogramMasks((0, 1), (2, 20), seed=0), ones, jit) == 0
    assert (hidden == hidden[..., :1]).all() and hidden[:, :, 0].sum(-1).max() > 20
    assert len({row.tobytes() for row in hidden}) > 200, "each sample has its own"
    noise = np.random.default_rng(0).normal(3, 1, (8, 20, 50)).astype("float32")
    layer = SpectrogramMasks((2, 10), (2, 20), "mean", "frequency_time", seed=0)
    got = changed(layer, noise, jit)
    means = np.broadcast_to(noise.mean((1, 2), keepdims=True), noise.shape)
    touched = got != noise
    assert touched.any() and np.allclose(got[touched], means[touched], atol=1e-5)


def check_mixup_and_noise(jit):
    count = 512
    waves = np.arange(count, dtype="float32")[:, None] * np.ones((1, 8), "float32")
    labels = np.eye(count, dtype="float32")
    layer = WaveformMixup(seed=0)
    waves, labels = backends.run(lambda x, y: layer((x, y), training=True), waves, labels, jit=jit)
    own = np.diagonal(labels)
    assert np.allclose(labels.sum(axis=1), 1)
    mixed = own < 1
    assert 0.4 < mixed.mean() < 0.6
    assert abs(own[mixed].mean() - 0.5) < 0.02 and 0.08 < own[mixed].std() < 0.14
    expected = labels @ np.arange(count)
    assert np.allclose(waves, expected[:, None], atol=1e-2), "waveforms are mixed as the labels"
    noise = changed(UniformNoise(0.1, seed=0), np.zeros((256, 50, 4), "float32"), jit)
    most = noise.max(axis=(1, 2))
    assert noise.min() >= 0 and most.max() < 0.1 and most.min() < 0.02, "each has its own amount"


def main():
    check_volume(jit=True)
    check_roll(jit=True)
    check_mixup_and_noise(jit=True)
    check_masks(jit=True)


@pytest.mark.parametrize("jit", [False, True])
def test_gains_rolls_and_masks_are_as_stated(jit):
    check_volume(jit)
    check_roll(jit)
    check_masks(jit)
    check_mixup_and_noise(jit)


@pytest.mark.parametrize(
    "layer", [VolumeJitter(), RandomRoll(), SpectrogramMasks(), UniformNoise()]
)
def test_evaluation_and_the_config_leave_everything_as_it_is(layer):
    x = np.random.default_rng(0).uniform(size=(2, 200, 64)).astype("float32")
    assert (backends.to_numpy(layer(x, training=False)) == x).all()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    policy = type(layer)(dtype="mixed_bfloat16").compute_dtype
    assert policy == "float32"
    assert keras.backend.standardize_dtype(layer(x, training=True).dtype) == "float32"


def test_mixup_rests_in_evaluation():
    layer = WaveformMixup()
    waves, labels = np.ones((2, 8), "float32"), np.eye(2, dtype="float32")
    got = layer((waves, labels), training=False)
    assert (backends.to_numpy(got[1]) == labels).all()
    assert WaveformMixup.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    "make",
    [
        lambda: VolumeJitter(1.5),
        lambda: RandomRoll(0),
        lambda: RandomRoll(axis=1),
        lambda: UniformNoise(0),
        lambda: WaveformMixup(1.5),
        lambda: SpectrogramMasks((1, 0)),
        lambda: SpectrogramMasks(fill="noise"),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match="received"):
        make()
