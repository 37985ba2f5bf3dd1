"""CVRL's R3D-50 and deeper: TensorFlow object checkpoints of the Model Garden's ResNet3D."""

import re

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.slow import SlowResNet
from keras_vssl.convert.mapping import ConvertError, Mapping, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.slow import read_temporal_kernels

LICENCE = "Apache 2.0 (tensorflow/models); the data the weights saw has its own terms"
CITATION = (
    "Qian et al., Spatiotemporal Contrastive Video Representation Learning, CVPR 2021, "
    "https://arxiv.org/abs/2008.03800"
)
_LINEAR = "Kinetics-400 linear {} (README)"
CHECKPOINTS = tuple(
    Checkpoint(
        f"slow_r50_cvrl_{name}",
        f"r3d_1x_{name}.tar.gz",
        "https://github.com/tensorflow/models/tree/master/official/projects/video_ssl",
        "slow_r50_cvrl",
        data,
        figures,
        note="A .tar.gz of a TensorFlow checkpoint's files: unpack it and give their prefix.",
    )
    for name, data, figures in (
        ("k400_200ep", "Kinetics-400, 200 epochs", (_LINEAR.format("63.8"),)),
        ("k400_800ep", "Kinetics-400, 800 epochs", (_LINEAR.format("66.1"),)),
        (
            "k600_800ep",
            "Kinetics-600, 800 epochs",
            (_LINEAR.format("68.5"), "Kinetics-600 linear 70.4 (README, abstract)"),
        ),
    )
)
# The backbone's first kernel, behind whatever the backbone is called in the checkpoint.
_STEM = re.compile(r"^((?:.*/)?layer_with_weights-)0/kernel((?:/\.ATTRIBUTES/VARIABLE_VALUE)?)$")
_PARTS = {
    "conv1": "_temporal_conv",
    "bn1": "_norm1",
    "conv2": "_spatial_conv",
    "bn2": "_norm2",
    "conv3": "_expand_conv",
    "bn3": "_norm3",
    "shortcut": "_shortcut_conv",
    "shortcut_bn": "_norm0",
}


def recognizes(state):
    return _find_stem(state) is not None and any("/_temporal_conv/kernel" in n for n in state)


def build(state, stem_stride=2, epsilon=1e-5, **backbone_options):
    """Builds the backbone that `state` holds.

    Projection heads, classifiers and the state of the training are left out. Kernels may be in the
    checkpoint's own layout, T H W I O, or in PyTorch's, O I T H W.

    Args:
        state: dict of name to array, `backbone/layer_with_weights-0/kernel` and so on, with or
            without `/.ATTRIBUTES/VARIABLE_VALUE` at the end.
        stem_stride: int, the stem's stride in time, which no tensor tells.
        epsilon: float, of batch normalisation.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.

    Raises:
        ConvertError: there are not four stages, the stem is of several convolutions (ResNet-D).
    """
    prefix, suffix = _find_stem(state)
    stem = f"{prefix}0/kernel{suffix}"
    is_pytorch = shape_of(state, stem, 5)[1] == 3

    def shape(name):
        found = shape_of(state, name, 5)
        return (*found[2:], found[1], found[0]) if is_pytorch else found

    if f"{prefix}2/kernel{suffix}" in state:
        raise ConvertError(
            "The stem has several convolutions (the ResNet-D form); only the form of one "
            "convolution can be converted."
        )
    stages, number = [], 2  # 0 and 1 are the stem's convolution and its normalisation
    while (kernel := f"{prefix}{number}/_temporal_conv/kernel{suffix}") in state:
        if f"{prefix}{number}/_shortcut_conv/kernel{suffix}" in state or not stages:
            stages.append([])
        stages[-1].append(shape(kernel)[0])
        number += 1
    if len(stages) != 4:
        raise ConvertError(
            f"The checkpoint has {len(stages)} stages of blocks; expected four, each of which "
            f"starts with a _shortcut_conv."
        )
    stem_kernel, *_, width = shape(stem)
    backbone = SlowResNet(
        **{
            **ARCHITECTURES["slow_r50_cvrl"]["config"],
            "blocks": [len(stage) for stage in stages],
            "width": width,
            "stem_kernel": stem_kernel,
            "stem_stride": stem_stride,
            "temporal_kernels": read_temporal_kernels(stages),
            "epsilon": epsilon,
            **backbone_options,
        }
    )
    mapping = _map(backbone, prefix, suffix, _to_keras if is_pytorch else None)
    mapping.ignore(*(name for name in state if not name.startswith(prefix)))
    return backbone, mapping


def _find_stem(state):
    """What stands before and after the number and the variable in the backbone's names."""
    found = [m for name in state if (m := _STEM.match(name)) and state[name].ndim == 5]
    return min(found, key=lambda match: len(match[0])).groups() if found else None


def _map(backbone, prefix, suffix, transform):
    mapping = Mapping()
    layers = {layer.name: layer for layer in backbone.layers}

    def add(name, layer):
        if hasattr(layer, "kernel"):
            mapping.add(f"{prefix}{name}/kernel{suffix}", layer.kernel, transform)
            return
        for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
            mapping.add(f"{prefix}{name}/{variable}{suffix}", getattr(layer, variable))

    add("0", layers["stem"])
    add("1", layers["stem_bn"])
    number = 2
    for stage, count in enumerate(backbone.blocks, start=1):
        for block in range(count):
            for part, name in _PARTS.items():
                if layer := layers.get(f"layer{stage}_{block}_{part}"):
                    add(f"{number}/{name}", layer)
            number += 1
    return mapping


def _to_keras(array):
    return array.transpose(2, 3, 4, 1, 0)
