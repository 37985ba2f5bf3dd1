"""A square of the clip covered."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import RandomAugmentation
from keras_vssl.layers.augmentation.layout import aligned


@keras.saving.register_keras_serializable(package="keras_vssl")
class Cutout(RandomAugmentation):
    """Covers one square, at the same place in all frames of a clip.

    Args:
        longest: int, pixels. A length n is drawn from 1 to `longest`, and the square has the side
            `2 * (n // 2)`.
        fill: float or 3 floats, the colour in [0, 1]. Where the published code fills with zeros
            after `(x - mean) / std`, that is the mean.
        p: float, the probability that a clip is changed.
        per, seed: see `RandomAugmentation`.

    Call arguments:
        clips: `[..., T, H, W, 3]`. The square's centre is uniform over the pixels; what lies
            beyond the border is lost.

    Reference:
        [DeVries and Taylor 2017](https://arxiv.org/abs/1708.04552); lengths as in
        [Sarkar and Etemad AAAI 2023](https://arxiv.org/abs/2111.05329), official code.
    """

    def __init__(self, longest=20, fill=0.0, p=1.0, per="clip", seed=None, **kwargs):
        super().__init__(p, per, seed, **kwargs)
        if longest < 1:
            raise ValueError(f"`longest` is at least 1 pixel, but received {longest}.")
        fill = (fill,) * 3 if isinstance(fill, (int, float)) else tuple(fill)
        if len(fill) != 3:
            raise ValueError(f"`fill` takes one number or three, but received {fill}.")
        self.longest = int(longest)
        self.fill = tuple(float(v) for v in fill)

    def transform(self, x, lead):
        length = keras.random.randint(lead, 1, self.longest + 1, seed=self.generator)
        half = aligned(ops.cast(length // 2, "int32"), x)
        inside = True
        for axis in (-2, -1):
            size = x.shape[axis]
            centre = keras.random.randint(lead, 0, size, seed=self.generator)
            away = ops.arange(size, dtype="int32") - aligned(ops.cast(centre, "int32"), x)
            away = ops.swapaxes(away, -1, axis)
            covered = ops.logical_and(away >= -half, away < half)
            inside = ops.logical_and(inside, covered)
        fill = ops.reshape(ops.convert_to_tensor(self.fill, "float32"), (3, 1, 1))
        return ops.where(inside, fill, x)

    def get_config(self):
        return {**super().get_config(), "longest": self.longest, "fill": list(self.fill)}
