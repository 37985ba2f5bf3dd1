"""Brightness, contrast, saturation, hue and grey are those of tf.image, torchvision and PIL."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from keras_vssl.layers.augmentation import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    to_grayscale,
)
from tests import backends
from tests.layers.augmentation import reference

TOLERANCE = 3e-6  # a few roundings of float32 at values of about 1


def clips(*shape, seed=0):
    """Random colours, with grey, black, white and pure pixels among them."""
    x = np.random.default_rng(seed).uniform(size=(*shape, 3)).astype("float32")
    x[..., 0, 0, :] = 0.0
    x[..., 0, 1, :] = 1.0
    x[..., 1, 0, :] = 0.25
    x[..., 1, 1, :] = (1.0, 0.0, 0.0)
    x[..., 2, 0, :] = (0.0, 1.0, 1.0)
    x[..., 2, 1, :] = (0.5, 0.5, 0.75)
    return x


def same(got, expected, tolerance=TOLERANCE):
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= tolerance, np.abs(got - expected).max()


def each(function, x, factors, *options):
    """The reference on each clip with its own factor."""
    return np.stack([function(clip, f, *options) for clip, f in zip(x, factors)])


def check_reference(jit):
    x = clips(3, 2, 4, 5)
    factors = np.array([0.2, 1.0, 1.8], "float32")
    turns = np.array([-0.2, 0.0, 0.45], "float32")

    def both(layer, *options):
        """Channels last, and as planes."""
        got = backends.run(lambda x, f: layer(x, f, *options), x, factors, jit=jit)
        planes = np.moveaxis(x, -1, -3)
        other = backends.run(lambda x, f: layer(x, f, *options, axis=-3), planes, factors, jit=jit)
        same(np.moveaxis(other, -3, -1), got)
        return got

    got = backends.run(adjust_brightness, x, factors, jit=jit)
    same(got, each(reference.brightness, x, factors))
    for over in ("clip", "frame"):
        for mean in ("channel", "gray"):
            expected = each(reference.contrast, x, factors, over, mean)
            same(both(adjust_contrast, over, mean), expected)
    for model in ("hsv", "gray"):
        expected = each(reference.saturation, x, factors, model)
        same(both(adjust_saturation, model), expected)
    got = backends.run(adjust_hue, x, turns, jit=jit)
    same(got, each(reference.hue, x, turns))
    same(got[1], x[1])
    grey = backends.run(to_grayscale, x, jit=jit)
    same(grey, np.repeat((x @ reference.LUMA)[..., None], 3, -1).astype("float32"))
    weights = (0.0, 1.0, 0.0)
    assert (backends.run(lambda x: to_grayscale(x, weights), x) == x[..., 1:2]).all()
    per_frame = np.array([[0.5, 1.5]] * 3, "float32")
    got = backends.run(adjust_brightness, x, per_frame, jit=jit)
    same(got, x * per_frame[..., None, None, None])


@pytest.mark.parametrize("jit", [False, True])
def test_colors_equal_the_pixelwise_reference(jit):
    check_reference(jit)


@pytest.mark.parametrize("factor", [0.0, 0.2, 0.9, 1.3, 1.8])
def test_the_defaults_are_tf_image(factor):
    import tensorflow as tf

    x = clips(2, 6, 5)
    tall = x.reshape(1, 12, 5, 3)  # CVRL's frames, one above the other

    def ours(function, *arguments):
        return backends.run(lambda x: function(x, *arguments), x)

    expected = tf.image.adjust_contrast(tall, factor).numpy().reshape(x.shape)
    same(ours(adjust_contrast, factor), expected)
    same(ours(adjust_saturation, factor), tf.image.adjust_saturation(x, factor).numpy())
    turn = (factor - 0.9) / 2
    same(ours(adjust_hue, turn), tf.image.adjust_hue(x, turn).numpy())
    expected = tf.image.adjust_brightness(x, turn).numpy()
    same(ours(adjust_brightness, 1.0, turn), expected)
    grey = tf.image.rgb_to_grayscale(x).numpy()
    same(ours(to_grayscale), np.repeat(grey, 3, -1))


@pytest.mark.parametrize("factor", [0.2, 0.7, 1.0, 1.6])
def test_gray_definitions_are_pil_within_its_rounding(factor):
    pixels = np.round(255 * clips(1, 6, 5)).astype("uint8")
    image, x = Image.fromarray(pixels[0]), (pixels / 255).astype("float32")
    for enhance, got in (
        (ImageEnhance.Brightness, adjust_brightness(x, factor)),
        (ImageEnhance.Contrast, adjust_contrast(x, factor, "frame", "gray")),
        (ImageEnhance.Color, adjust_saturation(x, factor, "gray")),
    ):
        expected = np.asarray(enhance(image).enhance(factor)) / 255
        got = np.clip(backends.to_numpy(got)[0], 0, 1)
        # PIL rounds the grey level, and cuts the result, to a whole one.
        same(got, expected, tolerance=2 / 255)


def test_unknown_definitions_are_refused():
    x = clips(1, 4, 4)
    for call in (
        lambda: adjust_contrast(x, 1.0, over="batch"),
        lambda: adjust_saturation(x, 1.0, model="lab"),
        lambda: adjust_contrast(x, 1.0, axis=1),
    ):
        with pytest.raises(ValueError, match="received"):
            call()
