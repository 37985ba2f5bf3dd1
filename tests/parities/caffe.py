"""Fixtures of CaffeNets and of their heads on tuples of frames."""

import keras
import numpy as np
from keras import ops

from keras_vssl.convert import convert
from keras_vssl.losses.contrastive import unit
from tests.backends import to_numpy, value_and_grad
from tests.parities.arrays import base, feature_maps, reduced


def outputs(meta, weights, inputs, expected):
    if "fc6" in inputs:
        head = convert(weights).model
        return _head_outputs(head, inputs["fc6"], inputs["labels"])
    (frames,) = inputs.values()
    is_tuple = frames.ndim == 5  # B, n, C, H, W; an image lacks n
    clip = frames if is_tuple else frames[:, None]
    clip = np.moveaxis(clip, 2, -1)[..., ::-1]  # B, G, R there
    backbone = convert(weights).model
    last = list(backbone.endpoints)[-1]
    wanted = {base(name) for name in expected} & set(backbone.endpoints)
    maps = feature_maps(backbone, np.ascontiguousarray(clip), {*wanted, last})
    features = maps[last][:, :, 0, 0]
    arrays = {name: _shaped(name, maps[name], is_tuple) for name in wanted}
    if "embedding" in expected:
        arrays["embedding"] = to_numpy(unit(features[:, 0]))
    if "logits" in expected:
        head = convert(weights, part="head").model
        arrays["logits"] = to_numpy(head(features, training=False))
    return {name: reduced(name, arrays[base(name)], expected[name]) for name in expected}


def _shaped(name, array, is_tuple):
    """Channels last to channels first, without axes that the fixture lacks."""
    array = np.moveaxis(array, -1, 2)
    if name.startswith("fc"):
        array = array[..., 0, 0]
    return array if is_tuple else array[:, 0]


def _head_outputs(head, features, labels):
    """Logits, mean cross-entropy and its gradient with respect to the features."""

    def loss_of(x):
        logits = head(x, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return ops.mean(losses)

    loss, (gradient,) = value_and_grad(loss_of, features)
    logits = to_numpy(head(features, training=False))
    return {"logits": logits, "loss": loss, "grad_fc6": gradient}
