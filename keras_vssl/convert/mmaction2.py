"""mmaction2's R(2+1)D, SlowOnly, I3D, TSM, TSN and C3D."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.r3d import R2Plus1D, middle_width
from keras_vssl.convert.c3d_caffe import build_sports1m
from keras_vssl.convert.frames import build_frames
from keras_vssl.convert.mapping import count_blocks, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.residual import (
    map_residual,
    read_midplanes,
    read_stem_midplanes,
    with_classifier,
)
from keras_vssl.convert.slow import build_slow

LICENCE = "Apache 2.0 (mmaction2); the data the weights saw has its own terms"
CITATION = (
    "MMAction2 contributors, OpenMMLab's Next Generation Video Understanding Toolbox and "
    "Benchmark, 2020, https://github.com/open-mmlab/mmaction2"
)
_WHERE = "https://github.com/open-mmlab/mmaction2"
_README = "(mmaction2 README)"
CHECKPOINTS = tuple(
    Checkpoint(name, "", _WHERE, backbone, data, tuple(f"{line} {_README}" for line in figures))
    for name, backbone, data, figures in (
        (
            "slow_r50_mmaction2_kinetics400",
            "slow_r50",
            "Kinetics-400, labels",
            ("Kinetics-400 top-1 75.15 (8x8, from scratch)", "76.45 (8x8, from ImageNet)"),
        ),
        (
            "slow_r101_mmaction2_kinetics400",
            "slow_r101",
            "Kinetics-400, labels",
            ("Kinetics-400 top-1 76.59 (8x8, from scratch)",),
        ),
        (
            "tsm_resnet_50_mmaction2_kinetics400",
            "tsm_resnet_50",
            "ImageNet, Kinetics-400, labels",
            ("Kinetics-400 top-1 73.18, top-5 90.56 (8 segments, 8 clips x 10 crops)",),
        ),
        (
            "tsn_resnet_50_mmaction2_kinetics400",
            "tsn_resnet_50",
            "ImageNet, Kinetics-400, labels",
            ("Kinetics-400 top-1 72.83 (3 segments), 73.80 (5), 74.12 (8); 25 x 10 test",),
        ),
        ("i3d_r50_mmaction2_kinetics400", "i3d_r50", "Kinetics-400, labels", ()),
        ("r2plus1d_34_mmaction2_kinetics400", "r2plus1d_34_mmaction2", "Kinetics-400, labels", ()),
    )
)
_HEAD = "cls_head.fc_cls"
_IMAGENET = {key: ARCHITECTURES["r2plus1d_34_mmaction2"]["config"][key] for key in ("mean", "std")}
_C3D_STAGES = ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")


class _Names:
    """`layer2.0.conv1.conv`, its halves `layer2.0.conv1.conv.conv_s` and `conv_t`, and kin."""

    def __init__(self, state=()):
        self.state = state

    def conv(self, where):
        name = f"{self._part(where)}.conv"
        # A temporal shift wraps the convolution that it precedes.
        return f"{name}.net" if f"{name}.net.weight" in self.state else name

    def factored(self, where):
        conv = self.conv(where)
        return f"{conv}.conv_s", f"{conv}.bn_s", f"{conv}.conv_t"

    def norm(self, where):
        return f"{self._part(where)}.bn"

    def blocks(self, stage):
        return rf"layer{stage}\.(\d+)\."

    def is_shifted(self, state, stage, block):
        return f"{self._part((stage, block, 1))}.conv.net.weight" in state

    def _part(self, where):
        if where == "stem":
            return "conv1"
        stage, block, part = where
        inner = "downsample" if part == "shortcut" else f"conv{part}"
        return f"layer{stage}.{block}.{inner}"


def recognizes(state):
    return any(
        name.startswith(("conv1.conv.conv_s.", "conv1a.conv.", "layer1.0.conv1.conv.conv_s."))
        for name in state
    ) or _has_whole_convolutions(state)


def build(
    state,
    epsilon=None,
    inner_epsilon=1e-5,
    stem_pool=True,
    stem_stride=None,
    stem_pool_stride=None,
    stage_pool=None,
    fraction=None,
    dilate_last=False,
    dense_shape=None,
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array.
        epsilon: float, of the batch normalisations that the configuration file sets. Default:
            1e-3 for R(2+1)D, 1e-5 for the others.
        inner_epsilon: float, of those inside factored convolutions.
        stem_pool: bool, the 1x3x3 max pooling after the stem.
        stem_stride: int, the stem's stride in time (SlowOnly, I3D). Default: 2 where it spans
            several frames.
        stem_pool_stride, stage_pool: int, I3D's poolings in time, see `SlowResNet`. Default: 2.
        fraction: float, of the channels that are shifted (TSM). Default: 1/8 with a shift, else 0.
        dilate_last: bool, the detection form (SlowOnly on AVA).
        dense_shape: 3 ints, the pooled map that C3D's fc6 spans. Default: from fc6, with T = 1.
        backbone_only: bool, leave `cls_head.fc_cls` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    if any(name.startswith("conv1a.") for name in state):
        return build_sports1m(
            state,
            {stage: f"conv{stage}.conv" for stage in _C3D_STAGES},
            head=_HEAD,
            dense_shape=dense_shape,
            backbone_only=backbone_only,
            **backbone_options,
        )
    names = _Names(state)
    if _has_whole_convolutions(state):
        epsilon = 1e-5 if epsilon is None else epsilon
        if state["conv1.conv.weight"].ndim == 4:
            return build_frames(
                state, names, _HEAD, epsilon, backbone_only, fraction, **backbone_options
            )
        pools = {"stem_pool_stride": stem_pool_stride, "stage_pool": stage_pool}
        pools = {key: value for key, value in pools.items() if value is not None}
        return build_slow(
            state,
            names,
            head=_HEAD,
            stem_stride=stem_stride,
            dilate_last=dilate_last,
            epsilon=epsilon,
            backbone_only=backbone_only,
            **{"stem_pool": stem_pool, **pools, **_IMAGENET, **backbone_options},
        )
    blocks = count_blocks(state, [names.blocks(stage) for stage in (1, 2, 3, 4)])
    width = shape_of(state, "conv1.conv.conv_t.weight", 5)[0]
    config = ARCHITECTURES["r2plus1d_34_mmaction2"]["config"]
    backbone = R2Plus1D(
        **{
            **config,
            "blocks": blocks,
            "width": width,
            "midplanes": read_midplanes(state, names),
            "stem_midplanes": read_stem_midplanes(state, "conv1.conv.conv_s", width),
            "shortcut_taps": _shortcut_taps(state, names),
            "stem_pool": stem_pool,
            "epsilon": 1e-3 if epsilon is None else epsilon,
            "inner_epsilon": inner_epsilon,
            **backbone_options,
        }
    )
    mapping = map_residual(backbone, names)
    return with_classifier(state, backbone, mapping, _HEAD, backbone_only, dropout=0.5), mapping


def _has_whole_convolutions(state):
    """Convolutions that are not factored into space and time: SlowOnly, I3D, TSM and TSN."""
    names = ("layer1.0.conv1.conv.weight", "layer1.0.conv1.conv.net.weight")
    return "conv1.conv.weight" in state and any(name in state for name in names)


def _shortcut_taps(state, names):
    spatial, _, temporal = names.factored((2, 0, "shortcut"))
    found, channels_in = shape_of(state, f"{spatial}.weight", 5)[:2]
    channels_out = shape_of(state, f"{temporal}.weight", 5)[0]
    return 1 if found == middle_width(channels_in, channels_out, taps=1, size=1) else 3
