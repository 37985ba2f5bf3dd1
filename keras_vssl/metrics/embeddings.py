"""How spread out embeddings are: whether a joint embedding has collapsed. Tensors, any backend."""

from keras import ops

from keras_vssl.losses.contrastive import unit


def feature_std(embeddings):
    """Standard deviation of unit embeddings over the batch, times the root of their width.

    About 1 where the embeddings are spread over the sphere, 0 where all are the same (Chen and He,
    CVPR 2021, Fig. 2).

    Args:
        embeddings: `[B, D]`, normalised here.

    Returns:
        float32 scalar.
    """
    x = unit(embeddings)
    return ops.mean(ops.std(x, axis=0)) * float(x.shape[-1]) ** 0.5


def alignment(first, second):
    """Mean squared distance of the unit embeddings of positive pairs, 0 to 4.

    Args:
        first, second: `[B, D]`, rows are pairs.

    Reference:
        Wang and Isola, ICML 2020, Eq. 3 (https://arxiv.org/abs/2005.10242).
    """
    return ops.mean(ops.sum(ops.square(unit(first) - unit(second)), axis=-1))


def uniformity(embeddings, t=2.0):
    """`log mean exp(-t ||x - y||^2)` over the pairs of different rows: 0 where all rows are one.

    About `-2t` for wide embeddings spread over the sphere. The lower the more uniform.

    Args:
        embeddings: `[B, D]`, B at least 2.
        t: float, 2 in the paper.

    Reference:
        Wang and Isola, ICML 2020, Eq. 4.
    """
    x = unit(embeddings)
    squared = 2.0 - 2.0 * ops.matmul(x, ops.transpose(x))
    other = 1.0 - ops.eye(ops.shape(x)[0])
    pairs = ops.maximum(ops.sum(other), 1.0)
    return ops.log(ops.sum(ops.exp(-t * ops.maximum(squared, 0.0)) * other) / pairs + 1e-12)
