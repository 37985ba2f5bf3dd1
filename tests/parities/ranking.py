"""The ranking loss of tracked patches: the choice of negatives, the loss, its gradients."""

import numpy as np
from keras import ops

from keras_vssl.losses.contrastive import unit
from keras_vssl.losses.ranking import mine_negatives, rank_hard_loss
from tests.backends import to_numpy, value_and_grad


def outputs(meta, weights, inputs, expected):
    c = meta["config"]
    margin, count = c["margin"], c["neg_num"]
    options = {
        "negatives": count,
        "hard": int(count * c["hard_ratio"]),
        "random": int(count * c["rand_ratio"]),
        "seed": 0,
    }
    labels = inputs["labels"]

    def loss(rows):
        pairs = ops.reshape(rows, (len(labels) // 2, 2, -1))
        return ops.mean(
            rank_hard_loss(
                pairs[:, 0], pairs[:, 1], ops.convert_to_tensor(labels[::2]), rows,
                ops.convert_to_tensor(labels), margin, **options,
            )
        )  # fmt: skip

    embedding = to_numpy(unit(inputs["features"]))
    value, (by_embedding,) = value_and_grad(loss, embedding)
    _, (by_features,) = value_and_grad(lambda x: loss(unit(x)), inputs["features"])
    cosines = embedding[::2] @ embedding.T
    positive = np.sum(embedding[::2] * embedding[1::2], axis=1, keepdims=True)
    allowed = labels[::2, None] != labels[None]
    hinge = np.maximum(0, cosines - positive + margin)
    mask = np.zeros((len(labels), len(labels)), "float32")
    mask[::2] = to_numpy(mine_negatives(hinge, allowed, **options))
    return {
        "embedding": embedding,
        "loss": np.asarray(value),
        "mask": mask,
        "grad_embedding": by_embedding,
        "grad_features": by_features,
    }
