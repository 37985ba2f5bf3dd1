"""What the sources of ResNets over single frames share: 2-D kernels as kernels of one frame."""

import numpy as np

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.tsm import TSMResNet
from keras_vssl.convert.mapping import shape_of
from keras_vssl.convert.residual import map_residual, with_classifier
from keras_vssl.convert.slow import read_bottlenecks


def build_frames(
    state, names, head, epsilon=1e-5, backbone_only=False, fraction=None, **backbone_options
):
    """Builds a `TSMResNet`: TSM where the names tell of a shift, else TSN.

    Args:
        state: dict of name to array.
        names: object with the source's spellings, as for `build_slow`.
        head: str, the name of the linear layer.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave the linear layer out.
        fraction: float, of the channels that are shifted, which no tensor tells. Default: 1/8
            where the names tell of a shift, else 0.
        **backbone_options: further arguments of `TSMResNet`.

    Returns:
        The model, and the mapping of its variables.

    Raises:
        ConvertError: the blocks are no bottlenecks, or a stage is missing.
    """
    counts = read_bottlenecks(state, names)
    shifted = [block for block in range(counts[2]) if names.is_shifted(state, 3, block)]
    preset = "tsm_resnet_50" if shifted else "tsn_resnet_50"
    backbone = TSMResNet(
        **{
            **ARCHITECTURES[preset]["config"],
            "blocks": counts,
            "width": shape_of(state, f"{names.conv('stem')}.weight", 4)[0],
            "shift_every": shifted[1] if len(shifted) > 1 else None,
            "epsilon": epsilon,
            **({} if fraction is None else {"fraction": fraction}),
            **backbone_options,
        }
    )
    mapping = map_residual(backbone, names)
    mapping.entries = [
        (name, variable, _of_one_frame if len(variable.shape) == 5 else transform)
        for name, variable, transform in mapping.entries
    ]
    return with_classifier(state, backbone, mapping, head, backbone_only, dropout=0.5), mapping


class FrameNames:
    """torchvision's spellings `layer1.0.conv1`, `layer1.0.downsample.0`, with a prefix if any.

    Args:
        state: dict of name to array; tells where a shift wraps a convolution as `conv1.net`.
        prefix: str, before every name.
    """

    def __init__(self, state, prefix=""):
        self.state, self.prefix = state, prefix

    def conv(self, where):
        if where == "stem":
            return f"{self.prefix}conv1"
        stage, block, part = where
        inner = "downsample.0" if part == "shortcut" else f"conv{part}"
        name = f"{self.prefix}layer{stage}.{block}.{inner}"
        return f"{name}.net" if f"{name}.net.weight" in self.state else name

    def norm(self, where):
        if where == "stem":
            return f"{self.prefix}bn1"
        stage, block, part = where
        inner = "downsample.1" if part == "shortcut" else f"bn{part}"
        return f"{self.prefix}layer{stage}.{block}.{inner}"

    def blocks(self, stage):
        return rf"{self.prefix}layer{stage}\.(\d+)\."

    def is_shifted(self, state, stage, block):
        return f"{self.prefix}layer{stage}.{block}.conv1.net.weight" in state


def _of_one_frame(array):
    """`O I h w` as `1 h w I O`."""
    return np.transpose(array, (2, 3, 1, 0))[None]
