"""Which tokens a network sees: masks of exact counts, and tokens by index. All shapes are static.

A mask is bool `[B, N]`, True for a hidden token; tokens are in the order time, row, column. Every
row hides the same number of tokens, so that batches stay dense. Masks are drawn on the device;
`seed` is a `keras.random.SeedGenerator`, or an int for the same mask each time.
"""

import keras
import numpy as np
from keras import ops


def hidden_count(tokens, ratio):
    """Tokens out of `tokens` that a ratio hides: rounded down; at least 1 is hidden and 1 not.

    Raises:
        ValueError: the ratio leaves nothing hidden or nothing visible.
    """
    # A ratio such as 0.29 times 100 is a hair below 29 in binary.
    count = int(ratio * tokens + 1e-9)
    if not 0 < count < tokens:
        raise ValueError(
            f"Expected a ratio that hides at least one of {tokens} tokens and shows one, received "
            f"{ratio}."
        )
    return count


def hide_lowest(scores, count):
    """Hides the `count` lowest scores of each row.

    Args:
        scores: float `[B, N]`. count: int.

    Returns:
        bool `[B, N]`, exactly `count` True a row.
    """
    rank = ops.argsort(ops.argsort(scores, axis=-1), axis=-1)
    return ops.cast(rank, "int32") < count


def random_mask(batch, grid, ratio, seed):
    """Hides tokens of the grid at random.

    Args:
        batch: int, B. grid: ints, tokens along each axis. ratio: float, the share that is hidden.
        seed: see the module.

    Returns:
        bool `[B, N]`.
    """
    count = int(np.prod(grid))
    noise = keras.random.uniform((batch, count), seed=seed)
    return hide_lowest(noise, hidden_count(count, ratio))


def tube_mask(batch, grid, ratio, seed):
    """Hides the same places in all time slots (VideoMAE, Sec. 3.2).

    Args:
        batch: int, B. grid: (time, height, width) in tokens. ratio: float, the share of places.
        seed: see the module.

    Returns:
        bool `[B, N]`.
    """
    return ops.tile(random_mask(batch, grid[1:], ratio, seed), (1, grid[0]))


def fixed_mask(grid, ratio, tube=True, seed=0):
    """A mask of `tube_mask` or `random_mask` as a constant: the same on every back end.

    Args:
        grid: (time, height, width) in tokens. ratio: float. tube: bool. seed: int.

    Returns:
        bool array `[N]`.
    """
    times, places = (grid[0], grid[1:]) if tube else (1, grid)
    count = int(np.prod(places))
    order = np.random.RandomState(seed).permutation(count)
    return np.tile(order < hidden_count(count, ratio), times)


def block_mask(batch, grid, ratio, seed, block, blocks=8):
    """Hides boxes of neighbouring tokens.

    `blocks` boxes of one size are dropped at random places, whole ones inside the grid; they hide
    in turn until the count is reached. Tokens that no box covers come last, at random.

    Args:
        batch: int, B. grid: ints, tokens along each axis. ratio: float, the share that is hidden.
        seed: see the module.
        block: ints, the box in tokens; cut to the grid.
        blocks: int, boxes.

    Returns:
        bool `[B, N]`.
    """
    count = int(np.prod(grid))
    block = np.minimum(block, grid)
    draws = keras.random.uniform((batch, blocks, len(grid) + 1), seed=seed)
    covered = ops.ones((batch, blocks, count), "bool")
    places = np.meshgrid(*map(np.arange, grid), indexing="ij")
    for axis, place in enumerate(places):
        start = ops.floor(draws[:, :, axis, None] * float(grid[axis] - block[axis] + 1))
        place = ops.cast(ops.convert_to_tensor(place.reshape(1, 1, -1)), "float32")
        inside = ops.logical_and(place >= start, place < start + float(block[axis]))
        covered = ops.logical_and(covered, inside)
    turn = ops.reshape(ops.arange(blocks, dtype="float32"), (1, -1, 1))
    first = ops.min(ops.where(covered, turn, float(blocks)), axis=1)
    # Within a box, and among the uncovered, in random order.
    noise = keras.random.uniform((batch, count), seed=seed)
    return hide_lowest(first + noise, hidden_count(count, ratio))


# Read from a circular queue, one step further each time slot (VideoMAE V2, Sec. 3.2).
_CELL = np.array([1, 0, 0, 1], bool)


def running_cell_mask(grid, starts):
    """The running cell: half of the tokens, in 2 x 2 cells whose pattern moves on in time.

    Args:
        grid: (time, height, width) in tokens; height and width even, for an exact half.
        starts: integer tensor `[B]` in 0..3, where each sample's queue starts.

    Returns:
        bool `[B, N]`, exactly half True a row. VideoMAE V2's decoder leaves out the True ones.

    Raises:
        ValueError: an odd grid.
    """
    if grid[1] % 2 or grid[2] % 2:
        raise ValueError(
            f"Expected an even number of rows and columns of tokens for the running cell, "
            f"received {tuple(grid)}."
        )
    time, row, column = np.meshgrid(*map(np.arange, grid), indexing="ij")
    step = (time + 2 * (row % 2) + column % 2).reshape(-1)
    maps = np.stack([_CELL[(start + step) % 4] for start in range(4)])
    return ops.take(ops.convert_to_tensor(maps), ops.cast(starts, "int32"), axis=0)


def split_indices(mask, hidden):
    """The places of visible and of hidden tokens.

    Args:
        mask: bool `[B, N]`, exactly `hidden` True a row.
        hidden: int.

    Returns:
        int32 `[B, N - hidden]` and `[B, hidden]`, each ascending.
    """
    count = mask.shape[1]
    # Distinct keys: a sort of equal ones need not keep their order.
    keys = ops.cast(mask, "int32") * count + ops.arange(count, dtype="int32")
    order = ops.cast(ops.argsort(keys, axis=-1), "int32")
    return order[:, : count - hidden], order[:, count - hidden :]


def gather_tokens(x, index):
    """Tokens by their places.

    Args:
        x: `[B, N, D]`. index: int32 `[B, M]`.

    Returns:
        `[B, M, D]`.
    """
    rows = _flat(index, x.shape[1])
    x = ops.take(ops.reshape(x, (-1, x.shape[2])), rows, axis=0)
    return ops.reshape(x, (-1, index.shape[1], x.shape[-1]))


def scatter_tokens(base, index, x):
    """Tokens put in their places.

    Args:
        base: `[B, N, D]`, what stands in all other places.
        index: int32 `[B, M]`, distinct in a row.
        x: `[B, M, D]`.

    Returns:
        `[B, N, D]`.
    """
    count, width = base.shape[1:]
    rows = _flat(index, count)[:, None]
    flat = ops.reshape(base, (-1, width))
    x = ops.cast(ops.reshape(x, (-1, width)), base.dtype)
    return ops.reshape(ops.scatter_update(flat, rows, x), (-1, count, width))


def _flat(index, count):
    """Places in the batch laid end to end, `[B * M]`."""
    first = ops.arange(ops.shape(index)[0], dtype="int32") * count
    return ops.reshape(ops.cast(index, "int32") + first[:, None], (-1,))
