"""SLIC's R3D, and its projection head."""

import keras

from keras_vssl.convert.avid import check_no_clip
from keras_vssl.convert.mapping import Mapping, check_part, shape_of
from keras_vssl.convert.resnet3d import build_resnet3d, is_resnet3d
from keras_vssl.layers.heads import Projector

LICENCE = "none stated by the source (rvl-lab-utoronto/video_similarity_search)"
CITATION = (
    "Khorasgani, Chen, Shkurti, SLIC: Self-Supervised Learning with Iterative Clustering for Human "
    "Action Videos, CVPR 2022"
)
# The authors published none; a user's own file has this format.
CHECKPOINTS = ()
_HEAD = (
    *(f"{layer}.{part}" for layer in ("fc1", "fc2") for part in ("weight", "bias")),
    *(f"bn_proj.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
)


def recognizes(state):
    return {"fc1.weight", "bn_proj.weight", "fc2.weight"} <= set(state) and (
        is_resnet3d(state) or set(state) <= _head_names()
    )


def build(state, part=None, epsilon=1e-5, stem_pool=None, stem_stride=None, **backbone_options):
    """Builds the network or the head that `state` holds.

    Of the networks that the method's code can train, the 3-D ResNet of basic blocks (the paper's)
    is converted; S3D, SlowFast and VCOP's R3D under its names are not.

    Args:
        state: dict of name to array: the network and `fc1`, `bn_proj`, `fc2`, or the head alone.
        part: "video" or "head". Default: the network, or the head where there is nothing else.
            "head" is a `keras.Model` of pooled features `[B, D]` to embeddings, unnormalised.
        epsilon: float, of batch normalisation.
        stem_pool: bool, a 3x3x3 pooling after the stem. Default: none.
        stem_stride: int, the stem's stride in time. Default: 1.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    check_part(part, None, "video", "head")
    network = None
    if part == "video" or is_resnet3d(state):
        network = build_resnet3d(
            state, "r3d_18_slic", stem_pool, stem_stride, epsilon, backbone_options
        )
    if network and part != "head":
        network[1].ignore(*_HEAD)
        return network
    check_no_clip(backbone_options)
    mapping = Mapping()
    shapes = [shape_of(state, f"{name}.weight", 2) for name in ("fc1", "fc2")]
    head = Projector(
        [width for width, _ in shapes], epsilon=epsilon, name="head", **backbone_options
    )
    features = keras.Input((shapes[0][1],), name="features")
    model = keras.Model(features, head(features))
    mapping.dense("fc1", head.dense[0])
    mapping.norm("bn_proj", head.norms[0])
    mapping.dense("fc2", head.dense[1])
    if network:
        mapping.ignore(*network[1].names)
    return model, mapping


def _head_names():
    return {*_HEAD, "bn_proj.num_batches_tracked"}
