"""Regression losses between embeddings."""

from keras import ops

from keras_vssl.losses.contrastive import unit


def cosine_regression(prediction, target):
    """Squared distance of unit vectors, `2 - 2 cos(prediction, target)`.

    No gradient is stopped here: stop it on the target before, where the method does.

    Args:
        prediction, target: `[B, D]`.

    Returns:
        float32 `[B]`, 0 (same direction) to 4 (opposite).

    Reference:
        Grill et al. NeurIPS 2020, Eq. 2 (https://arxiv.org/abs/2006.07733).
    """
    return 2.0 - 2.0 * ops.sum(unit(prediction) * unit(target), axis=-1)
