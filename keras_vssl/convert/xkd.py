"""XKD's video and audio encoders, from the whole method's checkpoint or from one encoder alone."""

import re

import numpy as np

from keras_vssl.backbones.audio_vit import AudioViT
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.convert.mapping import ConvertError, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import ViTMapping, heads_of
from keras_vssl.layers.patches import grid_of

LICENCE = "CC BY-NC 4.0"
CITATION = (
    "Sarkar and Etemad, XKD: Cross-modal Knowledge Distillation with Domain Alignment for Video "
    "Representation Learning, AAAI 2024, https://arxiv.org/abs/2211.13929"
)
_WHERE = "https://github.com/pritamqu/XKD"
_VIDEO_FIGURES = {
    "Kinetics-400": ("UCF101 fine-tuned 94.1", "HMDB51 fine-tuned 69.0", "Kinetics-400 77.6"),
    "AudioSet": ("UCF101 fine-tuned 95.8", "HMDB51 fine-tuned 75.7", "Kinetics-400 80.1"),
}
_AUDIO_FIGURES = {
    "Kinetics-400": ("ESC-50 fine-tuned 93.6", "FSD50K fine-tuned 54.1"),
    "AudioSet": ("ESC-50 fine-tuned 96.5", "FSD50K fine-tuned 58.5"),
}
CHECKPOINTS = tuple(
    Checkpoint(
        f"xkd_{part}_{data.lower().replace('-', '')}",
        "",
        _WHERE,
        backbone=f"xkd_{part}",
        data=data,
        figures=tuple(f"{figure} (Tables 7 and 8)" for figure in figures[data]),
        options={"part": part},
        note="A file of the release 'weights'; teachers and students are apart, and which of them "
        "the paper's figures are of is not stated.",
    )
    for part, figures in (("video", _VIDEO_FIGURES), ("audio", _AUDIO_FIGURES))
    for data in ("Kinetics-400", "AudioSet")
)

_TOWERS = {"video": "vid", "audio": "aud"}
_BLOCKS = r"blocks\.\d+\.(norm1|attn\.qkv|attn\.proj|norm2|mlp\.fc1|mlp\.fc2)\.(weight|bias)"
_ENCODER = (
    rf"(cls_token|enc_pos_embed|(cuboid|patch)_embed\.proj\.(weight|bias)|encoder\.{_BLOCKS}"
    r"|encoder_norm\.(weight|bias))"
)
# The method's other tensors: the heads of DINO's form, the decoders, the centres of the targets.
_METHOD = re.compile(
    rf"((vid|aud)_(teacher|student)\.backbone|(vid|aud)_ae\.encoder)\.{_ENCODER}"
    r"|(vid|aud)_(teacher|student)\.head\.(mlp\.\d+\.(weight|bias)|last_layer\.weight(_g|_v)?)"
    rf"|(vid|aud)_ae\.(dec_pos_embed|mask_token|decoder\.{_BLOCKS}"
    r"|(mid|out)_proj\.(weight|bias))"
    r"|(vt2as|at2vs)_ce_loss\.center"
)


def recognizes(state):
    if any(f"{tower}_teacher.backbone.enc_pos_embed" in state for tower in _TOWERS.values()):
        return True
    if "enc_pos_embed" in state:
        return _embedding(state, "") is not None
    # As the evaluation renames them: a linear layer where timm has a convolution.
    patches = state.get("patch_embed.proj.weight")
    return patches is not None and patches.ndim == 2 and "pos_embed" in state


def build(
    state,
    part=None,
    role="teacher",
    patch=None,
    trained_shape=(32, 112, 112, 3),
    clip_shape=None,
    frames=None,
    bands=80,
    heads=None,
    epsilon=1e-5,
    front_end="xkd",
    **backbone_options,
):
    """Builds the encoder that `state` holds.

    Args:
        state: dict of name to array: the whole method (`vid_teacher.backbone...`) or one encoder,
            named as saved or as the evaluation code renames it. Heads, decoders and centres are
            left out.
        part: "video" or "audio". Default: the video network, or the only one there is.
        role: "teacher" or "student", which encoder of a whole checkpoint.
        patch: (frames, height, width) of the video's, (time, frequency) of the audio's patches,
            which no tensor tells. Default: (4, 16, 16) and (16, 4), the published ones.
        trained_shape: `(T, H, W, 3)`, the clip that the video's position table is of.
        clip_shape: `(T, H, W, 3)`, another clip: the table is interpolated. XKD's local views are
            (8, 96, 96, 3), its fine-tuning (32, 224, 224, 3).
        frames: int, of another spectrogram, likewise (local views: 112 of 448).
        bands: int, of the spectrogram.
        heads: int. Default: 64 channels a head.
        epsilon: float, of layer normalisation.
        front_end: of the audio, see `AudioBackbone`.
        **backbone_options: `clip`, `mean`, `std` (of the video), `dtype`.
    """
    part, prefix = _find(state, part, role)
    names = _names(state, prefix, part)
    width, pixels = shape_of(state, f"{names['embed']}.weight", 2)
    places = shape_of(state, names["positions"], 3)[1] - 1
    options = {
        "width": width,
        "depth": count_numbered(state, rf"{re.escape(names['blocks'])}\.(\d+)\."),
        "heads": heads_of(width, heads),
        "mlp_width": shape_of(state, f"{names['blocks']}.0.mlp.fc1.weight", 2)[0],
        "epsilon": epsilon,
    }
    patch = tuple(patch or ARCHITECTURES[f"xkd_{part}"]["config"]["patch"])
    if pixels != np.prod(patch) * (3 if part == "video" else 1):
        raise ConvertError(
            f"{names['embed']}.weight takes {pixels} values, but patches of {patch} have others; "
            f"give `patch`, {'(frames, height, width)' if part == 'video' else '(time, frequency)'}"
            f" (and `part`)."
        )
    mapping = ViTMapping(state)
    if part == "video":
        backbone = _video(mapping, names, places, patch, trained_shape, clip_shape, options,
                          backbone_options)  # fmt: skip
    else:
        if unknown := sorted({"clip", "mean", "std"} & set(backbone_options)):
            raise ConvertError(f"XKD's audio encoder has no {', '.join(unknown)}.")
        options |= {"front_end": front_end, **backbone_options}
        backbone = _audio(mapping, names, places, patch, bands, frames, options)
    for index in range(backbone.depth):
        mapping.block(f"{names['blocks']}.{index}", backbone.get_layer(f"block{index + 1}"))
    mapping.layer_norm(names["norm"], backbone.get_layer("norm"))
    mapping.ignore(*filter(_METHOD.fullmatch, state))
    return backbone, mapping


def resize_table(table, source, target):
    """A learned position table for another grid, as XKD's code interpolates it.

    The code hands over the scales (n + 0.1) / N, which move the sampled places a little. An axis
    that keeps its size is copied, as PyTorch's linear interpolation does whatever the scale.

    Args:
        table: `[1, 1 + N, D]`; the class token's row stays.
        source, target: (times, rows, columns) of a video, linear interpolation; (bands, times) of
            a sound, cubic convolution.

    Returns:
        `[1 + N', D]`.
    """
    table = table.reshape(table.shape[-2:])
    if tuple(source) == tuple(target):
        return table
    cubic = len(source) == 2
    grid = table[1:].reshape(*source, -1).astype("float64")
    for axis, (old, new) in enumerate(zip(source, target)):
        if old == new:
            continue
        weights = _resampling(old, new, cubic)
        grid = np.moveaxis(np.tensordot(weights, grid, (1, axis)), 0, axis)
    return np.concatenate([table[:1], grid.reshape(-1, grid.shape[-1])]).astype("float32")


def _resampling(old, new, cubic):
    """The matrix `[new, old]` of one axis."""
    places = (np.arange(new) + 0.5) * old / (new + 0.1) - 0.5
    if not cubic:
        places = np.maximum(places, 0.0)
    below = np.floor(places).astype(int)
    share = places - below
    if cubic:
        offsets, taps = (-1, 0, 1, 2), [_cubic(share - offset) for offset in (-1, 0, 1, 2)]
    else:
        offsets, taps = (0, 1), [1.0 - share, share]
    matrix = np.zeros((new, old))
    for offset, tap in zip(offsets, taps):
        np.add.at(matrix, (np.arange(new), np.clip(below + offset, 0, old - 1)), tap)
    return matrix


def _cubic(distance, a=-0.75):
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _video(mapping, names, places, patch, trained_shape, clip_shape, options, backbone_options):
    source = grid_of(trained_shape[:3], patch)
    if np.prod(source) != places:
        raise ConvertError(
            f"{names['positions']} has {places} patches, but clips of {tuple(trained_shape)} have "
            f"{source}; give `trained_shape`."
        )
    backbone = VideoViT(
        **{
            **ARCHITECTURES["xkd_video"]["config"],
            **options,
            "patch": patch,
            "clip_shape": tuple(clip_shape or trained_shape),
            **backbone_options,
        }
    )
    embed = backbone.get_layer("patch_embed")
    mapping.dense(names["embed"], embed.dense)
    mapping.add(names["class"], backbone.get_layer("class_token").token, lambda x: x[0])
    mapping.add(
        names["positions"],
        backbone.get_layer("positions").space,
        lambda table: resize_table(table, source, backbone.grid),
    )
    return backbone


def _audio(mapping, names, places, patch, bands, frames, options):
    rows = bands // patch[1]
    columns, left = divmod(places, max(rows, 1))
    if left or not rows:
        raise ConvertError(
            f"{names['positions']} has {places} patches, which {bands} bands do not divide into "
            f"times by patches of {patch}; give `bands` or `patch`."
        )
    frames = columns * patch[0] if frames is None else int(frames)
    backbone = AudioViT(
        **{
            **ARCHITECTURES["xkd_audio"]["config"],
            **options,
            "patch": patch,
            "frames": frames,
            "bands": bands,
        }
    )
    embed = backbone.get_layer("patch_embed")
    embedding = backbone.get_layer("token_embedding")

    def kernel(array):  # [O, frequency * time] to [time, frequency, 1, O]
        return array.reshape(-1, *patch[::-1], 1).transpose(2, 1, 3, 0)

    mapping.add(f"{names['embed']}.weight", embed.kernel, kernel)
    mapping.add(f"{names['embed']}.bias", embed.bias)
    mapping.add(names["class"], embedding.tokens[0], np.ravel)
    mapping.add(
        names["positions"],
        embedding.table,
        lambda table: resize_table(table, (rows, columns), backbone.grid[::-1]),
    )
    return backbone


def _find(state, part, role):
    """The modality, and what stands before its encoder's names."""
    if part not in (None, *_TOWERS):
        raise ConvertError(f'`part` is "video" or "audio", but received {part!r}.')
    if role not in ("teacher", "student"):
        raise ConvertError(f'`role` is "teacher" or "student", but received {role!r}.')
    prefixes = {name: f"{tower}_{role}.backbone." for name, tower in _TOWERS.items()}
    there = [name for name, prefix in prefixes.items() if f"{prefix}enc_pos_embed" in state]
    if there:
        part = part or there[0]
        return part, prefixes[part]
    embedding = _embedding(state, "")
    if embedding == "cuboid_embed" or part:
        return part or "video", ""
    # The evaluation's names are one for both: a cube's values are those of three colours.
    pixels = shape_of(state, "patch_embed.proj.weight", 2)[1]
    return ("audio" if embedding == "patch_embed" or pixels % 3 else "video"), ""


def _embedding(state, prefix):
    """The embedding's name in the naming that keeps `enc_pos_embed`, or `None`."""
    if f"{prefix}enc_pos_embed" not in state:
        return None
    for name in ("cuboid_embed", "patch_embed"):
        weight = state.get(f"{prefix}{name}.proj.weight")
        if weight is not None and weight.ndim == 2:
            return name
    return None


def _names(state, prefix, part):
    if not prefix and "enc_pos_embed" not in state:
        start, positions, norm = "", "pos_embed", "norm"
        embed = "patch_embed.proj"
    else:
        start, positions, norm = f"{prefix}encoder.", "enc_pos_embed", "encoder_norm"
        embed = "cuboid_embed.proj" if part == "video" else "patch_embed.proj"
    return {
        "class": f"{prefix}cls_token",
        "positions": f"{prefix}{positions}",
        "embed": f"{prefix}{embed}",
        "blocks": f"{start}blocks",
        "norm": f"{prefix}{norm}",
    }
