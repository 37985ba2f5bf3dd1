"""torchvision's ResNets for images, as networks over the frames of a clip."""

from keras_vssl.convert.frames import FrameNames, build_frames

LICENCE = "BSD 3-Clause (torchvision); the data the weights saw has its own terms"
CITATION = (
    "He et al., Deep Residual Learning for Image Recognition, CVPR 2016, "
    "https://arxiv.org/abs/1512.03385"
)


def recognizes(state):
    stem = state.get("conv1.weight")
    return stem is not None and stem.ndim == 4 and "layer1.0.conv3.weight" in state


def build(state, fraction=0.0, epsilon=1e-5, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to: TSN's, or TSM's where `fraction` says so.

    Args:
        state: dict of name to array, `layer1.0.conv1.weight` and so on; with `fc` it becomes a
            `VideoClassifier`.
        fraction: float, of the channels that a temporal shift moves each way; 1/8 makes it the
            network that TSM starts its training from.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave `fc` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    names = FrameNames(state)
    return build_frames(state, names, "fc", epsilon, backbone_only, fraction, **backbone_options)
