"""Everything at Once: its audio network and its fusion transformer."""

import re

import numpy as np

from keras_vssl.backbones.davenet import DAVEnet
from keras_vssl.backbones.token_fusion import MODALITIES, TokenFusion
from keras_vssl.convert.mapping import (
    ConvertError,
    Mapping,
    choose_part,
    count_blocks,
    count_numbered,
    shape_of,
)
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import ViTMapping, heads_of

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
        note="The audio network, part=audio.",
    ),
    Checkpoint(
        "fusion_everything_at_once_howto100m",
        "latest_model.pth",
        "https://github.com/ninatu/everything_at_once",
        "fusion_everything_at_once",
        "HowTo100M, no labels",
        note="The fusion transformer, part=fusion, of the same file.",
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
    return _audio_prefix(state) is not None or _has_fusion(state)


def build(state, part=None, epsilon=None, heads=None, front_end=None, sound=None, dtype=None):
    """Builds one of the networks of `state`.

    Args:
        state: dict of name to array, `davenet.layer1.0.conv1.weight`, `fusion.blocks.0.norm1.weight`
            and so on, or the audio network's without the prefix.
        part: "audio", "fusion", or `None`: the audio network where there is one.
        epsilon: float, of batch normalisation (default 1e-5) or layer normalisation (1e-6).
        heads: int or `None`, of the fusion transformer: 64 channels each.
        front_end, sound: of the audio network, see `AudioBackbone`. dtype: see `Backbone`.

    Raises:
        ConvertError: a stage has no block, the part is not there, or the transformer has no heads
            of 64 channels and `heads` is not given.
    """
    prefix = _audio_prefix(state)
    there = [
        name
        for name, is_there in (("audio", prefix is not None), ("fusion", _has_fusion(state)))
        if is_there
    ]
    if choose_part(part, ("audio", "fusion"), there, "Everything at Once's") == "fusion":
        model, mapping = _build_fusion(state, epsilon or 1e-6, heads, dtype)
        mapping.ignore(*(name for name in state if name.startswith("davenet.")))
        return model, mapping
    model, mapping = _build_audio(
        state, prefix, epsilon=epsilon or 1e-5, front_end=front_end, sound=sound, dtype=dtype
    )
    if prefix:
        mapping.ignore(*(name for name in state if _FUSION.fullmatch(name)))
    return model, mapping


def _audio_prefix(state):
    for prefix in _PREFIXES:
        kernel = state.get(f"{prefix}layer1.0.conv1.weight")
        if f"{prefix}batchnorm1.weight" in state and kernel is not None:
            if kernel.ndim == 4 and kernel.shape[2] == 1:
                return prefix
    return None


def _has_fusion(state):
    return "fusion.masking_token" in state and "text_token_proj.cg.fc.weight" in state


def _build_fusion(state, epsilon, heads, dtype):
    width = shape_of(state, "fusion.masking_token", 1)[0]
    depth = count_numbered(state, r"fusion\.blocks\.(\d+)\.")
    if not depth:
        raise ConvertError("Expected fusion.blocks.0 and so on, found no block.")
    model = TokenFusion(
        **{name: shape_of(state, f"{name}_token_proj.fc.weight", 2)[1] for name in MODALITIES},
        width=width,
        depth=depth,
        heads=heads_of(width, heads),
        mlp_width=shape_of(state, "fusion.blocks.0.mlp.fc1.weight", 2)[0],
        output=shape_of(state, "text_proj.fc.weight", 2)[0],
        epsilon=epsilon,
        dtype=dtype,
    )
    mapping = ViTMapping(state)
    mapping.add("fusion.masking_token", model.get_layer("absent").token)
    for index in range(depth):
        mapping.block(f"fusion.blocks.{index}", model.get_layer(f"block{index + 1}"))
    for name in MODALITIES:
        mapping.layer_norm(f"{name}_norm_layer", model.get_layer(f"{name}_norm"))
        for source, layer in ((f"{name}_token_proj", "tokens"), (f"{name}_proj", "projection")):
            unit = model.get_layer(f"{name}_{layer}")
            mapping.dense(f"{source}.fc", unit.linear)
            mapping.dense(f"{source}.cg.fc", unit.gate)
    mapping.ignore("fusion.norm.weight", "fusion.norm.bias")  # defined there and never used
    return model, mapping


def _build_audio(state, prefix, **options):
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
        **options,
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
    return backbone, mapping


def _along_time(array):
    """`O I 1 k` as `k I O`."""
    return np.transpose(array[:, :, 0], (2, 1, 0))
