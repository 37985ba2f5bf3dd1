"""Weighted k-nearest-neighbour classification of stored features."""

import numpy as np

from keras_vssl.downstream.retrieval import neighbours


def knn_scores(query, gallery, gallery_labels, classes, k=10, temperature=0.07):
    """Votes of the `k` nearest gallery videos, each weighted by exp(cosine / temperature).

    Args:
        query: `[queries, D]` features.
        gallery: `[videos, D]` features.
        gallery_labels: int `[videos]`, 0 .. classes - 1.
        classes: int.
        k: int, neighbours (a smaller gallery votes whole).
        temperature: float; 0.07 as in the reference.

    Returns:
        float64 `[queries, classes]`, each row summing to one.

    Reference:
        - [Wu et al., 2018: Unsupervised feature learning via non-parametric instance
          discrimination](https://arxiv.org/abs/1805.01978), Sec. 3.4
    """
    gallery_labels = np.asarray(gallery_labels)
    if len(gallery_labels) != len(gallery):
        raise ValueError(
            f"Expected one label a gallery video ({len(gallery)}), received {len(gallery_labels)}."
        )
    if len(gallery_labels) and not 0 <= gallery_labels.min() <= gallery_labels.max() < classes:
        raise ValueError(
            f"Expected gallery labels 0 to {classes - 1}, received {gallery_labels.min()} to "
            f"{gallery_labels.max()}; leave unlabelled videos out."
        )
    indices, cosine = neighbours(query, gallery, k)
    # The nearest neighbour's weight is 1, so nothing underflows however small the temperature.
    weights = np.exp((cosine - cosine[:, :1]).astype(np.float64) / temperature)
    votes = np.zeros((len(indices), classes))
    np.add.at(votes, (np.arange(len(indices))[:, None], gallery_labels[indices]), weights)
    return votes / votes.sum(axis=1, keepdims=True)


def knn_accuracy(query, gallery, query_labels, gallery_labels, k=10, temperature=0.07):
    """Top-1 accuracy of `knn_scores`, in [0, 1]."""
    classes = int(max(np.max(query_labels), np.max(gallery_labels))) + 1
    scores = knn_scores(query, gallery, gallery_labels, classes, k, temperature)
    return float((scores.argmax(axis=1) == np.asarray(query_labels)).mean())
