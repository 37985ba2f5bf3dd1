"""Brightness, contrast, saturation, hue and grey of clips in [0, 1]: pure functions.

All take clips `[..., T, H, W, 3]` (or planes `[..., T, 3, H, W]` with `axis=-3`), and factors that
are a number or a tensor with one number for each leading entry: `[B]` and `[B, V]` for clips,
`[B, V, T]` for frames. None of them clips its result.
"""

from keras import ops

from keras_vssl.layers.augmentation.layout import LAST, aligned, height_width

# ITU-R BT.601 as tf.image and torchvision round it; PIL's and OpenCV's have 0.299.
LUMA = (0.2989, 0.587, 0.114)


def channels(x, axis=LAST):
    """Red, green and blue, each with one channel left."""
    return ops.split(x, 3, axis=axis)


def to_grayscale(x, weights=LUMA, axis=LAST):
    """The weighted sum of the channels, in all three of them."""
    grey = luma(x, weights, axis)
    return ops.concatenate([grey, grey, grey], axis=axis)


def luma(x, weights=LUMA, axis=LAST):
    """The weighted sum of the channels, one channel."""
    red, green, blue = channels(x, axis)
    return weights[0] * red + weights[1] * green + weights[2] * blue


def adjust_brightness(x, factor=1.0, delta=0.0):
    """`x * factor + delta` (torchvision multiplies, tf.image adds)."""
    return x * aligned(factor, x) + aligned(delta, x)


def adjust_contrast(x, factor, over="clip", mean="channel", axis=LAST):
    """`m + (x - m) * factor`.

    Args:
        factor: 0 leaves the mean, 1 the clip.
        over: what m is the mean of, the `"clip"` or each `"frame"`.
        mean: `"channel"`, one m a channel (tf.image), or `"gray"`, the mean of the luma
            (torchvision, PIL).
    """
    anchor = contrast_anchor(x, over, mean, axis)
    return anchor + (x - anchor) * aligned(factor, x)


def contrast_anchor(x, over="clip", mean="channel", axis=LAST):
    """The m of `adjust_contrast`, of size 1 in the axes that it is a mean of."""
    if over not in ("clip", "frame") or mean not in ("channel", "gray"):
        raise ValueError(
            f"`over` is 'clip' or 'frame' and `mean` 'channel' or 'gray', but received {over!r} "
            f"and {mean!r}."
        )
    axes = height_width(axis) if over == "frame" else (-4, *height_width(axis))
    anchor = ops.mean(x, axis=axes, keepdims=True)
    return luma(anchor, axis=axis) if mean == "gray" else anchor


def adjust_saturation(x, factor, model="hsv", axis=LAST):
    """Colours farther from grey, or nearer to it.

    Args:
        factor: 0 leaves no colour, 1 the clip.
        model: `"hsv"`, the saturation of HSV times the factor, at most 1 (tf.image), or
            `"gray"`, `luma + (x - luma) * factor` (torchvision, PIL).
    """
    anchor, most = saturation_anchor(x, model, axis)
    factor = aligned(factor, x)
    return anchor + (x - anchor) * (factor if most is None else ops.minimum(factor, most))


def saturation_anchor(x, model="hsv", axis=LAST):
    """What a saturation of zero leaves, and the largest factor that has an effect, or `None`.

    In HSV with value v the channels are `v - (v - x)`, and the saturation is proportional to
    `v - x`; so a factor f gives `v + (x - v) f`, where f is limited to a saturation of 1.
    """
    if model not in ("hsv", "gray"):
        raise ValueError(f"`model` is 'hsv' or 'gray', but received {model!r}.")
    if model == "gray":
        return luma(x, axis=axis), None
    value, chroma = _value_chroma(*channels(x, axis))
    return value, ops.where(chroma > 0, value / ops.where(chroma > 0, chroma, 1.0), 1.0)


def _value_chroma(red, green, blue):
    value = ops.maximum(ops.maximum(red, green), blue)
    return value, value - ops.minimum(ops.minimum(red, green), blue)


def adjust_hue(x, delta, axis=LAST):
    """The hue of HSV turned by `delta`, in turns: 1/3 makes red green; 1 changes nothing."""
    red, green, blue = channels(x, axis)
    value, chroma = _value_chroma(red, green, blue)
    scale = 1.0 / ops.where(chroma > 0, chroma, 1.0)
    # Sixths of a turn, from red.
    hue = ops.where(
        value == red,
        (green - blue) * scale,
        ops.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    hue = hue + 6.0 * aligned(delta, x)
    turned = []
    for place in (0.0, 2.0, 4.0):  # red, green, blue: full within 1 of their place, none beyond 2
        away = hue - place
        away = ops.abs(away - 6.0 * ops.round(away / 6.0))
        turned.append(value - chroma * ops.clip(away - 1.0, 0.0, 1.0))
    return ops.concatenate(turned, axis=axis)
