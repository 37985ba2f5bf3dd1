"""The front ends of lip reading and of raw speech, in the names that AV-HuBERT and RAVEn share."""

from keras_vssl.backbones.lip_resnet import LipResNet
from keras_vssl.backbones.wave_resnet import WaveResNet
from keras_vssl.convert.mapping import Mapping, count_numbered, shape_of

# Pixels of the published grey crops.
MEAN, STD = 0.421, 0.165


def is_video(state, prefix=""):
    """Whether a 3-D stem and a trunk of 2-D convolutions are there."""
    stem = state.get(f"{prefix}frontend3D.0.weight")
    block = state.get(f"{prefix}trunk.layer1.0.conv1.weight")
    return getattr(stem, "ndim", 0) == 5 and getattr(block, "ndim", 0) == 4


def is_wave(state, prefix=""):
    """Whether a 1-D stem and a trunk of 1-D convolutions are there."""
    names = (f"{prefix}trunk.conv1.weight", f"{prefix}trunk.layer1.0.conv1.weight")
    return all(getattr(state.get(name), "ndim", 0) == 3 for name in names)


def build_front_end(state, prefix="", activation="swish", mapping=None, **options):
    """Builds a `LipResNet` or a `WaveResNet`, whichever the names tell.

    Args:
        state: dict of name to array. prefix: str, what stands before the names.
        activation: str, where the tensors have no slopes.
        mapping: `Mapping` to fill, or `None` for a new one.
        **options: arguments of the network; they win over what is read.

    Returns:
        The network and the mapping.
    """
    mapping = Mapping() if mapping is None else mapping
    video = is_video(state, prefix)
    stem = f"{prefix}frontend3D.0" if video else f"{prefix}trunk.conv1"
    norm = f"{prefix}frontend3D.1" if video else f"{prefix}trunk.bn1"
    width, channels, *_ = shape_of(state, f"{stem}.weight", 5 if video else 3)
    if f"{prefix}trunk.layer1.0.relu1.weight" in state:
        activation = "prelu"
    config = {
        "width": width,
        "blocks": [
            count_numbered(state, rf"{prefix.replace('.', '[.]')}trunk\.layer{stage}\.(\d+)\.")
            for stage in (1, 2, 3, 4)
        ],
        "activation": activation,
    }
    if video:
        config |= {
            "clip_shape": (None, None, None, channels),
            "clip": {"frames": 25, "resize": [96, 96], "size": 88},
            "mean": MEAN,
            "std": STD,
        }
    backbone = (LipResNet if video else WaveResNet)(**{**config, **options})
    prelu = backbone.activation == "prelu"
    mapping.conv(stem, backbone.get_layer("stem"))
    mapping.norm(norm, backbone.get_layer("stem_bn"))
    if prelu:
        _slopes(mapping, f"{prefix}frontend3D.2", backbone.get_layer("stem_act"))
    names = {layer.name for layer in backbone.layers}
    for stage, count in enumerate(backbone.blocks, start=1):
        for index in range(count):
            theirs, ours = f"{prefix}trunk.layer{stage}.{index}", f"layer{stage}_{index}"
            for part in (1, 2):
                mapping.conv(f"{theirs}.conv{part}", backbone.get_layer(f"{ours}_conv{part}"))
                mapping.norm(f"{theirs}.bn{part}", backbone.get_layer(f"{ours}_bn{part}"))
                if prelu:
                    _slopes(
                        mapping, f"{theirs}.relu{part}", backbone.get_layer(f"{ours}_act{part}")
                    )
            if f"{ours}_shortcut" in names:
                mapping.conv(f"{theirs}.downsample.0", backbone.get_layer(f"{ours}_shortcut"))
                mapping.norm(f"{theirs}.downsample.1", backbone.get_layer(f"{ours}_shortcut_bn"))
    return backbone, mapping


def _slopes(mapping, name, layer):
    shape = tuple(layer.alpha.shape)

    def spread(array):
        return array.reshape(shape) if array.shape == shape[-1:] else array

    mapping.add(f"{name}.weight", layer.alpha, spread)
