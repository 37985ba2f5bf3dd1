"""Masks hide exact counts, and tokens come back to their places, on every back end."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.layers import masking
from tests import backends

GRID = (8, 14, 14)


def check_a_tube_is_the_same_in_every_slot():
    for jit in (False, True):
        mask = backends.run(lambda: masking.tube_mask(3, GRID, 0.9, 5), jit=jit)
        slots = mask.reshape(3, 8, 196)
        assert (slots == slots[:, :1]).all()
        assert (slots.sum(-1) == 176).all() and (mask.sum(1) == 1408).all()
        assert not np.array_equal(slots[0], slots[1]), "each sample has its own"
    again = backends.run(lambda: masking.tube_mask(3, GRID, 0.9, 5))
    assert np.array_equal(mask, again), "an int is the same mask each time"
    seed = keras.random.SeedGenerator(1)
    drawn = [backends.run(lambda: masking.tube_mask(3, GRID, 0.9, seed)) for _ in range(2)]
    assert not np.array_equal(*drawn), "the draws of a generator move on"


def check_every_place_is_hidden_as_often():
    mask = backends.run(lambda: masking.random_mask(2000, (4, 5), 0.5, 3))
    assert (mask.sum(1) == 10).all()
    assert np.abs(mask.mean(0) - 0.5).max() < 0.06


def check_blocks_hide_neighbours():
    grid = (2, 8, 8)

    def neighbours(mask):
        """How often the right-hand neighbour of a hidden token is hidden too."""
        mask = mask.reshape(-1, *grid)
        return mask[..., 1:][mask[..., :-1]].mean()

    def drawn():
        return masking.block_mask(200, grid, 0.5, 3, block=(2, 4, 4), blocks=4)

    blocks = backends.run(drawn, jit=True)
    assert (blocks.sum(1) == 64).all()
    random = backends.run(lambda: masking.random_mask(200, grid, 0.5, 3))
    assert neighbours(blocks) > 0.7 > 0.55 > neighbours(random)
    assert (blocks.reshape(-1, *grid).all(1) == blocks.reshape(-1, *grid).any(1)).mean() > 0.8


def check_tokens_come_back_to_their_places():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 12, 3)).astype("float32")
    mask = np.stack([rng.permutation(12) < 7 for _ in range(2)])

    def there_and_back(x, mask):
        visible, hidden = masking.split_indices(mask, 7)
        parts = masking.gather_tokens(x, visible), masking.gather_tokens(x, hidden)
        base = masking.scatter_tokens(ops.zeros_like(x), visible, parts[0])
        return *parts, masking.scatter_tokens(base, hidden, parts[1])

    for jit in (False, True):
        seen, hidden, back = backends.run(there_and_back, x, mask, jit=jit)
        assert np.array_equal(seen.reshape(-1, 3), x[~mask]), "as a boolean index has them"
        assert np.array_equal(hidden.reshape(-1, 3), x[mask])
        assert np.array_equal(back, x)

    def visible_sum(x):
        visible, _ = masking.split_indices(ops.convert_to_tensor(mask), 7)
        return ops.sum(masking.gather_tokens(x, visible))

    _, (gradient,) = backends.value_and_grad(visible_sum, x)
    assert np.array_equal(gradient[..., 0], (~mask).astype("float32"))


def check_the_running_cell_takes_exact_halves_and_moves_on():
    maps = backends.run(lambda: masking.running_cell_mask((4, 4, 6), ops.arange(4)))
    cells = maps.reshape(4, 4, 2, 2, 3, 2).sum((3, 5))
    assert (cells == 2).all(), "two of every 2 x 2 cell"
    assert (maps.reshape(4, 4, -1).sum(1) == 2).all(), "each place half of four slots"
    slots = maps.reshape(4, 4, -1)
    for start in range(3):
        assert np.array_equal(slots[start + 1, :-1], slots[start, 1:]), "one step a slot"


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_masking(check):
    check()


def test_the_fixed_mask_is_a_constant_of_the_same_kind():
    mask = masking.fixed_mask(GRID, 0.9)
    slots = mask.reshape(8, 196)
    assert (slots == slots[0]).all() and slots[0].sum() == 176
    assert masking.fixed_mask(GRID, 0.9, tube=False).sum() == 1411
    assert np.array_equal(mask, masking.fixed_mask(GRID, 0.9))


def test_counts_and_their_limits():
    assert masking.hidden_count(100, 0.29) == 29
    assert masking.hidden_count(196, 0.9) == 176
    for ratio in (0.0, 0.001, 1.0):
        with pytest.raises(ValueError, match="at least one of 196"):
            masking.hidden_count(196, ratio)
    with pytest.raises(ValueError, match="even number of rows"):
        masking.running_cell_mask((4, 3, 4), ops.arange(1))


def main():
    for check in CHECKS:
        check()
