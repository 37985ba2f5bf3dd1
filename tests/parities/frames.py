"""Fixtures of networks over frames: mmaction2's TSM and TSN, and the temporal shift alone."""

import numpy as np

from keras_vssl.convert import convert
from keras_vssl.layers import TemporalShift
from tests.backends import infer, to_numpy
from tests.parities.arrays import base, feature_maps, reduced


def outputs(meta, weights, inputs, expected):
    if not weights:
        return {"y": _shift(meta["config"], inputs["x"])}
    divisor = meta["config"].get("shift_div")
    model = convert(weights, **({"fraction": 1 / divisor} if divisor else {})).model
    backbone = getattr(model, "backbone", model)
    frames = np.moveaxis(inputs["x"], 1, -1)  # N T, H, W, C
    clips = frames.reshape(-1, meta["config"]["num_segments"], *frames.shape[1:])
    ours = {name: _endpoint(base(name)) for name in expected if name != "cls_score"}
    maps = feature_maps(backbone, clips, ours.values())
    got = {}
    for name, reference in expected.items():
        if name == "cls_score":
            got[name] = to_numpy(infer(model, clips[:, None]))
            continue
        array = np.moveaxis(maps[ours[name]], -1, 2)
        got[name] = reduced(name, array.reshape(-1, *array.shape[2:]), reference)
    return got


def _endpoint(name):
    name = name.removeprefix("backbone_")
    return {"conv1": "stem", "features": "layer4"}.get(name, name)


def _shift(config, x):
    if "channel_shift_fraction" in config:
        return to_numpy(TemporalShift(config["channel_shift_fraction"], "mmv")(x))
    clips = np.moveaxis(x.reshape(-1, config["num_segments"], *x.shape[1:]), 2, -1)
    shifted = to_numpy(TemporalShift(1 / config["shift_div"], "mit")(clips))
    return np.moveaxis(shifted, -1, 2).reshape(x.shape)
