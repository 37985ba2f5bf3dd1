"""The official TSM code's and tsn-pytorch's ResNets over frames."""

from keras_vssl.convert.frames import FrameNames, build_frames
from keras_vssl.convert.mapping import ConvertError
from keras_vssl.convert.published import Checkpoint

LICENCE = "BSD 2-Clause (tsn-pytorch); the TSM code's and its weights' terms were not read"
CITATION = (
    "Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019, "
    "https://arxiv.org/abs/1811.08383"
)
CHECKPOINTS = (
    Checkpoint(
        name="tsm_resnet_50_kinetics",
        file="",
        where="https://github.com/mit-han-lab/temporal-shift-module",
        backbone="tsm_resnet_50",
        data="ImageNet, Kinetics-400, labels",
        note="The names of the tensors are those that are known of the code, not of a file here.",
    ),
)
_PREFIX, _HEAD = "base_model.", "new_fc"


def recognizes(state):
    return f"{_PREFIX}conv1.weight" in state and f"{_PREFIX}layer1.0.conv3.weight" in state


def build(state, fraction=None, epsilon=1e-5, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array, `base_model.layer1.0.conv1.net.weight` and so on; with
            `new_fc` it becomes a `VideoClassifier`. Without `.net` anywhere it is TSN's network.
        fraction: float, of the channels that are shifted. Default: 1/8 with a shift, else 0.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave `new_fc` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    stem = state.get(f"{_PREFIX}conv1.weight")
    if stem is not None and stem.ndim == 4 and stem.shape[1] != 3:
        raise ConvertError(
            f"The first convolution takes {stem.shape[1]} channels, as the networks on optical "
            f"flow or frame differences do; only RGB networks can be converted."
        )
    names = FrameNames(state, _PREFIX)
    return build_frames(state, names, _HEAD, epsilon, backbone_only, fraction, **backbone_options)
