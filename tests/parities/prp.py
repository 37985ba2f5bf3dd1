"""PRP's heads on a feature map, and its motion mask."""

import numpy as np
from keras import ops

from keras_vssl.convert import convert
from keras_vssl.losses.pixels import motion_weights
from tests.backends import infer, to_numpy


def outputs(meta, weights, inputs, expected):
    if "clip" in inputs:
        return {"mask": mask(meta["config"], inputs["clip"], inputs["target_shape"])}
    heads = convert(weights).model
    got = infer(heads, np.moveaxis(inputs["feature"], 1, -1))
    got = {name: to_numpy(x) for name, x in got.items()}
    return {**got, "reconstruction": np.moveaxis(got["reconstruction"], -1, 1)}


def mask(config, clip, shape):
    """The subsample of the mask C T H W that the fixture holds."""
    frames = ops.convert_to_tensor(np.moveaxis(clip, 0, -1)[None, ::5])  # 0, 5, 10, 15
    window, stride = (tuple(config[name][1:]) for name in ("kernel", "stride"))
    size = tuple(int(n) for n in shape[2:])
    weights = motion_weights(frames, window, stride, size, config["low"], config["high"])
    still = np.moveaxis(to_numpy(weights)[0], -1, 0)[:, None]
    flat = np.broadcast_to(still, shape).reshape(-1)
    return flat[:: flat.size // 8192][:8192]
