"""Clips as tokens: cubes of pixels, and their linear embedding."""

import keras
import numpy as np
from keras import layers, ops


def grid_of(shape, patch):
    """Tokens along each axis.

    Args:
        shape: (time, height, width), in frames and pixels. patch: the same of one cube.

    Raises:
        ValueError: cubes do not fill the clip.
    """
    shape, patch = tuple(map(int, shape)), tuple(map(int, patch))
    if len(shape) != len(patch) or any(size % part for size, part in zip(shape, patch)):
        raise ValueError(
            f"Expected a clip that cubes of {patch} fill, received one of {shape}; choose "
            "multiples."
        )
    return tuple(size // part for size, part in zip(shape, patch))


def patchify(clips, patch):
    """Cuts clips into cubes.

    Args:
        clips: `[B, T, H, W, C]`.
        patch: (t, h, w) of a cube; it divides the clip evenly.

    Returns:
        `[B, N, t * h * w * C]`: tokens time-major, then rows, then columns; in a token, frames,
        rows, columns, channels, channels fastest.
    """
    (t, h, w), channels = patch, clips.shape[-1]
    time, rows, columns = grid_of(clips.shape[1:4], patch)
    # Columns of a cube and channels are neighbours: seven axes, not eight.
    x = ops.reshape(clips, (-1, time, t, rows, h, columns, w * channels))
    x = ops.transpose(x, (0, 1, 3, 5, 2, 4, 6))
    return ops.reshape(x, (-1, time * rows * columns, t * h * w * channels))


def unpatchify(tokens, grid, patch):
    """The inverse of `patchify`.

    Args:
        tokens: `[B, N, t * h * w * C]`.
        grid: (time, height, width) in tokens. patch: (t, h, w) of a cube.

    Returns:
        `[B, T, H, W, C]`.
    """
    (time, rows, columns), (t, h, w) = grid, patch
    channels = tokens.shape[-1] // (t * h * w)
    x = ops.reshape(tokens, (-1, time, rows, columns, t, h, w * channels))
    x = ops.transpose(x, (0, 1, 4, 2, 5, 3, 6))
    return ops.reshape(x, (-1, time * t, rows * h, columns * w, channels))


@keras.saving.register_keras_serializable(package="keras_vssl")
class TubeletEmbedding(layers.Layer):
    """A linear map of each cube of a clip: `[B, T, H, W, C]` to `[B, N, width]`.

    The same as a 3-D convolution whose stride is its kernel, as one matrix product.

    Args:
        width: int, channels of a token.
        patch: (t, h, w) of a cube; t = 1 embeds single frames.
        kernel_initializer: Keras initializer. Default: uniform in +-1/sqrt(fan in), PyTorch's for
            convolutions.

    Attributes:
        dense: the `Dense` layer; a published kernel `[O, C, t, h, w]` becomes its
            `[t * h * w * C, O]`.
    """

    def __init__(self, width, patch=(2, 16, 16), kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.width, self.patch = int(width), tuple(int(size) for size in patch)
        default = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        self.kernel_initializer = keras.initializers.get(kernel_initializer or default)
        self.dense = layers.Dense(
            self.width,
            kernel_initializer=self.kernel_initializer,
            name="dense",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        self.dense.build((None, None, int(np.prod(self.patch)) * input_shape[-1]))
        self.built = True

    def call(self, clips):
        return self.dense(patchify(clips, self.patch))

    def compute_output_shape(self, input_shape):
        return input_shape[0], int(np.prod(grid_of(input_shape[1:4], self.patch))), self.width

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "patch": list(self.patch),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class TokenMap(layers.Layer):
    """Tokens `[B, N, D]` as a feature map `[B, *grid, D]`.

    Args:
        grid: ints, tokens along each axis of the map.
        first: int, tokens before the map's (a class token); they are left out.
    """

    def __init__(self, grid, first=0, **kwargs):
        super().__init__(**kwargs)
        self.grid, self.first = tuple(int(n) for n in grid), int(first)
        self.built = True

    def call(self, x):
        x = x[:, self.first : self.first + int(np.prod(self.grid))]
        return ops.reshape(x, (-1, *self.grid, x.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.grid, input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "grid": list(self.grid), "first": self.first}
