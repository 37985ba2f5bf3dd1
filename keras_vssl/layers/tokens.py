"""What makes the patches of a plane a sequence: positions, tokens before them, and the visible ones.

Patches are chosen by their places, int32 `[B, K]`; every row has as many, so that batches stay
dense. `seed` is a `keras.random.SeedGenerator`, or an int for the same choice each time.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.layers.masking import gather_tokens
from keras_vssl.layers.positions import sine_cosine_2d

FIXED = ("sine_cosine", "sine_cosine_turned")
POSITIONS = ("learned", *FIXED)


@keras.saving.register_keras_serializable(package="keras_vssl")
class TokenEmbedding(layers.Layer):
    """Adds positions to the patches of a plane and puts learned tokens before them.

    Args:
        grid: `(rows, columns)` of the patches, row-major.
        extra_tokens: int, learned tokens before the patches, e.g. 1 for a class token.
        positions: `"learned"`, one vector a token, the extra ones included; or the fixed
            `"sine_cosine"` or `"sine_cosine_turned"`, see `fixed_table`. Checkpoints hold such
            tables, so they are weights, which are not trained.

    Call arguments:
        patches: `[B, rows * columns, D]`.
        keep: int32 `[B, K]` or `None`, the patches that go on, in this order; the others are left
            out after they got their positions.

    Returns:
        `[B, extra_tokens + K, D]`.
    """

    def __init__(self, grid, extra_tokens=1, positions="learned", **kwargs):
        super().__init__(**kwargs)
        if positions not in POSITIONS:
            raise ValueError(f"`positions` is one of {POSITIONS}, but received {positions!r}.")
        self.grid = tuple(int(v) for v in grid)
        self.extra_tokens = int(extra_tokens)
        self.positions = positions
        self.tokens = []

    def build(self, input_shape):
        width = input_shape[-1]
        self.tokens = [
            self.add_weight(
                name=f"token{index}",
                shape=(width,),
                initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            )
            for index in range(self.extra_tokens)
        ]
        learned = self.positions == "learned"
        self.table = self.add_weight(
            name="table",
            shape=(self.extra_tokens + self.grid[0] * self.grid[1], width),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02)
            if learned
            else lambda shape, dtype: fixed_table(
                self.positions, self.grid, width, self.extra_tokens
            ),
            trainable=learned,
        )
        self.built = True

    def call(self, patches, keep=None):
        table = ops.cast(self.table, patches.dtype)
        x = patches + table[self.extra_tokens :]
        if keep is not None:
            x = gather_tokens(x, keep)
        if not self.extra_tokens:
            return x
        tokens = ops.stack([ops.cast(token, x.dtype) for token in self.tokens])
        tokens = tokens + table[: self.extra_tokens]
        tokens = ops.broadcast_to(tokens, (ops.shape(x)[0], *tokens.shape))
        return ops.concatenate([tokens, x], axis=1)

    def compute_output_shape(self, patches_shape, keep_shape=None):
        count = patches_shape[1] if keep_shape is None else keep_shape[1]
        return (patches_shape[0], self.extra_tokens + count, patches_shape[2])

    def get_config(self):
        return {
            **super().get_config(),
            "grid": list(self.grid),
            "extra_tokens": self.extra_tokens,
            "positions": self.positions,
        }


def fixed_table(positions, grid, width, extra_tokens):
    """The fixed positions of a plane's patches, after a row of zeros for each extra token.

    Args:
        positions: `"sine_cosine"`: the first half of the channels tells the column, the second
            half the row; or `"sine_cosine_turned"`: the rows of the table of the turned grid,
            `(columns, rows)`, in their own order. AudioMAE's code hands its grid over so: its
            positions are distinct, but only patches of one row follow each other in the plane
            as in the table.
        grid: `(rows, columns)`.
        width: int, a multiple of 4.
        extra_tokens: int.

    Returns:
        float32 array `[extra_tokens + rows * columns, width]`.
    """
    if positions == "sine_cosine_turned":
        grid = grid[::-1]
    zeros = np.zeros((extra_tokens, width), "float32")
    return np.concatenate([zeros, sine_cosine_2d(grid, width)])


def visible_patches(batch, patches, ratio, seed):
    """Patches that stay visible, at random.

    Args:
        batch: int, B.
        patches: int.
        ratio: float in (0, 1), the share that is hidden. What is visible is rounded down:
            102 of 512 at 0.8 (MAE's rule; VideoMAE rounds what is hidden).
        seed: see the module.

    Returns:
        int32 `[B, K]` in random order.

    Raises:
        ValueError: nothing stays visible.
    """
    count = int(patches * (1.0 - ratio) + 1e-9)
    if not 0 < count <= patches:
        raise ValueError(
            f"Expected a ratio that leaves at least one of {patches} patches visible, but "
            f"received {ratio}."
        )
    noise = keras.random.uniform((batch, patches), seed=seed)
    return ops.cast(ops.argsort(noise, axis=-1), "int32")[:, :count]


def visible_crossings(batch, grid, ratios, seed):
    """The patches at which visible rows and visible columns of a plane cross.

    AudioMAE hides whole times and whole bands so when it is fine-tuned.

    Args:
        batch: int, B.
        grid: `(rows, columns)`, patches in row-major order.
        ratios: `(rows, columns)`, the shares that are hidden, each rounded as in
            `visible_patches`; 0 hides none.
        seed: see the module.

    Returns:
        int32 `[B, K]`, K the product of the visible rows and columns.
    """
    rows, columns = (visible_patches(batch, size, ratio, seed) for size, ratio in zip(grid, ratios))
    crossings = rows[:, :, None] * grid[1] + columns[:, None, :]
    return ops.reshape(crossings, (-1, rows.shape[1] * columns.shape[1]))


@keras.saving.register_keras_serializable(package="keras_vssl")
class StretchedPositions(layers.Layer):
    """Adds a learned table to tokens `[B, N, D]`, stretched linearly along the sequence to their N.

    LAVISH lets pictures and spectrograms share an image transformer's table so: as one sequence,
    class token included, whatever the plane's shape.

    Args:
        count: int, rows of the table.
    """

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = int(count)

    def build(self, input_shape):
        self.table = self.add_weight(
            name="table",
            shape=(self.count, input_shape[-1]),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )
        self.built = True

    def call(self, x):
        table, length = ops.convert_to_tensor(self.table), x.shape[1]
        if length != self.count:
            places = np.maximum((np.arange(length) + 0.5) * self.count / length - 0.5, 0.0)
            below = np.minimum(places.astype(int), self.count - 1)
            above = np.minimum(below + 1, self.count - 1)
            share = (places - below)[:, None]
            weights = (1 - share) * np.eye(self.count)[below] + share * np.eye(self.count)[above]
            table = ops.matmul(ops.cast(weights, table.dtype), table)
        return x + ops.cast(table, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "count": self.count}
