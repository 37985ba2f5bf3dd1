"""VATT's video and audio transformers, from TensorFlow object checkpoints."""

import re

import numpy as np

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.backbones.wave_vit import WaveViT
from keras_vssl.convert.mapping import ConvertError, choose_part, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import ViTMapping, heads_of
from keras_vssl.layers.positions import TableGrid

LICENCE = "Apache 2.0 (google-research/google-research)"
CITATION = (
    "Akbari et al., VATT: Transformers for Multimodal Self-Supervised Learning from Raw Video, "
    "Audio and Text, NeurIPS 2021, https://arxiv.org/abs/2104.11178"
)
CHECKPOINTS = tuple(
    Checkpoint(
        f"vatt_{name}_howto100m_audioset",
        "ckpt-500000.index and ckpt-500000.data",
        "https://github.com/google-research/google-research/tree/master/vatt",
        f"vatt_{size}",
        "HowTo100M and AudioSet, no labels",
        figures,
        note=(
            "The video transformer, part=video, or the audio transformer, part=audio; their names "
            "are the official code's attributes, and no published file was at hand to check them."
        ),
    )
    for name, size, figures in (
        ("bbs", "base", ("Kinetics-400 fine-tuned 79.6 top-1",)),
        ("mbs", "medium", ("Kinetics-400 fine-tuned 81.1 top-1",)),
        ("lbs", "large", ("Kinetics-400 fine-tuned 82.1 top-1",)),
    )
)
_SUFFIX = r"((?:/\.ATTRIBUTES/VARIABLE_VALUE)?)$"
# The tokeniser's kernel and its rank, behind whatever the network is called in the checkpoint.
_STEMS = {
    "video": (re.compile(rf"^(.*)voxel_to_patch/kernel{_SUFFIX}"), 5),
    "audio": (re.compile(rf"^(.*)wave_to_patch/kernel{_SUFFIX}"), 3),
}
_AXES = {"video": ("temporal", "vertical", "horizontal"), "audio": ("temporal",)}


def recognizes(state):
    return any(_find(state, part) for part in _STEMS)


def build(
    state, part=None, heads=None, epsilon=1e-6, clip_shape=None, samples=None, **backbone_options
):
    """Builds the video or the audio transformer; text network, heads and optimizer are left out.

    Args:
        state: dict of name to array, names of the official code's attributes joined by "/".
        part: "video", "audio", or `None`: the video network where there is one.
        heads: int or `None`: 64 channels each.
        epsilon: float, of layer normalisation.
        clip_shape: `(T, H, W, 3)` or `None`: the clip that the positions are for. Another one
            interpolates them.
        samples: int or `None`, the same of the audio network.
        **backbone_options: `clip`, `mean`, `std` (video), `sound` (audio), `dtype`.

    Raises:
        ConvertError: the part is not there; or it is the network that all modalities share, whose
            projections before and after the transformer have no place here.
    """
    there = [name for name in _STEMS if _find(state, name)]
    part = choose_part(part, tuple(_STEMS), there, "VATT's")
    prefix, suffix = _find(state, part)
    if any(name.startswith(f"{prefix}pre_proj/") for name in state):
        raise ConvertError(
            "Expected a network of one modality, received the one that all modalities share "
            "(pre_proj); it can't be converted."
        )
    shapes = _Shapes(state, prefix, suffix)
    *patch, _, width = shapes(
        f"{'voxel' if part == 'video' else 'wave'}_to_patch/kernel", _rank(part)
    )
    tables = [f"pos_embedding_lookup/{axis}_position_embeddings/embeddings" for axis in _AXES[part]]
    grid = [shapes(table, 2)[0] for table in tables]
    config = {
        "width": width,
        "depth": count_numbered(state, rf"{re.escape(prefix)}tx/layers/(\d+)/"),
        "heads": heads_of(width, heads),
        "mlp_width": shapes("tx/layers/0/feed_forward/mlp/wi/kernel", 2)[1],
        "epsilon": epsilon,
        **backbone_options,
    }
    if part == "video":
        trained = tuple(n * size for n, size in zip(grid, patch)) + (3,)
        config |= {"patch": patch, "clip_shape": clip_shape or trained}
        model = VideoViT(**{**ARCHITECTURES["vatt_base"]["config"], **config})
    else:
        model = WaveViT(**config, patch=patch[0], samples=samples or grid[0] * patch[0])
    mapping = _map(model, part, tables, prefix, suffix)
    mapping.ignore(*(name for name in state if _is_of_others(name, prefix)))
    mapping.ignore(f"{prefix}mask_token_embd{suffix}")  # of a masked objective that is not used
    return model, mapping


def _find(state, part):
    """(prefix, suffix) of the names of a part's network, or `None`."""
    pattern, rank = _STEMS[part]
    for name, array in state.items():
        if (found := pattern.match(name)) and array.ndim == rank:
            return found.groups()
    return None


def _is_of_others(name, prefix):
    """Whether a tensor is of the training or of another network of the same model."""
    root = prefix.split("/")[0]
    beside = root and name.startswith(f"{root}/") and not name.startswith(prefix)
    return beside or name.split("/")[0] in ("optimizer", "save_counter", "global_step")


def _rank(part):
    return _STEMS[part][1]


class _Shapes:
    """Shapes of tensors by the short names."""

    def __init__(self, state, prefix, suffix):
        self.state, self.prefix, self.suffix = state, prefix, suffix

    def __call__(self, name, rank):
        return shape_of(self.state, f"{self.prefix}{name}{self.suffix}", rank)


def _map(model, part, tables, prefix, suffix):
    mapping = ViTMapping({})

    def add(name, variable, transform=None):
        mapping.add(f"{prefix}{name}{suffix}", variable, transform)

    def dense(name, layer, transform=None):
        add(f"{name}/kernel", layer.kernel, transform)
        add(f"{name}/bias", layer.bias)

    def norm(name, layer):
        add(f"{name}/gamma", layer.gamma)
        add(f"{name}/beta", layer.beta)

    embed = model.get_layer("patch_embed")
    embed = getattr(embed, "dense", embed)
    stem = "voxel_to_patch" if part == "video" else "wave_to_patch"
    dense(stem, embed, lambda array: array.reshape(-1, array.shape[-1]))
    positions = model.get_layer("positions")
    for name, table in zip(tables, positions.tables):
        add(name, table, _fitted(table.shape[0]))
    norm("pos_embedding_lookup/layernorm", positions.norm)
    add("agg_token_embd", model.get_layer("class_token").token, lambda array: array[None])
    for index in range(model.depth):
        name, block = f"tx/layers/{index}", model.get_layer(f"block{index + 1}")
        norm(f"{name}/layer_norm", block.norm1)
        mha, qkv = f"{prefix}{name}/mha", block.attention.qkv
        mapping.join([f"{mha}/{kind}/kernel{suffix}" for kind in "qkv"], qkv.kernel, _side_by_side)
        mapping.join([f"{mha}/{kind}/bias{suffix}" for kind in "qkv"], qkv.bias)
        dense(f"{name}/mha/o", block.attention.proj)
        norm(f"{name}/feed_forward/layer_norm", block.norm2)
        dense(f"{name}/feed_forward/mlp/wi", block.fc1)
        dense(f"{name}/feed_forward/mlp/wo", block.fc2)
    norm("tx/final_layer_norm", model.get_layer("norm"))
    return mapping


def _side_by_side(array):
    """Three kernels `[in, out]`, one below the other, as one of three times the columns."""
    width = array.shape[0] // 3
    kernels = array.reshape(3, width, -1)
    return np.moveaxis(kernels, 0, 1).reshape(width, -1)


def _fitted(count):
    """A table of positions of `count` rows, from one of any."""

    def fit(array):
        return TableGrid((len(array),), 0, "spline").resize(array, (count,))

    return fit
