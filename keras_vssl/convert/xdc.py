"""XDC's video network: an R(2+1)D-18 with VMZ's middle widths under torchvision's names."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import torchvision_video
from keras_vssl.convert.mapping import count_numbered
from keras_vssl.convert.published import Checkpoint

LICENCE = "MIT (HumamAlwassel/XDC); the data the weights saw has its own terms"
CITATION = (
    "Alwassel et al., Self-Supervised Learning by Cross-Modal Audio-Video Clustering, NeurIPS "
    "2020, https://arxiv.org/abs/1911.12667"
)


def _published(name, digits, data, ucf, hmdb):
    return Checkpoint(
        f"r2plus1d_18_{name}",
        f"r2plus1d_18_{name}-{digits}.pth",
        "https://github.com/HumamAlwassel/XDC",
        "r2plus1d_18_xdc",
        data,
        (f"UCF101 fine-tuned {ucf}, HMDB51 {hmdb} (repository, mean of splits)",),
        note="It holds no classifier. By torch.hub's convention the digits in the file's name "
        "start its sha256.",
    )


CHECKPOINTS = (
    _published("xdc_ig65m_kinetics", "f24f6ffb", "IG-Kinetics, by XDC", 95.5, 68.9),
    _published("xdc_ig65m_random", "189d23f4", "IG-Random, by XDC", 94.6, 66.5),
    _published("xdc_audioset", "f29ffe8f", "AudioSet, by XDC", 93.0, 63.7),
    _published("fs_kinetics", "622bdad9", "Kinetics, with labels", 94.2, 65.1),
    _published("fs_imagenet", "ff446670", "ImageNet, with labels", 84.0, 48.1),
)
# The published middle channels: VMZ's formula, where torchvision has 230.
_MIDDLE = ("layer2.0.conv2.0.0.weight", 288)


def recognizes(state):
    """XDC's released files alone: a file with a classifier, or of other depth, is VMZ's."""
    name, width = _MIDDLE
    return (
        torchvision_video.recognizes(state)
        and name in state
        and state[name].shape[0] == width
        and "fc.weight" not in state
        and all(count_numbered(state, rf"layer{i}\.(\d+)\.") == 2 for i in (1, 2, 3, 4))
    )


def build(state, epsilon=1e-3, backbone_only=False, **backbone_options):
    """Builds the video network. The authors released no audio network.

    Args:
        state: dict of name to array.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave `fc` out, where a fine-tuned file has one.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    clip = ARCHITECTURES["r2plus1d_18_xdc"]["config"]["clip"]
    return torchvision_video.build(
        state, epsilon, backbone_only=backbone_only, **{"clip": clip, **backbone_options}
    )
