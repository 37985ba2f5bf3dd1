"""Accuracy of video-level predictions."""

import numpy as np


def top_k_accuracy(scores, labels, k=1):
    """Share of rows whose class is among the `k` highest scores.

    Args:
        scores: `[N, classes]`, logits or probabilities.
        labels: int `[N]`.
        k: int; more than there are classes counts all of them.

    Returns:
        float in [0, 1].
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if len(scores) != len(labels) or len(labels) == 0:
        raise ValueError(
            f"Expected as many labels as rows of scores and at least one, received {len(labels)} "
            f"and {len(scores)}."
        )
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def confusion_matrix(labels, predicted, classes):
    """int64 `[classes, classes]`: rows are the true classes, columns what was predicted."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (np.asarray(labels), np.asarray(predicted)), 1)
    return matrix
