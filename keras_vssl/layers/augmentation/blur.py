"""Gaussian blur, one width for each clip."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import RandomAugmentation
from keras_vssl.layers.augmentation.layout import LAST, PLANES, from_planes, height_width, to_planes
from keras_vssl.layers.augmentation.separable import apply_rows_columns


def gaussian_blur(x, sigma, size, padding="reflect", axis=LAST):
    """Convolves frames with a Gaussian.

    Args:
        x: float `[..., T, H, W, 3]`, or `[..., T, 3, H, W]` with `axis=-3`.
        sigma: float, or one for each leading entry of x, pixels, above 0.
        size: int, taps of the kernel, whose weights add up to 1; an even number gets one more.
        padding: `"reflect"` (mirrored at the border pixel; torchvision) or `"zero"` (dark
            borders; TensorFlow's "SAME", CVRL's and BYOL's code).

    Returns:
        float, the shape of x.
    """
    radius = size // 2
    height, width = (x.shape[a] for a in height_width(axis))
    if padding not in ("reflect", "zero"):
        raise ValueError(f"`padding` is 'reflect' or 'zero', but received {padding!r}.")
    if padding == "reflect" and radius >= min(height, width):
        raise ValueError(
            f"Frames of {height} x {width} can not be mirrored by {radius} pixels; choose a size "
            "of less than twice the frame."
        )
    sigma = ops.expand_dims(ops.convert_to_tensor(sigma, "float32"), -1)
    taps = ops.arange(-radius, radius + 1, dtype="float32")
    total = ops.sum(ops.exp(-ops.square(taps) / (2.0 * ops.square(sigma))), axis=-1, keepdims=True)
    sigma, total = ops.expand_dims(sigma, -1), ops.expand_dims(total, -1)

    def matrix(length):
        to = ops.expand_dims(ops.arange(length, dtype="float32"), -1)
        source = ops.arange(length, dtype="float32")
        weights = _tap(source - to, sigma, radius)
        if padding == "reflect":
            last = length - 1.0
            before = ops.where(source > 0, _tap(-source - to, sigma, radius), 0.0)
            behind = ops.where(source < last, _tap(2 * last - source - to, sigma, radius), 0.0)
            weights = weights + before + behind
        return weights / total

    planes = x if axis == PLANES else to_planes(x)
    y = apply_rows_columns(planes, matrix(height), matrix(width))
    return y if axis == PLANES else from_planes(y)


def _tap(distance, sigma, radius):
    weight = ops.exp(-ops.square(distance) / (2.0 * ops.square(sigma)))
    return ops.where(ops.abs(distance) <= radius, weight, 0.0)


@keras.saving.register_keras_serializable(package="keras_vssl")
class GaussianBlur(RandomAugmentation):
    """Blurs clips with a Gaussian of random width.

    Args:
        size: int, taps of the kernel; an even number gets one more (CVRL: height // 10).
        sigma: `(low, high)` in pixels, uniform; equal for a fixed width.
        p: float, the probability that a clip is blurred.
        padding: `"reflect"` or `"zero"`, see `gaussian_blur`.
        per, seed: see `RandomAugmentation`.

    Call arguments:
        clips: `[..., T, H, W, 3]`.

    Reference:
        [Chen et al. 2020](https://arxiv.org/abs/2002.05709), App. A.
    """

    def __init__(
        self, size, sigma=(0.1, 2.0), p=0.5, padding="reflect", per="clip", seed=None, **kwargs
    ):
        super().__init__(p, per, seed, **kwargs)
        if size < 1 or not 0 < sigma[0] <= sigma[1]:
            raise ValueError(
                f"Expected `size` of at least 1 and `sigma` (low, high) above 0, but received "
                f"{size} and {sigma}."
            )
        if padding not in ("reflect", "zero"):
            raise ValueError(f"`padding` is 'reflect' or 'zero', but received {padding!r}.")
        self.size = int(size)
        self.sigma = tuple(float(v) for v in sigma)
        self.padding = padding

    def transform(self, x, lead):
        return gaussian_blur(x, self.uniform(lead, *self.sigma), self.size, self.padding, PLANES)

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "sigma": list(self.sigma),
            "padding": self.padding,
        }
