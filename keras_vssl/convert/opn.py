"""OPN's CaffeNet and its head that sorts four frames."""

import numpy as np

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.caffemodel import layers_of, shape_of, strip
from keras_vssl.convert.caffenet import (
    Names,
    backbone_names,
    build_caffenet,
    check_part,
    is_caffenet,
    map_layer,
    read_share,
)
from keras_vssl.convert.mapping import ConvertError, Mapping
from keras_vssl.convert.published import Checkpoint
from keras_vssl.layers.tuple_heads import OPN_PAIRS, SortingHead

LICENCE = "none stated by the source (HsinYingLee/OPN)"
CITATION = (
    "Lee, Huang, Singh, Yang, Unsupervised Representation Learning by Sorting Sequences, ICCV "
    "2017, https://arxiv.org/abs/1708.01246"
)
CHECKPOINTS = (
    Checkpoint(
        "caffenet_opn_ucf101",
        "UCF_OPN.caffemodel",
        "https://github.com/HsinYingLee/OPN",
        "caffenet_opn",
        "UCF101, without labels",
        note="The university's host that keeps the file may be gone.",
    ),
    Checkpoint(
        "caffenet_opn_nobn",
        "UCFHMDBACT_nobn.caffemodel",
        "https://github.com/HsinYingLee/OPN",
        "",
        "UCF101, HMDB51 and ActivityNet, without labels",
        note="Without batch normalisation, for transfer to VOC 2007.",
    ),
)
_NAMES = Names(("fc6_tp",), "bn{}", "scale{}")
_CLASSIFIER = "fc8_tp"
_PAIR, _NORM, _SCALE = "fc7_suborder", "bn7", "scale7"


def recognizes(state):
    layers = set(layers_of(state))
    return (is_caffenet(state) and "fc6_tp" in layers) or {f"{_PAIR}_1", _CLASSIFIER} <= layers


def build(state, part="backbone", fold=False, epsilon=1e-5, dense_shape=None, **backbone_options):
    """Builds the frame network up to fc6, or the head.

    Caffe saves what layers share once for each of them; the copies have to be equal.

    Args:
        state: dict of name to array, `conv1.0` to `fc8_tp.1`.
        part: "backbone" (the default, but for a head alone) or "head", the `SortingHead` on the
            fc6 features of four frames.
        fold: bool, take batch normalisation into the layers before it: a plain CaffeNet, as the
            authors' deploy prototxt describes it.
        epsilon: float, of batch normalisation.
        dense_shape: 2 ints, the pooled map that fc6 spans. Default: the square that it takes.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    check_part(part)
    head = {name for name in state if name.startswith((f"{_PAIR}_", "bn7_", "scale7_", "fc8_tp."))}
    if part == "head" or not is_caffenet(state):
        model, mapping = _build_head(state, epsilon)
        mapping.ignore(*backbone_names(_NAMES))
        return model, mapping
    config = ARCHITECTURES["caffenet_opn"]["config"]
    backbone, mapping = build_caffenet(
        state, _NAMES, config, fold, epsilon, dense_shape, **backbone_options
    )
    mapping.ignore(*head)
    return backbone, mapping


def _build_head(state, epsilon):
    hidden, joined = shape_of(state, f"{_PAIR}_1.0", 2)
    classes, columns = shape_of(state, f"{_CLASSIFIER}.0", 2)
    count = len(OPN_PAIRS)
    if columns != hidden * count or joined % 2:
        raise ConvertError(
            f"{_CLASSIFIER}.0 takes {columns} values and {_PAIR}_1.0 {joined}; expected "
            f"{hidden * count}, those of the six pairs of four frames, and an even number."
        )
    is_normalized = any(name.startswith((f"{_NORM}_", f"{_SCALE}_")) for name in state)
    head = SortingHead(hidden, classes, batch_normalization=is_normalized, epsilon=epsilon)
    head.build((None, 4, joined // 2))
    mapping = Mapping()
    map_layer(mapping, f"{_PAIR}_1", head.pair)
    map_layer(mapping, _CLASSIFIER, head.classify)
    shared = [f"{_PAIR}_{{}}.{i}" for i in (0, 1)]
    if is_normalized:
        share = read_share(state, f"{_NORM}_1")
        for i, variable in enumerate((head.norm.moving_mean, head.norm.moving_variance)):
            mapping.add(f"{_NORM}_1.{i}", variable, lambda array: strip(array, 1) * share)
        mapping.ignore(f"{_NORM}_1.2")
        for pair in range(count):
            for i, variables in enumerate((head.gains, head.offsets)):
                mapping.add(
                    f"{_SCALE}_{pair + 1}.{i}", variables[pair], lambda array: strip(array, 1)
                )
        shared += [f"{_NORM}_{{}}.{i}" for i in (0, 1, 2)]
    for name in shared:
        first, *copies = (name.format(pair + 1) for pair in range(count))
        for copy in copies:
            if copy in state and first in state and not np.array_equal(state[first], state[copy]):
                raise ConvertError(
                    f"{copy} differs from {first}; expected equal copies of what the pairs share."
                )
        mapping.ignore(*copies)
    return head, mapping
