"""What the augmentations compute, written again pixel by pixel with NumPy and colorsys."""

import colorsys

import numpy as np

LUMA = np.array([0.2989, 0.587, 0.114])


def brightness(x, factor):
    return x * factor


def contrast(x, factor, over="clip", mean="channel"):
    if mean == "gray":
        x_of_mean = (x @ LUMA)[..., None]
    else:
        x_of_mean = x
    axes = (-4, -3, -2) if over == "clip" else (-3, -2)
    anchor = x_of_mean.mean(axes, keepdims=True)
    return anchor + (x - anchor) * factor


def saturation(x, factor, model="hsv"):
    if model == "gray":
        grey = (x @ LUMA)[..., None]
        return grey + (x - grey) * factor

    def one(pixel):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb(h, min(s * factor, 1.0), v)

    return np.apply_along_axis(one, -1, x.astype("float64"))


def hue(x, delta):
    def one(pixel):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb((h + delta) % 1.0, s, v)

    return np.apply_along_axis(one, -1, x.astype("float64"))


def blur(x, sigma, size, padding):
    """One clip `[T, H, W, 3]`."""
    radius = size // 2
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    mode = {"zero": "constant", "reflect": "reflect"}[padding]
    for axis in (1, 2):
        pads = [(0, 0)] * 4
        pads[axis] = (radius, radius)
        padded = np.pad(x, pads, mode=mode)
        shifted = [np.take(padded, np.arange(x.shape[axis]) + k, axis) for k in range(len(kernel))]
        x = sum(weight * part for weight, part in zip(kernel, shifted))
    return x


def resize(x, size):
    """Bilinear, half-pixel centres, border repeated, of `[T, H, W, 3]`."""
    for axis, new in zip((1, 2), size):
        length = x.shape[axis]
        place = np.clip((np.arange(new) + 0.5) * length / new - 0.5, 0, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        shape = [1] * 4
        shape[axis] = new
        share = (place - low).reshape(shape)
        x = (1 - share) * np.take(x, low, axis) + share * np.take(x, high, axis)
    return x
