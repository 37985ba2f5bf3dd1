"""TimeSformer's networks (divided, joint, space alone), named officially or by transformers."""

import math
import re

import numpy as np

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.backbones.vivit import FactorisedViT
from keras_vssl.convert.mapping import ConvertError, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import HUB, TIMM, ViTMapping, heads_of
from keras_vssl.layers.positions import TableGrid

LICENCE = "CC-BY-NC 4.0 (facebookresearch/TimeSformer)"
CITATION = (
    "Bertasius et al., Is Space-Time Attention All You Need for Video Understanding?, ICML 2021"
)
_WHERE = "https://github.com/facebookresearch/TimeSformer"
_FORMS = (
    ("", (8, 224, 224, 3), 32, {"k400": (77.9, 93.2), "k600": (79.1, 94.4), "ssv2": (59.1, 85.6)}),
    ("_hr", (16, 448, 448, 3), 16,
     {"k400": (79.6, 94.0), "k600": (81.8, 95.8), "ssv2": (61.8, 86.9)}),
    ("_long", (96, 224, 224, 3), 4,
     {"k400": (80.6, 94.7), "k600": (82.2, 95.6), "ssv2": (62.0, 87.5)}),
)  # fmt: skip
_DATA = {"k400": "Kinetics-400", "k600": "Kinetics-600", "ssv2": "Something-Something V2"}
CHECKPOINTS = tuple(
    Checkpoint(
        f"timesformer_base{form}_{data}",
        "",
        _WHERE,
        backbone="timesformer_base",
        data=_DATA[data],
        figures=(f"{_DATA[data]} {first} / {fifth} (official README)",),
        options={"clip": {"stride": stride}},
        note=f"Clips of {' x '.join(map(str, clip[:3]))}, read from the tables of positions.",
    )
    for form, clip, stride, figures in _FORMS
    for data, (first, fifth) in figures.items()
)
# The names of what a block has, of its attention over time, and of all else.
_OFFICIAL = {
    "embed": "patch_embed.proj",
    "token": "cls_token",
    "space": "pos_embed",
    "time": "time_embed",
    "blocks": "blocks",
    "parts": TIMM,
    "time_parts": {**TIMM, "qkv": ("temporal_attn.qkv",), "proj": "temporal_attn.proj"},
    "time_norm": "temporal_norm1",
    "time_fc": "temporal_fc",
    "norm": "norm",
}
_HUB = {
    "embed": "embeddings.patch_embeddings.projection",
    "token": "embeddings.cls_token",
    "space": "embeddings.position_embeddings",
    "time": "embeddings.time_embeddings",
    "blocks": "encoder.layer",
    "parts": {**HUB, "qkv": ("attention.attention.qkv",)},
    "time_parts": {
        "qkv": ("temporal_attention.attention.qkv",),
        "proj": "temporal_attention.output.dense",
    },
    "time_norm": "temporal_layernorm",
    "time_fc": "temporal_dense",
    "norm": "layernorm",
}


def recognizes(state):
    """Of the network of space alone only the prefix `model.` tells it from an image network."""
    prefix, names, _ = _naming(state)
    kernel = state.get(f"{prefix}{names['embed']}.weight")
    if kernel is None or kernel.ndim != 4 or f"{prefix}{names['space']}" not in state:
        return f"{prefix}{names['blocks']}.0.{names['time_fc']}.weight" in state
    qkv = f"{prefix}{names['blocks']}.0.{names['parts']['qkv'][0]}.bias"
    timed = f"{prefix}{names['time']}" in state
    return qkv in state and (timed or (bool(prefix) and kernel.shape[1] == 3))


def build(
    state, heads=None, epsilon=1e-6, clip_shape=None, backbone_only=False, **backbone_options
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. With a `head` it becomes a `VideoClassifier`. Divided
            attention has `temporal_fc`; joint attention has `time_embed` and none; space alone
            has neither.
        heads: int or `None`: 64 channels each.
        epsilon: float, of layer normalisation.
        clip_shape: `(T, H, W, 3)`, another clip than the tables': their rows are repeated or left
            out, nearest, as the official code does. Of space alone no tensor tells the frames: 8.
        backbone_only: bool, leave the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    prefix, names, head = _naming(state)
    table, blocks = f"{prefix}{names['space']}", f"{prefix}{names['blocks']}"
    embed, parts = f"{prefix}{names['embed']}", names["parts"]
    width, _, *patch = shape_of(state, f"{embed}.weight", 4)
    places = shape_of(state, table, 3)[1]
    side = math.isqrt(places - 1)
    if side**2 != places - 1:
        raise ConvertError(f"{table} has {places} rows; expected a class token and a square.")
    divided = any(f".{names['time_fc']}." in name for name in state)
    timed = divided or f"{prefix}{names['time']}" in state
    form = "timesformer_base" + ("" if divided else "_joint" if timed else "_space")
    config = ARCHITECTURES[form]["config"]
    frames = config["clip_shape"][0]
    if timed:
        frames = shape_of(state, f"{prefix}{names['time']}", 3)[1]
    found = {
        "width": width,
        "depth": count_numbered(state, rf"{re.escape(blocks)}\.(\d+)\."),
        "heads": heads_of(width, heads),
        "mlp_width": shape_of(state, f"{blocks}.0.{parts['fc1']}.weight", 2)[0],
        "patch": [1, *patch],
        "epsilon": epsilon,
        "clip_shape": clip_shape or [frames, side * patch[0], side * patch[1], 3],
    }
    clip = {"stride": config["clip"]["stride"]}
    make = VideoViT if timed else FactorisedViT
    backbone = make(**{**config, **found, "clip": clip, **backbone_options})

    mapping = ViTMapping(state)
    mapping.patch_embed(embed, backbone.get_layer("patch_embed"))
    mapping.add(f"{prefix}{names['token']}", backbone.get_layer("class_token").token, _first)
    positions = backbone.get_layer("positions")
    mapping.table(table, positions.space, TableGrid((side, side), 1, "nearest"), backbone.grid[1:])
    if timed:
        times = TableGrid((frames,), 0, "nearest")
        mapping.table(f"{prefix}{names['time']}", positions.time, times, backbone.grid[:1])
    for index in range(backbone.depth):
        name, block = f"{blocks}.{index}", backbone.get_layer(f"block{index + 1}")
        mapping.block(name, block, parts)
        if divided:
            mapping.layer_norm(f"{name}.{names['time_norm']}", block.time_norm)
            mapping.attention(name, block.time_attention, names["time_parts"])
            mapping.dense(f"{name}.{names['time_fc']}", block.time_fc)
    mapping.layer_norm(f"{prefix}{names['norm']}", backbone.get_layer("norm"))
    if backbone_only or f"{head}.weight" not in state:
        mapping.ignore(f"{head}.weight", f"{head}.bias")
        return backbone, mapping
    from keras_vssl.downstream.classifier import VideoClassifier

    classifier = VideoClassifier(backbone, num_classes=shape_of(state, f"{head}.weight", 2)[0])
    mapping.dense(head, classifier.head)
    return classifier, mapping


def _naming(state):
    """The prefix of the names, the names, and the classifier's name."""
    if any(name.startswith("timesformer.") for name in state):
        return "timesformer.", _HUB, "classifier"
    prefix = "model." if any(name.startswith("model.blocks.0.") for name in state) else ""
    return prefix, _OFFICIAL, f"{prefix}head"


def _first(array):
    return np.squeeze(array, 0)
