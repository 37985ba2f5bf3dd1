"""PRP's networks (C3D, R3D, R(2+1)D) with both heads, or the heads alone."""

import numpy as np

from keras_vssl.backbones.c3d import C3D
from keras_vssl.convert import vcop
from keras_vssl.convert.mapping import ConvertError, Mapping, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.layers.playback_heads import PlaybackHeads

LICENCE = "Apache 2.0"
CITATION = (
    "Yao et al., Video Playback Rate Perception for Self-supervised Spatio-Temporal Representation "
    "Learning, CVPR 2020, https://arxiv.org/abs/2006.11476"
)
_FIGURES = {
    "c3d": ("c3d_vcop", 69.1, 34.5),
    "r3d_10": ("r3d_10_vcop", 66.5, 29.7),
    "r2plus1d_10": ("r2plus1d_10_vcop", 72.1, 35.0),
}
CHECKPOINTS = tuple(
    Checkpoint(
        name=f"prp_{network}_ucf101",
        file="",
        where="https://github.com/yuanyao366/PRP",
        backbone=backbone,
        data="UCF101 split 1, no labels",
        figures=(f"UCF101 fine-tuned {ucf}, HMDB51 {hmdb} (authors' page)",),
    )
    for network, (backbone, ucf, hmdb) in _FIGURES.items()
)
_BASE = "base_network."
# A convolution's name here for its name there.
_C3D = {f"conv{i}": f"conv{i}" for i in "12"} | {
    f"conv{i}{'ab'[j - 1]}": f"conv{i}_{j}" for i in "345" for j in (1, 2)
}
_UPS = ("up1.up3d", "up2.up3d", "up3.up3d", "up4_1")
# The two heads' own, then that of each stage.
_UNITS = tuple(
    f"{name}.conv3d"
    for name in ("conv6_cls", "conv6_rec", "up1.conv3d", "up2.conv3d", "up3.conv3d", "outc")
)


def recognizes(state):
    return {"conv6_cls.conv3d.0.weight", "conv6_rec.conv3d.0.weight", "fc8.weight"} <= set(state)


def build(state, epsilon=1e-5, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. With `base_network.*` it becomes a `PRP` task; the heads alone
            become `PlaybackHeads`.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave the heads out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    if not any(name.startswith(_BASE) for name in state):
        if backbone_only or set(backbone_options) - {"dtype"}:
            raise ConvertError(f"The checkpoint holds PRP's heads alone, no {_BASE}* tensors.")
        heads = _build_heads(state, epsilon, **backbone_options)
        return heads, _map_heads(Mapping(), heads)
    if f"{_BASE}conv1.conv3d.0.weight" in state:
        width = shape_of(state, f"{_BASE}conv1.conv3d.0.weight", 5)[0]
        backbone, mapping = C3D(width=width, epsilon=epsilon, **backbone_options), Mapping()
        for ours, theirs in _C3D.items():
            mapping.conv(f"{_BASE}{theirs}.conv3d.0", backbone.get_layer(ours))
            norm = backbone.get_layer(ours.replace("conv", "bn"))
            mapping.norm(f"{_BASE}{theirs}.conv3d.1", norm)
    else:  # VCOP's R3D and R(2+1)D
        backbone, mapping = vcop.build(state, epsilon, backbone_only=True, **backbone_options)
    if backbone_only:
        mapping.ignore(*(name for name in state if not name.startswith(_BASE)))
        return backbone, mapping
    from keras_vssl.tasks.pretext.prp import PRP

    task = PRP(backbone, steps=[2**i for i in range(shape_of(state, "fc8.weight", 2)[0])])
    return task, _map_heads(mapping, task.heads)


def _build_heads(state, epsilon, dtype=None):
    classes, width = shape_of(state, "fc8.weight", 2)
    stages = [shape_of(state, f"{name}.weight", 5)[2:] for name in _UPS]
    heads = PlaybackHeads(classes, stages, epsilon, dtype=dtype)
    heads.build((None, None, None, None, width))
    return heads


def _map_heads(mapping, heads):
    mapping.dense("fc8", heads.classify)
    units = [heads.classify_unit, heads.rebuild_unit, *heads.units]
    for name, (conv, norm) in zip(_UNITS, units, strict=True):
        mapping.conv(f"{name}.0", conv)
        mapping.norm(f"{name}.1", norm)
    for name, up in zip(_UPS, heads.ups, strict=True):
        mapping.add(f"{name}.weight", up.kernel, _blocks)
        mapping.add(f"{name}.bias", up.bias)
    return mapping


def _blocks(array):
    """PyTorch's `I O T H W` of a transposed convolution as `I (T H W O)`."""
    return np.transpose(array, (0, 2, 3, 4, 1)).reshape(array.shape[0], -1)
