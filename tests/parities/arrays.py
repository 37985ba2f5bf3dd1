"""What the fixtures' families share: the parts of arrays that fixtures keep."""

import re

import keras
import numpy as np

from tests.backends import to_numpy


def base(name):
    """The name of the array that an output is a part of: `stem_sub` is a part of `stem`."""
    return re.sub(r"([._](sub|stats|shape))$", "", name)


def reduced(name, array, reference):
    """The part of an array that the fixture keeps."""
    kind = name[len(base(name)) :]
    if not kind:
        return array
    if kind == "_shape":
        return np.asarray(array.shape)
    if kind.endswith("stats"):
        values = [array.mean(dtype="float64"), array.std(dtype="float64"), np.abs(array).max()]
        return np.asarray(values[: len(reference)])
    least = 4096 if kind == "_sub" else 2048
    return array.reshape(-1)[:: max(1, array.size // least)]


def feature_maps(backbone, clip, names):
    """The maps at several endpoints of a backbone, from one pass.

    Args:
        backbone: the network.
        clip: `[B, T, H, W, C]`, normalised.
        names: the endpoints.

    Returns:
        dict of endpoint to array.
    """
    tensors = {name: backbone.endpoints[name] for name in set(names)}
    maps = keras.Model(backbone.inputs[0], tensors)(clip, training=False)
    return {name: to_numpy(value) for name, value in maps.items()}
