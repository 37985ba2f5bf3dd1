"""What all augmentation layers share."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.layout import aligned, from_planes, to_planes

# How many axes of planes [B, V, T, 3, H, W] share one draw.
PER = {"sample": 5, "clip": 4, "frame": 3}


class Augmentation(keras.layers.Layer):
    """Base class: clips in, changed clips out while training, the clips themselves otherwise.

    A subclass implements `change(x)` on float32 planes `[..., T, 3, H, W]` in [0, 1]. Computes in
    float32 whatever the policy, because bfloat16 has half of the grey levels of a pixel; the
    output has the policy's compute dtype.

    Call arguments:
        clips: `[..., T, H, W, 3]`, uint8 (scaled to [0, 1]), or float in [0, 1].
        training: bool, whether to change anything.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.built = True

    def change(self, x):
        raise NotImplementedError

    def rest(self, x):
        """What happens to the planes outside training: nothing."""
        return x

    def call(self, clips, training=None):
        x = unit(to_planes(self._checked(clips)))
        x = self.change(x) if training else self.rest(x)
        return ops.cast(from_planes(x), self.compute_dtype)

    def _checked(self, clips):
        shape = tuple(clips.shape)
        if len(shape) < 4 or shape[-1] != 3 or None in shape[-4:]:
            raise ValueError(
                f"{type(self).__name__} takes clips [..., T, H, W, 3] of fixed size, but received "
                f"the shape {shape}."
            )
        return clips

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


def unit(x):
    """uint8 pixels as float32 in [0, 1]; floating-point pixels as float32."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    if dtype == "uint8":
        return ops.cast(x, "float32") / 255.0
    if "float" not in dtype:
        raise ValueError(
            f"An augmentation takes uint8 pixels or floating-point clips in [0, 1], but received "
            f"{dtype}; cast pixels to uint8."
        )
    return ops.cast(x, "float32")


class RandomAugmentation(Augmentation):
    """Base class of the layers that draw.

    A subclass implements `transform(x, lead)`: planes changed with parameters of the shape `lead`.

    Args:
        p: float in [0, 1], the probability that an entry is changed at all.
        per: what one draw is for: `"clip"` (each clip of each view its own, shared by its
            frames), `"frame"`, or `"sample"` (shared by the views of `[B, V, T, H, W, 3]`).
        seed: int or `None`. Two layers with one seed draw the same.
    """

    def __init__(self, p=1.0, per="clip", seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= p <= 1:
            raise ValueError(f"`p` is a probability in [0, 1], but received {p}.")
        if per not in PER:
            raise ValueError(f"`per` is one of {tuple(PER)}, but received {per!r}.")
        self.p = float(p)
        self.per = per
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def transform(self, x, lead):
        raise NotImplementedError

    def change(self, x):
        if self.p == 0:
            return x
        lead = self.lead(x)
        changed = self.transform(x, lead)
        if self.p == 1:
            return changed
        return ops.where(aligned(self.uniform(lead) < self.p, x), changed, x)

    def lead(self, x):
        """The leading axes of planes, one draw for each entry."""
        if len(x.shape) < PER[self.per] + (self.per == "sample"):
            raise ValueError(
                f"per={self.per!r} takes clips [B, V, T, H, W, 3], but received {len(x.shape)} axes."
            )
        return tuple(ops.shape(x)[: len(x.shape) - PER[self.per]])

    def uniform(self, shape, low=0.0, high=1.0):
        """float32 draws in [low, high)."""
        return low + (high - low) * keras.random.uniform(
            shape, dtype="float32", seed=self.generator
        )

    def get_config(self):
        return {**super().get_config(), "p": self.p, "per": self.per, "seed": self.seed}
