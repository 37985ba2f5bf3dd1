"""Random crops, resized, in one step."""

import math

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import RandomAugmentation
from keras_vssl.layers.augmentation.layout import LAST, PLANES, from_planes, height_width, to_planes
from keras_vssl.layers.augmentation.separable import apply_rows_columns

ATTEMPTS = 10  # as torchvision; with area 0.08 to 1 of a square frame all fail once in 10^5


def crop_resize(x, boxes, size, antialias=False, axis=LAST):
    """Cuts boxes out of frames and resizes them bilinearly.

    The result is that of resizing the cut (half-pixel centres, its border pixels repeated).

    Args:
        x: float `[..., T, H, W, 3]`, or `[..., T, 3, H, W]` with `axis=-3`.
        boxes: `[*lead, 4]` as x0, y0, x1, y1 in shares of the frame; one box for each leading
            entry of x. `[4]` is one box for all.
        size: `(height, width)` of the result.
        antialias: bool, average over the pixels that one new pixel covers (PIL); without it the
            two nearest count (tf.image and torch by default).

    Returns:
        float `[..., T, *size, 3]`.
    """
    boxes = ops.convert_to_tensor(boxes, "float32")
    height, width = (x.shape[a] for a in height_width(axis))
    rows = _interpolation(boxes[..., 1], boxes[..., 3], height, size[0], antialias)
    columns = _interpolation(boxes[..., 0], boxes[..., 2], width, size[1], antialias)
    planes = x if axis == PLANES else to_planes(x)
    y = apply_rows_columns(planes, rows, columns)
    return y if axis == PLANES else from_planes(y)


def _interpolation(low, high, length, new, antialias):
    """The matrices `[..., new, length]` that sample the stretch from low to high."""
    low, high = (ops.expand_dims(ops.expand_dims(v * length, -1), -1) for v in (low, high))
    step = (high - low) / new
    centres = low + (ops.expand_dims(ops.arange(new, dtype="float32"), -1) + 0.5) * step - 0.5
    pixels = ops.arange(length, dtype="float32")
    reach = ops.maximum(step, 1.0) if antialias else 1.0
    weights = ops.relu(1.0 - ops.abs(pixels - centres) / reach)
    # A pixel that the stretch only touches, by rounding, is outside.
    inside = ops.logical_and(pixels + 1.0 > low + 1e-3, pixels < high - 1e-3)
    weights = ops.where(inside, weights, 0.0)
    return weights / ops.sum(weights, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable(package="keras_vssl")
class RandomResizedCrop(RandomAugmentation):
    """Cuts a box of random area, shape and place out of a clip and resizes it.

    Outside training the largest centred box of the result's shape is resized; a clip that has the
    size already stays as it is.

    Args:
        size: int or `(height, width)` of the result.
        area: `(least, most)` share of the frame, uniform.
        ratio: `(least, most)` width / height.
        log_ratio: bool, the logarithm of the ratio is uniform (torchvision), not the ratio itself
            (tf.image's `sample_distorted_bounding_box`, CVRL).
        antialias: bool, see `crop_resize`.
        per, seed: see `RandomAugmentation`.

    Call arguments:
        clips: `[..., T, H, W, 3]`.

    Reference:
        [Szegedy et al. CVPR 2015](https://arxiv.org/abs/1409.4842), Sec. 6.
    """

    def __init__(
        self,
        size,
        area=(0.3, 1.0),
        ratio=(3 / 4, 4 / 3),
        log_ratio=True,
        antialias=False,
        per="clip",
        seed=None,
        **kwargs,
    ):
        super().__init__(1.0, per, seed, **kwargs)
        if not 0 < area[0] <= area[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(
                f"Expected 0 < area <= 1 and a positive ratio, least before most, but received "
                f"{area} and {ratio}."
            )
        self.size = (size, size) if isinstance(size, int) else tuple(int(v) for v in size)
        self.area = tuple(float(v) for v in area)
        self.ratio = tuple(float(v) for v in ratio)
        self.log_ratio = bool(log_ratio)
        self.antialias = bool(antialias)

    def transform(self, x, lead):
        boxes = self.boxes(lead, *x.shape[-2:])
        return crop_resize(x, boxes, self.size, self.antialias, PLANES)

    def rest(self, x):
        height, width = x.shape[-2:]
        if (height, width) == self.size:
            return x
        ratio = self.size[1] / self.size[0]
        box = _centred(min(width, height * ratio) / width, min(height, width / ratio) / height)
        return crop_resize(x, box, self.size, self.antialias, PLANES)

    def boxes(self, lead, height, width):
        """Boxes `[*lead, 4]`, the first of several draws that fits into the frame.

        Where none does, the largest centred box of an allowed ratio.
        """
        tries = (*lead, ATTEMPTS)
        area = self.uniform(tries, *self.area)
        if self.log_ratio:
            ratio = ops.exp(self.uniform(tries, *(math.log(v) for v in self.ratio)))
        else:
            ratio = self.uniform(tries, *self.ratio)
        shape = width / height
        wide, high = ops.sqrt(area * ratio / shape), ops.sqrt(area / ratio * shape)
        fits = ops.cast(ops.logical_and(wide <= 1.0, high <= 1.0), "float32")
        first = ops.one_hot(ops.argmax(fits, axis=-1), ATTEMPTS, dtype="float32") * fits
        found = ops.sum(first, axis=-1)
        allowed = min(max(shape, self.ratio[0]), self.ratio[1])
        whole = (min(1.0, allowed / shape), min(1.0, shape / allowed))
        wide, high = (
            ops.sum(first * drawn, axis=-1) + (1.0 - found) * side
            for drawn, side in zip((wide, high), whole)
        )
        # The fallback is centred.
        x, y = ((self.uniform(lead) - 0.5) * found + 0.5 for _ in range(2))
        x, y = x * (1.0 - wide), y * (1.0 - high)
        return ops.stack([x, y, x + wide, y + high], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-3], *self.size, 3)

    def get_config(self):
        config = super().get_config()
        del config["p"]
        return {
            **config,
            "size": list(self.size),
            "area": list(self.area),
            "ratio": list(self.ratio),
            "log_ratio": self.log_ratio,
            "antialias": self.antialias,
        }


def _centred(wide, high):
    return [0.5 - wide / 2, 0.5 - high / 2, 0.5 + wide / 2, 0.5 + high / 2]
