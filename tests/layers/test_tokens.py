"""Positions, tokens before the patches, and the choice of visible patches."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import TokenEmbedding, visible_crossings, visible_patches
from keras_vssl.layers.tokens import fixed_table
from tests import backends


def array(tensor):
    return backends.to_numpy(tensor)


def check_crossings(jit):
    generator = keras.random.SeedGenerator(0)

    def draw(x):
        return visible_crossings(keras.ops.shape(x)[0], (64, 8), (0.2, 0.2), generator)

    keep = backends.run(draw, np.zeros((32, 1), "float32"), jit=jit)
    assert keep.shape == (32, 51 * 6)
    for row in keep:
        times, bands = set(row // 8), set(row % 8)
        assert len(times) == 51 and len(bands) == 6 and len(set(row)) == 306
    assert len({tuple(sorted(row)) for row in keep}) == 32, "drawn for each sample"


def check_embedding():
    patches = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    for positions in ("learned", "sine_cosine", "sine_cosine_turned"):
        layer = TokenEmbedding((3, 2), 2, positions)
        got = array(layer(patches))
        table, tokens = array(layer.table), np.stack([array(t) for t in layer.tokens])
        assert np.allclose(got[:, 2:], patches + table[2:], atol=1e-6)
        assert np.allclose(got[:, :2], tokens + table[:2], atol=1e-6)
        assert len(layer.trainable_weights) == (3 if positions == "learned" else 2)
        keep = np.array([[5, 0], [1, 2]], "int32")
        part = array(layer(patches, keep=keep))
        assert np.array_equal(part[0], got[0][[0, 1, 7, 2]])
        assert np.array_equal(part[1], got[1][[0, 1, 3, 4]])
        assert TokenEmbedding.from_config(layer.get_config()).get_config() == layer.get_config()
    assert array(TokenEmbedding((3, 2), 0)(patches)).shape == (2, 6, 8)


@pytest.mark.parametrize("jit", [False, True])
def test_whole_rows_and_columns_are_hidden(jit):
    check_crossings(jit)


def test_extra_tokens_come_first_and_keep_their_positions():
    check_embedding()


def test_the_turned_table_is_that_of_the_turned_grid():
    table = fixed_table("sine_cosine", (2, 3), 8, 1)
    turned = fixed_table("sine_cosine_turned", (3, 2), 8, 1)
    assert np.array_equal(table, turned) and not table[0].any()


def test_nothing_hidden_and_too_much_hidden():
    assert visible_patches(1, 8, 0.0, seed=0).shape == (1, 8)
    with pytest.raises(ValueError, match="at least one of 4"):
        visible_patches(1, 4, 0.9, seed=0)
    with pytest.raises(ValueError, match="received 'none'"):
        TokenEmbedding((3, 2), positions="none")


def main():
    check_crossings(jit=True)
    check_embedding()
