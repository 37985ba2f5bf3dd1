"""Orders of a few frames, forwards and backwards being one: the classes of sorting methods."""

import itertools

import numpy as np

from keras_vssl.data.plans import Plan

# OPN's twelve classes of four frames in the numbering of its released network, whose last layer
# depends on it. Entry k is the place in time of the frame that is shown at position k.
FOUR = (
    (0, 1, 2, 3), (0, 2, 1, 3), (0, 2, 3, 1), (0, 1, 3, 2), (0, 3, 1, 2), (0, 3, 2, 1),
    (1, 0, 2, 3), (1, 0, 3, 2), (1, 2, 0, 3), (2, 0, 1, 3), (2, 0, 3, 1), (2, 1, 0, 3),
)  # fmt: skip


def unsigned_orders(count):
    """The n!/2 orders of `count` frames of which none is another's reversal; a place is a class.

    Four frames have OPN's numbering (Lee et al. ICCV 2017, official code); for other numbers it is
    the lexicographic order of those that begin with an earlier frame than they end with.

    Args:
        count: int, 3 to 5.

    Raises:
        ValueError: another number.
    """
    if not 3 <= count <= 5:
        raise ValueError(
            f"Expected 3 to 5 frames to sort (3, 12 or 60 classes), received {count}; two have one "
            f"order up to reversal."
        )
    if count == 4:
        return FOUR
    return tuple(o for o in itertools.permutations(range(count)) if o[0] < o[-1])


def encode_unsigned(order):
    """The class of an order, the same for its reversal.

    Args:
        order: ints, a permutation of 0 to n - 1.
    """
    order, classes = tuple(int(i) for i in order), unsigned_orders(len(order))
    return classes.index(order if order in classes else order[::-1])


def neighbouring_pairs(count):
    """All pairs of positions, near ones first: the order in which OPN joins them."""
    return tuple((i, i + d) for d in range(1, count) for i in range(count - d))


def shuffled(views, rng, **parts):
    """A plan that shows `views`, given in temporal order, in one of their orders.

    The class is uniform; with probability 0.5 its order is played backwards, which leaves the
    class as it is.

    Args:
        views: 3 to 5 `View`s.
        rng: `numpy.random.Generator`.
        **parts: further fields of the `Plan`.

    Returns:
        `Plan`; its target is the class, int64.
    """
    classes = unsigned_orders(len(views))
    label = int(rng.integers(len(classes)))
    order = classes[label][:: -1 if rng.random() < 0.5 else 1]
    return Plan(tuple(views[i] for i in order), np.int64(label), **parts)
