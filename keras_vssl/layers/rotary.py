"""Rotary positions in time, rows and columns, as V-JEPA 2 has them."""

import keras
import numpy as np
from keras import ops

from keras_vssl.layers.transformer import TransformerBlock


def rotary_table(grid, width):
    """Cosines and sines of the angles by which the tokens of a volume are rotated.

    A head's channels are cut into three chunks of `D = 2 ((width // 3) // 2)`, for the slot, the
    row and the column; what is left over is not rotated. The angles of a chunk are
    `position 10000^(-i / (D / 2))`.

    Args:
        grid: (time, height, width) in tokens, time slowest.
        width: int, channels of a head, 6 or more.

    Returns:
        two float32 arrays `[N, 3 D]`.

    Reference:
        Assran et al. 2025 (https://arxiv.org/abs/2506.09985), and the official code.
    """
    part = 2 * (width // 3 // 2)
    if not part:
        raise ValueError(
            f"Expected heads of 6 channels or more for rotations in three axes, received {width}."
        )
    omega = 10000.0 ** (-np.arange(part // 2) / (part / 2))
    # The frequencies are tiled while the pairs are neighbours, so the two of a pair turn at
    # different speeds. A slip of the official code that its weights depend on.
    omega = np.tile(omega, 2)
    axes = np.meshgrid(*map(np.arange, grid), indexing="ij")
    angle = np.concatenate([np.outer(axis, omega) for axis in axes], axis=1)
    return np.cos(angle).astype("float32"), np.sin(angle).astype("float32")


@keras.saving.register_keras_serializable(package="keras_vssl")
class RotaryBlock(TransformerBlock):
    """A transformer block whose queries and keys are rotated by their places in a volume.

    Args:
        grid: (time, height, width) in tokens.
        *args, **kwargs: as for `TransformerBlock`.

    Call arguments:
        x: `[B, N, width]`, the whole grid in its order, or with `index` any tokens.
        index: int `[B, N]` or `None`, the places of the tokens in the grid.
        key_mask, training: see `TransformerBlock`.
    """

    def __init__(self, *args, grid, **kwargs):
        super().__init__(*args, **kwargs)
        self.grid = tuple(int(n) for n in grid)
        self.table = rotary_table(self.grid, self.width // self.attention.heads)

    def call(self, x, index=None, key_mask=None, training=None):
        count = int(np.prod(self.grid))
        if index is None and x.shape[1] not in (None, count):
            raise ValueError(
                f"Expected the {count} tokens of the grid {self.grid}, received {x.shape[1]}; "
                "pass index=, their places in it."
            )
        rotation = []
        for part in self.table:
            part = ops.convert_to_tensor(part)
            part = part[None] if index is None else ops.take(part, index, axis=0)
            rotation.append(part[:, :, None])
        y = self.attention(self.norm1(x), key_mask=key_mask, rotation=tuple(rotation))
        return self.feed_forward(x + self.drop(y, training=training), training=training)

    def compute_output_spec(self, x, index=None, key_mask=None, training=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "grid": list(self.grid)}
