"""A chain of augmentations, the same for all views or one for each."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import Augmentation


@keras.saving.register_keras_serializable(package="keras_vssl")
class ClipAugmentation(Augmentation):
    """Maps clips to [0, 1] and, while training, sends them through augmentations in turn.

    Args:
        shared: list of `Augmentation`, for all views; every clip of every view draws its own
            parameters.
        views: list of lists of `Augmentation`, one list a view, after the shared ones; `None`
            where the views do not differ. They have to agree in size.
        clip: bool, bring the result back to [0, 1].

    Call arguments:
        clips: `[B, V, T, H, W, 3]`, or `[..., T, H, W, 3]` without `views`; uint8, or float in
            [0, 1].
        training: bool. Outside training pixels are only scaled (and cropped, if the chain crops).

    Returns:
        float in [0, 1], of the policy's compute dtype.

    Example:

    ```python
    augment = ClipAugmentation(
        [ColorJitter(), RandomGrayscale()],
        views=[[GaussianBlur(23, p=1.0)], [GaussianBlur(23, p=0.1), Solarize()]],
    )
    augment(clips, training=True)
    ```
    """

    def __init__(self, shared=(), views=None, clip=True, **kwargs):
        super().__init__(**kwargs)
        self.shared = [_augmentation(layer) for layer in shared]
        self.views = views and [[_augmentation(layer) for layer in chain] for chain in views]
        self.clip = bool(clip)

    def change(self, x):
        return self._run(x, "change")

    def rest(self, x):
        return self._run(x, "rest")

    def _run(self, x, how):
        x = _through(self.shared, x, how)
        if self.views:
            if len(x.shape) != 6 or x.shape[1] != len(self.views):
                raise ValueError(
                    f"Expected clips [B, {len(self.views)}, T, H, W, 3], one view for each list in "
                    f"`views`, but received {len(x.shape)} axes, the second of {x.shape[1]}."
                )
            parts = [_through(chain, x[:, v : v + 1], how) for v, chain in enumerate(self.views)]
            x = ops.concatenate(parts, axis=1)
        return ops.clip(x, 0.0, 1.0) if self.clip else x

    def compute_output_shape(self, input_shape):
        for layer in (*self.shared, *(self.views[0] if self.views else ())):
            input_shape = layer.compute_output_shape(input_shape)
        return tuple(input_shape)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "shared": [serialize(layer) for layer in self.shared],
            "views": self.views and [[serialize(layer) for layer in chain] for chain in self.views],
            "clip": self.clip,
        }


def _through(layers, x, how):
    for layer in layers:
        x = getattr(layer, how)(x)
    return x


def _augmentation(layer):
    if isinstance(layer, dict):
        layer = keras.saving.deserialize_keras_object(layer)
    if not isinstance(layer, Augmentation):
        raise ValueError(
            f"`ClipAugmentation` takes layers of keras_vssl.layers.augmentation, but received "
            f"{type(layer).__name__}; a layer of another kind goes before or behind it."
        )
    return layer
