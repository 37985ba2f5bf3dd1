"""S3D and S3D-G of Kinetics: TF-slim's variables, and Min's PyTorch release of S3D."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.s3d import S3D
from keras_vssl.convert.inception import (
    SEQUENTIAL,
    SLIM_PLACES,
    Names,
    arguments,
    map_inception,
    ones,
    read_s3d,
    with_conv_classifier,
)
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.torchvision_s3d import PLACES

LICENCE = "Apache 2.0 (TF-slim), MIT (kylemin/S3D); the data the weights saw has its own terms"
CITATION = (
    "Xie et al., Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video "
    "Classification, ECCV 2018, https://arxiv.org/abs/1712.04851"
)
CHECKPOINTS = (
    Checkpoint(
        name="s3d_kinetics400_min",
        file="S3D_kinetics400.pt",
        where="https://github.com/kylemin/S3D",
        backbone="s3d_kinetics",
        data="Kinetics-400",
        figures=("Kinetics-400 val 72.08 top-1, 90.35 top-5 (author's page)",),
    ),
)

_MIN = Names(
    PLACES,
    SEQUENTIAL,
    {
        None: (".conv", ".bn"),
        "spatial": (".conv_s", ".bn_s"),
        "temporal": (".conv_t", ".bn_t"),
    },
    prefix="base.",
)
_SLIM_BRANCHES = {
    "b0": "/Branch_0/Conv2d_0a_1x1",
    "b1a": "/Branch_1/Conv2d_0a_1x1",
    "b1b": "/Branch_1/Conv2d_0b_3x3",
    "b2a": "/Branch_2/Conv2d_0a_1x1",
    "b2b": "/Branch_2/Conv2d_0b_3x3",
    "b3": "/Branch_3/Conv2d_0b_1x1",
}
_SLIM_PARTS = {None: "", "spatial": "", "temporal": "/temporal"}
_SLIM_STEM = "Conv2d_1a_7x7/weights"


class _SlimNames(Names):
    """Batch normalisation has no gain, the 3x1x1 convolutions a bias, the gates none."""

    channels_last = True

    def kernel(self, unit, half=None):
        return f"{self.unit(unit)}{self.parts[half]}/weights"

    def gate_kernel(self, unit):
        return f"{self.unit(unit)}/self_gating/transformer_W/weights"

    def map_conv(self, mapping, unit, half, layer):
        mapping.add(self.kernel(unit, half), layer.kernel)
        if layer.use_bias:
            mapping.add(f"{self.unit(unit)}{self.parts[half]}/biases", layer.bias)

    def map_norm(self, mapping, unit, half, layer):
        name = f"{self.unit(unit)}{self.parts[half]}/BatchNorm"
        mapping.add(None, layer.gamma, ones)
        mapping.add(f"{name}/beta", layer.beta)
        mapping.add(f"{name}/moving_mean", layer.moving_mean)
        mapping.add(f"{name}/moving_variance", layer.moving_variance)

    def map_gate(self, mapping, unit, layer):
        def flatten(array):
            return array.reshape(array.shape[3:]) if array.shape[:3] == (1, 1, 1) else array

        mapping.add(self.gate_kernel(unit), layer.kernel, flatten)
        mapping.add(None, layer.bias)


def recognizes(state):
    return _slim_prefix(state) is not None or {
        "base.0.conv_s.weight",
        "base.5.branch1.1.conv_t.weight",
    } <= set(state)


def build(state, epsilon=1e-3, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    prefix = _slim_prefix(state)
    if prefix is None:
        # Pixels in [-1, 1], where torchvision's network takes Kinetics' statistics.
        names, config = _MIN, {**ARCHITECTURES["s3d_kinetics"]["config"], "mean": 0.5, "std": 0.5}
        head = ("fc.0.weight", "fc.0.bias")
    else:
        names = _SlimNames(SLIM_PLACES, _SLIM_BRANCHES, _SLIM_PARTS, prefix=prefix)
        # The public code normalises after the temporal half nowhere.
        norm = f"{prefix}Conv2d_2c_3x3/temporal/BatchNorm/beta"
        config = {**ARCHITECTURES["s3dg"]["config"], "temporal_norm": norm in state}
        head = tuple(f"{prefix}Logits/Conv2d_0c_1x1/{part}" for part in ("weights", "biases"))
    options = {"epsilon": epsilon, **backbone_options}
    backbone = S3D(**arguments(config, read_s3d(state, names), **options))
    mapping = map_inception(backbone, names)
    mapping.ignore("global_step")
    return with_conv_classifier(state, backbone, mapping, *head, backbone_only), mapping


def _slim_prefix(state):
    """What stands before the stem of an S3D, usually `InceptionV1/`, or `None`."""
    for name in state:
        prefix = name.removesuffix(_SLIM_STEM)
        # Slim's Inception-v1 for images has the same names and no temporal halves.
        if prefix != name and f"{prefix}Conv2d_2c_3x3/temporal/weights" in state:
            return prefix
    return None
