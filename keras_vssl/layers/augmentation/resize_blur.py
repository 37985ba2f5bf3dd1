"""Blur by resizing: to a random size and back, one size for the whole batch."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.layout import from_planes, to_planes
from keras_vssl.layers.augmentation.separable import apply_rows_columns


def resize_weights(source, target, most_source, most_target):
    """The matrix `[most_target, most_source]` of a linear resize with antialiasing.

    A triangle as wide as the coarser grid's step; rows sum to 1. The sizes may be traced tensors,
    the shape is static: rows and columns beyond the sizes are 0.
    """
    scale = ops.cast(source, "float32") / ops.cast(target, "float32")
    place = (ops.arange(most_target, dtype="float32")[:, None] + 0.5) * scale
    pixel = ops.arange(most_source, dtype="float32")[None] + 0.5
    weights = ops.maximum(1.0 - ops.abs(place - pixel) / ops.maximum(scale, 1.0), 0.0)
    weights = ops.where(pixel < ops.cast(source, "float32"), weights, 0.0)
    weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-6)
    return ops.where(place < ops.cast(source, "float32"), weights, 0.0)


@keras.saving.register_keras_serializable(package="keras_vssl")
class ResizeBlur(keras.layers.Layer):
    """Resizes the clips of a batch to N x N pixels and back, one random N for all, in training.

    What is finer than the N x N grid is gone: noise of compression and of interpolation, which
    would tell frames that were next to each other in the file from frames that were not. Shapes
    stay static, so a step is compiled once whatever N is. The paper hands the N x N clip itself to
    the network; here the network sees one size and all that N pixels hold of the picture.

    Args:
        sizes: (least, most) N, pixels, drawn uniformly.

    Call arguments:
        clips: floating-point `[B, V, T, H, W, C]`; the result has the same shape.
    """

    def __init__(self, sizes=(64, 336), **kwargs):
        super().__init__(**kwargs)
        self.sizes = tuple(int(n) for n in sizes)
        if len(self.sizes) != 2 or not 1 <= self.sizes[0] <= self.sizes[1]:
            raise ValueError(f"Expected sizes=(least, most) with 1 <= least, received {sizes}.")
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, clips, training=None):
        if not training:
            return clips
        least, most = self.sizes
        drawn = keras.random.uniform((), least, most + 1, "float32", seed=self.seed_generator)
        return self.resized(clips, ops.minimum(ops.floor(drawn), float(most)))

    def resized(self, clips, size):
        """`clips` after one resize to `size` x `size` pixels, at most the largest N, and back."""
        rows, columns = (self._there_and_back(length, size)[None] for length in clips.shape[3:5])
        planes = to_planes(ops.cast(clips, "float32"))
        return ops.cast(from_planes(apply_rows_columns(planes, rows, columns)), self.compute_dtype)

    def _there_and_back(self, length, size):
        there = resize_weights(length, size, length, self.sizes[1])
        return ops.matmul(resize_weights(size, length, self.sizes[1], length), there)

    def get_config(self):
        return {**super().get_config(), "sizes": list(self.sizes)}
