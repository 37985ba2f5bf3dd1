"""torchvision's S3D."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.s3d import S3D
from keras_vssl.convert.inception import (
    SEQUENTIAL,
    Names,
    arguments,
    map_inception,
    read_s3d,
    with_conv_classifier,
)
from keras_vssl.convert.published import Checkpoint

LICENCE = "BSD 3-Clause (torchvision); the data the weights saw has its own terms"
CITATION = (
    "Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video "
    "Classification, ECCV 2018, https://arxiv.org/abs/1712.04851"
)
CHECKPOINTS = (
    Checkpoint(
        name="s3d_kinetics400",
        file="s3d-d76dad2f.pth",
        where="https://github.com/pytorch/vision",
        backbone="s3d_kinetics",
        data="Kinetics-400",
        figures=("Kinetics-400 clip level 68.37 top-1, 88.05 top-5 (torchvision's metadata)",),
        note="128 frames at 15 frames a second.",
    ),
)
# The poolings are the features 1, 4, 7 and 13.
PLACES = {
    "conv_1a": "0",
    "conv_2b": "2",
    "conv_2c": "3",
    "mixed_3b": "5",
    "mixed_3c": "6",
    "mixed_4b": "8",
    "mixed_4c": "9",
    "mixed_4d": "10",
    "mixed_4e": "11",
    "mixed_4f": "12",
    "mixed_5b": "14",
    "mixed_5c": "15",
}
_BRANCHES = {**SEQUENTIAL, "b0": ".branch0"}
_PARTS = {None: (".0", ".1"), "spatial": (".0.0", ".0.1"), "temporal": (".1.0", ".1.1")}
_NAMES = Names(PLACES, _BRANCHES, _PARTS, prefix="features.")


def recognizes(state):
    return {"features.0.0.0.weight", "features.5.branch1.1.0.0.weight"} <= set(state)


def build(state, epsilon=1e-3, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    config = ARCHITECTURES["s3d_kinetics"]["config"]
    options = {"epsilon": epsilon, **backbone_options}
    backbone = S3D(**arguments(config, read_s3d(state, _NAMES), **options))
    mapping = map_inception(backbone, _NAMES)
    head = ("classifier.1.weight", "classifier.1.bias")
    return with_conv_classifier(state, backbone, mapping, *head, backbone_only, 0.2), mapping
