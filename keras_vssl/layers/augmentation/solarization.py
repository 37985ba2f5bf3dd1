"""Bright pixels turned dark."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import RandomAugmentation


def solarize(x, threshold=0.5):
    """`1 - x` where x, in [0, 1], is at least the threshold."""
    return ops.where(x >= threshold, 1.0 - x, x)


@keras.saving.register_keras_serializable(package="keras_vssl")
class Solarize(RandomAugmentation):
    """Inverts the pixels of a clip that are at least as bright as a threshold.

    Args:
        p: float, the probability that a clip is changed.
        threshold: float in [0, 1].
        per, seed: see `RandomAugmentation`.

    Call arguments:
        clips: `[..., T, H, W, 3]`.

    Reference:
        [Grill et al. 2020](https://arxiv.org/abs/2006.07733), App. B.
    """

    def __init__(self, p=0.2, threshold=0.5, per="clip", seed=None, **kwargs):
        super().__init__(p, per, seed, **kwargs)
        self.threshold = float(threshold)

    def transform(self, x, lead):
        return solarize(x, self.threshold)

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}
