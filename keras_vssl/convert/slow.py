"""What the sources of Slow networks and I3D's ResNets share: the architecture from the shapes."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.slow import SlowResNet
from keras_vssl.convert.mapping import ConvertError, count_blocks, shape_of
from keras_vssl.convert.residual import map_residual, with_classifier


def build_slow(
    state,
    names,
    head,
    stem_stride=None,
    dilate_last=False,
    epsilon=1e-5,
    backbone_only=False,
    i3d="i3d_r50",
    **backbone_options,
):
    """Builds a `SlowResNet` from PyTorch's tensors.

    Args:
        state: dict of name to array.
        names: object with the source's spellings: `conv(where)` and `norm(where)` as in
            `map_residual`, and `blocks(stage)`, a pattern whose group 1 is a block's number.
        head: str, the name of the linear layer.
        stem_stride: int, the stem's stride in time, which no tensor tells. Default: 2 where the
            stem spans several frames (the dense form), 1 where it spans one; of an I3D, the
            source's.
        dilate_last: bool, the last stage has dilation 2 and no stride, which no tensor tells.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave the linear layer out.
        i3d: str, the architecture whose strides and poolings an I3D has in this source. An I3D is
            told by blocks of one stage that differ in their temporal kernels.
        **backbone_options: further arguments of `SlowResNet`; they win over what is read.

    Returns:
        The model, and the mapping of its variables.

    Raises:
        ConvertError: the blocks are no bottlenecks, or a stage is missing.
    """
    counts = read_bottlenecks(state, names)
    width, _, stem_kernel, *_ = shape_of(state, f"{names.conv('stem')}.weight", 5)
    taps = read_temporal_kernels(
        [
            [
                shape_of(state, f"{names.conv((stage, block, 1))}.weight", 5)[2]
                for block in range(count)
            ]
            for stage, count in enumerate(counts, start=1)
        ]
    )
    preset = "slow_r50_dense" if stem_kernel > 1 else "slow_r50"
    config = ARCHITECTURES[preset]["config"]
    if not all(isinstance(kernel, int) for kernel in taps):
        config = ARCHITECTURES[i3d]["config"]
        stem_stride = stem_stride or config.get("stem_stride", 1)
    backbone = SlowResNet(
        **{
            **config,
            "blocks": counts,
            "width": width,
            "stem_kernel": stem_kernel,
            "stem_stride": stem_stride or (2 if stem_kernel > 1 else 1),
            "temporal_kernels": taps,
            "dilate_last": dilate_last,
            "epsilon": epsilon,
            **backbone_options,
        }
    )
    mapping = map_residual(backbone, names)
    return with_classifier(state, backbone, mapping, head, backbone_only, dropout=0.5), mapping


def read_bottlenecks(state, names):
    """The block counts of the four stages.

    Raises:
        ConvertError: a stage is missing, or the blocks are no bottlenecks.
    """
    counts = count_blocks(state, [names.blocks(stage) for stage in (1, 2, 3, 4)])
    if f"{names.conv((1, 0, 3))}.weight" not in state:
        raise ConvertError(
            "The checkpoint has blocks of two convolutions (18 or 34 layers); only bottleneck "
            "blocks (50, 101, 152 layers, or other counts) can be converted."
        )
    return counts


def read_temporal_kernels(stages):
    """The temporal kernels of the stages: one where its blocks agree, else a list."""
    return [stage[0] if len(set(stage)) == 1 else list(stage) for stage in stages]
