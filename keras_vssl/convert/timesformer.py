"""TimeSformer's networks with divided attention."""

import math

import numpy as np

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.convert.mapping import ConvertError, count_numbered, shape_of
from keras_vssl.convert.vit import TIMM, ViTMapping, heads_of

LICENCE = "CC-BY-NC 4.0 (facebookresearch/TimeSformer)"
CITATION = (
    "Bertasius et al., Is Space-Time Attention All You Need for Video Understanding?, ICML 2021"
)
_TIME = {**TIMM, "qkv": ("temporal_attn.qkv",), "proj": "temporal_attn.proj"}


def recognizes(state):
    return f"{_prefix(state)}blocks.0.temporal_fc.weight" in state


def build(state, heads=None, epsilon=1e-6, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. With a `head` it becomes a `VideoClassifier`.
        heads: int or `None`: 64 channels each.
        epsilon: float, of layer normalisation.
        backbone_only: bool, leave the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    prefix = _prefix(state)
    width, _, *patch = shape_of(state, f"{prefix}patch_embed.proj.weight", 4)
    places, frames = (
        shape_of(state, f"{prefix}{name}", 3)[1] for name in ("pos_embed", "time_embed")
    )
    side = math.isqrt(places - 1)
    if side**2 != places - 1:
        raise ConvertError(f"pos_embed has {places} rows; expected a class token and a square.")
    config = ARCHITECTURES["timesformer_base"]["config"]
    found = {
        "width": width,
        "depth": count_numbered(state, rf"{prefix}blocks\.(\d+)\."),
        "heads": heads_of(width, heads),
        "mlp_width": shape_of(state, f"{prefix}blocks.0.mlp.fc1.weight", 2)[0],
        "patch": [1, *patch],
        "epsilon": epsilon,
        "clip_shape": [frames, side * patch[0], side * patch[1], 3],
    }
    clip = {"stride": config["clip"]["stride"]}
    backbone = VideoViT(**{**config, **found, "clip": clip, **backbone_options})

    mapping = ViTMapping(state)
    mapping.patch_embed(f"{prefix}patch_embed.proj", backbone.get_layer("patch_embed"))
    mapping.add(f"{prefix}cls_token", backbone.get_layer("class_token").token, _first)
    mapping.add(f"{prefix}pos_embed", backbone.get_layer("positions").space, _first)
    mapping.add(f"{prefix}time_embed", backbone.get_layer("positions").time, _first)
    for index in range(backbone.depth):
        name, block = f"{prefix}blocks.{index}", backbone.get_layer(f"block{index + 1}")
        mapping.block(name, block)
        mapping.layer_norm(f"{name}.temporal_norm1", block.time_norm)
        mapping.attention(name, block.time_attention, _TIME)
        mapping.dense(f"{name}.temporal_fc", block.time_fc)
    mapping.layer_norm(f"{prefix}norm", backbone.get_layer("norm"))
    head = f"{prefix}head"
    if backbone_only or f"{head}.weight" not in state:
        mapping.ignore(f"{head}.weight", f"{head}.bias")
        return backbone, mapping
    from keras_vssl.downstream.classifier import VideoClassifier

    classifier = VideoClassifier(backbone, num_classes=shape_of(state, f"{head}.weight", 2)[0])
    mapping.dense(head, classifier.head)
    return classifier, mapping


def _prefix(state):
    return "model." if any(name.startswith("model.blocks.0.") for name in state) else ""


def _first(array):
    return np.squeeze(array, 0)
