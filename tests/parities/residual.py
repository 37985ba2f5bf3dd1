"""Fixtures of residual networks of basic blocks, C3D, and VCOP."""

import keras
import numpy as np
from keras import ops

from keras_vssl.convert import convert
from tests.backends import to_numpy, value_and_grad
from tests.parities import ParityError
from tests.parities.arrays import base, feature_maps, reduced

_C3D_STAGES = ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")
# An endpoint's name here for a layer's name there.
_ENDPOINTS = {
    "backbone_c3d": {f"relu{stage}": f"conv{stage}" for stage in _C3D_STAGES},
    # VCOP's conv1 is the bare convolution; mmaction2's is one with normalisation and ReLU.
    "backbone_r3d": {"conv1": "stem_conv", "conv2": "layer1", "conv3": "layer2", "conv4": "layer3"},
    "vcop": {"stem": "stem", "stage3": "layer2", "conv5": "layer4"},
}


def outputs(meta, weights, inputs, expected):
    if "features" in inputs:
        head = convert(weights).model
        return _head_outputs(head, inputs["features"], inputs["labels"])

    model = convert(weights, **_options(meta, inputs, weights)).model
    if "tuple" in inputs:  # B, V, C, T, H, W
        clips = np.moveaxis(inputs["tuple"], 2, -1)
        return {"logits": to_numpy(model(clips, training=False))}
    (clip,) = inputs.values()
    if clip.dtype == np.uint8:
        # The stored bytes stand for (x - 128) / 64, as the fixture's notes say.
        clip = (clip.astype("float32") - 128.0) / 64.0
    endpoints = dict(_ENDPOINTS[meta["name"].split("-")[0]])
    if "conv1.conv.conv_s.weight" in weights:
        endpoints["conv1"] = "stem"
    if meta.get("config", {}).get("use_pool1"):
        endpoints["stem"] = "stem_pool"  # VMZ counts the pooling as the end of its stem
    return _network_outputs(endpoints, model, np.moveaxis(clip, 1, -1), expected)


def _options(meta, inputs, weights):
    """What a fixture's configuration says and its tensors do not."""
    config, options = meta.get("config", {}), {}
    if "bn_eps" in config:
        options["epsilon"] = float(config["bn_eps"])
    elif "VMZ" in meta.get("source", ""):
        options["epsilon"] = 1e-3
    if config.get("use_pool1"):
        options["stem_pool"] = True
    if config.get("with_pool1") is False:
        options["stem_pool"] = False
    if "fc6.weight" in weights:
        # What the four poolings and the padded fifth leave of the fixture's clip.
        time_, height, width = next(iter(inputs.values())).shape[2:]
        options["dense_shape"] = (time_ // 16, (height // 16 + 2) // 2, (width // 16 + 2) // 2)
    return options


def _network_outputs(endpoints, model, clip, expected):
    backbone = getattr(model, "backbone", model)
    arrays = {}
    wanted = {base(name) for name in expected} - {"logits"}
    if wanted:
        names = {name: _endpoint_name(endpoints, backbone, name) for name in wanted}
        maps = feature_maps(backbone, clip, names.values())
        for name, endpoint in names.items():
            arrays[name] = _shaped(name, maps[endpoint])
    got = {}
    for name in expected:
        if name == "logits":
            got[name] = to_numpy(model(clip[:, None], training=False))  # one view
        else:
            got[name] = reduced(name, arrays[base(name)], expected[name])
    return got


def _endpoint_name(endpoints, backbone, name):
    last = list(backbone.endpoints)[-1]
    if name in ("feature", "features", "retrieval"):
        return last
    name = endpoints.get(name, name)
    if name not in backbone.endpoints:
        name = {"stem": "conv1", "layer2": "conv3b", "layer4": last}.get(name, name)
    if name not in backbone.endpoints:
        raise ParityError(
            f"{type(backbone).__name__} has no endpoint for the output {name!r}; it has "
            f"{', '.join(backbone.endpoints)}."
        )
    return name


def _shaped(name, array):
    """Channels last to channels first, pooled where the fixture's output is."""
    array = np.moveaxis(array, -1, 1)
    if name == "feature":
        return array.mean(axis=tuple(range(2, array.ndim)))
    if name == "fc7":
        return array.reshape(array.shape[0], -1)
    if name == "retrieval" and array.ndim == 4:  # frames: max over 3x3, stride 2
        windows = np.lib.stride_tricks.sliding_window_view(array, (3, 3), axis=(2, 3))
        return windows[:, :, ::2, ::2].max(axis=(4, 5)).reshape(array.shape[0], -1)
    if name == "retrieval":  # clips: max over 1x2x2
        batch, channels, frames, height, width = array.shape
        array = array[..., : height // 2 * 2, : width // 2 * 2]
        array = array.reshape(batch, channels, frames, height // 2, 2, width // 2, 2)
        return array.max(axis=(4, 6)).reshape(batch, -1)
    return array


def _head_outputs(head, features, labels):
    """Logits, mean cross-entropy and its gradient with respect to the features."""

    def loss_of(x):
        logits = head(x, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return ops.mean(losses)

    loss, (gradient,) = value_and_grad(loss_of, features)
    logits = to_numpy(head(features, training=False))
    return {"logits": logits, "loss": loss, "grad_features": gradient}
