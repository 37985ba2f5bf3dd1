"""Fixtures of MMV's pre-activation ResNets, and of the whole model."""

import numpy as np

from keras_vssl.backbones import TSMResNetV2
from keras_vssl.convert import convert
from tests.backends import infer, to_numpy
from tests.parities import ParityError
from tests.parities.arrays import base, feature_maps, reduced

# A layer's name in the source, after its kind of network, for an endpoint's name here.
_ENDPOINTS = {
    "stem": "stem_pool",
    **{f"unit_{stage}": f"layer{stage + 1}" for stage in range(4)},
}
_POOLED = ("embedding", "embeddings")


# An output of the whole model for one of the heads' here.
_EMBEDDINGS = {
    "vid_toaud": "video_in_va",
    "aud_tovid": "audio_in_va",
    "txt_toaud": "text_in_va",
    "vid_totxt": "video_in_vat",
    "aud_totxt": "audio_in_vat",
    "txt_tovid": "text_in_vat",
}


def outputs(meta, weights, inputs, expected):
    state = {name: haiku(meta["tensors"][name], array) for name, array in weights.items()}
    if "word_ids" in inputs:
        return _whole(state, inputs)
    fraction = float(meta["config"].get("channel_shift_fraction", 1 / 8))
    epsilon = float(meta["config"].get("bn", {}).get("eps", 1e-5))
    backbone = convert(state, fraction=fraction, epsilon=epsilon).model
    (x,) = inputs.values()
    # Sound comes as pictures of one channel.
    x = x[..., 0] if x.ndim == 4 else x
    names = {name: _endpoint(base(name), backbone) for name in expected}
    maps = feature_maps(backbone, x, [*names.values(), "last"])
    got = {}
    for name, reference in expected.items():
        array = maps[names[name]]
        if name in _POOLED:
            got[name] = array.mean(axis=tuple(range(1, array.ndim - 1)))
            continue
        if array.ndim == 5:  # the source's frames are rows of the batch
            array = array.reshape(-1, *array.shape[2:])
        if name.endswith("_sub") and "1500" in meta.get("note", ""):
            got[name] = array.reshape(-1)[:: max(1, array.size // 1500)][:1500]
        elif name.endswith("_sub"):
            got[name] = array.reshape(-1)[:: max(1, array.size // 4096)][: len(reference)]
        else:
            got[name] = reduced(name, array, reference)
    return got


def _whole(state, inputs):
    """What all towers and heads of a model give."""
    maps = {
        "video": inputs["video"],
        "audio": inputs["audio"][..., 0],
        "text": inputs["word_ids"],
    }
    features = {}
    for part, x in maps.items():
        x = to_numpy(infer(convert(state, part=part).model, x))
        features[part] = x.mean(axis=tuple(range(1, x.ndim - 1)))
    embedded = infer(convert(state, part="heads").model, features)
    got = {name: to_numpy(embedded[ours]) for name, ours in _EMBEDDINGS.items()}
    return {**got, "vid_repr": features["video"], "aud_repr": features["audio"]}


def haiku(tensor, array):
    """A fixture's tensor, made in PyTorch's layout, in that of the checkpoint."""
    if tensor["kind"] in ("scale", "bias", "mean", "var") and "reshape" in tensor.get(
        "to_checkpoint", {}
    ):
        return array.reshape(tensor["to_checkpoint"]["reshape"])
    if array.ndim > 1 and tensor["kind"] == "weight":
        return np.moveaxis(array, (0, 1), (-1, -2))
    return array


def _endpoint(name, backbone):
    if name in _POOLED:
        return "last"
    if name == "last_conv":  # before the last normalisation on sound, after it on frames
        return "last" if isinstance(backbone, TSMResNetV2) else "layer4"
    name = name.removeprefix("ep_").removeprefix("tsm_").removeprefix("resnet_")
    name = _ENDPOINTS.get(name, name)
    if name not in backbone.endpoints:
        raise ParityError(
            f"{type(backbone).__name__} has no endpoint for the output {name!r}; it has "
            f"{', '.join(backbone.endpoints)}."
        )
    return name
