"""Affine warps of clips, and the numbers that describe them."""

import itertools
import math

import keras
import numpy as np
from keras import ops

from keras_vssl.layers.augmentation.augmentation import unit
from keras_vssl.layers.augmentation.layout import from_planes, to_planes

PARAMETERS = ("rotation", "scale", "shear", "right", "down")


def affine_matrix(parameters):
    """The matrices of affine warps.

    A place in a frame is (x, y) from its centre, in shares of its width and height, x to the right
    and y **down**. The warp takes what is at p to `A p + t`, with `A = Shear Scale Rotation`: it
    first rotates (clockwise on the screen), then scales, then shears along x (what is lower goes
    to the right), and last translates. Lengths are those of a square frame; another one is warped
    as if it had been squeezed into a square.

    Args:
        parameters: float `[..., 5]`: rotation in degrees (-180 to 180), scale (above 0), shear in
            degrees (-90 to 90, exclusive), and the translation to the right and down in shares of
            the frame.

    Returns:
        float32 `[..., 2, 3]`, A beside t.
    """
    rotation, scale, shear, right, down = ops.unstack(ops.cast(parameters, "float32"), 5, axis=-1)
    angle, slope = (x * (math.pi / 180) for x in (rotation, shear))
    cos, sin, slope = scale * ops.cos(angle), scale * ops.sin(angle), ops.tan(slope)
    first = ops.stack([cos + slope * sin, slope * cos - sin, right], axis=-1)
    return ops.stack([first, ops.stack([sin, cos, down], axis=-1)], axis=-2)


def affine_parameters(matrix):
    """The parameters of affine warps, the inverse of `affine_matrix`.

    Args:
        matrix: float `[..., 2, 3]`; A has a positive determinant.

    Returns:
        float32 `[..., 5]`.
    """
    matrix = ops.cast(matrix, "float32")
    a, b, right = (matrix[..., 0, i] for i in range(3))
    c, d, down = (matrix[..., 1, i] for i in range(3))
    # The second row is the scaled rotation's own; the shear is what the first has in common with it.
    square = c * c + d * d
    degrees = 180 / math.pi
    rotation, shear = ops.arctan2(c, d), ops.arctan2(a * c + b * d, a * d - b * c)
    return ops.stack([rotation * degrees, ops.sqrt(square), shear * degrees, right, down], axis=-1)


def warp(clips, matrix, size=None):
    """Clips warped by one matrix each, sampled bilinearly; what comes from outside is 0.

    Args:
        clips: float `[B, ..., H, W, C]`.
        matrix: `[B, 2, 3]`, of the forward warp (`affine_matrix`), shared by all frames of a clip.
        size: (height, width) or None, the centre of the result that is kept.

    Returns:
        float `[B, ..., *size, C]`.
    """
    height, width = clips.shape[-3:-1]
    rows, columns = size or (height, width)
    x = to_planes(clips)
    planes = ops.reshape(x, (-1, math.prod(x.shape[1:-2]), height * width))
    # Where each pixel of the result comes from: A^-1 (p - t), in pixels.
    a, b, right = (matrix[:, 0, i, None] for i in range(3))
    c, d, down = (matrix[:, 1, i, None] for i in range(3))
    dx = _places(columns, width)[None, :] / width
    dy = _places(rows, height)[:, None] / height
    dx, dy = (ops.reshape(v + ops.zeros((rows, columns)), (1, -1)) for v in (dx, dy))
    dx, dy, square = dx - right, dy - down, a * d - b * c
    source_x = (d * dx - b * dy) / square * width + (width - 1) / 2
    source_y = (a * dy - c * dx) / square * height + (height - 1) / 2
    left, top = ops.floor(source_x), ops.floor(source_y)
    total = 0.0
    for i, j in itertools.product((0, 1), (0, 1)):
        row, column = top + i, left + j
        weight = (1 - ops.abs(source_y - row)) * (1 - ops.abs(source_x - column))
        inside = (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
        place = ops.clip(row, 0, height - 1) * width + ops.clip(column, 0, width - 1)
        found = ops.take_along_axis(planes, ops.cast(place, "int32")[:, None], axis=2)
        total = total + found * ops.cast(ops.where(inside, weight, 0.0), x.dtype)[:, None]
    return from_planes(ops.reshape(total, (-1, *x.shape[1:-2], rows, columns)))


def _places(count, length):
    """Centres of the middle `count` of `length` pixels, from the middle of all; whole steps."""
    first = (length - count) // 2
    return ops.arange(first, first + count, dtype="float32") - (length - 1) / 2


@keras.saving.register_keras_serializable(package="keras_vssl")
class AffineWarp(keras.layers.Layer):
    """Warps clips by parameters in [-1, 1], all frames of a clip alike, and cuts out the centre.

    A parameter u stands for a rotation of `rotation * u` degrees, a scale of `1 + scale * u`, a
    shear of `shear * u` degrees, and translations of `translation * u` of the side; how they
    compose, `affine_matrix` says. 0 changes nothing. Computes in float32.

    Args:
        rotation, scale, shear, translation: floats, the ranges; 0 leaves that change out.
        size: (height, width) or None, the centre of the warped frame that is kept, without
            resizing it. One of at most `clear_share` of the frame holds no corner that came from
            outside and would tell the rotation.

    Call arguments:
        clips: `[B, ..., H, W, C]`, uint8 (scaled to [0, 1]), or float.
        parameters: `[B, n]` in [-1, 1], one for each of `names`; None does not warp.

    Returns:
        float `[B, ..., *size, C]` of the policy's compute dtype.
    """

    def __init__(self, rotation=30.0, scale=0.2, shear=10.0, translation=0.1, size=None, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.rotation, self.scale = float(rotation), float(scale)
        self.shear, self.translation = float(shear), float(translation)
        if not (
            0 <= self.rotation <= 180
            and 0 <= self.scale < 1
            and 0 <= self.shear < 90
            and 0 <= self.translation < 1
            and any(self.ranges)
        ):
            raise ValueError(
                f"Expected ranges of a rotation to 180 degrees, a scale below 1, a shear below 90 "
                f"degrees and a translation below 1, not all 0, received {rotation}, {scale}, "
                f"{shear} and {translation}."
            )
        self.size = None if size is None else tuple(int(n) for n in size)
        self.built = True

    @property
    def ranges(self):
        """The five ranges, in the order of `PARAMETERS`."""
        return (self.rotation, self.scale, self.shear, self.translation, self.translation)

    @property
    def names(self):
        """The parameters that vary, out of `PARAMETERS`."""
        return tuple(name for name, most in zip(PARAMETERS, self.ranges) if most)

    def matrix(self, parameters):
        """Matrices `[B, 2, 3]` of normalised parameters `[B, n]`."""
        count = ops.shape(parameters)[0]
        drawn = iter(ops.unstack(ops.cast(parameters, "float32"), len(self.names), axis=-1))
        values = [most * next(drawn) if most else ops.zeros((count,)) for most in self.ranges]
        values[1] = 1.0 + values[1]
        return affine_matrix(ops.stack(values, axis=-1))

    def parameters(self, matrix):
        """Normalised parameters `[B, n]` of matrices `[B, 2, 3]`, the inverse of `matrix`."""
        values = list(ops.unstack(affine_parameters(matrix), 5, axis=-1))
        values[1] = values[1] - 1.0
        return ops.stack([v / most for v, most in zip(values, self.ranges) if most], axis=-1)

    @property
    def clear_share(self):
        """The share of a frame's side that no warp leaves without picture, 0 to 1."""
        grid = [np.linspace(-1, 1, n) for n in (121, 2, 21, 2, 2)]  # the rotation's is not extreme
        u = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 5) * self.ranges
        cos, sin = np.cos(np.radians(u[:, 0])), np.sin(np.radians(u[:, 0]))
        scale, slope = 1 + u[:, 1], np.tan(np.radians(u[:, 2]))
        # Rows of A^-1 = Rotation^-1 Scale^-1 Shear^-1.
        rows = np.stack([cos, sin - slope * cos, -sin, cos + slope * sin], axis=-1)
        rows = rows.reshape(-1, 2, 2) / scale[:, None, None]
        moved = np.abs((rows * u[:, None, 3:]).sum(axis=-1))
        # |A^-1 (p - t)| <= 1/2 for the corners p = (+-h, +-h) of a square of the side 2h.
        return float(np.clip((1 - 2 * moved) / np.abs(rows).sum(axis=-1), 0, 1).min())

    def call(self, clips, parameters=None):
        x = unit(clips)
        size = self.size or tuple(x.shape[-3:-1])
        if parameters is not None:
            x = warp(x, self.matrix(parameters), size)
        elif size != tuple(x.shape[-3:-1]):
            top, left = ((x.shape[axis] - n) // 2 for axis, n in zip((-3, -2), size))
            x = x[..., top : top + size[0], left : left + size[1], :]
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, clips_shape, parameters_shape=None):
        size = self.size or clips_shape[-3:-1]
        return (*clips_shape[:-3], *size, clips_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "rotation": self.rotation,
            "scale": self.scale,
            "shear": self.shear,
            "translation": self.translation,
            "size": self.size and list(self.size),
        }
