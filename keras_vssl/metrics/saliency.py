"""How well a predicted map of attention fits where people looked. NumPy.

Predictions and densities are non-negative maps `[..., H, W]`, scaled to sum to 1 here. Every
function returns one float64 a map, `[...]`.

Reference:
    Bylinskii, Judd, Oliva, Torralba, Durand. What do different evaluation metrics tell us about
    saliency models? TPAMI 2019 (https://arxiv.org/abs/1604.03605).
"""

import numpy as np

EPSILON = np.finfo(np.float64).eps


def kl_divergence(prediction, density):
    """`sum q log(eps + q / (eps + p))`: 0 where they are equal, more the worse; base e.

    Args:
        prediction: p. density: q, of the gaze.
    """
    p, q = _pair(prediction, density)
    return (q * np.log(EPSILON + q / (EPSILON + p))).sum(axis=(-2, -1))


def similarity(prediction, density):
    """`sum min(p, q)` (SIM), 0 where they have nothing in common to 1 where they are equal."""
    return np.minimum(*_pair(prediction, density)).sum(axis=(-2, -1))


def correlation(prediction, density):
    """Pearson's correlation of p and q (CC), -1 to 1; 0 where one of the maps is flat."""
    p, q = (x - x.mean(axis=(-2, -1), keepdims=True) for x in _pair(prediction, density))
    spread = np.sqrt(np.square(p).sum(axis=(-2, -1)) * np.square(q).sum(axis=(-2, -1)))
    # Rounding leaves flat maps a spread that is not quite 0.
    flat = spread <= 1e-12 / (p.shape[-1] * p.shape[-2])
    return np.where(flat, 0.0, (p * q).sum(axis=(-2, -1)) / np.where(flat, 1.0, spread))


def normalized_scanpath_saliency(prediction, fixations):
    """Mean of the z-scored prediction where people looked (NSS); 0 by chance and for a flat map.

    Args:
        prediction: `[..., H, W]`, any real values.
        fixations: bool or int `[..., H, W]`, how often a pixel was fixated.

    Raises:
        ValueError: the shapes differ, or a map has no fixation.
    """
    p, count = _with_fixations(prediction, fixations)
    spread = p.std(axis=(-2, -1), keepdims=True)
    z = (p - p.mean(axis=(-2, -1), keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return (z * count).sum(axis=(-2, -1)) / count.sum(axis=(-2, -1))


def auc_judd(prediction, fixations):
    """Area under the ROC curve: does the prediction tell fixated pixels from the others?

    The share of pairs of a fixated and another pixel of which the fixated one has the higher
    prediction, ties counting half: 0.5 by chance, 1 at best. The published code jitters the
    prediction to part ties at random; this is what it gives on average.

    Args:
        prediction: `[..., H, W]`, any real values.
        fixations: bool or int `[..., H, W]`; what is above 0 is fixated.

    Raises:
        ValueError: the shapes differ, or a map has no fixation or nothing else.
    """
    p, count = _with_fixations(prediction, fixations)
    p, fixated = (x.reshape(-1, x.shape[-2] * x.shape[-1]) for x in (p, count > 0))
    if fixated.all(axis=-1).any():
        raise ValueError("Expected pixels that are not fixated in every map, one has none.")
    areas = [_area(scores, positive) for scores, positive in zip(p, fixated)]
    return np.array(areas).reshape(count.shape[:-2])


def _area(scores, positive):
    """The Mann-Whitney statistic by ranks, tied scores sharing their mean rank."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    many, few = int((~positive).sum()), int(positive.sum())
    return (ranks[positive].sum() - few * (few + 1) / 2) / (few * many)


def _pair(prediction, density):
    """Both maps in float64, each summing to 1."""
    maps = [np.asarray(x, np.float64) for x in (prediction, density)]
    _check_shapes(*maps)
    totals = [x.sum(axis=(-2, -1), keepdims=True) for x in maps]
    if any((x < 0).any() or not (total > 0).all() for x, total in zip(maps, totals)):
        raise ValueError("Expected maps of non-negative values that are not all 0.")
    return [x / total for x, total in zip(maps, totals)]


def _with_fixations(prediction, fixations):
    p, count = np.asarray(prediction, np.float64), np.asarray(fixations, np.float64)
    _check_shapes(p, count)
    if not (count.sum(axis=(-2, -1)) > 0).all():
        raise ValueError("Expected at least one fixation in every map, one has none.")
    return p, count


def _check_shapes(first, second):
    if first.shape != second.shape or first.ndim < 2:
        raise ValueError(
            f"Expected two maps [..., H, W] of one shape, received {first.shape} and "
            f"{second.shape}; resize one to the other."
        )
