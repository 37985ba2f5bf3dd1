"""Crops, blur, mirroring and solarisation equal what they are defined as."""

import functools

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_vssl.layers.augmentation import crop_resize, gaussian_blur, hflip, solarize
from tests import backends
from tests.layers.augmentation import reference
from tests.layers.augmentation.test_color import clips, same


def pixel_box(x0, y0, x1, y1, width, height):
    return [x0 / width, y0 / height, x1 / width, y1 / height]


def check_blur(jit):
    x = clips(3, 2, 9, 7)
    sigmas = np.array([0.1, 0.8, 2.0], "float32")
    for size, padding in ((5, "reflect"), (5, "zero"), (4, "zero"), (23, "zero"), (1, "reflect")):
        blur = functools.partial(gaussian_blur, size=size, padding=padding)
        got = backends.run(blur, x, sigmas, jit=jit)
        expected = [reference.blur(c, s, size, padding) for c, s in zip(x, sigmas)]
        same(got, np.stack(expected))
    per_frame = np.array([[0.5, 2.0]] * 3, "float32")
    got = backends.run(lambda x, s: gaussian_blur(x, s, 5), x, per_frame, jit=jit)
    same(got[1, 1:], reference.blur(x[1, 1:], 2.0, 5, "reflect"))
    same(got[1, :1], reference.blur(x[1, :1], 0.5, 5, "reflect"))


def check_crop(jit):
    x = clips(3, 2, 12, 10)
    boxes = [(0, 0, 10, 12), (2, 1, 9, 11), (7, 3, 10, 8)]
    shares = np.array([pixel_box(*box, 10, 12) for box in boxes], "float32")
    for size in ((12, 10), (5, 4), (16, 23)):
        got = backends.run(functools.partial(crop_resize, size=size), x, shares, jit=jit)
        expected = [
            reference.resize(c[:, b[1] : b[3], b[0] : b[2]], size) for c, b in zip(x, boxes)
        ]
        same(got, np.stack(expected), tolerance=1e-5)
    views = np.stack([x, x[:, ::-1]], axis=1)
    got = backends.run(lambda x, b: crop_resize(x, b, (5, 4)), views, shares, jit=jit)
    same(got[:, 0, 0], got[:, 1, 1])
    flat = np.ones((1, 1, 12, 10, 3), "float32")
    between = np.array([[0.13, 0.07, 0.58, 0.91]], "float32")
    for antialias in (False, True):
        crop = functools.partial(crop_resize, size=(6, 3), antialias=antialias)
        got = backends.run(crop, flat, between)
        same(got, np.ones((1, 1, 6, 3, 3)))


def check_flip_and_solarize():
    x = clips(2, 2, 4, 5)
    assert (backends.run(hflip, x) == x[:, :, :, ::-1]).all()
    planes = np.moveaxis(x, -1, -3)
    assert (backends.run(lambda x: hflip(x, axis=-3), planes) == planes[..., ::-1]).all()
    x[0, 0, 0, 0] = 0.5
    got = backends.run(solarize, x)
    assert (got == np.where(x < 0.5, x, 1 - x)).all() and got[0, 0, 0, 0, 0] == 0.5
    assert (backends.run(lambda x: solarize(x, 0.0), x) == 1 - x).all()


@pytest.mark.parametrize("jit", [False, True])
def test_blur_equals_the_convolution(jit):
    check_blur(jit)


@pytest.mark.parametrize("jit", [False, True])
def test_a_crop_equals_cutting_and_resizing(jit):
    check_crop(jit)


def test_flip_and_solarize_are_exact():
    check_flip_and_solarize()


def test_a_crop_equals_tf_image_resize():
    import tensorflow as tf

    x = clips(2, 12, 10)
    got = backends.run(lambda x: crop_resize(x, pixel_box(2, 1, 9, 11, 10, 12), (15, 4)), x)
    same(got, tf.image.resize(x[:, 1:11, 2:9], (15, 4)).numpy(), tolerance=1e-5)


@pytest.mark.parametrize("size", [(5, 4), (12, 10), (30, 17)])
def test_an_antialiased_crop_equals_pil(size):
    pixels = np.round(255 * clips(1, 24, 20)).astype("uint8")
    box = (3, 2, 18, 23)
    image = Image.fromarray(pixels[0]).crop(box)
    expected = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR)) / 255
    x = (pixels / 255).astype("float32")
    got = backends.run(lambda x: crop_resize(x, pixel_box(*box, 20, 24), size, True), x)
    # PIL rounds to whole grey levels after the columns and after the rows.
    same(got[0], expected, tolerance=1.01 / 255)


def test_solarize_equals_pil():
    pixels = np.round(255 * clips(1, 6, 5)).astype("uint8")
    expected = np.asarray(ImageOps.solarize(Image.fromarray(pixels[0]), 128)) / 255
    same(backends.run(solarize, (pixels / 255).astype("float32"))[0], expected)


def test_what_can_not_be_blurred_is_refused():
    x = clips(1, 6, 5)
    for call in (lambda: gaussian_blur(x, 1.0, 11), lambda: gaussian_blur(x, 1.0, 3, "edge")):
        with pytest.raises(ValueError, match="choose|received"):
            call()
