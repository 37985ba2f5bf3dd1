"""What the sources of residual video networks share: layers by place, and heads."""

from keras_vssl.backbones.r3d import middle_width
from keras_vssl.convert.mapping import ConvertError, Mapping, shape_of


def map_residual(backbone, names):
    """Maps a `R3D`, `MC3`, `R2Plus1D` or `SlowResNet`.

    Args:
        backbone: the network, built.
        names: object with the source's spellings: `conv(where)`, `factored(where)` and
            `norm(where)`, where `where` is `"stem"` or `(stage, block, part)`, stage from 1,
            block from 0, part `1`, `2`, `3` (bottlenecks) or `"shortcut"`. `factored`, which only
            `R2Plus1D` asks, gives the names of the spatial convolution, its normalisation and the
            temporal convolution.

    Returns:
        A `Mapping` that covers the backbone.
    """
    mapping = Mapping()
    layers = {layer.name for layer in backbone.layers}

    def convolution(where, layer):
        if f"{layer}_spatial" in layers:
            spatial, norm, temporal = names.factored(where)
            mapping.conv(spatial, backbone.get_layer(f"{layer}_spatial"))
            mapping.norm(norm, backbone.get_layer(f"{layer}_spatial_bn"))
            mapping.conv(temporal, backbone.get_layer(f"{layer}_temporal"))
        else:
            mapping.conv(names.conv(where), backbone.get_layer(layer))

    convolution("stem", "stem")
    mapping.norm(names.norm("stem"), backbone.get_layer("stem_bn"))
    for stage, count in enumerate(backbone.blocks, start=1):
        for block in range(count):
            layer = f"layer{stage}_{block}"
            for part in (1, 2, 3) if f"{layer}_bn3" in layers else (1, 2):
                convolution((stage, block, part), f"{layer}_conv{part}")
                mapping.norm(
                    names.norm((stage, block, part)), backbone.get_layer(f"{layer}_bn{part}")
                )
            if {f"{layer}_shortcut", f"{layer}_shortcut_spatial"} & layers:
                convolution((stage, block, "shortcut"), f"{layer}_shortcut")
            if f"{layer}_shortcut_bn" in layers:
                mapping.norm(
                    names.norm((stage, block, "shortcut")),
                    backbone.get_layer(f"{layer}_shortcut_bn"),
                )
    return mapping


def read_midplanes(state, names):
    """The convention of the middle widths, from stage 2, where they differ: "block" or "conv"."""
    name = f"{names.factored((2, 0, 2))[0]}.weight"
    found, channels = shape_of(state, name, 5)[:2]
    first = shape_of(state, f"{names.factored((2, 0, 1))[0]}.weight", 5)[1]
    choices = {
        "conv": middle_width(channels, channels),
        "block": middle_width(first, channels),
    }
    for convention, width in choices.items():
        if found == width:
            return convention
    raise ConvertError(
        f"{name} has {found} middle channels; expected {choices['block']} (torchvision's "
        f"convention) or {choices['conv']} (VMZ's, VCOP's and mmaction2's)."
    )


def read_stem_midplanes(state, name, width):
    """Middle channels of the stem, `None` where they are what the formula gives."""
    found, channels = shape_of(state, f"{name}.weight", 5)[:2]
    return None if found == middle_width(channels, width, size=7) else found


def with_classifier(state, backbone, mapping, name, backbone_only, dropout=0.0):
    """The model to fill: a `VideoClassifier` where `state` has the linear layer `name`."""
    weight, bias = f"{name}.weight", f"{name}.bias"
    if backbone_only:
        mapping.ignore(weight, bias)
    if backbone_only or weight not in state:
        return backbone
    from keras_vssl.downstream import VideoClassifier

    classes = shape_of(state, weight, 2)[0]
    model = VideoClassifier(backbone, num_classes=classes, dropout=dropout)
    mapping.dense(name, model.head)
    return model
