"""Contrastive losses: InfoNCE in its forms, and the margin loss on distances.

All take embeddings in any floating dtype and compute in float32; the softmax is stabilised by its
largest logit. Every function returns one value a sample, so that the caller weighs and averages.
"""

import keras
from keras import ops

# What stands for "not a candidate" among logits: far below any, and finite (inf - inf is NaN).
MASKED = -1e9


def info_nce(query, key, negatives=None, valid=None, temperature=0.1):
    """InfoNCE of pairs, against the batch's other keys or against given negatives.

    `L_i = -log( exp(q_i.k_i/t) / (exp(q_i.k_i/t) + sum_n exp(q_i.n/t)) )`

    Without `negatives` the sum runs over the other rows of `key` (CPC, CLIP's one direction); with
    them over these alone (MoCo's queue). Rows are used as they are: pass unit vectors for cosine
    similarity.

    Args:
        query: `[B, D]`.
        key: `[B, D]`; row i is the positive of query i.
        negatives: `[N, D]` or None.
        valid: bool `[N]` or None, which negatives count (a queue that is not full yet). With none
            the loss is 0.
        temperature: float > 0.

    Returns:
        float32 `[B]`.

    Reference:
        van den Oord et al. 2018, Eq. 4 (https://arxiv.org/abs/1807.03748); He et al. CVPR 2020,
        Eq. 1.
    """
    _check_temperature(temperature)
    query, key = _float32(query), _float32(key)
    if negatives is None:
        logits = ops.matmul(query, ops.transpose(key)) / temperature
        return _cross_entropy(logits, ops.diagonal(logits))
    positive = ops.sum(query * key, axis=-1, keepdims=True) / temperature
    logits = ops.matmul(query, ops.transpose(_float32(negatives))) / temperature
    if valid is not None:
        logits = ops.where(valid[None, :], logits, MASKED)
    return _cross_entropy(ops.concatenate([positive, logits], axis=1), positive[:, 0])


def nt_xent(first, second, temperature=0.1, first_all=None, second_all=None, offset=0):
    """Normalised temperature-scaled cross-entropy of two views, both directions.

    Each row's positive is the same row of the other view; its negatives are all other rows of
    both views (2N - 2). Rows are L2-normalised here. The value is the sum of the two directions,
    as CVRL's release has it; SimCLR's mean over 2N rows is half of its mean.

    Args:
        first, second: `[B, D]`, not necessarily normalised.
        temperature: float > 0.
        first_all, second_all: `[N, D]` or None: the rows of all replicas
            (`keras_vssl.distribution.gather`), of which `first` and `second` are the rows from
            `offset` on. None: the rows are all there are.
        offset: int or integer tensor, replica number times B.

    Returns:
        float32 `[B]`.

    Reference:
        Chen et al. ICML 2020, Eq. 1 (https://arxiv.org/abs/2002.05709); Qian et al. CVPR 2021.
    """
    _check_temperature(temperature)
    first, second = unit(first), unit(second)
    first_all = first if first_all is None else unit(first_all)
    second_all = second if second_all is None else unit(second_all)
    rows = ops.arange(ops.shape(first)[0]) + ops.cast(offset, "int32")
    same = ops.equal(rows[:, None], ops.arange(ops.shape(first_all)[0])[None, :])

    def direction(one, own, other):
        across = ops.matmul(one, ops.transpose(other)) / temperature
        within = ops.where(same, MASKED, ops.matmul(one, ops.transpose(own)) / temperature)
        positive = ops.sum(ops.where(same, across, 0.0), axis=1)
        return _cross_entropy(ops.concatenate([across, within], axis=1), positive)

    return direction(first, first_all, second_all) + direction(second, second_all, first_all)


def multi_positive_nce(logits, positives, weights=None):
    """InfoNCE with several positives a row (MIL-NCE; CoCLR; supervised contrast "in").

    `L_i = -log( sum_{j in P_i} exp(s_ij) / sum_j exp(s_ij) )`

    Args:
        logits: `[B, N]`, similarities divided by the temperature.
        positives: bool `[B, N]`, at least one a row: a row without any gives 0.
        weights: bool `[B, N]` or None, which columns count at all (None: all).

    Returns:
        float32 `[B]`.

    Reference:
        Miech et al. CVPR 2020, Eq. 1; Han et al. NeurIPS 2020, Eq. 2.
    """
    logits = _float32(logits)
    if weights is not None:
        logits = ops.where(ops.logical_or(weights, positives), logits, MASKED)
    everything = ops.logsumexp(logits, axis=1)
    found = ops.logsumexp(ops.where(positives, logits, MASKED), axis=1)
    return ops.where(ops.any(positives, axis=1), everything - found, 0.0)


def margin_contrastive(first, second, same, margin=0.99):
    """The margin loss on Euclidean distances.

    `L = y d^2 + (1 - y) max(margin - d, 0)^2`, the margin on the distance, not on its square.

    Args:
        first, second: `[B, D]`, not normalised here.
        same: `[B]`, 1 (or True) for pairs that belong together, 0 for others.
        margin: float > 0.

    Returns:
        float32 `[B]`.

    Reference:
        Hadsell et al. CVPR 2006, Eq. 4; Korbar et al. NeurIPS 2018, Eq. 1
        (https://arxiv.org/abs/1807.00230), margin 0.99.
    """
    squared = ops.sum(ops.square(_float32(first) - _float32(second)), axis=-1)
    # The distance has no gradient at 0: a hair off the origin its gradient is 0 there.
    distance = ops.sqrt(squared + 1e-12)
    same = ops.cast(same, "float32")
    return same * squared + (1.0 - same) * ops.square(ops.relu(margin - distance))


def unit(x):
    """Rows of unit L2 norm, in float32; a zero row stays zero."""
    x = _float32(x)
    # Not the norm itself: the gradient of a root at 0 is infinite.
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-12))


def _float32(x):
    return ops.cast(ops.convert_to_tensor(x), "float32")


def _cross_entropy(logits, positive):
    return ops.logsumexp(logits, axis=1) - positive


def _check_temperature(temperature):
    known = not keras.ops.is_tensor(temperature)
    if known and not temperature > 0:
        raise ValueError(f"Expected a temperature above 0, received {temperature}.")
