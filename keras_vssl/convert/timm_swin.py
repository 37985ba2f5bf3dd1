"""Swin Transformer V2, in the naming of its authors and of timm."""

import re

import numpy as np

from keras_vssl.backbones.presets.shared import IMAGENET
from keras_vssl.backbones.swin import SwinV2
from keras_vssl.convert.mapping import ConvertError, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import ViTMapping

LICENCE = "MIT (microsoft/Swin-Transformer)"
CITATION = (
    "Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution, CVPR 2022, "
    "https://arxiv.org/abs/2111.09883"
)
# The files as timm's list of them has them (timm/models/swin_transformer_v2.py): assets of the
# release v2.0.0 of SwinTransformer/storage.
_WHERE = "https://github.com/SwinTransformer/storage"
CHECKPOINTS = tuple(
    Checkpoint(
        f"swin_v2_{size}_{data.lower().replace('-', '')}",
        f"swinv2_{size}_patch4_window{window}_{side}{suffix}.pth",
        _WHERE,
        backbone=f"swin_v2_{size}" + ("_192" if side == 192 else ""),
        data=data,
    )
    for size, window, side, suffix, data in (
        ("tiny", 8, 256, "", "ImageNet-1K"),
        ("small", 8, 256, "", "ImageNet-1K"),
        ("base", 8, 256, "", "ImageNet-1K"),
        ("base", 12, 192, "_22k", "ImageNet-22K"),
        ("large", 12, 192, "_22k", "ImageNet-22K"),
    )
)


def recognizes(state):
    return "layers.0.blocks.0.attn.cpb_mlp.0.weight" in state and "patch_embed.norm.weight" in state


def build(
    state,
    window=None,
    clip_shape=None,
    trained_windows=None,
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array, with the merging of patches at the end of a stage (its
            authors' files, timm before 0.9) or at the start of the next. With a classifier it
            becomes a `VideoClassifier`, of the frames' average.
        window: int. Default: from the stored table of distances, 8 without one.
        clip_shape: `(T, H, W, 3)`. Default: 32 windows' patches wide and high (256 for 8, 192 for
            12), any T.
        trained_windows: ints, the stages' windows in pre-training where they have grown since,
            e.g. (12, 12, 12, 6) for `..._window12to16_192to256...`.
        backbone_only: bool, leave the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    arguments = swin_arguments(state, "", window)
    if window not in (None, arguments["window"]):
        raise ConvertError(
            f"The file's windows are {arguments['window']} wide, but received {window}."
        )
    side = 192 if arguments["window"] == 12 else 32 * arguments["window"]
    backbone = SwinV2(
        **{
            **IMAGENET,
            **arguments,
            "trained_windows": trained_windows,
            "clip_shape": tuple(clip_shape or (None, side, side, 3)),
            **backbone_options,
        }
    )
    mapping = ViTMapping(state)
    map_swin(mapping, "", backbone.get_layer, arguments["depths"])
    head = "head.fc" if "head.fc.weight" in state else "head"
    if f"{head}.weight" not in state or backbone_only:
        mapping.ignore(f"{head}.weight", f"{head}.bias")
        return backbone, mapping
    from keras_vssl.downstream.classifier import VideoClassifier

    classes = shape_of(state, f"{head}.weight", 2)[0]
    model = VideoClassifier(backbone, num_classes=classes)
    mapping.dense(head, model.head)
    return model, mapping


def swin_arguments(state, prefix="", window=None):
    """The arguments of `SwinV2` that names and shapes tell; a stored window goes before `window`."""
    width, _, patch, _ = shape_of(state, f"{prefix}patch_embed.proj.weight", 4)
    start = re.escape(prefix)
    stages = count_numbered(state, rf"{start}layers\.(\d+)\.")
    depths, heads = [], []
    for stage in range(stages):
        name = f"{prefix}layers.{stage}.blocks"
        depths.append(count_numbered(state, rf"{re.escape(name)}\.(\d+)\."))
        heads.append(shape_of(state, f"{name}.0.attn.logit_scale", 3)[0])
    table = f"{prefix}layers.0.blocks.0.attn.relative_coords_table"
    if table in state:
        stored = (shape_of(state, table, 4)[1] + 1) // 2
        window = stored
    hidden = shape_of(state, f"{prefix}layers.0.blocks.0.mlp.fc1.weight", 2)[0]
    return {
        "width": width,
        "depths": depths,
        "heads": heads,
        "window": window or 8,
        "patch": patch,
        "mlp_ratio": hidden / width,
    }


def map_swin(mapping, prefix, layer, depths):
    """Places a Swin V2's tensors.

    Args:
        mapping: `ViTMapping`. prefix: str, before every name.
        layer: function of a name (as in `SwinLayers`) to the layer.
        depths: ints, blocks of each stage.
    """
    state = mapping.state
    mapping.patch_embed(f"{prefix}patch_embed.proj", layer("patch_embed"))
    mapping.layer_norm(f"{prefix}patch_embed.norm", layer("embed_norm"))
    # Merging belongs to the stage it ends, or to the one it begins.
    later = int(f"{prefix}layers.0.downsample.reduction.weight" not in state)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            name = f"{prefix}layers.{stage}.blocks.{index}"
            _map_block(mapping, name, layer(f"layer{stage + 1}_block{index + 1}"))
        if stage < len(depths) - 1:
            name = f"{prefix}layers.{stage + later}.downsample"
            merge = layer(f"layer{stage + 1}_merge")
            mapping.add(f"{name}.reduction.weight", merge.reduction.kernel, np.transpose)
            mapping.layer_norm(f"{name}.norm", merge.norm)
    mapping.layer_norm(f"{prefix}norm", layer("norm"))


def _map_block(mapping, name, block):
    attention = block.attention
    # The published scale is the exponential of the inverse of our temperature, at most 100.
    mapping.add(
        f"{name}.attn.logit_scale", attention.temperature, lambda array: np.exp(-array.reshape(-1))
    )
    mapping.add(f"{name}.attn.qkv.weight", attention.qkv.kernel, np.transpose)
    mapping.add(f"{name}.attn.q_bias", attention.query_bias)
    mapping.add(f"{name}.attn.v_bias", attention.value_bias)
    mapping.dense(f"{name}.attn.proj", attention.project)
    mapping.dense(f"{name}.attn.cpb_mlp.0", attention.bias1)
    mapping.add(f"{name}.attn.cpb_mlp.2.weight", attention.bias2.kernel, np.transpose)
    mapping.dense(f"{name}.mlp.fc1", block.dense1)
    mapping.dense(f"{name}.mlp.fc2", block.dense2)
    mapping.layer_norm(f"{name}.norm1", block.norm1)
    mapping.layer_norm(f"{name}.norm2", block.norm2)
    # What follows from the sizes, where a checkpoint holds it at all.
    mapping.ignore(
        f"{name}.attn.relative_coords_table",
        f"{name}.attn.relative_position_index",
        f"{name}.attn.k_bias",
        f"{name}.attn_mask",
    )
