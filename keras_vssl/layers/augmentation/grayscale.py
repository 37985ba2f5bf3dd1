"""Clips that lose their colour."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import RandomAugmentation
from keras_vssl.layers.augmentation.color import LUMA, to_grayscale
from keras_vssl.layers.augmentation.layout import PLANES, aligned


@keras.saving.register_keras_serializable(package="keras_vssl")
class RandomGrayscale(RandomAugmentation):
    """Replaces the channels by their luma.

    Args:
        p: float, the probability that a clip becomes grey.
        weights: 3 floats, of red, green and blue.
        per, seed: see `RandomAugmentation`.

    Call arguments:
        clips: `[..., T, H, W, 3]`.
    """

    def __init__(self, p=0.2, weights=LUMA, per="clip", seed=None, **kwargs):
        super().__init__(p, per, seed, **kwargs)
        if len(weights) != 3:
            raise ValueError(f"`weights` takes one number a channel, but received {weights}.")
        self.luma_weights = tuple(float(w) for w in weights)

    def transform(self, x, lead):
        return to_grayscale(x, self.luma_weights, PLANES)

    def get_config(self):
        return {**super().get_config(), "weights": list(self.luma_weights)}


@keras.saving.register_keras_serializable(package="keras_vssl")
class RandomChannel(RandomAugmentation):
    """Copies one channel, drawn anew for every frame, into all three.

    Args:
        p: float, the probability that a clip is changed.
        per, seed: see `RandomAugmentation`; `per` concerns whether, not which channel.

    Call arguments:
        clips: `[..., T, H, W, 3]`.

    Reference:
        [Han, Xie, Zisserman NeurIPS 2020](https://arxiv.org/abs/2010.09709), official code, where
        it takes the place of grayscale.
    """

    def __init__(self, p=0.2, per="clip", seed=None, **kwargs):
        super().__init__(p, per, seed, **kwargs)

    def transform(self, x, lead):
        frames = tuple(ops.shape(x)[:-3])
        chosen = keras.random.randint(frames, 0, 3, seed=self.generator)
        grey = ops.sum(x * aligned(ops.one_hot(chosen, 3, dtype="float32"), x), -3, keepdims=True)
        return ops.concatenate([grey, grey, grey], axis=PLANES)
