"""What the sources of Inception networks share: units by place, channels from shapes, heads."""

import numpy as np

from keras_vssl.backbones.inception import BRANCHES, CHANNELS, scaled_channels
from keras_vssl.convert.mapping import ConvertError, Mapping, shape_of

# How TensorFlow's sources call the blocks, and slim, which MMV follows, every unit.
MIXED = {name: name.capitalize() for name in CHANNELS if name.startswith("mixed")}
SLIM_PLACES = {
    "conv_1a": "Conv2d_1a_7x7",
    "conv_2b": "Conv2d_2b_1x1",
    "conv_2c": "Conv2d_2c_3x3",
    **MIXED,
}
# The branches of a block as PyTorch's sequences, in which a pooling counts too.
SEQUENTIAL = {
    "b0": ".branch0.0",
    "b1a": ".branch1.0",
    "b1b": ".branch1.1",
    "b2a": ".branch2.0",
    "b2b": ".branch2.1",
    "b3": ".branch3.1",
}


def units_of(endpoint):
    """The units of an endpoint: itself, or the six of a block."""
    if isinstance(CHANNELS[endpoint], int):
        return (endpoint,)
    return tuple(f"{endpoint}_{branch}" for branch in BRANCHES)


class Names:
    """How a PyTorch source spells the tensors of a unit.

    Args:
        places: dict of endpoint to the source's name.
        branches: dict of a block's branch (`BRANCHES`) to what follows the block's name.
        parts: dict of half to the names of the convolution and the normalisation in it. The half
            is `None` in a plain unit, `"spatial"` and `"temporal"` in a separable one.
        gates: dict of branch, or of `"conv_2c"`, to the name of a gate's linear layer; a branch's
            follows the block's name.
        prefix: str, before every name.
    """

    channels_last = False

    def __init__(self, places, branches, parts, gates=None, prefix=""):
        self.places = places
        self.branches = branches
        self.parts = parts
        self.gates = gates or {}
        self.prefix = prefix

    def unit(self, unit):
        """The name of a unit, such as `conv_2c` or `mixed_4b_b1a`."""
        endpoint, branch = _split(unit)
        if branch is None:
            return self.prefix + self.places[endpoint]
        return self.prefix + self.places[endpoint] + self.branches[branch]

    def gate(self, unit):
        """The name of a unit's gate, or `None` where the source has none."""
        endpoint, branch = _split(unit)
        if branch is None:
            name = self.gates.get(endpoint)
            return name and self.prefix + name
        name = self.gates.get(branch)
        return name and self.prefix + self.places[endpoint] + name

    def kernel(self, unit, half=None):
        """The name of a convolution's kernel."""
        return f"{self.unit(unit)}{self.parts[half][0]}.weight"

    def gate_kernel(self, unit):
        """The name of a gate's kernel, or `None`."""
        name = self.gate(unit)
        return name and f"{name}.weight"

    def map_conv(self, mapping, unit, half, layer):
        mapping.conv(f"{self.unit(unit)}{self.parts[half][0]}", layer)

    def map_norm(self, mapping, unit, half, layer):
        mapping.norm(f"{self.unit(unit)}{self.parts[half][1]}", layer)

    def map_gate(self, mapping, unit, layer):
        mapping.dense(self.gate(unit), layer)


def map_inception(backbone, names, mapping=None):
    """Maps an `I3D` or `S3D` without its `embedding`.

    Args:
        backbone: the network.
        names: `Names` or an object with its methods.
        mapping: the `Mapping` to fill, or `None` for a new one.

    Returns:
        The mapping.
    """
    mapping = Mapping() if mapping is None else mapping
    layers = {layer.name: layer for layer in backbone.layers}
    for unit in (unit for endpoint in CHANNELS for unit in units_of(endpoint)):
        last = None
        if f"{unit}_spatial" in layers:
            last = "temporal"
            names.map_conv(mapping, unit, "spatial", layers[f"{unit}_spatial"])
            names.map_norm(mapping, unit, "spatial", layers[f"{unit}_spatial_bn"])
        names.map_conv(mapping, unit, last, layers[f"{unit}_temporal" if last else unit])
        if f"{unit}_bn" in layers:
            names.map_norm(mapping, unit, last, layers[f"{unit}_bn"])
        if f"{unit}_gate" in layers:
            names.map_gate(mapping, unit, layers[f"{unit}_gate"])
    return mapping


def read_i3d(state, names):
    """The arguments of `I3D` that tensors tell: width, channels, stem and the clip's channels.

    Raises:
        ConvertError: the kernel of the stem is missing or of another rank.
    """
    shape = _kernel_shape(state, names, "conv_1a", None)
    return {
        **_read_channels(state, names, is_separable=False),
        "stem_kernel": shape[2],
        "clip_shape": (None, None, None, shape[1]),
    }


def read_s3d(state, names):
    """The arguments of `S3D` that tensors tell: those of `read_i3d`, the kind of stem, the gates.

    Raises:
        ConvertError: the kernel of the stem is missing or of another rank.
    """
    # Some sources spell a plain unit's kernel as the spatial half of a separable one.
    plain, spatial, temporal = (
        names.kernel("conv_1a", half) for half in (None, "spatial", "temporal")
    )
    is_separable = temporal in state or (spatial != plain and spatial in state)
    options = _read_channels(state, names, is_separable=True, separable_stem=is_separable)
    if is_separable:
        shape = _kernel_shape(state, names, "conv_1a", "spatial")
        taps = _kernel_shape(state, names, "conv_1a", "temporal")[2]
        options |= {"stem": "separable", "stem_kernel": taps}
    else:
        shape = _kernel_shape(state, names, "conv_1a", None)
        # Cells of 2x2x2 pixels: the one published stem whose kernel is even.
        in_cells = shape[3] % 2 == 0
        options |= {"stem": "space_to_depth"} if in_cells else {"stem_kernel": shape[2]}
        options.setdefault("stem", "full")
    channels = shape[1] // 8 if options["stem"] == "space_to_depth" else shape[1]
    gated = [e for e in CHANNELS if names.gate_kernel(units_of(e)[0]) in state]
    return {
        **options,
        "gating": gated[0] if gated else None,
        "clip_shape": (None, None, None, channels),
    }


def arguments(config, read, **options):
    """The arguments of a network: a preset's, then those that tensors tell, then `options`.

    The preset's statistics are left out where they are of other channels than the clip's.
    """
    channels = read["clip_shape"][-1]
    statistics = {
        key: value
        for key, value in config.items()
        if key in ("mean", "std") and isinstance(value, list) and len(value) != channels
    }
    config = {key: value for key, value in config.items() if key not in statistics}
    return {**config, **read, **options}


def with_conv_classifier(state, backbone, mapping, weight, bias, backbone_only, dropout=0.5):
    """The model to fill: a `VideoClassifier` where `state` has the 1x1x1 convolution `weight`.

    A kernel `[classes, channels, 1, 1, 1]` is PyTorch's, `[1, 1, 1, channels, classes]`
    TensorFlow's.
    """
    if backbone_only:
        mapping.ignore(weight, bias)
    if backbone_only or weight not in state:
        return backbone
    from keras_vssl.downstream import VideoClassifier

    shape = shape_of(state, weight, 5)
    is_last = shape[:3] == (1, 1, 1)
    model = VideoClassifier(backbone, num_classes=shape[-1 if is_last else 0], dropout=dropout)

    def flatten(array):
        if is_last:
            return array.reshape(array.shape[3:])
        return array[:, :, 0, 0, 0].T if array.shape[2:] == (1, 1, 1) else array

    mapping.add(weight, model.head.kernel, flatten)
    mapping.add(bias, model.head.bias)
    return model


def ones(array):
    """The gain of a normalisation without one."""
    return np.ones_like(array)


def _split(unit):
    """`("mixed_4b", "b1a")` of `mixed_4b_b1a`, `("conv_2c", None)` of `conv_2c`."""
    if unit in CHANNELS:
        return unit, None
    return tuple(unit.rsplit("_", 1))


def _kernel_shape(state, names, unit, half):
    """A kernel's shape in PyTorch's order, O I T H W."""
    shape = shape_of(state, names.kernel(unit, half), 5)
    return (shape[4], shape[3], *shape[:3]) if names.channels_last else shape


def _read_channels(state, names, is_separable, separable_stem=False):
    """`width`, and `channels` where they are not the scaled ones."""

    def count(unit, default):
        is_wide = unit == "conv_2c" or unit.endswith(("_b1b", "_b2b"))
        half = "spatial" if (is_wide and is_separable) else None
        if unit == "conv_1a" and separable_stem:
            half = "spatial"
        if names.kernel(unit, half) not in state:
            return default  # `Mapping.place` names what is missing, all of it
        return _kernel_shape(state, names, unit, half)[0]

    width = count("conv_1a", None)
    if width is None:
        raise ConvertError(
            f"The checkpoint lacks {names.kernel('conv_1a')}, from which the architecture is read."
        )
    scaled = scaled_channels(width)
    channels = {}
    for endpoint, expected in scaled.items():
        defaults = (expected,) if isinstance(expected, int) else expected
        found = tuple(map(count, units_of(endpoint), defaults))
        if found != defaults:
            channels[endpoint] = found[0] if isinstance(expected, int) else found
    return {"width": width, "channels": channels or None}
