"""V-JEPA's rotations, predictor, probe and masks keep what the method promises."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import AttentiveProbe, JepaPredictor, RotaryBlock
from keras_vssl.layers.block_masks import block_indices, block_masks, block_size
from keras_vssl.layers.jepa_predictor import feature_targets
from keras_vssl.layers.rotary import rotary_table
from keras_vssl.layers.transformer import rotate
from tests import backends

GRID = (2, 2, 3)


def made(layer, seed=0):
    """A built layer whose every weight is random."""
    layer.build((None, None, 24))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, 0.3, w.shape).astype("float32") for w in layer.weights])
    return layer


def tensor(array):
    return keras.ops.convert_to_tensor(array)


def test_rotations_leave_the_first_place_and_the_last_channels():
    """Must hold: at head width 64 the last 4 channels stay; place 0 leaves all."""
    cosines, sines = rotary_table((2, 3, 4), 64)
    assert cosines.shape == sines.shape == (24, 60)
    x = np.random.default_rng(0).normal(size=(1, 24, 2, 64)).astype("float32")
    got = backends.to_numpy(rotate(tensor(x), cosines[None, :, None], sines[None, :, None]))
    assert np.array_equal(got[..., 60:], x[..., 60:])
    assert np.array_equal(got[:, 0], x[:, 0])
    # Place (1, 2, 3): the row's chunk turns by 2; its first pair has frequencies 0 and 1.
    angle = 2 * 10000.0 ** (-np.array([0, 1]) / 10)
    a, b = x[0, 23, 0, 20:22]
    want = [
        a * np.cos(angle[0]) - b * np.sin(angle[0]),
        b * np.cos(angle[1]) + a * np.sin(angle[1]),
    ]
    np.testing.assert_allclose(got[0, 23, 0, 20:22], want, atol=1e-5)
    with pytest.raises(ValueError, match="6 channels"):
        rotary_table((2, 2, 2), 5)


def test_a_rotary_block_wants_the_places_of_some_tokens():
    block = made(RotaryBlock(24, 2, grid=GRID))
    x = tensor(np.random.default_rng(0).normal(size=(1, 12, 24)).astype("float32"))
    index = np.random.default_rng(1).permutation(12)[None].astype("int32")
    whole = backends.to_numpy(block(x))
    mixed = backends.to_numpy(block(keras.ops.take(x, index[0], axis=1), index=tensor(index)))
    np.testing.assert_allclose(mixed, whole[:, index[0]], atol=1e-5)
    with pytest.raises(ValueError, match="pass index="):
        block(x[:, :5])
    copy = RotaryBlock.from_config(block.get_config())
    assert copy.grid == GRID and np.array_equal(copy.table[0], block.table[0])


@pytest.mark.parametrize("positions", ["rotary", "sine_cosine_3d"])
def test_the_predictor_takes_its_context_in_any_order(positions):
    """Must hold: shape; pairs of place and feature may change places together."""
    layer = made(JepaPredictor(GRID, 10, 24, 2, 2, positions=positions))
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 4, 10)).astype("float32")
    context = np.array([[0, 3, 5, 7], [1, 2, 8, 9]], "int32")
    target = np.array([[1, 2, 4], [0, 3, 11]], "int32")
    got = backends.to_numpy(layer(*map(tensor, (features, context, target))))
    assert got.shape == (2, 3, 10)
    order = [2, 0, 3, 1]
    inputs = (features[:, order], context[:, order], target)
    np.testing.assert_allclose(backends.to_numpy(layer(*map(tensor, inputs))), got, atol=1e-5)
    moved = backends.to_numpy(layer(*map(tensor, (features, context[::-1].copy(), target))))
    assert np.abs(moved - got).max() > 1e-3, "places matter"
    other = backends.to_numpy(layer(*map(tensor, (features, context, target)), mask_token=1))
    assert np.abs(other - got).max() > 1e-4, "each mask token is another"
    with pytest.raises(ValueError, match="from 0 to 1"):
        layer(*map(tensor, (features, context, target)), mask_token=2)
    copy = JepaPredictor.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def test_targets_are_normalised_over_their_channels():
    """Must hold: mean 0 and (biased) variance 1, whatever the scale."""
    features = 5 + 3 * np.random.default_rng(0).normal(size=(2, 6, 64)).astype("float32")
    index = np.array([[0, 5], [1, 2]], "int32")
    got = backends.to_numpy(feature_targets(tensor(features), tensor(index)))
    assert got.shape == (2, 2, 64)
    assert np.abs(got.mean(-1)).max() < 1e-4 and np.abs(got.var(-1) - 1).max() < 1e-4
    whole = backends.to_numpy(feature_targets(tensor(features)))
    assert np.array_equal(whole[1, index[1]], got[1])


def test_the_probe_takes_maps_and_ignores_the_order_of_tokens():
    probe = made(AttentiveProbe(7, 24, 2, depth=2))
    tokens = np.random.default_rng(0).normal(size=(2, 12, 24)).astype("float32")
    got = backends.to_numpy(probe(tensor(tokens)))
    assert got.shape == (2, 7)
    maps = tokens.reshape(2, *GRID, 24)
    np.testing.assert_allclose(backends.to_numpy(probe(tensor(maps))), got, atol=1e-5)
    shuffled = tokens[:, np.random.default_rng(1).permutation(12)]
    np.testing.assert_allclose(backends.to_numpy(probe(tensor(shuffled))), got, atol=1e-4)
    pooled = AttentiveProbe(None, 24, 2, depth=1)
    assert pooled(tensor(tokens)).shape == (2, 24) and not pooled.blocks
    copy = AttentiveProbe.from_config(probe.get_config())
    assert copy.get_config() == probe.get_config()
    inputs = keras.Input((*GRID, 24))
    model = keras.Model(inputs, AttentiveProbe(3, 24, 2)(inputs))
    assert model.output.shape == (None, 3)
    for options in ({"heads": 5}, {"heads": 2, "depth": 0}):
        with pytest.raises(ValueError, match="Expected"):
            AttentiveProbe(3, 24, **options)


def test_blocks_span_the_clip_and_are_of_one_size():
    """Must hold: one size a batch; whole time; context and targets ascend and do not meet."""
    grid = (4, 8, 8)
    assert block_size(grid, (0.15, 0.15), (1, 1), (0.75, 1.5), (0, 0, 0)) == (4, 3, 3)
    assert block_size(grid, (0.7, 0.7), (1, 1), (0.75, 1.5), (0, 0, 1)) == (4, 8, 5)
    assert block_size((4, 4, 4), (0, 0.01), (0, 0.1), (1, 1), (0, 0, 0))[0] == 1
    rng = np.random.default_rng(0)
    context, target = block_masks(3, grid, 2, (0.3, 0.3), rng)
    for kept, hidden in zip(context, target):
        assert (np.diff(kept) > 0).all() and (np.diff(hidden) > 0).all()
        assert not set(kept) & set(hidden)
    only, covered = block_indices(grid, (4, 2, 3), np.array([[[1, 2, 0]]]))
    mask = np.zeros(256, bool)
    mask[covered[0]] = True
    mask = mask.reshape(grid)
    assert mask[:, 1:3, 2:5].all() and mask.sum() == covered.size == 24
    assert only.size == 256 - 24 and only.dtype == np.int32
    with pytest.raises(ValueError, match="draw again"):
        block_indices(grid, grid, np.zeros((1, 1, 3), int))
    with pytest.raises(ValueError, match="lower it"):
        block_masks(1, (2, 1, 1), 1, (1.0, 1.0), rng)
