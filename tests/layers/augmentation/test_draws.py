"""Every layer draws with its probability, from its range, for what `per` says."""

import functools
import itertools

import numpy as np
import pytest

from keras_vssl.layers import (
    ColorJitter,
    Cutout,
    GaussianBlur,
    RandomChannel,
    RandomFlip,
    RandomGrayscale,
    RandomResizedCrop,
    Solarize,
)
from tests import backends
from tests.layers.augmentation import reference
from tests.layers.augmentation.test_color import clips, same

MANY = 2048
FIXED = {
    "brightness": (1.4, 1.4),
    "contrast": (0.5, 0.5),
    "saturation": (1.6, 1.6),
    "hue": (0.2, 0.2),
}


def augmented(layer, x, jit=False):
    return backends.run(lambda x: layer(x, training=True), x, jit=jit)


def near(share, p, count=MANY):
    assert abs(share - p) < 4 * (p * (1 - p) / count) ** 0.5 + 1e-9, (share, p)


def repeated(*shape):
    return np.broadcast_to(clips(*shape), (MANY, *shape, 3))


def layers(p, per):
    options = {"p": p, "per": per, "seed": 3}
    return [
        ColorJitter(hue=(0.1, 0.2), **options),
        RandomGrayscale(**options),
        RandomChannel(**options),
        GaussianBlur(3, (1.0, 2.0), **options),
        RandomFlip(**options),
        Solarize(**options),
        Cutout(9, fill=2.0, **options),
    ]


def check_probability_and_per(jit):
    x = repeated(2, 4, 4)
    for layer in layers(0.3, "clip"):
        changed = (augmented(layer, x, jit) != x).any((2, 3, 4))
        p = 0.3 * (8 / 9 if isinstance(layer, Cutout) else 1)  # a square of side 0 shows nothing
        near(changed[:, 0].mean(), p)
        assert (changed[:, 0] == changed[:, 1]).all(), "frames share the decision"
    for layer in layers(0.3, "frame"):
        if isinstance(layer, Cutout):
            continue
        changed = (augmented(layer, x, jit) != x).any((2, 3, 4))
        near(changed.mean(), 0.3, 2 * MANY)
        near((changed[:, 0] & changed[:, 1]).mean(), 0.09)
    x = np.broadcast_to(clips(1, 4, 4), (MANY, 2, 1, 4, 4, 3))
    for per, both in (("clip", 0.09), ("sample", 0.3)):
        for layer in (layers(0.3, per)[0], layers(0.3, per)[4]):
            changed = (augmented(layer, x, jit) != x).any((2, 3, 4, 5))
            near(changed[:, 0].mean(), 0.3)
            near((changed[:, 0] & changed[:, 1]).mean(), both)


def check_ranges(jit):
    x = np.full((MANY, 2, 2, 2, 3), 0.5, "float32")
    only = {"contrast": 0, "saturation": 0, "hue": 0}
    got = augmented(ColorJitter((0.2, 1.8), **only, p=1.0, seed=1), x, jit) / 0.5
    assert np.ptp(got, axis=(1, 2, 3, 4)).max() < 1e-6, "one factor a clip"
    factors = got[:, 0, 0, 0, 0]
    assert factors.min() >= 0.2 and factors.max() <= 1.8
    assert abs(factors.mean() - 1) < 0.04 and abs(factors.std() - 1.6 / 12**0.5) < 0.02
    jitter = ColorJitter(0.125, **only, p=1.0, brightness_add=True, seed=1)
    deltas = augmented(jitter, x, jit)[:, 0, 0, 0, 0] - 0.5
    assert -0.125 <= deltas.min() < -0.12 and 0.12 < deltas.max() <= 0.125
    per_frame = augmented(ColorJitter(0.5, **only, p=1.0, per="frame", seed=1), x, jit)
    first, second = per_frame[:, :, 0, 0, 0].T
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1, "frames draw on their own"
    # A point spread by the blur says how wide it was.
    x = np.zeros((MANY, 1, 1, 9, 3), "float32")
    x[:, :, :, 4] = 1.0
    got = augmented(GaussianBlur(7, (0.5, 2.0), p=1.0, padding="zero", seed=1), x, jit)[:, 0, 0]
    sigma = (-0.5 / np.log(got[:, 5, 0] / got[:, 4, 0])) ** 0.5
    assert 0.499 < sigma.min() < 0.52 and 1.98 < sigma.max() < 2.001
    assert abs(sigma.mean() - 1.25) < 0.04


def check_order(jit):
    """Each clip is one of the 24 orders of the pure functions, and all orders occur."""
    tf_image = {"clip": True, "contrast_mean": "channel", "saturation_model": "hsv"}
    torchvision = {"clip": False, "contrast_mean": "gray", "saturation_model": "gray"}
    for options in (tf_image, torchvision, {**tf_image, "brightness_add": True}):
        check_orders_of(["brightness", "contrast", "saturation", "hue"], options, jit)
        check_orders_of(["brightness", "contrast", "saturation"], options, jit)


def check_orders_of(names, options, jit):
    clip = clips(2, 3, 3)
    options = {**options, "p": 1.0}

    def step(name, x):
        if name == "brightness":
            x = x + 0.4 if options.get("brightness_add") else reference.brightness(x, 1.4)
        elif name == "contrast":
            x = reference.contrast(x, 0.5, "clip", options["contrast_mean"])
        elif name == "saturation":
            x = reference.saturation(x, 1.6, options["saturation_model"])
        else:
            x = reference.hue(x, 0.2)
        return np.clip(x, 0, 1) if options["clip"] else x

    table = []
    for order in itertools.permutations(names):
        table.append(functools.reduce(lambda x, name: step(name, x), order, clip))
        if not jit:
            fixed = ColorJitter(**FIXED, order=order, **options)
            same(augmented(fixed, clip[None])[0], table[-1], tolerance=2e-5)
    table = np.stack(table)
    ranges = {**FIXED, **({} if "hue" in names else {"hue": 0.0})}
    x = np.broadcast_to(clip, (MANY, *clip.shape))
    got = augmented(ColorJitter(**ranges, seed=5, **options), x, jit)
    hits = np.abs(got[:, None] - table[None]).max((2, 3, 4, 5)) < 2e-5
    assert hits.any(1).all()
    # Some orders give the same clip.
    twins = (np.abs(table[:, None] - table[None]).max((2, 3, 4, 5)) < 2e-5).sum(1)
    for count, number in zip(hits.sum(0), twins):
        near(count / MANY, number / len(table))


def check_crops(jit):
    layer = RandomResizedCrop(6, (0.3, 1.0), (0.5, 2.0), log_ratio=False, seed=2)
    boxes = backends.run(lambda x: layer.boxes((MANY,), 40, 60), np.zeros(1, "float32"), jit=jit)
    x0, y0, x1, y1 = boxes.T
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    area, ratio = (x1 - x0) * (y1 - y0), (x1 - x0) * 60 / ((y1 - y0) * 40)
    assert 0.299 < area.min() < 0.31 and area.max() <= 1
    assert 0.499 < ratio.min() < 0.6 and 1.8 < ratio.max() < 2.001
    assert x0.std() > 0.05 and y0.std() > 0.05
    small = RandomResizedCrop(6, (0.1, 0.1), (0.5, 2.0), seed=2)
    boxes = backends.run(lambda x: small.boxes((MANY,), 50, 50), np.zeros(1, "float32"), jit=jit)
    ratio = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    assert abs(np.log(ratio).mean()) < 0.04, "the logarithm is uniform"
    never = RandomResizedCrop(6, (1.0, 1.0), (3.0, 4.0), seed=2)
    boxes = backends.run(lambda x: never.boxes((2,), 40, 60), np.zeros(1, "float32"), jit=jit)
    same(boxes, np.array([[0, 0.25, 1, 0.75]] * 2))
    x = clips(3, 2, 12, 10)
    got = augmented(RandomResizedCrop((6, 8), seed=2), x, jit)
    assert got.shape == (3, 2, 6, 8, 3)


def check_channels_and_squares(jit):
    x = repeated(2, 4, 4)
    got = augmented(RandomChannel(1.0, seed=1), x, jit)
    assert (got == got[..., :1]).all()
    which = np.stack([(got[..., 0] == x[..., c]).all((2, 3)) for c in range(3)], -1)
    assert (which.sum(-1) == 1).all()
    for c in range(3):
        near(which[..., c].mean(), 1 / 3, 2 * MANY)
    near((which[:, 0] == which[:, 1]).all(-1).mean(), 1 / 3)
    x = np.zeros((MANY, 2, 48, 48, 3), "float32")
    got = augmented(Cutout(20, (0.1, 0.2, 0.3), seed=1), x, jit)
    assert (got[:, 0] == got[:, 1]).all()
    hidden = got[:, 0, :, :, 0] > 0
    assert np.abs(got[:, 0][hidden] - np.float32([0.1, 0.2, 0.3])).max() < 1e-6
    rows, columns = hidden.any(2), hidden.any(1)
    inner = ~(rows[:, [0, -1]].any(1) | columns[:, [0, -1]].any(1))
    sides = rows[inner].sum(1)
    assert (sides == columns[inner].sum(1)).all() and set(sides) == set(range(0, 21, 2))
    assert (hidden.sum((1, 2)) == rows.sum(1) * columns.sum(1)).all()
    assert hidden[:, 0, 0].any() and hidden[:, -1, -1].any(), "centres up to the border"


def check_seeds(jit):
    x = repeated(2, 4, 4)[:8]
    for make in (
        lambda seed: GaussianBlur(3, p=1.0, seed=seed),
        lambda seed: RandomResizedCrop(4, seed=seed),
    ):
        first, again, other = (augmented(make(seed), x, jit) for seed in (7, 7, 8))
        assert (first == again).all() and (first != other).any()
        assert len({clip.tobytes() for clip in first}) > 4, "each clip has its own"


CHECKS = (
    check_probability_and_per,
    check_ranges,
    check_order,
    check_crops,
    check_channels_and_squares,
    check_seeds,
)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_draws(check, jit):
    check(jit)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomFlip(1.2),
        lambda: RandomFlip(per="video"),
        lambda: ColorJitter(hue=0.7),
        lambda: ColorJitter(contrast=(1.2, 0.8)),
        lambda: ColorJitter(order=("hue", "hue")),
        lambda: ColorJitter(contrast_over="batch"),
        lambda: RandomGrayscale(weights=(1.0,)),
        lambda: GaussianBlur(3, (0.0, 1.0)),
        lambda: GaussianBlur(3, padding="edge"),
        lambda: RandomResizedCrop(4, (0.5, 1.5)),
        lambda: Cutout(0),
        lambda: Cutout(fill=(0.0, 1.0)),
        lambda: RandomFlip(per="sample")(np.zeros((2, 2, 4, 4, 3), "float32"), training=True),
        lambda: RandomFlip()(np.zeros((2, 2, 4, 4, 1), "float32"), training=True),
        lambda: RandomFlip()(np.zeros((2, 2, 4, 4, 3), "int32"), training=True),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(ValueError, match="received"):
        make()
