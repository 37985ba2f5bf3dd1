"""Average precision by hand, and the rules of PASCAL VOC and COCO for boxes."""

import numpy as np
import pytest

from keras_vssl.metrics import (
    FoundBoxes,
    TrueBoxes,
    average_precision,
    box_overlaps,
    coco_detection,
    mean_average_precision,
    voc_detection,
)


def test_11_point_precision_of_a_perfect_ranking_is_1():
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    assert average_precision(-np.arange(7), labels, 11) == 1
    assert average_precision(-np.arange(7), labels) == pytest.approx(1)


@pytest.mark.parametrize("positives, negatives", [(1, 9), (10, 90), (7, 50)])
def test_positives_ranked_last_among_many_have_the_closed_form(positives, negatives):
    labels = np.r_[np.zeros(negatives, int), np.ones(positives, int)]
    scores = -np.arange(len(labels))
    # Precision only rises, so that at every recall its highest value is the last.
    last = positives / len(labels)
    assert average_precision(scores, labels, 11) == pytest.approx(last)
    assert average_precision(scores, labels) == pytest.approx(last)


def test_all_point_and_11_point_differ_on_the_shared_example():
    # Right, wrong, right, wrong, wrong, right: precision 1, 2/3 and 1/2 at recalls of thirds.
    labels = np.array([1, 0, 1, 0, 0, 1])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert average_precision(scores, labels) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    # Levels 0 to .3, .4 to .6, .7 to 1.
    eleven = (4 * 1 + 3 * 2 / 3 + 4 / 2) / 11
    assert average_precision(scores, labels, 11) == pytest.approx(eleven)


def test_a_recall_of_three_tenths_is_the_level_0_3():
    # All of ten, with a mistake after each found one: precision k / (2k - 1) at recall k / 10.
    labels = np.tile([1, 0], 10)
    expected = np.mean([1.0, *(k / (2 * k - 1) for k in range(1, 11))])
    assert average_precision(-np.arange(20), labels, 11) == pytest.approx(expected)


def test_difficult_images_are_left_out_and_classes_without_images_too():
    scores, labels = np.array([3.0, 2.0, 1.0]), np.array([-1, 1, 0])
    assert average_precision(scores, labels) == 1
    assert average_precision(scores, np.where(labels < 0, 0, labels)) == 0.5
    both = np.stack([labels, np.array([0, 0, -1])], axis=1)
    assert mean_average_precision(np.stack([scores] * 2, axis=1), both) == 1
    assert np.isnan(average_precision(scores, both[:, 1]))


def box(*rows):
    return np.array(rows, float)


def test_voc_counts_both_edge_pixels_and_takes_an_overlap_of_exactly_one_half():
    one = box([1, 1, 10, 10])
    assert box_overlaps(one, box([1, 1, 10, 5]), edge=1.0)[0, 0] == 0.5
    assert box_overlaps(one, box([11, 1, 20, 10]), edge=1.0)[0, 0] == 0
    true = TrueBoxes([0], [0], one)
    assert voc_detection(FoundBoxes([0], [0], box([1, 1, 10, 5]), [1]), true, 1)[0] == 1
    assert voc_detection(FoundBoxes([0], [0], box([1, 1, 10, 4]), [1]), true, 1)[0] == 0


def test_voc_difficult_boxes_are_neither_positive_nor_negative():
    true = TrueBoxes([0, 0], [0, 0], box([1, 1, 10, 10], [50, 50, 60, 60]), [False, True])
    # The box on the difficult object comes first and costs nothing.
    found = FoundBoxes([0, 0], [0, 0], box([50, 50, 60, 60], [1, 1, 10, 10]), [0.9, 0.8])
    assert voc_detection(found, true, 1)[0] == 1
    plain = TrueBoxes(true.images, true.labels, true.boxes)
    only = FoundBoxes([0], [0], box([1, 1, 10, 10]), [0.8])
    assert voc_detection(only, plain, 1, points=None)[0] == 0.5
    assert voc_detection(only, true, 1, points=None)[0] == 1
    assert np.isnan(voc_detection(only, TrueBoxes([0], [0], box([1, 1, 9, 9]), [True]), 1)[0])


def test_voc_an_object_found_twice_is_a_mistake_and_the_best_overlap_decides():
    true = TrueBoxes([0, 0], [0, 0], box([1, 1, 10, 10], [1, 5, 10, 14]))
    # Both boxes overlap the first object most: the second box may not take the other one.
    found = FoundBoxes([0, 0], [0, 0], box([1, 1, 10, 10], [1, 2, 10, 11]), [0.9, 0.8])
    assert voc_detection(found, true, 1, points=None)[0] == 0.5
    swapped = FoundBoxes([0, 0], [0, 0], found.boxes, [0.8, 0.9])
    assert voc_detection(swapped, true, 1, points=None)[0] == 0.5
    other = FoundBoxes([1, 0], [0, 0], box([1, 1, 10, 10], [1, 5, 10, 14]), [0.9, 0.8])
    assert voc_detection(other, true, 1, points=None)[0] == pytest.approx(0.25)


def test_voc_classes_are_apart():
    true = TrueBoxes([0, 0], [0, 1], box([1, 1, 10, 10], [1, 1, 10, 10]))
    found = FoundBoxes([0], [1], box([1, 1, 10, 10]), [1])
    assert voc_detection(found, true, 2).tolist() == [0, 1]


def test_coco_of_a_perfect_detector_is_1_at_every_size_there_is():
    boxes = box([0, 0, 20, 20], [0, 0, 50, 50], [0, 0, 200, 200])
    true = TrueBoxes([0, 1, 2], [0, 0, 1], boxes)
    figures = coco_detection(FoundBoxes([0, 1, 2], [0, 0, 1], boxes, [1, 1, 1]), true, 2)
    assert all(value == pytest.approx(1) for value in figures.values()), figures
    large = TrueBoxes([2], [1], boxes[2:])
    figures = coco_detection(FoundBoxes([2], [1], boxes[2:], [1]), large, 2)
    assert np.isnan(figures["ap_small"]) and figures["ap_large"] == pytest.approx(1)


def test_coco_thresholds_and_sizes():
    # An overlap of 0.8: right at 0.5 to 0.8, seven of ten thresholds.
    true = TrueBoxes([0], [0], box([0, 0, 10, 10]))
    figures = coco_detection(FoundBoxes([0], [0], box([0, 0, 10, 8]), [1]), true, 1)
    assert figures["ap"] == pytest.approx(0.7) and figures["ap75"] == pytest.approx(1)
    # The area of the mask decides the size: 9999 pixels of a small mask are a small object.
    thin = TrueBoxes([0], [0], box([0, 0, 99, 101]), areas=[500])
    figures = coco_detection(FoundBoxes([0], [0], thin.boxes, [1]), thin, 1)
    assert figures["ap_small"] == pytest.approx(1) and np.isnan(figures["ap_large"])


def test_coco_crowds_are_found_often_and_cost_nothing():
    true = TrueBoxes([0, 0], [0, 0], box([0, 0, 10, 10], [20, 20, 90, 90]), [False, True])
    # Three boxes within the crowd, each a small share of it, come first.
    inside = [[22, 22, 30, 30], [40, 40, 60, 60], [22, 22, 31, 31]]
    found = FoundBoxes([0] * 4, [0] * 4, box(*inside, [0, 0, 10, 10]), [0.9, 0.8, 0.7, 0.6])
    assert coco_detection(found, true, 1)["ap"] == pytest.approx(1)
    alone = TrueBoxes(true.images, true.labels, true.boxes)
    assert coco_detection(found, alone, 1)["ap"] < 0.2
    # Outside of it they are mistakes: precision 1/4.
    outside = FoundBoxes(
        [0] * 4, [0] * 4, box(*(np.array(inside) + 100), [0, 0, 10, 10]), found.scores
    )
    assert coco_detection(outside, true, 1)["ap"] == pytest.approx(0.25)


def test_coco_recall_with_few_boxes_an_image():
    boxes = box(*([x, 0, x + 9, 9] for x in range(0, 200, 10)))
    true = TrueBoxes([0] * 20, [0] * 20, boxes)
    figures = coco_detection(FoundBoxes([0] * 20, [0] * 20, boxes, np.arange(20)), true, 1)
    assert [figures[f"ar_{k}"] for k in (1, 10, 100)] == pytest.approx([0.05, 0.5, 1])


# What pycocotools 2.0.11 gives for the scene of `scene`, twelve digits.
COCO_FIGURES = {
    "ap": 0.227576180819,
    "ap50": 0.650250044116,
    "ap75": 0.109763861949,
    "ap_small": 0.335285189920,
    "ap_medium": 0.191534599889,
    "ap_large": 0.150000000000,
    "ar_1": 0.209902597403,
    "ar_10": 0.403449675325,
    "ar_100": 0.403449675325,
    "ar_small": 0.500000000000,
    "ar_medium": 0.316666666667,
    "ar_large": 0.300000000000,
}


def scene():
    """A random scene with crowds, misplaced and mislabelled boxes and equal scores."""
    rng = np.random.default_rng(0)
    rows, found = [], []
    for image in range(12):
        for _ in range(rng.integers(0, 8)):
            label = int(rng.integers(4))
            size = np.round(np.exp(rng.uniform(1.5, 5.5, 2)), 2)
            place = np.round(rng.uniform(0, 300, 2), 2)
            crowd, share = rng.random() < 0.12, rng.uniform(0.4, 1)
            rows.append((image, label, *place, *(place + size), crowd, size.prod() * share))
            for _ in range(rng.integers(0, 4)):
                moved = place + rng.normal(0, 0.12, 2) * size
                scaled = size * np.exp(rng.normal(0, 0.12, 2))
                guess = label if rng.random() < 0.8 else int(rng.integers(4))
                found.append((image, guess, *moved, *(moved + scaled), round(rng.random(), 1)))
    rows, found = np.array(rows), np.array(found)
    true = TrueBoxes(rows[:, 0], rows[:, 1], rows[:, 2:6], rows[:, 6], rows[:, 7])
    return FoundBoxes(found[:, 0], found[:, 1], found[:, 2:6], found[:, 6]), true


def test_coco_figures_are_those_of_the_official_tool():
    figures = coco_detection(*scene(), classes=4)
    assert list(figures) == list(COCO_FIGURES)
    for name, value in COCO_FIGURES.items():
        assert figures[name] == pytest.approx(value, abs=1e-9), name


def test_tables_whose_columns_differ_are_refused():
    with pytest.raises(ValueError, match="one of scores for each of 1 boxes"):
        FoundBoxes([0], [0], box([0, 0, 1, 1]), [1, 2])
    with pytest.raises(ValueError, match="Expected labels from 0 to 0"):
        coco_detection(
            FoundBoxes([0], [3], box([0, 0, 1, 1]), [1]), TrueBoxes([0], [0], box([0, 0, 1, 1])), 1
        )
