"""The ranking loss of pairs against mined negatives, and the choice of these negatives."""

import keras
from keras import ops


def rank_hard_loss(
    first,
    second,
    labels,
    others=None,
    other_labels=None,
    margin=1.0,
    negatives=4,
    hard=2,
    random=2,
    seed=None,
):
    """Hinges that ask of a pair to be nearer to each other than to mined negatives.

    With the pair (a, p) and its chosen negatives N (`mine_negatives`),
    `L = sum_{n in N} (max(0, a.n - a.p + m) + max(0, p.n - a.p + m)) / (2 K)`.
    The divisor is K even where fewer negatives are chosen. Gradients flow to all three; the choice
    has none. Rows are used as they are: pass unit vectors.

    Args:
        first, second: `[P, D]`, the pairs' embeddings a and p.
        labels: integers `[P]`: pairs of one label are never each other's negatives.
        others: `[N, D]` or None, what negatives are chosen from. None: both rows of all pairs.
        other_labels: `[N]` or None, their labels.
        margin: float > 0, m. The release has 1, its default and (from memory) the paper 0.5.
        negatives: int, K.
        hard, random: numbers or scalar tensors, how many of the K most similar and how many of all
            the rest are chosen: whole numbers.
        seed: int or `keras.random.SeedGenerator`, of the draws.

    Returns:
        float32 `[P]`; the published loss is its mean.

    Raises:
        ValueError: K or the margin isn't positive.

    Reference:
        Wang, Gupta. ICCV 2015, Sec. 4 (https://arxiv.org/abs/1505.00687), with the second hinge of
        the release (caffe-video_triplet, rank_hard_loss_layer.cpp), whose anchor is p.
    """
    if not (negatives >= 1 and margin > 0):
        raise ValueError(
            f"Expected at least one negative and a margin above 0, received negatives={negatives} "
            f"and margin={margin}."
        )
    first, second = _float32(first), _float32(second)
    if others is None:
        others = ops.concatenate([first, second])
        other_labels = ops.concatenate([labels, labels])
    others = ops.transpose(_float32(others))
    positive = ops.sum(first * second, axis=1, keepdims=True)
    from_first = ops.relu(ops.matmul(first, others) - positive + margin)
    from_second = ops.relu(ops.matmul(second, others) - positive + margin)
    allowed = ops.not_equal(labels[:, None], other_labels[None, :])
    chosen = mine_negatives(from_first, allowed, negatives, hard, random, seed)
    return ops.sum(chosen * (from_first + from_second), axis=1) / (2.0 * negatives)


def mine_negatives(hinge, allowed, negatives=4, hard=2, random=2, seed=None):
    """Chooses each pair's negatives among those that its first hinge does not satisfy yet.

    At most K candidates are all taken. Of more, `hard` are drawn from the K with the largest hinge,
    then `random` from all the candidates that are left.

    Args:
        hinge: `[P, N]`, `max(0, a.n - a.p + m)`.
        allowed: bool `[P, N]`, which may be negatives at all.
        negatives, hard, random, seed: see `rank_hard_loss`.

    Returns:
        float32 `[P, N]` of 0 and 1.

    Reference:
        rank_hard_loss_layer.cpp of the release; ties are in the order of the columns here.
    """
    hinge = ops.stop_gradient(_float32(hinge))
    candidates = ops.logical_and(ops.convert_to_tensor(allowed, "bool"), hinge > 0)
    hard, random = ops.cast(hard, "float32"), ops.cast(random, "float32")

    def first_of(rows, scores, count):
        """The `count` of the True `rows` with the smallest scores."""
        order = ops.argsort(ops.where(rows, scores, _LAST), axis=1)
        return ops.logical_and(rows, ops.cast(ops.argsort(order, axis=1), "float32") < count)

    draws = keras.random.uniform((2, *ops.shape(hinge)), seed=seed)
    hardest = first_of(candidates, -hinge, float(negatives))
    drawn = first_of(hardest, draws[0], hard)
    rest = ops.logical_and(candidates, ops.logical_not(drawn))
    drawn = ops.logical_or(drawn, first_of(rest, draws[1], random))
    count = ops.sum(ops.cast(candidates, "float32"), axis=1, keepdims=True)
    return ops.cast(ops.where(count <= negatives, candidates, drawn), "float32")


_LAST = 1e9  # the score of what is no candidate


def _float32(x):
    return ops.cast(ops.convert_to_tensor(x), "float32")
