"""torchvision's and VMZ's video ResNets: R3D, MC3 and R(2+1)D of basic blocks."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.r3d import MC3, R3D, R2Plus1D
from keras_vssl.convert.mapping import ConvertError, count_blocks, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.residual import (
    map_residual,
    read_midplanes,
    read_stem_midplanes,
    with_classifier,
)

LICENCE = "BSD 3-Clause (torchvision), Apache 2.0 (VMZ); the data the weights saw has its own terms"
CITATION = (
    "Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018, "
    "https://arxiv.org/abs/1711.11248"
)
_TORCHVISION = "https://github.com/pytorch/vision"
_IG65M = "https://github.com/moabitcoin/ig65m-pytorch"
_HASH = "By torch.hub's convention the digits in the file's name start its sha256."

CHECKPOINTS = (
    *(
        Checkpoint(
            f"{name}_kinetics400",
            f"{name}-{digits}.pth",
            _TORCHVISION,
            name,
            "Kinetics-400",
            (f"Kinetics-400 video@1 {first}, video@5 {fifth} (5 clips, torchvision)",),
            licence="BSD 3-Clause (torchvision)",
            note=_HASH,
        )
        for name, digits, first, fifth in (
            ("r3d_18", "b3b3357e", "63.20", "83.48"),
            ("mc3_18", "a90a0ba3", "63.96", "84.13"),
            ("r2plus1d_18", "91a641e6", "67.46", "86.18"),
        )
    ),
    *(
        Checkpoint(
            f"r2plus1d_34_ig65m{'_kinetics' if tuned else ''}_{frames}",
            f"r2plus1d_34_clip{frames}_{'ft_kinetics_from_ig65m' if tuned else 'ig65m_from_scratch'}"
            f"-{digits}.pth",
            _IG65M,
            "r2plus1d_34_vmz",
            "IG-65M, then Kinetics-400" if tuned else "IG-65M",
            figures,
            {"clip": {"frames": frames}},
            note=_HASH,
        )
        for frames, tuned, digits, figures in (
            (8, False, "9bae36ae", ()),
            (32, False, "449a7af9", ()),
            (8, True, "0aa0550b", ("Kinetics-400 video@1 74.9, video@5 91.8 (VMZ model zoo)",)),
            (32, True, "ade133f1", ("Kinetics-400 video@1 80.0, video@5 94.2 (VMZ model zoo)",)),
        )
    ),
)
_KINETICS = {key: ARCHITECTURES["r3d_18"]["config"][key] for key in ("mean", "std")}


class _Names:
    """`layer2.0.conv1.0` and its kin; in R(2+1)D `.0.0`, `.0.1`, `.0.3` are the two halves."""

    def conv(self, where):
        return "stem.0" if where == "stem" else f"{self._part(where)}.0"

    def factored(self, where):
        if where == "stem":
            return "stem.0", "stem.1", "stem.3"
        part = self._part(where)
        return f"{part}.0.0", f"{part}.0.1", f"{part}.0.3"

    def norm(self, where):
        return self.stem_norm if where == "stem" else f"{self._part(where)}.1"

    def __init__(self, is_factored):
        self.stem_norm = "stem.4" if is_factored else "stem.1"

    def _part(self, where):
        stage, block, part = where
        inner = "downsample" if part == "shortcut" else f"conv{part}"
        return f"layer{stage}.{block}.{inner}"


def recognizes(state):
    return any(name.startswith("stem.0.") for name in state) and any(
        name.startswith("layer1.0.conv1.") for name in state
    )


def build(state, epsilon=None, stem_pool=False, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array.
        epsilon: float, of batch normalisation. Default: 1e-3 where the middle widths are VMZ's,
            1e-5 otherwise. R3D and MC3 look alike in both, so give 1e-3 for VMZ's.
        stem_pool: bool, VMZ's `use_pool1`.
        backbone_only: bool, leave `fc` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    if any(name.startswith("layer1.0.conv3.") for name in state):
        raise ConvertError(
            "The checkpoint has bottleneck blocks (layer1.0.conv3); only networks of basic blocks "
            "(18 and 34 layers, or other counts) can be converted."
        )
    stem = shape_of(state, "stem.0.weight", 5)
    is_factored = stem[2] == 1
    names = _Names(is_factored)
    blocks = count_blocks(state, [rf"layer{stage}\.(\d+)\." for stage in (1, 2, 3, 4)])
    options = {**_KINETICS, "blocks": blocks, "stem_pool": stem_pool, **backbone_options}
    if is_factored:
        width = shape_of(state, "stem.3.weight", 5)[0]
        midplanes = read_midplanes(state, names)
        if epsilon is None:
            epsilon = 1e-3 if midplanes == "conv" else 1e-5
        backbone = R2Plus1D(
            width=width,
            midplanes=midplanes,
            stem_midplanes=read_stem_midplanes(state, "stem.0", width),
            epsilon=epsilon,
            **options,
        )
    else:
        taps = shape_of(state, "layer2.0.conv1.0.weight", 5)[2]
        backbone = (R3D if taps == 3 else MC3)(
            width=stem[0], epsilon=1e-5 if epsilon is None else epsilon, **options
        )
    mapping = map_residual(backbone, names)
    return with_classifier(state, backbone, mapping, "fc", backbone_only), mapping
