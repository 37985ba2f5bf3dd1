"""AV-HuBERT's encoder: one stream or two, masks, sizes."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AVHuBERTEncoder, LipResNet
from keras_vssl.backbones.base import Backbone
from keras_vssl.backbones.presets import ARCHITECTURES
from tests.backbones import test_raven_encoder
from tests.backends import infer, to_numpy
from tests.contract import check_precisions

RANDOM = np.random.default_rng(0)
CLIPS = RANDOM.normal(size=(2, 5, 32, 32, 1)).astype("float32")
AUDIO = RANDOM.normal(size=(2, 5, 12)).astype("float32")
BOTH = {"clips": CLIPS, "audio": AUDIO}
SMALL = {
    "width": 16,
    "heads": 2,
    "depth": 2,
    "audio_dim": 12,
    "position_kernel": 8,
    "position_groups": 4,
}


def encoder(dtype=None, **kwargs):
    keras.utils.set_random_seed(0)
    front_end = LipResNet(width=4, blocks=(1, 1, 1, 1), pooled=True, dtype=dtype)
    return AVHuBERTEncoder(front_end, dtype=dtype, **{**SMALL, **kwargs})


def run(model, x):
    return to_numpy(infer(model, x))


def check_a_missing_stream_is_zero_after_its_projection():
    model = encoder()
    assert run(model, BOTH).shape == (2, 5, 16)
    for kept, present in (("audio", (1, 0)), ("clips", (0, 1))):
        factors = np.tile(np.float32(present), (2, 1))
        want = run(model, {**BOTH, "present": factors})
        np.testing.assert_allclose(run(model, {kept: BOTH[kept]}), want, atol=1e-5)
        assert np.abs(want - run(model, BOTH)).max() > 1e-3
    # Without the sound its values mean nothing.
    factors = np.tile(np.float32([0, 1]), (2, 1))
    other = run(model, {**BOTH, "audio": AUDIO + 3, "present": factors})
    np.testing.assert_allclose(other, want, atol=1e-5)


def check_padded_frames_change_nothing():
    model = encoder()
    valid = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "int32")
    other = AUDIO.copy()
    other[0, 3:] += 5.0
    got = [run(model, {"clips": CLIPS, "audio": x, "valid": valid}) for x in (AUDIO, other)]
    np.testing.assert_allclose(got[0][0, :3], got[1][0, :3], atol=1e-5)
    np.testing.assert_allclose(got[0][1], got[1][1], atol=1e-5)


def check_masked_frames_hide_what_they_held():
    masked = np.zeros((2, 5), "int32")
    masked[:, 1:3] = 1
    other = {"clips": CLIPS, "audio": AUDIO.copy()}
    other["audio"][:, 1:3] -= 2.0
    for options in ({}, {"mask_audio": True}):
        model = encoder(**options)
        got = [run(model, {**x, "masked": masked}) for x in (BOTH, other)]
        np.testing.assert_allclose(got[0], got[1], atol=1e-5)
        assert np.abs(got[0] - run(model, BOTH)).max() > 1e-3
        assert model.get_layer("mask").embedding.shape == ((12,) if options else (16,))


CHECKS = [
    v for k, v in list(globals().items()) if k.startswith("check_") and v.__module__ == __name__
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_av_hubert_encoder(check):
    check()


def test_sound_comes_first_in_the_fusion():
    model = encoder()
    inner = keras.Model(model.input, {k: model.endpoints[k] for k in ("audio_projected", "fused")})
    got = infer(inner, model.prepare(BOTH))
    np.testing.assert_allclose(to_numpy(got["fused"])[..., :16], to_numpy(got["audio_projected"]))


def test_configuration_preset_and_half_precision(tmp_path):
    model = encoder(dropout=0.1)
    config = model.get_config()
    assert AVHuBERTEncoder.from_config(config).get_config() == config
    model.save_to_preset(tmp_path / "preset")
    loaded = Backbone.from_preset(str(tmp_path / "preset"))
    assert type(loaded) is AVHuBERTEncoder
    np.testing.assert_allclose(run(loaded, BOTH), run(model, BOTH), atol=1e-5)
    model(BOTH, training=True)
    check_precisions(encoder, encoder(), BOTH)


def parameters(width, mlp, depth, front_end=11_186_688, features=512, kernel=128, groups=16):
    """Of an encoder that masks sound of 104 values: by hand, statistics not counted."""
    block = 4 * width * width + 4 * width + 2 * width * mlp + mlp + width + 4 * width
    projections = (104 + features) * width + 2 * width
    fusion = 4 * width + 2 * width * width + width
    positions = kernel * width * width // groups + kernel + width
    return front_end + projections + fusion + positions + depth * block + 2 * width + 104


def test_parameter_counts():
    for name, numbers in (
        ("av_hubert_base", (768, 3072, 12)),
        ("av_hubert_large", (1024, 4096, 24)),
    ):
        count = parameters(*numbers)
        assert f"({count / 1e6:.1f}M parameters)" in ARCHITECTURES[name]["description"]
    nano = AVHuBERTEncoder.from_preset("av_hubert_nano")
    count = sum(int(np.prod(w.shape)) for w in nano.trainable_weights)
    front = sum(int(np.prod(w.shape)) for w in nano.frame_network.trainable_weights)
    # Its learned vector is as wide as the transformer.
    assert count == parameters(96, 192, 2, front, 128, 32) - 104 + 96
    assert f"({count / 1e6:.2f}M parameters)" in ARCHITECTURES["av_hubert_nano"]["description"]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match='"clips", "audio" or both'):
        encoder()({"sound": AUDIO})
    with pytest.raises(ValueError, match="pooled=True"):
        AVHuBERTEncoder(LipResNet(width=4, blocks=(1, 1, 1, 1)))


def main():
    # The quickest of each: a back end that compiles does so at every call.
    check_padded_frames_change_nothing()
    test_raven_encoder.check_without_residual_branches_it_is_the_embedding()
