"""The normalisation by groups of time steps, as the one public code of it computes it."""

import keras
import numpy as np
from keras import ops

from keras_vssl.layers import TemporalGroupNormalization
from tests.backends import to_numpy, value_and_grad


def outputs(meta, weights, inputs, expected):
    c = meta["config"]
    x, cotangent = (np.moveaxis(inputs[name], 1, -1) for name in ("x", "cotangent"))
    layer = TemporalGroupNormalization(c["segment"], 1 - c["momentum"], c["eps"])
    layer.build((None, *x.shape[1:]))
    parts = ("weight", "bias", "running_mean", "running_var")
    for index, norm in enumerate(layer.norms):
        norm.set_weights([weights[f"seg_bn_{index}.{part}"] for part in parts])
    got = {"eval": np.moveaxis(to_numpy(layer(x, training=False)), -1, 1)}
    got["train"] = np.moveaxis(to_numpy(layer(x, training=True)), -1, 1)
    for index, (norm, size) in enumerate(zip(layer.norms, layer.sizes)):
        got[f"running_mean_{index}"] = to_numpy(norm.moving_mean)
        # PyTorch moves the unbiased variance of the batch, this library the biased one.
        kept = norm.momentum * weights[f"seg_bn_{index}.running_var"]
        count = x[:, :size, ..., 0].size
        moved = to_numpy(norm.moving_variance) - kept
        got[f"running_var_{index}"] = kept + moved * count / (count - 1)

    def function(x, *gains_and_offsets):
        # The affine part outside, so that its gradients are those of plain tensors.
        with keras.StatelessScope():  # a traced value is not to stay in the running statistics
            y = (layer(x, training=True) - offsets) / gains
        gain, offset = gains_and_offsets[::2], gains_and_offsets[1::2]
        y = y * _in_time(gain, layer.sizes) + _in_time(offset, layer.sizes)
        return ops.sum(y * ops.convert_to_tensor(cotangent))

    values = [weights[f"seg_bn_{i}.{p}"] for i in range(c["segment"]) for p in parts[:2]]
    gains, offsets = (
        _in_time(list(map(ops.convert_to_tensor, v)), layer.sizes)
        for v in (values[::2], values[1::2])
    )
    _, (by_x, *rest) = value_and_grad(function, x, *values)
    got["grad_x"] = np.moveaxis(by_x, -1, 1)
    for index in range(c["segment"]):
        got[f"grad_weight_{index}"], got[f"grad_bias_{index}"] = rest[2 * index : 2 * index + 2]
    return got


def _in_time(rows, sizes):
    """A group's `[C]` repeated for its steps: `[T, 1, 1, C]`."""
    return ops.concatenate(
        [ops.tile(row[None, None, None], (size, 1, 1, 1)) for row, size in zip(rows, sizes)]
    )
