"""Fixtures of the Slow networks: PySlowFast's, pytorchvideo's, mmaction2's, MaCLR's and CVRL's."""

import numpy as np

from keras_vssl.convert import convert
from tests.backends import to_numpy
from tests.parities import ParityError
from tests.parities.arrays import base, feature_maps, reduced

# A layer's name in the sources for an endpoint's name here; the sources' first stage pools.
_ENDPOINTS = {
    "conv1": "stem",
    "s1": "stem_pool",
    "blocks_0": "stem_pool",
    "features": "layer4",
    **{f"s{stage + 1}": f"layer{stage}" for stage in (1, 2, 3, 4)},
    **{f"blocks_{stage}": f"layer{stage}" for stage in (1, 2, 3, 4)},
    **{f"stage{stage + 1}": f"layer{stage}" for stage in (1, 2, 3, 4)},
}


def outputs(meta, weights, inputs, expected):
    model = convert(weights, **_options(meta["config"])).model
    backbone = getattr(model, "backbone", model)
    (clip,) = inputs.values()
    is_channels_last = clip.shape[-1] == 3
    names = {name: _endpoint(base(name), backbone) for name in expected}
    clip = clip if is_channels_last else np.moveaxis(clip, 1, -1)
    maps = feature_maps(backbone, clip, [*names.values(), "layer4"])
    pooled = maps["layer4"].mean(axis=(1, 2, 3))
    got = {}
    for name, reference in expected.items():
        if name == "pooled":
            got[name] = pooled
        elif name == "pooled_logits":
            got[name] = to_numpy(model.classify(pooled, training=False))
        else:
            array = maps[names[name]]
            array = array if is_channels_last else np.moveaxis(array, -1, 1)
            got[name] = reduced(name, array, reference)
    return got


def _endpoint(name, backbone):
    if name in ("pooled", "pooled_logits"):
        return "layer4"
    name = _ENDPOINTS.get(name, name)
    if name not in backbone.endpoints:
        raise ParityError(
            f"SlowResNet has no endpoint for the output {name!r}; it has "
            f"{', '.join(backbone.endpoints)}."
        )
    return name


def _options(config):
    """What a fixture's configuration says and its tensors do not."""
    options = {}
    for key in ("CONV1_TEMPORAL_STRIDE", "conv1_stride_t", "stem_conv_temporal_stride"):
        if key in config:
            options["stem_stride"] = int(config[key])
    if "norm_epsilon" in config:
        options["epsilon"] = float(config["norm_epsilon"])
    return options
