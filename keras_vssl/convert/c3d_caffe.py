"""The Sports-1M C3D: fc6 and fc7, no batch normalisation."""

import math

from keras_vssl.backbones.c3d import C3D
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.mapping import ConvertError, Mapping, shape_of
from keras_vssl.convert.residual import with_classifier

LICENCE = "Creative Commons Attribution-NonCommercial 4.0 (facebook/C3D), as far as known"
CITATION = (
    "Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015, "
    "https://arxiv.org/abs/1412.0767"
)
_STAGES = ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")


def recognizes(state):
    return "conv3a.weight" in state and not any(name.startswith("bn") for name in state)


def build(state, dense_shape=None, backbone_only=False, **backbone_options):
    """Builds the network of the PyTorch dump of the Caffe weights ("c3d.pickle").

    The Caffe network took BGR pixels; whether a dump still does, its file does not tell.

    Args:
        state: dict of name to array, `conv1.weight` to `fc8.bias`.
        dense_shape: 3 ints, the pooled map that fc6 spans. Default: from fc6, with T = 1.
        backbone_only: bool, leave `fc8` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    return build_sports1m(
        state,
        {stage: f"conv{stage}" for stage in _STAGES},
        head="fc8",
        dense_shape=dense_shape,
        backbone_only=backbone_only,
        **backbone_options,
    )


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


def _norm_of(conv):
    return f"{conv.removesuffix('.conv')}.bn"


def _kernel(array):
    return array.transpose(2, 3, 4, 1, 0)


def _square(flat, channels):
    area = flat // channels
    side = math.isqrt(area)
    if flat % channels or side * side != area:
        raise ConvertError(
            f"fc6 takes {flat} values, which is no square map of {channels} channels; give "
            f"dense_shape=(T, H, W), the map that it was trained on."
        )
    return (1, side, side)
