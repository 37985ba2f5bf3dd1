"""Layers of the speech networks: relative attention, positions, cepstra, clusters, decoders."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import (
    MFCC,
    ClusterHead,
    ConvPositions,
    RAVEnPredictor,
    RelativeAttention,
    SpeechDecoder,
    StackedFilterbanks,
)
from tests.backends import to_numpy

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def zero(*weights):
    for weight in weights:
        weight.assign(np.zeros(weight.shape))


def test_position_scores_depend_on_the_query_and_the_offset():
    layer = RelativeAttention(8, 2)
    x = np.repeat(normal(1, 1, 8), 6, axis=1)  # every query is the same
    layer.build(x.shape)
    scores = to_numpy(layer.position_scores(x))
    for offset in range(-5, 6):
        diagonal = np.diagonal(scores, offset, 2, 3)
        np.testing.assert_allclose(diagonal, diagonal[..., :1] * np.ones_like(diagonal), atol=1e-5)
    assert np.ptp(scores[0, 0, 0]) > 1e-3


def test_without_positions_it_is_plain_attention():
    layer, x = RelativeAttention(8, 2), normal(2, 5, 8)
    layer.build(x.shape)
    zero(layer.content_bias, layer.position_bias, layer.position.kernel)
    split = [
        to_numpy(part(x)).reshape(2, 5, 2, 4).transpose(0, 2, 1, 3)
        for part in (layer.query, layer.key, layer.value)
    ]
    scores = split[0] @ split[1].swapaxes(-1, -2) / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    want = (weights @ split[2]).transpose(0, 2, 1, 3).reshape(2, 5, 8)
    np.testing.assert_allclose(to_numpy(layer(x)), to_numpy(layer.proj(want)), atol=1e-5)


@pytest.mark.parametrize("kernel, steps", [(8, 5), (8, 6), (5, 6), (128, 7)])
def test_conv_positions_keep_the_steps(kernel, steps):
    layer, x = ConvPositions(16, kernel, groups=4), normal(2, steps, 16)
    got = to_numpy(layer(x))
    assert got.shape == x.shape
    # The kernel ends half a kernel less one ahead, and begins half a kernel before.
    kernel_values = to_numpy(layer.direction)
    length = np.sqrt((kernel_values**2).sum((1, 2)))
    taps = kernel_values * (to_numpy(layer.gain) / length)[:, None, None]
    want = np.zeros_like(x)
    for t in range(steps):
        for k in range(kernel):
            source = t + k - kernel // 2
            if 0 <= source < steps:
                for group in range(4):
                    part = slice(4 * group, 4 * group + 4)
                    want[:, t, part] += x[:, source, part] @ taps[k][:, part]
    want = x + to_numpy(keras.activations.gelu(want, approximate=False))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_alike_is_10_and_opposite_minus_10():
    head = ClusterHead(3, 4)
    head.build((None, 4))
    head.proj.kernel.assign(np.eye(4))
    head.embeddings.assign(normal(3, 4))
    table = to_numpy(head.embeddings)
    np.testing.assert_allclose(np.diagonal(to_numpy(head(table * 3))), 10, atol=1e-4)
    np.testing.assert_allclose(np.diagonal(to_numpy(head(-table))), -10, atol=1e-4)
    assert np.isfinite(to_numpy(head(np.zeros((1, 4), "float32")))).all()


def test_a_second_of_sound_is_25_frames_of_104():
    wave = RANDOM.uniform(-1, 1, (2, 16000)).astype("float32")
    layer = StackedFilterbanks()
    got = to_numpy(layer(wave))
    assert got.shape == (2, 25, 104) == (2, layer.count(16000), 104)
    np.testing.assert_allclose(got[:, :-1].mean(-1), 0, atol=1e-4)
    np.testing.assert_allclose(got[:, :-1].std(-1), 1, atol=1e-3)
    longer = to_numpy(StackedFilterbanks(frames=27)(wave))
    np.testing.assert_allclose(longer[:, :25], got, atol=1e-5)
    assert not longer[:, 25:].any()
    config = layer.get_config()
    assert StackedFilterbanks.from_config(config).get_config() == config


def test_cepstra_and_their_slopes():
    wave = RANDOM.uniform(-1, 1, (1, 8000)).astype("float32")
    layer = MFCC()
    got = to_numpy(layer(wave))
    assert got.shape == (1, 48, 39)
    first = got[0, :, :13]
    t = 10
    slope = sum(k * first[t + k] for k in range(-2, 3)) / 10
    np.testing.assert_allclose(got[0, t, 13:26], slope, atol=1e-4)
    # A tone that never changes has no slope.
    steady = to_numpy(layer(np.tile(np.sin(np.arange(160) * 0.3), 50)[None].astype("float32")))
    assert np.abs(steady[..., 13:]).max() < 0.05
    assert MFCC.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="between 1 and 23"):
        MFCC(coefficients=24)


@pytest.mark.parametrize("tied", [True, False])
def test_a_decoder_sees_no_later_token_and_no_padded_frame(tied):
    keras.utils.set_random_seed(0)
    decoder = SpeechDecoder(11, 8, 2, 16, depth=1, tied=tied)
    tokens, source = np.array([[2, 5, 7, 4]], "int32"), normal(1, 6, 12)
    valid = np.array([[1, 1, 1, 1, 0, 0]], "int32")
    want = to_numpy(decoder(tokens, source, valid=valid))
    assert want.shape == (1, 4, 11)
    later = tokens.copy()
    later[0, 3] = 9
    source[:, 4:] += 3.0
    got = to_numpy(decoder(later, source, valid=valid))
    np.testing.assert_allclose(got[:, :3], want[:, :3], atol=1e-5)
    assert np.abs(got[:, 3] - want[:, 3]).max() > 1e-4
    config = decoder.get_config()
    assert SpeechDecoder.from_config(config).get_config() == config


def test_a_predictor_does_not_see_masked_features():
    predictor = RAVEnPredictor(6, width=8, heads=2, mlp_width=16, depth=1)
    x, masked = normal(1, 5, 4), np.array([[0, 1, 1, 0, 0]], "int32")
    want = to_numpy(predictor(x, masked=masked))
    x[:, 1:3] += 2.0
    np.testing.assert_allclose(to_numpy(predictor(x, masked=masked)), want, atol=1e-5)
    assert want.shape == (1, 5, 6)
    config = predictor.get_config()
    assert RAVEnPredictor.from_config(config).get_config() == config
