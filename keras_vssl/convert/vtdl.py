"""VTDL's I3D, R3D and R(2+1)D, and its heads."""

import keras

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import vcop
from keras_vssl.convert.avid import check_no_clip
from keras_vssl.convert.i3d import build_vtdl_i3d, map_vtdl_i3d
from keras_vssl.convert.mapping import ConvertError, Mapping, check_part, shape_of
from keras_vssl.convert.resnet3d import build_resnet3d, is_resnet3d
from keras_vssl.layers.heads import Projector

LICENCE = (
    "none stated by the source (FingerRec/Self-Supervised-Temporal-Discriminative-Representation-"
    "Learning-for-Video-Action-Recognition)"
)
CITATION = (
    "Wang, Lin, Ma, Yuen, Self-supervised Temporal Discriminative Learning for Video "
    "Representation Learning, 2020, https://arxiv.org/abs/2008.02129"
)
# The readme links files, whose names nobody could check.
CHECKPOINTS = ()
_STEM_I3D, _STEM_R2PLUS1D = "conv3d_1a_7x7.conv3d.weight", "conv1.spatial_conv.weight"
_HEADS = tuple(
    f"{head}.2.{part}" for head in ("id_head", "cls_head") for part in ("weight", "bias")
)


def recognizes(state):
    # Other ports of I3D have the same names, without this head.
    return "id_head.2.weight" in state and (
        bool({_STEM_I3D, _STEM_R2PLUS1D} & set(state)) or is_resnet3d(state)
    )


def build(state, part=None, epsilon=1e-5, stem_pool=None, **backbone_options):
    """Builds the network or the heads that `state` holds.

    Args:
        state: dict of name to array: an I3D, a 3-D ResNet or VCOP's R(2+1)D, with `id_head` and
            `cls_head`. Of a training checkpoint the readers take `model`, as the authors'
            fine-tuning does, not the momentum copy.
        part: "video" or "heads". Default: the network. "heads" is a `keras.Model` of pooled
            features `[B, D]`, dict to "id", the unit embedding, and "cls", 200 outputs that the
            method trains on nothing.
        epsilon: float, of batch normalisation.
        stem_pool: bool, the 3x3x3 pooling after the 3-D ResNet's stem. Default: as VTDL has it.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    check_part(part, None, "video", "heads")
    if part == "heads":
        check_no_clip(backbone_options)
    config = ARCHITECTURES["r3d_18_vtdl"]["config"]
    options = {**{key: config[key] for key in ("clip", "mean", "std")}, **backbone_options}
    if _STEM_I3D in state:
        backbone = build_vtdl_i3d(state, epsilon=epsilon, **options)
        mapping = map_vtdl_i3d(Mapping(), backbone)
    elif _STEM_R2PLUS1D in state:
        backbone, mapping = vcop.build(state, epsilon=epsilon, **options)
    elif is_resnet3d(state):
        backbone, mapping = build_resnet3d(
            state, "r3d_18_vtdl", stem_pool, None, epsilon, backbone_options
        )
    else:
        raise ConvertError(
            "The checkpoint holds none of VTDL's I3D, 3-D ResNet and R(2+1)D; its C3D can't be "
            "converted."
        )
    if part == "heads":
        return _build_heads(state, mapping.names, backbone_options)
    mapping.ignore(*_HEADS)
    return backbone, mapping


def _build_heads(state, network, options):
    mapping, outputs = Mapping(), {}
    width = shape_of(state, "id_head.2.weight", 2)[1]
    features = keras.Input((width,), name="features")
    for name in ("id", "cls"):
        head = Projector(
            [shape_of(state, f"{name}_head.2.weight", 2)[0]],
            normalize=name == "id",
            name=f"{name}_head",
            **options,
        )
        outputs[name] = head(features)
        mapping.dense(f"{name}_head.2", head.dense[0])
    mapping.ignore(*network)
    return keras.Model(features, outputs), mapping
