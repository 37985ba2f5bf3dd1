"""RAVEn's encoder: relative attention, masks, sizes."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import LipResNet, RAVEnEncoder, WaveResNet
from keras_vssl.backbones.base import Backbone
from keras_vssl.backbones.presets import ARCHITECTURES
from tests.backends import infer, to_numpy
from tests.contract import check_precisions

RANDOM = np.random.default_rng(0)
TINY = {"width": 4, "blocks": (1, 1, 1, 1)}
WAVE = RANDOM.normal(size=(2, 640 * 5)).astype("float32")
CLIP = RANDOM.normal(size=(2, 4, 32, 32, 1)).astype("float32")


def encoder(front_end=None, **kwargs):
    keras.utils.set_random_seed(0)
    front_end = front_end or WaveResNet(**TINY)
    return RAVEnEncoder(front_end, **{"width": 16, "heads": 2, "depth": 2, **kwargs})


def run(model, x):
    return to_numpy(infer(model, x))


def check_both_front_ends_give_a_sequence():
    audio = encoder()
    assert run(audio, WAVE).shape == (2, 5, 16)
    video = encoder(LipResNet(activation="swish", pooled=True, **TINY))
    assert run(video, CLIP).shape == (2, 4, 16)
    ends = ["frame_features", "embed", "block1", "block2", "features"]
    assert list(audio.endpoints) == list(video.endpoints) == ends


def check_padded_frames_are_not_attended_to():
    model = encoder()
    valid = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], "int32")
    other = WAVE.copy()
    # One frame on from the padding's first: the front end of the frame before it sees some of it.
    other[0, 640 * 4 :] += 1.0
    masked = [run(model, {"inputs": x, "valid": valid})[0, :3] for x in (WAVE, other)]
    np.testing.assert_allclose(masked[0], masked[1], atol=1e-5)
    everything = [run(model, x)[0, :3] for x in (WAVE, other)]
    assert np.abs(everything[0] - everything[1]).max() > 1e-4


def check_without_residual_branches_it_is_the_embedding():
    model = encoder()
    for weight in model.weights:
        if weight.path.endswith(("gamma1", "gamma2")):
            weight.assign(np.zeros(weight.shape))
    inner = keras.Model(
        model.input, [model.endpoints["frame_features"], model.endpoints["features"]]
    )
    front, features = infer(inner, model.prepare(WAVE))
    embed = model.get_layer("embed")
    x = (to_numpy(front) @ to_numpy(embed.kernel) + to_numpy(embed.bias)) * 4.0
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    np.testing.assert_allclose(to_numpy(features), x, atol=1e-4)


CHECKS = [
    v for k, v in list(globals().items()) if k.startswith("check_") and v.__module__ == __name__
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_raven_encoder(check):
    check()


def test_configuration_preset_and_half_precision(tmp_path):
    model = encoder(drop_path=0.1)
    config = model.get_config()
    assert RAVEnEncoder.from_config(config).get_config() == config
    model.save_to_preset(tmp_path / "preset")
    loaded = Backbone.from_preset(str(tmp_path / "preset"))
    assert type(loaded) is RAVEnEncoder
    np.testing.assert_allclose(run(loaded, WAVE), run(model, WAVE), atol=1e-5)
    model(WAVE, training=True)

    def make(dtype=None):
        return encoder(WaveResNet(**TINY, dtype=dtype), dtype=dtype)

    check_precisions(make, make(), WAVE)


def parameters(width, mlp, depth):
    """Of the transformer: by hand, statistics not counted."""
    attention = 5 * width * width + 4 * width + 2 * width
    block = attention + 2 * width * mlp + mlp + width + 4 * width + 2 * width
    return 512 * width + width + depth * block + 2 * width


def test_parameter_counts():
    fronts = {"video": 11_182_784, "audio": 3_848_576}
    for (kind, front), (size, numbers) in (
        (front, size)
        for front in fronts.items()
        for size in {"base": (512, 2048, 12), "large": (1024, 4096, 24)}.items()
    ):
        count = front + parameters(*numbers)
        assert (
            f"({count / 1e6:.1f}M parameters)"
            in (ARCHITECTURES[f"raven_{kind}_{size}"]["description"])
        )
    nano = RAVEnEncoder.from_preset("raven_audio_nano")
    count = sum(int(np.prod(w.shape)) for w in nano.trainable_weights)
    front = sum(int(np.prod(w.shape)) for w in nano.frame_network.trainable_weights)
    assert count == front + parameters(96, 192, 2) - (512 - 128) * 96
    assert f"({count / 1e6:.2f}M parameters)" in ARCHITECTURES["raven_audio_nano"]["description"]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="pooled=True"):
        encoder(LipResNet(**TINY))
    with pytest.raises(ValueError, match="heads"):
        encoder(heads=3)
    with pytest.raises(ValueError, match='"inputs" and "valid"'):
        encoder()({"audio": WAVE})
