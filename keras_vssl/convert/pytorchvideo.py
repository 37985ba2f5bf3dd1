"""pytorchvideo's Slow networks: slow_r50 and its deeper and wider kin."""

from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.slow import build_slow

LICENCE = "Apache 2.0 (pytorchvideo); the data the weights saw has its own terms"
CITATION = (
    "Fan et al., PyTorchVideo: A Deep Learning Library for Video Understanding, ACM Multimedia "
    "2021, https://arxiv.org/abs/2111.09887"
)
CHECKPOINTS = (
    Checkpoint(
        "slow_r50_pytorchvideo_kinetics400",
        "SLOW_8x8_R50.pyth",
        "https://github.com/facebookresearch/pytorchvideo",
        "slow_r50",
        "Kinetics-400, labels",
        ("Kinetics-400 top-1 74.58 (hub docstring)",),
    ),
)


class _Names:
    """`blocks.1.res_blocks.0.branch2.conv_a` and its kin; `blocks.0` is the stem."""

    def conv(self, where):
        if where == "stem":
            return "blocks.0.conv"
        stage, block, part = where
        inner = "branch1_conv" if part == "shortcut" else f"branch2.conv_{' abc'[part]}"
        return f"blocks.{stage}.res_blocks.{block}.{inner}"

    def norm(self, where):
        return self.conv(where).replace("conv", "norm")

    def blocks(self, stage):
        return rf"blocks\.{stage}\.res_blocks\.(\d+)\."


def recognizes(state):
    return "blocks.0.conv.weight" in state and any(
        name.startswith("blocks.1.res_blocks.0.branch2.conv_a.") for name in state
    )


def build(
    state,
    stem_stride=None,
    dilate_last=False,
    epsilon=1e-5,
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array.
        stem_stride: int, the stem's stride in time. Default: 2 where it spans several frames.
        dilate_last: bool, the detection form (`slow_r50_detection`).
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave `blocks.5.proj` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    return build_slow(
        state,
        _Names(),
        head="blocks.5.proj",
        stem_stride=stem_stride,
        dilate_last=dilate_last,
        epsilon=epsilon,
        backbone_only=backbone_only,
        **backbone_options,
    )
