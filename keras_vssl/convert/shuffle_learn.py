"""Shuffle and Learn's CaffeNet: batch normalisation without gain, a head on three frames."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.caffemodel import shape_of
from keras_vssl.convert.caffenet import (
    Names,
    backbone_names,
    build_caffenet,
    check_part,
    is_caffenet,
    map_layer,
)
from keras_vssl.convert.mapping import ConvertError, Mapping
from keras_vssl.convert.published import Checkpoint
from keras_vssl.layers.tuple_heads import ConcatenationHead

LICENCE = "none stated by the source (imisra/shuffle-tuple)"
CITATION = (
    "Misra, Zitnick, Hebert, Shuffle and Learn: Unsupervised Learning using Temporal Order "
    "Verification, ECCV 2016, https://arxiv.org/abs/1603.08561"
)
CHECKPOINTS = (
    Checkpoint(
        "caffenet_shuffle_learn_ucf101",
        # The link is short and does not say what the file is called.
        ".caffemodel behind goo.gl/tzHrVH",
        "https://github.com/imisra/shuffle-tuple",
        "caffenet_bn_shuffle_learn",
        "UCF101, training split 1, without labels",
        (
            "UCF101 fine-tuned 50.9 (split 1), 50.2 (mean of splits) (README)",
            "HMDB51 fine-tuned 19.8 (split 1), 18.1 (mean of splits) (README)",
            "FLIC pose PCK 84.7, AUC 49.6 (README)",
            "VOC2007 detection mAP 42.4 (README)",
        ),
        note="Only conv1 to conv5 were transferred; the short link may be gone.",
    ),
)
_HEAD = "fc8_tri"
_NAMES = Names(("fc6", "fc7"), "batch_norm_{}")
# "First, middle, last frame" (Sec. 3.1).
_FRAMES = 3


def recognizes(state):
    return (is_caffenet(state) and "batch_norm_3.0" in state) or (
        {f"{_HEAD}.0"} <= set(state) <= _head_names()
    )


def build(state, part="backbone", fold=False, epsilon=1e-5, dense_shape=None, **backbone_options):
    """Builds the frame network, or the head.

    Args:
        state: dict of name to array, `conv1.0` to `fc8_tri.1`.
        part: "backbone" (the default, but for a head alone) or "head", the `ConcatenationHead` on
            the fc7 features of three frames.
        fold: bool, take batch normalisation into the layers before it: a plain CaffeNet.
        epsilon: float, of batch normalisation.
        dense_shape: 2 ints, the pooled map that fc6 spans. Default: the square that it takes.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    check_part(part)
    if part == "head" or set(state) <= _head_names():
        classes, joined = shape_of(state, f"{_HEAD}.0", 2)
        if joined % _FRAMES:
            raise ConvertError(f"{_HEAD}.0 takes {joined} values; expected {_FRAMES} frames'.")
        head = ConcatenationHead(classes)
        head.build((None, _FRAMES, joined // _FRAMES))
        mapping = Mapping()
        map_layer(mapping, _HEAD, head.classify)
        mapping.ignore(*backbone_names(_NAMES))
        return head, mapping
    config = ARCHITECTURES["caffenet_bn_shuffle_learn"]["config"]
    backbone, mapping = build_caffenet(
        state, _NAMES, config, fold, epsilon, dense_shape, **backbone_options
    )
    mapping.ignore(*_head_names())
    return backbone, mapping


def _head_names():
    return {f"{_HEAD}.0", f"{_HEAD}.1"}
