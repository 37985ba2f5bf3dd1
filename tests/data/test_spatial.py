"""Crops of several scales at fixed places, and laws of the aspect ratio."""

import collections

import numpy as np
import pytest

from keras_vssl.data.plans import Spatial, plan_rng


class Info:
    def __init__(self, width, height):
        self.frames, self.fps, self.width, self.height = 9, 25.0, width, height


def draws(spatial, info, count=1500):
    """Crops as whole pixels `(x, y, width, height)` of a frame, and their flips."""
    found = []
    for epoch in range(count):
        ((box, flip),) = spatial.boxes(info, plan_rng(0, epoch, 0))
        left, top, right, bottom = np.array(box) * np.tile([info.width, info.height], 2)
        found.append(((left, top, right - left, bottom - top), flip))
    boxes = np.array([box for box, _ in found])
    assert boxes.min() >= 0
    assert (boxes[:, 0] + boxes[:, 2]).max() <= info.width + 1e-6
    assert (boxes[:, 1] + boxes[:, 3]).max() <= info.height + 1e-6
    return boxes, [flip for _, flip in found]


@pytest.mark.parametrize("info", [Info(340, 256), Info(256, 340)], ids=["wide", "tall"])
def test_multi_scale_sides_are_the_scales_and_at_most_one_step_apart(info):
    boxes, flips = draws(Spatial(None, 224, "multi_scale"), info)
    sides = (256, 224, 192, 168)  # 256 times 1, .875, .75, .66
    pairs = collections.Counter((round(w), round(h)) for _, _, w, h in boxes)
    expected = {(w, h) for i, w in enumerate(sides) for j, h in enumerate(sides) if abs(i - j) <= 1}
    assert set(pairs) == expected and len(expected) == 10
    assert max(pairs.values()) < 2 * min(pairs.values())  # every pair is as likely
    assert not any(flips)


@pytest.mark.parametrize("distort, count", [(0, 4), (1, 10), (3, 16)])
def test_most_distort_bounds_the_aspect_ratio(distort, count):
    spatial = Spatial(None, 224, "multi_scale", most_distort=distort)
    boxes, _ = draws(spatial, Info(340, 256))
    assert len({(round(w), round(h)) for w, h in boxes[:, 2:]}) == count


@pytest.mark.parametrize("positions", [5, 13])
def test_multi_scale_crops_lie_at_fixed_places(positions):
    spatial = Spatial(None, 224, "multi_scale", scales=(0.75,), positions=positions)
    boxes, _ = draws(spatial, Info(320, 240), 400)  # crop 180, room 140 x 60
    quarters = {(round(x / 35, 6), round(y / 15, 6)) for x, y in boxes[:, :2]}
    corners = {(0, 0), (4, 0), (0, 4), (4, 4), (2, 2)}
    edges = {(0, 2), (4, 2), (2, 0), (2, 4)}
    inner = {(1, 1), (1, 3), (3, 1), (3, 3)}
    assert quarters == (corners if positions == 5 else corners | edges | inner)


def test_a_resize_sets_the_frame_that_multi_scale_crops_from():
    by_side, _ = draws(Spatial(256, 224, "multi_scale"), Info(680, 512), 50)
    by_frame, _ = draws(Spatial((256, 340), 224, "multi_scale"), Info(680, 512), 50)
    own, _ = draws(Spatial(None, 224, "multi_scale"), Info(340, 256), 50)
    np.testing.assert_allclose(by_side, 2 * own)
    np.testing.assert_allclose(by_frame, 2 * own)


def test_multi_scale_is_a_function_of_the_generator_and_flips_when_asked():
    spatial = Spatial(None, 112, "multi_scale", flip=0.5)
    first, flips = draws(spatial, Info(320, 240), 300)
    again, _ = draws(spatial, Info(320, 240), 300)
    np.testing.assert_array_equal(first, again)
    assert 0.4 < np.mean(flips) < 0.6


def test_a_frame_smaller_than_a_pixel_of_scale_still_gives_a_crop():
    boxes, _ = draws(Spatial(None, 8, "multi_scale"), Info(2, 1), 20)
    assert boxes[:, 2:].min() >= 1 - 1e-9


def aspect(**options):
    spatial = Spatial(None, 112, "random_resized", (0.1, 0.2), (0.5, 2.0), **options)
    boxes, _ = draws(spatial, Info(200, 200), 4000)
    return boxes[:, 2] / boxes[:, 3]


def test_the_aspect_ratio_is_drawn_by_its_law():
    """The share of tall boxes tells the laws apart: 1/2 by the logarithm, 1/3 uniformly."""
    for options, share in (({}, 1 / 2), ({"ratio_law": "uniform"}, 1 / 3)):
        ratios = aspect(**options)
        assert 0.5 <= ratios.min() < 0.52 and 1.95 < ratios.max() <= 2.0 + 1e-9
        assert abs((ratios < 1).mean() - share) < 0.025


def test_swapped_sides_make_uniform_ratios_even():
    ratios = aspect(ratio_law="uniform", swap=0.5)
    assert abs((ratios < 1).mean() - 1 / 2) < 0.025
    np.testing.assert_allclose(
        np.mean(aspect(ratio_law="uniform", swap=1.0) > 1), 1 / 3, atol=0.025
    )


def test_the_older_modes_draw_what_they_drew():
    """Boxes drawn before there were other laws and scales: a run in progress goes on unchanged."""
    expected = {
        "random": (0.17543859649122806, 0.0859375, 0.8304093567251462, 0.9609375),
        "random_resized": (
            0.056323468652718776,
            0.039484972407425246,
            0.8174549078691269,
            0.834939975429442,
        ),
    }
    for mode, box in expected.items():
        spatial = Spatial((128, 171), 112, mode, flip=0.5)
        ((drawn, flip),) = spatial.boxes(Info(320, 240), plan_rng(3, 1, 4))
        np.testing.assert_allclose(drawn, box, rtol=1e-12)
        assert flip


@pytest.mark.parametrize(
    "options, message",
    [
        ({"positions": 9}, "5 or 13 positions"),
        ({"scales": (1.2, 1.0)}, "at most 1"),
        ({"scales": ()}, "at most 1"),
        ({"ratio_law": "cubic"}, "'log' or 'uniform'"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        Spatial(None, 112, "multi_scale", **options)
