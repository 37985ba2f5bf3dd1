"""Random brightness, contrast, saturation and hue."""

import keras
from keras import ops

from keras_vssl.layers.augmentation.augmentation import RandomAugmentation
from keras_vssl.layers.augmentation.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    contrast_anchor,
    saturation_anchor,
)
from keras_vssl.layers.augmentation.layout import PLANES, aligned

STEPS = ("brightness", "contrast", "saturation", "hue")


@keras.saving.register_keras_serializable(package="keras_vssl")
class ColorJitter(RandomAugmentation):
    """Changes brightness, contrast, saturation and hue, in an order drawn for each clip.

    A step whose range holds only its identity is left out. Each costs little but hue, which is
    computed once whatever the order.

    Args:
        brightness, contrast, saturation: float s, for factors in [max(0, 1 - s), 1 + s], or the
            range `(low, high)` of the factor.
        hue: float h, for a turn in [-h, h], or the range; h is in turns, at most 0.5.
        p: float, the probability that a clip is changed.
        order: `"random"`, or the steps' names in a fixed order.
        clip: bool, bring values back to [0, 1] after each step; otherwise not at all.
        brightness_add: bool, add `factor - 1` instead of multiplying (tf.image; MMV and VATT have
            a brightness of 32/255).
        contrast_over: `"clip"` (the mean of all frames; CVRL) or `"frame"` (MoDist's code).
        contrast_mean, saturation_model: the definitions, see `adjust_contrast` and
            `adjust_saturation`: `"channel"` and `"hsv"` are tf.image's, `"gray"` and `"gray"`
            torchvision's.
        per, seed: see `RandomAugmentation`.

    Call arguments:
        clips: `[..., T, H, W, 3]`.

    Reference:
        [Chen et al. 2020](https://arxiv.org/abs/2002.05709), App. A; for clips
        [Qian et al. CVPR 2021](https://arxiv.org/abs/2008.03800), Sec. 3.3 and official code.
    """

    def __init__(
        self,
        brightness=0.8,
        contrast=0.8,
        saturation=0.8,
        hue=0.2,
        p=0.8,
        order="random",
        clip=True,
        brightness_add=False,
        contrast_over="clip",
        contrast_mean="channel",
        saturation_model="hsv",
        per="clip",
        seed=None,
        **kwargs,
    ):
        super().__init__(p, per, seed, **kwargs)
        self.ranges = {
            "brightness": _range("brightness", brightness),
            "contrast": _range("contrast", contrast),
            "saturation": _range("saturation", saturation),
            "hue": _range("hue", hue, centre=0.0, least=-0.5, most=0.5),
        }
        if order != "random":
            order = tuple(order)
            if len(set(order)) < len(order) or not set(order) <= set(STEPS):
                raise ValueError(f"`order` is 'random' or some of {STEPS}, but received {order}.")
        for name, value, choices in (
            ("contrast_over", contrast_over, ("clip", "frame")),
            ("contrast_mean", contrast_mean, ("channel", "gray")),
            ("saturation_model", saturation_model, ("hsv", "gray")),
        ):
            if value not in choices:
                raise ValueError(f"`{name}` is one of {choices}, but received {value!r}.")
        self.order = order
        self.clip = bool(clip)
        self.brightness_add = bool(brightness_add)
        self.contrast_over = contrast_over
        self.contrast_mean = contrast_mean
        self.saturation_model = saturation_model
        self.steps = [
            name
            for name in STEPS
            if self.ranges[name] != ((0.0,) * 2 if name == "hue" else (1.0,) * 2)
        ]

    def transform(self, x, lead):
        draws = {name: self.uniform(lead, *self.ranges[name]) for name in self.steps}
        if self.order == "random":
            return self._in_random_order(x, draws, lead)
        for name in self.order:
            if name in draws:
                x = self._bounded(self._step(x, name, draws[name]))
        return x

    def _step(self, x, name, draw):
        if name == "brightness":
            factor, delta = (1.0, draw - 1.0) if self.brightness_add else (draw, 0.0)
            return adjust_brightness(x, factor, delta)
        if name == "contrast":
            return adjust_contrast(x, draw, self.contrast_over, self.contrast_mean, PLANES)
        if name == "saturation":
            return adjust_saturation(x, draw, self.saturation_model, PLANES)
        return adjust_hue(x, draw, PLANES)

    def _in_random_order(self, x, draws, lead):
        """Every clip in its own order, without computing every step at every place.

        All steps but hue are `anchor + (x - anchor) * factor`. They have as many slots before hue
        as they are, and as many behind it; a step stands in the slot of its rank, on its side of
        hue, and an unused slot has the factor 1.
        """
        linear = [name for name in self.steps if name != "hue"]
        scores = self.uniform((*lead, len(self.steps)))
        rank = ops.argsort(ops.argsort(scores, axis=-1), axis=-1)
        rank = {name: rank[..., i] for i, name in enumerate(self.steps)}
        if "hue" not in rank:
            for slot in range(len(linear)):
                x = self._slot(x, draws, {name: rank[name] == slot for name in linear})
            return x
        before = {name: rank[name] < rank["hue"] for name in linear}
        for slot in range(len(linear)):
            here = {n: ops.logical_and(before[n], rank[n] == slot) for n in linear}
            x = self._slot(x, draws, here)
        x = self._bounded(adjust_hue(x, draws["hue"], PLANES))
        for slot in range(len(linear)):
            here = {
                n: ops.logical_and(ops.logical_not(before[n]), rank[n] == slot + 1) for n in linear
            }
            x = self._slot(x, draws, here)
        return x

    def _slot(self, x, draws, here):
        """At most one step for each clip: the one that is `here`."""
        change, shift = 0.0, 0.0
        for name, mask in here.items():
            mask = aligned(ops.cast(mask, "float32"), x)
            amount = mask * aligned(draws[name] - 1.0, x)
            if name == "brightness" and self.brightness_add:
                shift = shift + amount
                continue
            if name == "contrast":
                mean = contrast_anchor(x, self.contrast_over, self.contrast_mean, PLANES)
                shift = shift - mean * amount
            if name == "saturation":
                anchor, most = saturation_anchor(x, self.saturation_model, PLANES)
                if most is not None:
                    # Not the masked amount: without clipping `most` may be below 1.
                    amount = mask * ops.minimum(aligned(draws[name] - 1.0, x), most - 1.0)
                anchor = anchor * amount
            change = change + amount
        x = x * (1.0 + change) + shift
        return self._bounded(x - anchor if "saturation" in here else x)

    def _bounded(self, x):
        return ops.clip(x, 0.0, 1.0) if self.clip else x

    def get_config(self):
        return {
            **super().get_config(),
            **{name: list(limits) for name, limits in self.ranges.items()},
            "order": self.order if self.order == "random" else list(self.order),
            "clip": self.clip,
            "brightness_add": self.brightness_add,
            "contrast_over": self.contrast_over,
            "contrast_mean": self.contrast_mean,
            "saturation_model": self.saturation_model,
        }


def _range(name, value, centre=1.0, least=0.0, most=float("inf")):
    if isinstance(value, (int, float)):
        value = (max(least, centre - value), centre + value)
    low, high = (float(v) for v in value)
    if not least <= low <= high <= most:
        raise ValueError(
            f"`{name}` is a strength or a range (low, high) within [{least}, {most}], but received "
            f"({low}, {high})."
        )
    return low, high
