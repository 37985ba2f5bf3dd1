"""Orders up to reversal: the classes that OPN and UltrasoundOrder predict."""

import itertools
from collections import Counter

import numpy as np
import pytest

from keras_vssl.data import orders
from keras_vssl.data.plans import View
from keras_vssl.layers.tuple_heads import OPN_PAIRS


def test_four_frames_have_the_numbers_of_the_release():
    table = "1234 1324 1342 1243 1423 1432 2134 2143 2314 3124 3142 3214".split()
    assert ["".join(str(i + 1) for i in order) for order in orders.FOUR] == table


@pytest.mark.parametrize("count, classes", [(3, 3), (4, 12), (5, 60)])
def test_classes_and_reversals_are_all_permutations(count, classes):
    table = orders.unsigned_orders(count)
    assert len(table) == classes
    assert {*table, *(o[::-1] for o in table)} == set(itertools.permutations(range(count)))
    for order in itertools.permutations(range(count)):
        label = orders.encode_unsigned(order)
        assert label == orders.encode_unsigned(order[::-1]) and table[label] in (order, order[::-1])


def test_pairs_come_in_the_order_of_the_release():
    assert orders.neighbouring_pairs(4) == OPN_PAIRS
    assert orders.neighbouring_pairs(3) == ((0, 1), (1, 2), (0, 2))


@pytest.mark.parametrize("count", [2, 6])
def test_other_numbers_of_frames_are_refused(count):
    with pytest.raises(ValueError, match="3 to 5 frames"):
        orders.unsigned_orders(count)


def test_a_class_is_uniform_and_half_of_the_sequences_run_backwards():
    views = [View(np.array([t]), (0, 0, 1, 1), (8, 8)) for t in range(4)]
    rng, labels, backwards = np.random.default_rng(0), Counter(), 0
    for _ in range(4800):
        plan = orders.shuffled(views, rng)
        order = tuple(int(view.frames[0]) for view in plan.views)
        assert orders.encode_unsigned(order) == plan.target
        labels[int(plan.target)] += 1
        backwards += order not in orders.FOUR
    assert sorted(labels) == list(range(12))
    assert min(labels.values()) > 320 and max(labels.values()) < 480
    assert abs(backwards / 4800 - 0.5) < 0.03
