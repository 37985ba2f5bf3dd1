"""Mirrored clips."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import RandomAugmentation
from keras_vssl.layers.augmentation.layout import LAST, PLANES, height_width


def hflip(x, axis=LAST):
    """Left and right exchanged, `[..., T, H, W, 3]` (`[..., T, 3, H, W]` with `axis=-3`)."""
    return ops.flip(x, axis=height_width(axis)[1])


@keras.saving.register_keras_serializable(package="keras_vssl")
class RandomFlip(RandomAugmentation):
    """Exchanges left and right of whole clips.

    Args:
        p: float, the probability that a clip is mirrored.
        per, seed: see `RandomAugmentation`.

    Call arguments:
        clips: `[..., T, H, W, 3]`.
    """

    def __init__(self, p=0.5, per="clip", seed=None, **kwargs):
        super().__init__(p, per, seed, **kwargs)

    def transform(self, x, lead):
        return hflip(x, PLANES)
