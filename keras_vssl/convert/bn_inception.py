"""BN-Inception of tsn-pytorch, of its ImageNet ports, and of TSN's caffemodels."""

import re

import numpy as np

from keras_vssl.backbones.bn_inception import BNInception
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.mapping import Mapping, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.residual import with_classifier

LICENCE = "BSD 2-Clause (TSN); the data the weights saw has its own terms"
CITATION = (
    "Wang et al., Temporal Segment Networks: Towards Good Practices for Deep Action Recognition, "
    "ECCV 2016, https://arxiv.org/abs/1608.00859"
)
CHECKPOINTS = (
    Checkpoint(
        name="bn_inception_imagenet",
        file="bn_inception-239d2248.pth",
        where="https://github.com/Cadene/pretrained-models.pytorch",
        backbone="tsn_bn_inception",
        data="ImageNet, labels",
        note="The port that tsn-pytorch starts from. Its pixels are BGR, 0 to 255; here RGB.",
    ),
)
_PREFIXES = ("base_model.", "")
_STEM = "conv1_7x7_s2"
_HEADS = ("new_fc", "last_linear", "fc-action", "fc_action")
# A blob of Caffe, by its number: a normalisation of TSN's fork is one layer with four.
_CAFFE = {"": ("weight", "bias"), "_bn": ("weight", "bias", "running_mean", "running_var")}


def recognizes(state):
    names = _renamed(state)
    return any(f"{prefix}{_STEM}.weight" in names for prefix in _PREFIXES)


def build(state, bgr=True, epsilon=1e-5, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array: `base_model.conv1_7x7_s2.weight` and so on (tsn-pytorch), the
            same without a prefix, or the blobs of a caffemodel, `conv1/7x7_s2`. With a linear
            layer (`new_fc`, `last_linear`, `fc-action`) it becomes a `VideoClassifier`.
        bgr: bool, its first convolution reads blue, green, red; it is turned to RGB. Networks on
            optical flow or differences stay as they are.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave the linear layer out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    names = _renamed(state)
    prefix = next((p for p in _PREFIXES if f"{p}{_STEM}.weight" in names), "")
    stem = names.get(f"{prefix}{_STEM}.weight", f"{prefix}{_STEM}.weight")
    width, channels, *_ = shape_of(state, stem, 4)
    is_rgb = channels == 3
    config = dict(ARCHITECTURES["tsn_bn_inception"]["config"])
    if not is_rgb:  # grey pictures of flow around 128
        config |= {"mean": 128 / 255, "std": 1 / 255, "clip_shape": [None, None, None, channels]}
    backbone = BNInception(**{**config, "width": width, "epsilon": epsilon, **backbone_options})
    mapping = Mapping()
    for layer in backbone.layers:
        name = f"{prefix}{layer.name}"
        if layer.name == _STEM and is_rgb and bgr:
            mapping.add(f"{name}.weight", layer.kernel, _turned)
            mapping.add(f"{name}.bias", layer.bias)
        elif hasattr(layer, "kernel"):
            mapping.conv(name, layer)
        elif layer.name.endswith("_bn"):
            mapping.norm(name, layer)
    head = next((name for name in _HEADS if f"{name}.weight" in names), _HEADS[0])
    renamed = {new: state[old] for new, old in names.items()}
    model = with_classifier(renamed, backbone, mapping, head, backbone_only)
    mapping.entries = [
        (name, variable, _flat if "bn." in str(name) else transform)
        for name, variable, transform in mapping.entries
    ]
    mapping.rename(names)
    return model, mapping


def _renamed(state):
    """Names as PyTorch's ports have them, each with the name in the file."""
    found = {}
    for name in state:
        if match := re.fullmatch(r"(.+)[./](\d)", name):  # a blob of Caffe
            layer, number = match[1].replace("/", "_"), int(match[2])
            kinds = _CAFFE["_bn" if layer.endswith("_bn") else ""]
            if number < len(kinds):
                found[f"{layer}.{kinds[number]}"] = name
        else:
            found[name] = name
    return found


def _turned(array):
    """`O I h w` of blue, green, red as `h w I O` of red, green, blue."""
    return np.transpose(array[:, ::-1], (2, 3, 1, 0))


def _flat(array):
    return array.reshape(-1)  # Caffe's are 1 C 1 1
