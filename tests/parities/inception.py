"""Fixtures of I3D, S3D and S3D-G, whatever their source."""

import keras
import numpy as np

from keras_vssl.convert import convert
from keras_vssl.convert.mapping import Mapping
from keras_vssl.convert.s3d_names import build_haiku_s3d, haiku_s3d_prefix, map_haiku_s3d
from tests.backends import to_numpy
from tests.parities import ParityError
from tests.parities.arrays import base, reduced

# A source's name for an endpoint, where lower case is not enough.
_ENDPOINTS = {
    "conv3d_1a_7x7": "conv_1a",
    "conv3d_2b_1x1": "conv_2b",
    "conv3d_2c_3x3": "conv_2c",
    "conv1": "conv_1a",
    "gating": "gate_2c",
    "conv2d_1a_7x7": "conv_1a",
    "conv2d_2b_1x1": "conv_2b",
    # Haiku's and slim's unit ends with its gate.
    "conv2d_2c_3x3": "gate_2c",
    **{
        f"features_{index}": endpoint
        for index, endpoint in {
            0: "conv_1a",
            2: "conv_2b",
            3: "conv_2c",
            5: "mixed_3b",
            6: "mixed_3c",
            8: "mixed_4b",
            9: "mixed_4c",
            10: "mixed_4d",
            11: "mixed_4e",
            12: "mixed_4f",
            14: "mixed_5b",
            15: "mixed_5c",
        }.items()
    },
}
_LAST = "mixed_5c"
_POOLED = ("pooled", "mixed_5c", "mixed_5c_pooled", "embedding", "embeddings")
_EMBEDDED = ("video_embedding",)


def outputs(meta, weights, inputs, expected):
    (clip,) = inputs.values()
    is_channels_last = clip.shape[-1] in (2, 3) and clip.shape[1] not in (2, 3)
    clip = clip if is_channels_last else np.moveaxis(clip, 1, -1)
    model = _model(weights, meta["config"])
    backbone = getattr(model, "backbone", model)

    wanted = {name: _endpoint(name, backbone) for name in expected}
    tensors = {name: backbone.endpoints[name] for name in {*wanted.values(), _LAST}}
    maps = _run(keras.Model(backbone.inputs[0], tensors), clip)
    pooled = maps[_LAST].mean(axis=(1, 2, 3))
    if "conv1_sub" in expected and "space_to_depth" in backbone.endpoints:
        # The source's has a row more in front on each axis, which it crops after this layer.
        padded = np.pad(clip, ((0, 0), (2, 0), (2, 0), (2, 0), (0, 0)))
        maps["conv_1a"] = _run(backbone.endpoint("conv_1a"), padded)

    got = {}
    for name, reference in expected.items():
        if name in _POOLED:
            got[name] = pooled
        elif name in _EMBEDDED:
            got[name] = maps["embedding"][:, 0, 0, 0]
        elif name in ("pooled_logits", "logits"):
            got[name] = to_numpy(model.classify(pooled, training=False))
        elif name == "space_to_depth_first_pixel":
            got[name] = maps["space_to_depth"][:, 0, 0, 0]
        else:
            array = maps[wanted[name]]
            array = array if is_channels_last else np.moveaxis(array, -1, 1)
            got[name] = _reduced(meta, name, array, reference)
    return got


def _run(model, clip):
    return keras.tree.map_structure(to_numpy, model(clip, training=False))


def _reduced(meta, name, array, reference):
    """The part that the fixture keeps; two kinds of fixtures keep parts of different steps."""
    if name.endswith("_sub") and "1500" in meta.get("note", ""):
        return array.reshape(-1)[:: max(1, array.size // 1500)][:1500]
    return reduced(name, array, reference)


def _endpoint(name, backbone):
    if name in ("features", "feature", "pooled_logits", "logits", *_POOLED):
        return _LAST
    if name in _EMBEDDED:
        return "embedding"
    if name.startswith("space_to_depth"):
        return "space_to_depth"
    name = base(name).removeprefix("ep_").lower()
    name = _ENDPOINTS.get(name, name)
    if name == "gate_2c" and name not in backbone.endpoints:
        name = "conv_2c"
    if name not in backbone.endpoints:
        raise ParityError(
            f"{type(backbone).__name__} has no endpoint for the output {name!r}; it has "
            f"{', '.join(backbone.endpoints)}."
        )
    return name


def _options(config):
    """What a fixture's configuration says and its tensors do not."""
    options = {}
    if "bn_eps" in config:
        options["epsilon"] = float(config["bn_eps"])
    if config.get("slow"):
        options["slow"] = True
    return options


def _model(weights, config):
    if not any("/~/" in name for name in weights):
        return convert(weights, **_options(config)).model
    # A tower without MMV's other ones; its fixtures are made in PyTorch's layout.
    state = {name: _haiku(name, array) for name, array in weights.items()}
    prefix = haiku_s3d_prefix(state)
    backbone = build_haiku_s3d(state, prefix)
    map_haiku_s3d(Mapping(), prefix, backbone, state).place(state, backbone)
    return backbone


def _haiku(name, array):
    if array.ndim == 1:
        return array if "self_gating" in name else array.reshape(1, 1, 1, 1, -1)
    return np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim > 1 else array
