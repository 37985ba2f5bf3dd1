"""Layers on single frames: folding, pooling that rounds up, groups, heads on tuples."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.layers import CeilMaxPooling2D, FoldFrames, GroupedConv2D, UnfoldFrames
from keras_vssl.layers.tuple_heads import OPN_PAIRS, ConcatenationHead, SortingHead
from tests.backends import run, to_numpy


def random(*shape):
    return np.random.RandomState(0).normal(size=shape).astype("float32")


def test_frames_come_back_to_their_clips():
    clips = random(2, 3, 4, 4, 5)
    folded = FoldFrames()(clips)
    assert tuple(folded.shape) == (6, 4, 4, 5)
    np.testing.assert_array_equal(to_numpy(UnfoldFrames()([folded, clips])), clips)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 9, 18])
def test_pooling_rounds_up_and_cuts_windows_at_the_edge(size):
    x = -np.abs(random(1, size, size + 1, 2)) - 1  # a zero from padding would show
    got = to_numpy(CeilMaxPooling2D(3, 2)(x))
    rows, columns = (-(-(n - 3) // 2) + 1 for n in (size, size + 1))
    assert got.shape == (1, rows, columns, 2)
    assert CeilMaxPooling2D(3, 2).compute_output_shape(x.shape) == got.shape
    for i in range(rows):
        for j in range(columns):
            window = x[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            np.testing.assert_array_equal(got[0, i, j], window.max((0, 1)))


def test_groups_see_their_own_channels():
    x, layer = random(2, 6, 6, 8), GroupedConv2D(6, 3, padding="same", groups=2)
    got = to_numpy(layer(x))
    assert tuple(layer.kernel.shape) == (3, 3, 4, 6)
    halves = []
    for group in (0, 1):
        half = keras.layers.Conv2D(3, 3, padding="same")
        half.build((None, 6, 6, 4))
        half.kernel.assign(to_numpy(layer.kernel)[..., 3 * group : 3 * group + 3])
        halves.append(to_numpy(half(x[..., 4 * group : 4 * group + 4])))
    np.testing.assert_allclose(got, np.concatenate(halves, -1), atol=1e-5)
    compiled = run(lambda t: layer(t), x, jit=True)
    np.testing.assert_allclose(to_numpy(compiled), got, atol=1e-5)


def test_a_tuple_is_classified_end_to_end_in_its_order():
    head, features = ConcatenationHead(classes=2), random(2, 3, 4)
    logits = to_numpy(head(features))
    expected = features.reshape(2, 12) @ to_numpy(head.classify.kernel)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert head.count_params() == 12 * 2 + 2
    reverse = to_numpy(head(features[:, ::-1]))
    assert np.abs(reverse - logits).max() > 1e-3


def test_opn_joins_six_pairs_in_its_own_order():
    assert OPN_PAIRS == ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3))
    head = SortingHead()
    head.build((None, 4, 1024))
    counted = sum(int(np.prod(w.shape)) for w in head.trainable_weights)
    assert counted == (2048 * 512 + 512) + 6 * 2 * 512 + (3072 * 12 + 12)
    assert tuple(head.classify.kernel.shape) == (3072, 12)


def test_opn_shares_all_but_the_gains_between_pairs():
    head = SortingHead(hidden=5, classes=3, dropout=0.0)
    head.build((None, 4, 2))
    state = np.random.RandomState(1)
    for weight in head.weights:
        weight.assign(state.uniform(0.5, 1.5, weight.shape))
    features = random(2, 4, 2)
    kernel, bias = to_numpy(head.pair.kernel), to_numpy(head.pair.bias)
    mean, variance = to_numpy(head.norm.moving_mean), to_numpy(head.norm.moving_variance)
    joined = []
    for index, (i, j) in enumerate(OPN_PAIRS):
        x = np.concatenate([features[:, i], features[:, j]], -1) @ kernel + bias
        x = (x - mean) / np.sqrt(variance + 1e-5)
        x = x * to_numpy(head.gains[index]) + to_numpy(head.offsets[index])
        joined.append(np.maximum(x, 0))
    expected = np.concatenate(joined, -1) @ to_numpy(head.classify.kernel)
    expected = expected + to_numpy(head.classify.bias)
    np.testing.assert_allclose(to_numpy(head(features)), expected, rtol=1e-4, atol=1e-4)


def test_a_pair_is_normalised_by_its_own_rows_in_training():
    head = SortingHead(hidden=4, classes=24, dropout=0.0)
    head.build((None, 4, 3))
    head.classify.kernel.assign(np.eye(24))
    head.classify.bias.assign(np.zeros(24))
    features = random(8, 4, 3) + np.arange(4, dtype="float32").reshape(1, 4, 1) * 50
    hidden = to_numpy(head(ops.convert_to_tensor(features), training=True)).reshape(8, 6, 4)
    # Members lie 50 apart: with the statistics of all pairs some pairs would be all zeros.
    positive = (hidden > 0).mean(axis=(0, 2))
    assert (positive > 0.2).all() and (positive < 0.8).all()


@pytest.mark.parametrize("head", [ConcatenationHead(3, 0.1), SortingHead(4, 2, ((0, 1),))])
def test_heads_come_back_from_their_configuration(head):
    copy = type(head).from_config(head.get_config())
    assert copy.get_config() == head.get_config()
    features = random(2, 4, 3)
    assert head(features).shape == copy(features).shape


def test_pairs_beyond_the_tuple_are_one_sentence():
    with pytest.raises(ValueError, match="of 4 members"):
        SortingHead().build((None, 3, 8))
