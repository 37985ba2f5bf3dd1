"""MIL-NCE's S3D-G of HowTo100M: the released weights and its training code's checkpoints."""

import re

from keras_vssl.backbones.inception import BRANCHES, CHANNELS
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.s3d import S3D
from keras_vssl.convert import word_bag
from keras_vssl.convert.inception import Names, arguments, map_inception, read_s3d
from keras_vssl.convert.mapping import check_part, shape_of
from keras_vssl.convert.published import Checkpoint

LICENCE = "Apache 2.0; the videos the weights saw have their own terms"
CITATION = (
    "Miech et al., End-to-End Learning of Visual Representations from Uncurated Instructional "
    "Videos, CVPR 2020, https://arxiv.org/abs/1912.06430"
)
CHECKPOINTS = (
    Checkpoint(
        name="s3dg_mil_nce_howto100m",
        file="s3d_howto100m.pth",
        where="https://github.com/antoine77340/S3D_HowTo100M",
        backbone="s3dg_howto100m",
        data="HowTo100M, videos with narrations",
        figures=(
            "MSR-VTT zero-shot R@1, 5, 10: 9.9, 24.0, 32.4, median rank 29.5 (authors' page)",
            "YouCook2 zero-shot R@1, 5, 10: 15.1, 38.0, 51.2, median rank 10 (authors' page)",
        ),
        note="For classification take the features before the joint space: backbone_only=True.",
    ),
)
_BRANCH_NAMES = dict(
    zip(
        BRANCHES,
        (".conv_b0", ".conv_b1_a", ".conv_b1_b", ".conv_b2_a", ".conv_b2_b", ".conv_b3_b"),
        strict=True,
    )
)
_GATES = {
    "conv_2c": "gating.fc",
    **{branch: f".gating_{branch[:2]}.fc" for branch in ("b0", "b1b", "b2b", "b3")},
}
_NAMES = Names(
    {endpoint: "conv1" if endpoint == "conv_1a" else endpoint for endpoint in CHANNELS},
    _BRANCH_NAMES,
    {
        None: (".conv1", ".bn1"),
        "spatial": (".conv1", ".bn1"),
        "temporal": (".conv2", ".bn2"),
    },
    _GATES,
)
_VIDEO = re.compile(r"(conv1|conv_2[bc]|mixed_[345][b-f]|gating|fc)\.")  # the video network's
_TEXT = ("word_embd.weight", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")


def recognizes(state):
    return {"conv1.conv1.weight", "mixed_3b.conv_b1_a.conv1.weight"} <= set(state)


def build(state, part="video", backbone_only=False, epsilon=1e-5, **backbone_options):
    """Builds a network that `state` belongs to.

    The video network's output is the embedding in the joint space of videos and texts, a linear map
    of the features.

    Args:
        state: dict of name to array.
        part: "video", or "text": the `WordBag` of its text module.
        backbone_only: bool, leave the linear map out: the output is the map of 1024 channels that
            the authors classify with.
        epsilon: float, of batch normalisation.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    check_part(part, "video", "text")
    if part == "text":
        backbone, mapping = word_bag.build(state, prefix=word_bag.PREFIX)
        mapping.ignore(*filter(_VIDEO.match, state))
        return backbone, mapping
    is_joint = "fc.weight" in state and not backbone_only
    config = ARCHITECTURES["s3dg_howto100m"]["config"]
    options = {
        "embedding_dim": shape_of(state, "fc.weight", 2)[0] if is_joint else None,
        "epsilon": epsilon,
        **backbone_options,
    }
    backbone = S3D(**arguments(config, read_s3d(state, _NAMES), **options))
    mapping = map_inception(backbone, _NAMES)
    if is_joint:
        mapping.dense("fc", backbone.get_layer("embedding"))
    else:
        mapping.ignore("fc.weight", "fc.bias")
    mapping.ignore(*(f"text_module.{name}" for name in _TEXT))
    return backbone, mapping
