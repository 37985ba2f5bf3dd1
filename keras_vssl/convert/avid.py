"""What CrissCross and RepLAI share: AVID's video network under its names."""

import re

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.r3d import R2Plus1D
from keras_vssl.convert.mapping import ConvertError, count_blocks, shape_of
from keras_vssl.convert.residual import map_residual

_NORM = r"(weight|bias|running_mean|running_var)"
VIDEO = (
    rf"conv1\.(0\.weight|1\.{_NORM})|conv[2345]x\.\d+\."
    rf"((spt|tmp)_conv[12]\.weight|res_conv\.weight|(spt_bn1|tmp_bn1|spt_bn2|out_bn)\.{_NORM})"
)


class _Names:
    """`conv2x.0.spt_conv1` and its kin; stage 1 here is their conv2x."""

    def __init__(self, prefix):
        self.prefix = prefix

    def conv(self, where):
        if where == "stem":
            return f"{self.prefix}conv1.0"
        return f"{self._block(where)}.res_conv"

    def factored(self, where):
        part = where[2]
        block = self._block(where)
        return tuple(f"{block}.{kind}{part}" for kind in ("spt_conv", "spt_bn", "tmp_conv"))

    def norm(self, where):
        if where == "stem":
            return f"{self.prefix}conv1.1"
        return f"{self._block(where)}.{'tmp_bn1' if where[2] == 1 else 'out_bn'}"

    def _block(self, where):
        stage, block, _ = where
        return f"{self.prefix}conv{stage + 1}x.{block}"


def is_video(state, prefix=""):
    """Whether a state has AVID's video network behind a prefix."""
    return f"{prefix}conv2x.0.spt_conv1.weight" in state


def build_video(state, prefix, preset, epsilon, backbone_options):
    """The `R2Plus1D` that `state` holds behind a prefix, and its mapping."""
    patterns = [rf"{re.escape(prefix)}conv{stage}x\.(\d+)\." for stage in (2, 3, 4, 5)]
    blocks = count_blocks(state, patterns, "The stages conv2x to conv5x have")
    width = shape_of(state, f"{prefix}conv1.0.weight", 5)[0]
    config = ARCHITECTURES[preset]["config"]
    backbone = R2Plus1D(
        **{**config, "blocks": blocks, "width": width, "epsilon": epsilon, **backbone_options}
    )
    return backbone, map_residual(backbone, _Names(prefix))


def check_no_clip(backbone_options):
    """Raises a `ConvertError` where options of video networks are meant for sound or heads."""
    if unknown := sorted({"clip", "mean", "std"} & set(backbone_options)):
        raise ConvertError(f"Only the video network has {', '.join(unknown)}.")
