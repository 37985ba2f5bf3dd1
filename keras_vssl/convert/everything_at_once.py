"""Everything at Once: its audio network, from whole checkpoints or alone."""

import re

import numpy as np

from keras_vssl.backbones.davenet import DAVEnet
from keras_vssl.convert.mapping import Mapping, count_blocks, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint

LICENCE = "none stated by the source (ninatu/everything_at_once)"
CITATION = (
    "Shvetsova et al., Everything at Once: Multi-modal Fusion Transformer for Video Retrieval, "
    "CVPR 2022, https://arxiv.org/abs/2112.04446"
)
CHECKPOINTS = (
    Checkpoint(
        "davenet_everything_at_once_howto100m",
        "latest_model.pth",
        "https://github.com/ninatu/everything_at_once",
        "davenet_everything_at_once",
        "HowTo100M, no labels",
        note="The audio network alone; the fusion transformer has no class here.",
    ),
)
_PREFIXES = ("davenet.", "")
_PROJECTION = r"(fc|cg\.fc)\.(weight|bias)"
# Defined there and never used.
_UNUSED = ("weight", "bias", "running_mean", "running_var")
# The fusion transformer and what leads to it and from it.
_FUSION = re.compile(
    r"fusion\.(masking_token|(norm|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12]))\.(weight|bias))"
    r"|(video|text|audio)_norm_layer\.(weight|bias)"
    rf"|(video|text|audio)_(token_)?proj\.{_PROJECTION}"
)


def recognizes(state):
    return any(
        f"{prefix}batchnorm1.weight" in state
        and f"{prefix}layer1.0.conv1.weight" in state
        and state[f"{prefix}layer1.0.conv1.weight"].ndim == 4
        and state[f"{prefix}layer1.0.conv1.weight"].shape[2] == 1
        for prefix in _PREFIXES
    )


def build(state, epsilon=1e-5, front_end=None, sound=None, dtype=None):
    """Builds the audio network that `state` belongs to.

    The fusion transformer, its token projections and heads are left out.

    Args:
        state: dict of name to array, `davenet.layer1.0.conv1.weight` and so on, or the same
            without the prefix.
        epsilon: float, of batch normalisation.
        front_end, sound, dtype: see `AudioBackbone`.

    Raises:
        ConvertError: a stage has no block.
    """
    prefix = next((p for p in _PREFIXES if f"{p}layer1.0.conv1.weight" in state), "")
    width, _, bands, _ = shape_of(state, f"{prefix}conv1.weight", 4)
    stages = count_numbered(state, rf"{re.escape(prefix)}layer(\d+)\.") - 1
    numbered = [rf"{re.escape(prefix)}layer{stage}\.(\d+)\." for stage in range(1, stages + 1)]
    blocks = count_blocks(state, numbered, "The stages have")
    kernels = [
        shape_of(state, f"{prefix}layer{stage}.0.conv1.weight", 4) for stage in range(1, stages + 1)
    ]
    backbone = DAVEnet(
        widths=(width, *(shape[0] for shape in kernels)),
        blocks=blocks,
        kernel=kernels[0][3],
        bands=bands,
        epsilon=epsilon,
        front_end=front_end,
        sound=sound,
        dtype=dtype,
    )
    mapping = Mapping()
    # One frame of all bands: [O, 1, F, 1] to [1, F, O].
    mapping.add(
        f"{prefix}conv1.weight",
        backbone.get_layer("stem").kernel,
        lambda array: np.transpose(array[:, 0, :, 0])[None],
    )
    mapping.norm(f"{prefix}bn1", backbone.get_layer("stem_bn"))
    layers = {layer.name for layer in backbone.layers}
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            source, name = f"{prefix}layer{stage}.{block}", f"layer{stage}_{block}"
            parts = [("conv1", "bn1", "conv1", "bn1"), ("conv2", "bn2", "conv2", "bn2")]
            if f"{name}_shortcut" in layers:
                parts.append(("downsample.0", "downsample.1", "shortcut", "shortcut_bn"))
            for conv, norm, layer, layer_norm in parts:
                kernel = backbone.get_layer(f"{name}_{layer}").kernel
                mapping.add(f"{source}.{conv}.weight", kernel, _along_time)
                mapping.norm(f"{source}.{norm}", backbone.get_layer(f"{name}_{layer_norm}"))
    mapping.ignore(*(f"{prefix}batchnorm1.{kind}" for kind in _UNUSED))
    if prefix:
        mapping.ignore(*(name for name in state if _FUSION.fullmatch(name)))
    return backbone, mapping


def _along_time(array):
    """`O I 1 k` as `k I O`."""
    return np.transpose(array[:, :, 0], (2, 1, 0))
