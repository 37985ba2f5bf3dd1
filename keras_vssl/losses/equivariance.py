"""Contrast of relations: one transformation in two videos against other transformations."""

from keras import ops

from keras_vssl.losses.contrastive import MASKED, multi_positive_nce, unit


def equivariance_nce(query, key, positives, same, temperature=0.1, stop_gradient=True):
    """The vector of a transformation against the same one elsewhere, and against all others.

    `L_i = -log( exp(cos(q_i, k_j)/t) / (exp(cos(q_i, k_j)/t) + sum_n exp(cos(q_i, k_n)/t)) )`

    with the positive j of row i and its negatives n: the columns of another transformation. What
    has by chance the positive's transformation is in neither place.

    Args:
        query: `[B, D]`, normalised here. key: `[N, D]`, also.
        positives: bool `[B, N]`, at most one a row; a row without any gives 0.
        same: bool `[B, N]`, which columns have the row's transformation, its own included.
        temperature: float > 0.
        stop_gradient: bool, whether the keys are constants.

    Returns:
        float32 `[B]`; `log(1 + negatives)` where all vectors are one.

    Reference:
        Jenni, Jin. ICCV 2021 (https://arxiv.org/abs/2112.03624).
    """
    logits = _logits(query, key, temperature, stop_gradient)
    return multi_positive_nce(logits, positives, ops.logical_not(same))


def equivariance_accuracy(query, key, positives, same):
    """The share of rows whose positive is nearer than all its negatives, of those that have one."""
    logits = _logits(query, key, 1.0, True)
    candidates = ops.logical_or(positives, ops.logical_not(same))
    best = ops.argmax(ops.where(candidates, logits, MASKED), axis=1)
    hit = ops.take_along_axis(ops.cast(positives, "float32"), best[:, None], axis=1)
    count = ops.sum(ops.cast(ops.any(positives, axis=1), "float32"))
    return ops.sum(hit) / ops.maximum(count, 1.0)


def _logits(query, key, temperature, stop_gradient):
    if not temperature > 0:
        raise ValueError(f"Expected a temperature above 0, received {temperature}.")
    key = ops.stop_gradient(key) if stop_gradient else key
    return ops.matmul(unit(query), ops.transpose(unit(key))) / temperature
