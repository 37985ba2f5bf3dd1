"""The Sports-1M C3D: fc6 and fc7, no batch normalisation. Caffe's own file, or a dump of it."""

import math
import re

import numpy as np

from keras_vssl.backbones.c3d import C3D
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.caffemodel import strip
from keras_vssl.convert.mapping import ConvertError, Mapping, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.residual import with_classifier

LICENCE = "Creative Commons Attribution-NonCommercial 3.0 (facebook/C3D)"
CITATION = (
    "Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, "
    "https://arxiv.org/abs/1412.0767"
)
CHECKPOINTS = (
    Checkpoint(
        "c3d_sports1m_caffe",
        "conv3d_deepnetA_sport1m_iter_1900000",
        "https://github.com/facebook/C3D",
        "c3d_sports1m",
        "Sports-1M",
        (
            "Sports-1M clip hit@1 46.1, video hit@1 61.1, video hit@5 85.2 (I380K first; unverified)",
            "UCF101 fc6 and linear SVM 82.3 (unverified)",
        ),
        note=(
            "Give the file the extension .caffemodel. The authors subtract a mean volume from a "
            "file of its own; the mean here is of channels, mmaction2's."
        ),
    ),
)
_STAGES = ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")
# conv1a where there is one convolution in the stage, in Caffe's file.
_BLOB_STAGES = ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")


def recognizes(state):
    if _is_caffe(state):
        return True
    return "conv3a.weight" in state and not any(name.startswith("bn") for name in state)


def build(state, dense_shape=None, backbone_only=False, **backbone_options):
    """Builds the network of Caffe's file, or of the PyTorch dump of it ("c3d.pickle").

    The Caffe network took BGR pixels, so conv1a of its file gets its channels in the other order,
    and its poolings round up. Whether a dump still takes BGR, its file does not tell.

    Args:
        state: dict of name to array, `conv1a.0` to `fc8-1.1`, or `conv1.weight` to `fc8.bias`.
        dense_shape: 3 ints, the pooled map that fc6 spans. Default: from fc6, with T = 1.
        backbone_only: bool, leave `fc8` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    options = {"dense_shape": dense_shape, "backbone_only": backbone_only}
    convs = {stage: f"conv{stage}" for stage in _STAGES}
    if not _is_caffe(state):
        return build_sports1m(state, convs, head="fc8", **options, **backbone_options)
    # The preset's mean is mmaction2's, whose numbers look like those of B, G, R.
    mean = ARCHITECTURES["c3d_sports1m"]["config"]["mean"][::-1]
    table = _blobs_by_name(state)
    view = {name: strip(state[blob], rank) for name, (blob, rank) in table.items() if blob in state}
    model, mapping = build_sports1m(
        view, convs, head="fc8", **options, **{"mean": mean, "pooling": "ceil", **backbone_options}
    )
    mapping.entries = [
        (table[name][0], variable, _from_blob(table[name], transform))
        for name, variable, transform in mapping.entries
    ]
    mapping.ignored = {table[name][0] for name in mapping.ignored}
    return model, mapping


def build_sports1m(state, convs, head, dense_shape, backbone_only, **backbone_options):
    """Builds a C3D with fc6 and fc7; `convs` gives the checkpoint's name of each convolution."""
    first = next(iter(convs.values()))
    is_normalized = f"{_norm_of(first)}.weight" in state
    width = shape_of(state, f"{first}.weight", 5)[0]
    channels = shape_of(state, f"{list(convs.values())[-1]}.weight", 5)[0]
    dense, flat = shape_of(state, "fc6.weight", 2)
    backbone = C3D(
        **{
            **ARCHITECTURES["c3d_sports1m"]["config"],
            "width": width,
            "batch_normalization": is_normalized,
            "dense": dense,
            "dense_shape": dense_shape or _square(flat, channels),
            **backbone_options,
        }
    )
    mapping = Mapping()
    for stage, name in convs.items():
        stage = stage.removesuffix("a") if stage[0] in "12" else stage
        conv = backbone.get_layer(f"conv{stage}")
        if is_normalized and f"{name}.bias" not in state:
            # mmcv leaves the bias out before a normalisation; a zero bias is the same network.
            mapping.add(f"{name}.weight", conv.kernel, _kernel)
            mapping.add(None, conv.bias)
        else:
            mapping.conv(name, conv)
        if is_normalized:
            mapping.norm(_norm_of(name), backbone.get_layer(f"bn{stage}"))
    mapping.dense_as_conv("fc6", backbone.get_layer("fc6"))
    mapping.dense_as_conv("fc7", backbone.get_layer("fc7"))
    return with_classifier(state, backbone, mapping, head, backbone_only, dropout=0.5), mapping


def _is_caffe(state):
    return "conv3a.0" in state and state["conv3a.0"].ndim == 5


def _blobs_by_name(state):
    """A dump's name -> (Caffe's blob, its axes); `fc6-1`, as the authors' prototxt calls fc6."""
    table = {}
    layers = {f"conv{stage}": f"conv{blob}" for stage, blob in zip(_STAGES, _BLOB_STAGES)}
    for dense in ("fc6", "fc7", "fc8"):
        found = (re.match(rf"({dense}(-\d+)?)\.0$", name) for name in state)
        layers[dense] = next((match[1] for match in found if match), f"{dense}-1")
    for name, layer in layers.items():
        table[f"{name}.weight"] = (f"{layer}.0", 5 if name.startswith("conv") else 2)
        table[f"{name}.bias"] = (f"{layer}.1", 1)
    return table


def _from_blob(source, transform):
    blob, rank = source

    def transformed(array):
        array = strip(array, rank)
        if blob == "conv1a.0":  # B, G, R there
            array = array[:, ::-1]
        return transform(array)

    return transformed


def _norm_of(conv):
    return f"{conv.removesuffix('.conv')}.bn"


def _kernel(array):
    return np.transpose(array, (2, 3, 4, 1, 0))


def _square(flat, channels):
    area = flat // channels
    side = math.isqrt(area)
    if flat % channels or side * side != area:
        raise ConvertError(
            f"fc6 takes {flat} values, which is no square map of {channels} channels; give "
            f"dense_shape=(T, H, W), the map that it was trained on."
        )
    return (1, side, side)
