"""The plain CaffeNet of patches that a tracker joins (Wang and Gupta)."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.caffemodel import layers_of
from keras_vssl.convert.caffenet import Names, build_caffenet, is_caffenet
from keras_vssl.convert.published import Checkpoint

LICENCE = "BSD-2-Clause (xiaolonw/caffe-video_triplet, Caffe)"
CITATION = (
    "Wang, Gupta, Unsupervised Learning of Visual Representations using Videos, ICCV 2015, "
    "https://arxiv.org/abs/1505.00687"
)
CHECKPOINTS = tuple(
    Checkpoint(
        f"caffenet_tracking_{kind}",
        f"{kind}_model.caffemodel",
        "https://github.com/xiaolonw/caffe-video_triplet",
        "caffenet_tracking",
        f"patches tracked in unlabelled YouTube videos, {pixels}",
        figures,
        note=(
            "The authors subtract a mean image (video_mean.binaryproto); here its averages for "
            "each channel are."
        ),
    )
    for kind, pixels, figures in (
        ("color", "in colour", ("VOC2012 detection mAP 52 (abstract, an ensemble)",)),
        ("gray", "in grey on three channels", ()),
    )
)
_NAMES = Names(("fc6", "fc7"))


def recognizes(state):
    # Batch normalisation and classifiers are other sources'.
    strangers = [
        name for name in layers_of(state) if name.startswith(("fc8", "bn", "batch_norm", "scale"))
    ]
    return is_caffenet(state) and {"fc6.0", "fc7.0"} <= set(state) and not strangers


def build(state, dense_shape=None, **backbone_options):
    """Builds the frame network up to fc7; its unit-norm outputs are the embedding.

    Args:
        state: dict of name to array, `conv1.0` to `fc7.1`.
        dense_shape: 2 ints, the pooled map that fc6 spans. Default: the square that it takes.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    config = ARCHITECTURES["caffenet_tracking"]["config"]
    return build_caffenet(state, _NAMES, config, False, 1e-5, dense_shape, **backbone_options)
