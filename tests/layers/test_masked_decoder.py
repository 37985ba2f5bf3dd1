"""The decoder of masked autoencoders puts tokens in their places and predicts every patch."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import MaskedDecoder
from tests import backends

KEEP = np.array([[7, 0, 12], [3, 15, 8]], "int32")


def decoder(seed=0, **options):
    keras.utils.set_random_seed(seed)
    options = {"outputs": 5, "width": 16, "depth": 2, "heads": 2, **options}
    layer = MaskedDecoder((4, 4), **options)
    layer.build((None, None, 6))
    return layer


def tokens(seed=0):
    return np.random.default_rng(seed).normal(size=(2, 4, 6)).astype("float32")


def check_every_patch_is_predicted(jit):
    for options in ({}, {"window": (2, 2)}):
        layer = decoder(**options)
        got = backends.run(layer, tokens(), KEEP, jit=jit)
        assert got.shape == (2, 16, 5)
        # The order of the visible patches says nothing: their places do.
        order = [2, 0, 1]
        shuffled = np.concatenate([tokens()[:, :1], tokens()[:, 1:][:, order]], axis=1)
        assert np.allclose(
            backends.run(layer, shuffled, KEEP[:, order].copy(), jit=jit), got, atol=1e-5
        )
        half = decoder(dtype="mixed_bfloat16", **options)
        half.set_weights(layer.get_weights())
        low = backends.to_numpy(half(tokens(), KEEP))
        assert np.abs(low - got).max() < 0.05 * np.abs(got).max()


def check_without_blocks_a_patch_is_its_own_token():
    layer = decoder(depth=0)
    changed = tokens()
    changed[0, 2] += np.arange(6)  # the patch at place 0
    moved = np.abs(
        backends.to_numpy(layer(changed, KEEP)) - backends.to_numpy(layer(tokens(), KEEP))
    )
    assert set(np.nonzero(moved[0].max(axis=-1) > 1e-5)[0]) == {0} and not moved[1].any()


@pytest.mark.parametrize("jit", [False, True])
def test_every_patch_is_predicted_whatever_the_order(jit):
    check_every_patch_is_predicted(jit)


def test_tokens_go_back_to_their_places():
    check_without_blocks_a_patch_is_its_own_token()


def test_windows_confine_and_leave_the_extra_token_out():
    def moved(index, **options):
        layer, changed = decoder(**options), tokens()
        changed[:, index] += np.arange(6)
        difference = backends.to_numpy(layer(changed, KEEP)) - backends.to_numpy(
            layer(tokens(), KEEP)
        )
        return np.abs(difference).max(axis=-1) > 1e-5

    assert moved(0).all() and not moved(0, window=(2, 2)).any(), "the class token"
    # The patch at place 0 reaches its window in the first block, the next ones' by the second.
    assert set(np.nonzero(moved(2, window=(2, 2), depth=1)[0])[0]) == {0, 1, 4, 5}
    assert len(np.nonzero(moved(2, window=(2, 2), depth=2)[0])[0]) > 4
    assert moved(2)[0].all()


def test_the_config_round_trip_and_shifted_windows():
    layer = decoder(window=(2, 2), positions="sine_cosine_turned")
    assert MaskedDecoder.from_config(layer.get_config()).get_config() == layer.get_config()
    assert [block.shift for block in layer.blocks] == [(0, 0), (1, 0)]
    assert len(layer.non_trainable_weights) == 1, "the table"
    with pytest.raises(ValueError, match="received 'learned'"):
        decoder(positions="learned")


def main():
    check_every_patch_is_predicted(jit=True)
    check_without_blocks_a_patch_is_its_own_token()
