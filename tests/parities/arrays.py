"""What the fixtures' families share: the parts of arrays that fixtures keep."""

import re

import keras
import numpy as np

from tests.backends import infer, to_numpy


def base(name):
    """The name of the array that an output is a part of: `stem_sub` is a part of `stem`."""
    return re.sub(r"([._](sub|stats|shape)|(?<!running)_(mean|std))$", "", name)


def reduced(name, array, reference, expected=None):
    """The part of an array that the fixture keeps.

    Args:
        name: the output's name.
        array: the whole array that it is a part of.
        reference: the fixture's part.
        expected: dict of all the fixture's outputs. A `.sub` whose `.stats` has four numbers is
            taken at the stride that is the third of them.
    """
    kind = name[len(base(name)) :]
    if not kind:
        return array
    if kind == "_shape":
        return np.asarray(array.shape)
    if kind == "_mean":
        return array.mean(dtype="float64")
    if kind == "_std":  # PyTorch's, over n - 1
        return array.std(dtype="float64", ddof=1)
    if kind.endswith("stats"):
        values = [array.mean(dtype="float64"), array.std(dtype="float64"), np.abs(array).max()]
        if len(reference) == 4:  # mean, standard deviation, stride, size
            values[2:] = [reference[2], array.size]
        return np.asarray(values[: len(reference)])
    stats = (expected or {}).get(f"{base(name)}.stats", ())
    if len(stats) == 4:
        return array.reshape(-1)[:: int(stats[2])][: len(reference)]
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
    maps = infer(keras.Model(backbone.inputs[0], tensors), clip)
    return {name: to_numpy(value) for name, value in maps.items()}
