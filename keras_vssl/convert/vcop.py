"""VCOP's encoders (C3D, R3D, R(2+1)D, BN-AlexNet), its order head, and both together."""

import math
import re

from keras_vssl.backbones.alexnet import AlexNetBN
from keras_vssl.backbones.c3d import C3D
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.r3d import R3D, R2Plus1D
from keras_vssl.convert.mapping import ConvertError, Mapping, count_numbered, shape_of
from keras_vssl.convert.residual import (
    map_residual,
    read_midplanes,
    read_stem_midplanes,
    with_classifier,
)
from keras_vssl.layers.heads import OrderHead

LICENCE = "none stated by the source (xudejing/video-clip-order-prediction)"
CITATION = (
    "Xu et al., Self-Supervised Spatiotemporal Learning via Video Clip Order Prediction, CVPR 2019"
)
# The authors published none; a user's own file has this format.
CHECKPOINTS = ()
_BASE = "base_network."
_C3D_STAGES = ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")


class _Names:
    """`conv3.block1.conv1.spatial_conv` and its kin; stage 1 here is their conv2."""

    def __init__(self, prefix):
        self.prefix = prefix

    def conv(self, where):
        return f"{self._part(where, 'conv')}.temporal_spatial_conv"

    def factored(self, where):
        conv = self._part(where, "conv")
        return f"{conv}.spatial_conv", f"{conv}.bn", f"{conv}.temporal_conv"

    def norm(self, where):
        return self._part(where, "bn")

    def _part(self, where, kind):
        if where == "stem":
            return f"{self.prefix}{kind}1"
        stage, block, part = where
        inner = "block1" if block == 0 else f"blocks.{block - 1}"
        part = f"downsample{kind}" if part == "shortcut" else f"{kind}{part}"
        return f"{self.prefix}conv{stage + 1}.{inner}.{part}"


def recognizes(state):
    return (
        any(name.startswith(_BASE) for name in state)
        or {"fc7.weight", "fc8.weight"} <= set(state) <= _head_names()
        or any(".temporal_spatial_conv." in name or ".spatial_conv." in name for name in state)
        or "conv1.weight" in state
        and "bn1.weight" in state
        and ("conv3a.weight" in state or "conv3.weight" in state)
    )


def build(state, epsilon=1e-5, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. With `base_network.*` it becomes a `VCOP` task, with
            `linear` a `VideoClassifier`, with fc7 and fc8 alone an `OrderHead`.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave fc7, fc8 and `linear` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    if set(state) <= _head_names():
        clips, hidden, width = _read_head(state)
        head = OrderHead(hidden)
        head.build((None, clips, width))
        mapping = Mapping()
        _map_head(mapping, head)
        return head, mapping

    prefix = _BASE if any(name.startswith(_BASE) for name in state) else ""
    backbone, mapping = _build_encoder(state, prefix, epsilon, backbone_options)
    if not prefix:
        return with_classifier(state, backbone, mapping, "linear", backbone_only), mapping
    # An encoder built with_classifier keeps an unused linear layer in the full checkpoint.
    mapping.ignore(f"{_BASE}linear.weight", f"{_BASE}linear.bias")
    if backbone_only or not _head_names() & set(state):
        mapping.ignore(*_head_names())
        return backbone, mapping
    from keras_vssl.tasks.pretext.vcop import VCOP

    clips, hidden, _ = _read_head(state)
    task = VCOP(backbone, clips=clips, hidden=hidden)
    _map_head(mapping, task.head)
    return task, mapping


def _build_encoder(state, prefix, epsilon, options):
    names = _Names(prefix)
    if f"{prefix}conv3a.weight" in state:
        width = shape_of(state, f"{prefix}conv1.weight", 5)[0]
        backbone = C3D(width=width, epsilon=epsilon, **options)
        return backbone, _map_plain(backbone, prefix, _C3D_STAGES)
    if f"{prefix}conv1.weight" in state:
        width = shape_of(state, f"{prefix}conv1.weight", 4)[0]
        backbone = AlexNetBN(width=width, epsilon=epsilon, **options)
        return backbone, _map_plain(backbone, prefix, "12345")

    blocks = [
        1 + count_numbered(state, rf"{re.escape(prefix)}conv{stage}\.blocks\.(\d+)\.")
        for stage in (2, 3, 4, 5)
    ]
    stem = f"{prefix}conv1.temporal_spatial_conv.weight"
    if stem in state:
        config = ARCHITECTURES["r3d_10_vcop"]["config"]
        found = {"blocks": blocks, "width": shape_of(state, stem, 5)[0], "epsilon": epsilon}
        backbone = R3D(**{**config, **found, **options})
    else:
        config = ARCHITECTURES["r2plus1d_10_vcop"]["config"]
        width = shape_of(state, f"{prefix}conv1.temporal_conv.weight", 5)[0]
        found = {
            "blocks": blocks,
            "width": width,
            "epsilon": epsilon,
            "midplanes": read_midplanes(state, names),
            "stem_midplanes": read_stem_midplanes(state, names.factored("stem")[0], width),
        }
        backbone = R2Plus1D(**{**config, **found, **options})
    return backbone, map_residual(backbone, names)


def _map_plain(backbone, prefix, stages):
    mapping = Mapping()
    for stage in stages:
        mapping.conv(f"{prefix}conv{stage}", backbone.get_layer(f"conv{stage}"))
        mapping.norm(f"{prefix}bn{stage}", backbone.get_layer(f"bn{stage}"))
    return mapping


def _map_head(mapping, head):
    mapping.dense("fc7", head.pair)
    mapping.dense("fc8", head.classify)


def _head_names():
    return {"fc7.weight", "fc7.bias", "fc8.weight", "fc8.bias"}


def _read_head(state):
    hidden, double_width = shape_of(state, "fc7.weight", 2)
    orders, _ = shape_of(state, "fc8.weight", 2)
    clips = next((n for n in range(2, 9) if math.factorial(n) == orders), None)
    if clips is None:
        raise ConvertError(f"fc8 has {orders} outputs; expected n! for a tuple of n clips.")
    return clips, hidden, double_width // 2
