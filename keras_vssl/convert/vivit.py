"""ViViT's networks with joint attention, in the naming of transformers."""

import re

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.convert.mapping import count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import HUB, ViTMapping, grids_of, heads_of
from keras_vssl.layers.positions import TableGrid

LICENCE = "Apache 2.0 (google-research/scenic)"
CITATION = "Arnab et al., ViViT: A Video Vision Transformer, ICCV 2021"
CHECKPOINTS = (
    Checkpoint(
        "vivit_base_kinetics400",
        "model.safetensors",
        "https://huggingface.co/google/vivit-b-16x2-kinetics400",
        backbone="vivit_base",
        data="Kinetics-400, from ImageNet-21k",
        note="Scenic's own files, the factorised encoders among them, are of Flax and not read.",
    ),
)
_EMBED = "embeddings.patch_embeddings.projection"
# The files' names, and those that transformers 5 has in memory.
_NAMES = {
    "encoder.layer": HUB,
    "layers": {
        **HUB,
        "qkv": tuple(f"attention.{part}_proj" for part in "qkv"),
        "proj": "attention.o_proj",
        "fc1": "mlp.fc1",
        "fc2": "mlp.fc2",
    },
}
# The clip of the published file.
_CLIP = (32, 224, 224, 3)


def recognizes(state):
    """With or without the prefix `vivit.` of the classifier's files."""
    prefix = _prefix(state)
    kernel = state.get(f"{prefix}{_EMBED}.weight")
    return (
        kernel is not None
        and kernel.ndim == 5
        and f"{prefix}embeddings.position_embeddings" in state
        and any(f"{prefix}{blocks}.0.{HUB['norm1']}.weight" in state for blocks in _NAMES)
    )


def build(
    state,
    heads=None,
    epsilon=1e-6,
    activation="gelu_tanh",
    clip_shape=None,
    trained_shape=None,
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. With a `classifier` it becomes a `VideoClassifier`.
        heads: int or `None`: 64 channels each.
        epsilon: float, of layer normalisation.
        activation: "gelu_tanh" (transformers' gelu_fast, the published one) or "gelu".
        clip_shape: `(T, H, W, 3)`, another clip: the table of positions is interpolated.
        trained_shape: `(T, H, W, 3)`, the clip of the table, where it isn't (32, 224, 224, 3) and
            does not follow from `clip_shape`.
        backbone_only: bool, leave the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    prefix = _prefix(state)
    new = any(name.startswith(f"{prefix}layers.") for name in state)
    blocks = f"{prefix}{'layers' if new else 'encoder.layer'}"
    names = _NAMES[blocks.removeprefix(prefix)]
    width, _, *patch = shape_of(state, f"{prefix}{_EMBED}.weight", 5)
    rows = shape_of(state, f"{prefix}embeddings.position_embeddings", 3)[1] - 1
    clip_shape, saved = grids_of(rows, patch, clip_shape, _CLIP, trained_shape)
    config = ARCHITECTURES["vivit_base"]["config"]
    found = {
        "width": width,
        "depth": count_numbered(state, rf"{re.escape(blocks)}\.(\d+)\."),
        "heads": heads_of(width, heads),
        "mlp_width": shape_of(state, f"{blocks}.0.{names['fc1']}.weight", 2)[0],
        "patch": patch,
        "epsilon": epsilon,
        "activation": activation,
        "clip_shape": clip_shape,
    }
    backbone = VideoViT(**{**config, **found, **backbone_options})

    mapping = ViTMapping(state)
    mapping.patch_embed(f"{prefix}{_EMBED}", backbone.get_layer("patch_embed"))
    token = backbone.get_layer("class_token").token
    mapping.add(f"{prefix}embeddings.cls_token", token, lambda array: array.reshape(1, -1))
    table = backbone.get_layer("positions").space
    methods = backbone.position_tables()[table.path].methods
    grid = TableGrid(saved, 1, methods)
    mapping.table(f"{prefix}embeddings.position_embeddings", table, grid, backbone.grid)
    for index in range(backbone.depth):
        block = backbone.get_layer(f"block{index + 1}")
        mapping.block(f"{blocks}.{index}", block, names)
    mapping.layer_norm(f"{prefix}layernorm", backbone.get_layer("norm"))
    # A pooler that no published classifier uses.
    mapping.ignore(f"{prefix}pooler.dense.weight", f"{prefix}pooler.dense.bias")
    if backbone_only or "classifier.weight" not in state:
        mapping.ignore("classifier.weight", "classifier.bias")
        return backbone, mapping
    from keras_vssl.downstream.classifier import VideoClassifier

    classes = shape_of(state, "classifier.weight", 2)[0]
    classifier = VideoClassifier(backbone, num_classes=classes)
    mapping.dense("classifier", classifier.head)
    return classifier, mapping


def _prefix(state):
    return "vivit." if any(name.startswith("vivit.") for name in state) else ""
