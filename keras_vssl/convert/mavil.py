"""MAViL's audio and video encoders, and both with their fusion."""

import numpy as np

from keras_vssl.backbones.audio_vit import AudioViT
from keras_vssl.backbones.fusion_vit import FusionViT
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.convert.audio_vit import read_frames, spectrogram_arguments, with_audio_classifier
from keras_vssl.convert.mapping import ConvertError, check_part, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import ViTMapping, heads_of
from keras_vssl.layers.patches import grid_of

LICENCE = "CC-BY-NC 4.0 (MAViL); the network's published code is Meta's, in av-superb"
CITATION = "Huang et al., MAViL: Masked Audio-Video Learners, NeurIPS 2023"
CHECKPOINTS = (
    Checkpoint(
        "mavil_video_audioset",
        "",
        "https://github.com/roger-tseng/av-superb",
        backbone="mavil_video",
        data="AudioSet-2M",
        figures=("AudioSet-2M fine-tuned on sound and video 53.3 mAP (abstract, NeurIPS version)",),
        options={"part": "video"},
        note="av-superb links the authors' weights from a personal drive; facebookresearch/MAViL "
        "holds none. part='audio' and part='both' read the same file.",
    ),
)
PARTS = ("video", "audio", "both")


def recognizes(state):
    video = state.get("patch_embed_v.proj.weight")
    return video is not None and video.ndim == 5 and "cls_token_v" in state


def build(
    state,
    part="video",
    frames=None,
    bands=128,
    clip_shape=None,
    heads=None,
    epsilon=1e-6,
    front_end="audiomae",
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    The position tables, which MAViL computes and does not train, are read as they are stored. In
    the video network they are ordinary weights: set `get_layer("positions").trainable = False`
    to fine-tune as MAViL does.

    Args:
        state: dict of name to array. A tower with a classifier of its own becomes a
            `VideoClassifier` or an `AudioClassifier`. Decoders are left out.
        part: "video", "audio" or "both" (a `FusionViT`, with its classifier if there is one).
        frames, bands: ints, of the spectrogram. Default: the frames that the position table tells.
        clip_shape: `(T, H, W, 3)`. Default: 4 times of cubes (8 frames) and a square, or one time
            where that does not fit the position table.
        heads: int. Default: 64 channels a head.
        epsilon: float, of layer normalisation.
        front_end: of the sound, see `AudioBackbone`.
        backbone_only: bool, leave classifiers out.
        **backbone_options: `clip`, `mean`, `std` (of the video), `dtype`.
    """
    check_part(part, *PARTS)
    dtype = backbone_options.get("dtype")
    mapping = ViTMapping(state)
    model = {}
    if part in ("audio", "both"):
        options = {"heads": heads, "epsilon": epsilon, "front_end": front_end, "dtype": dtype}
        model["audio"] = _audio(mapping, frames, bands, options)
    if part in ("video", "both"):
        options = {"heads": heads, "epsilon": epsilon, **backbone_options}
        model["video"] = _video(mapping, clip_shape, options)
    if part == "both":
        model = _fusion(mapping, model, epsilon, backbone_only, dtype)
    else:
        model = _with_classifier(mapping, part, model[part], epsilon, backbone_only)
    mapping.ignore(*_left_out(state, part))
    return model, mapping


def _left_out(state, part):
    """The other tower, the fusion, and what AudioMAE's code calls its decoder."""
    others = {"video": ["a", "av"], "audio": ["v", "av"], "both": ["a", "v"]}[part]
    starts = ["mask_token", "decoder_", *(f"fc_norm_{s}." for s in others)]
    starts += [f"head_{suffix}." for suffix in others]
    if part != "both":
        starts.append("blocks_av.")
    if part == "video":
        starts += ["patch_embed.", "cls_token", "pos_embed", "blocks.", "norm."]
    if part == "audio":
        starts += ["patch_embed_v.", "cls_token_v", "pos_embed_v", "blocks_v.", "norm_v."]
    exact = {"cls_token", "pos_embed", "cls_token_v", "pos_embed_v"}
    return [
        name
        for name in state
        if any(name == s if s in exact else name.startswith(s) for s in starts)
    ]


def _tower(mapping, suffix, options):
    """Arguments that both towers read alike."""
    state, blocks = mapping.state, f"blocks{suffix}"
    width = shape_of(state, f"patch_embed{suffix}.proj.weight", 5 if suffix else 4)[0]
    return {
        **options,
        "width": width,
        "depth": count_numbered(state, rf"{blocks}\.(\d+)\."),
        "heads": heads_of(width, options["heads"]),
        "mlp_width": shape_of(state, f"{blocks}.0.mlp.fc1.weight", 2)[0],
        "final_norm": f"norm{suffix}.weight" in state,
    }


def _map_blocks(mapping, suffix, backbone):
    for index in range(backbone.depth):
        mapping.block(f"blocks{suffix}.{index}", backbone.get_layer(f"block{index + 1}"))
    if backbone.final_norm:
        mapping.layer_norm(f"norm{suffix}", backbone.get_layer("norm"))


def _audio(mapping, frames, bands, options):
    state = mapping.state
    _, _, *patch = shape_of(state, "patch_embed.proj.weight", 4)
    places = shape_of(state, "pos_embed", 3)[1] - 1
    frames = frames or read_frames(places, tuple(patch), tuple(patch), bands)
    backbone = AudioViT(
        **{
            **ARCHITECTURES["mavil_audio"]["config"],
            **spectrogram_arguments(frames, bands, tuple(patch), tuple(patch)),
            **_tower(mapping, "", options),
        }
    )
    mapping.conv("patch_embed.proj", backbone.get_layer("patch_embed"))
    embedding = backbone.get_layer("token_embedding")
    mapping.add("cls_token", embedding.tokens[0], np.ravel)
    mapping.add("pos_embed", embedding.table, lambda array: array.reshape(array.shape[-2:]))
    _map_blocks(mapping, "", backbone)
    return backbone


def _video(mapping, clip_shape, options):
    state = mapping.state
    *_, time, high, wide = shape_of(state, "patch_embed_v.proj.weight", 5)
    places = shape_of(state, "pos_embed_v", 3)[1] - 1
    if clip_shape is None:
        slots = 1 if places % 4 or round((places // 4) ** 0.5) ** 2 * 4 != places else 4
        side = round((places // slots) ** 0.5)
        clip_shape = (slots * time, side * high, side * wide, 3)
    grid = grid_of(clip_shape[:3], (time, high, wide))
    if np.prod(grid) != places:
        raise ConvertError(
            f"pos_embed_v has {places} cubes, but clips of {tuple(clip_shape)} have {grid}; give "
            f"`clip_shape`."
        )
    backbone = VideoViT(
        **{
            **ARCHITECTURES["mavil_video"]["config"],
            "patch": (time, high, wide),
            "clip_shape": tuple(clip_shape),
            **_tower(mapping, "_v", options),
        }
    )
    mapping.patch_embed("patch_embed_v.proj", backbone.get_layer("patch_embed"))
    mapping.add("cls_token_v", backbone.get_layer("class_token").token, lambda array: array[0])
    mapping.add("pos_embed_v", backbone.get_layer("positions").space, lambda array: array[0])
    _map_blocks(mapping, "_v", backbone)
    return backbone


def _fusion(mapping, towers, epsilon, backbone_only, dtype):
    state = mapping.state
    classes = None
    if "head_av.weight" in state and not backbone_only:
        classes = shape_of(state, "head_av.weight", 2)[0]
    normalize = "fc_norm_av.weight" in state and not backbone_only
    depth = count_numbered(state, r"blocks_av\.(\d+)\.")
    hidden = shape_of(state, "blocks_av.0.mlp.fc1.weight", 2)[0] if depth else None
    model = FusionViT(
        **towers,
        fusion=depth,
        mlp_width=hidden,
        normalize=normalize,
        classes=classes,
        epsilon=epsilon,
        dtype=dtype,
    )
    for index in range(depth):
        mapping.block(f"blocks_av.{index}", model.get_layer(f"fusion{index + 1}"))
    if normalize:
        mapping.layer_norm("fc_norm_av", model.get_layer("head_norm"))
    if classes:
        mapping.dense("head_av", model.get_layer("head"))
    if backbone_only:
        names = ("fc_norm_av", "head_av")
        mapping.ignore(*(f"{name}.{kind}" for name in names for kind in ("weight", "bias")))
    return model


def _with_classifier(mapping, part, backbone, epsilon, backbone_only):
    state, suffix = mapping.state, part[0]
    norm, head = f"fc_norm_{suffix}", f"head_{suffix}"
    if part == "audio":
        return with_audio_classifier(state, backbone, mapping, norm, head, epsilon, backbone_only)
    if backbone_only or f"{head}.weight" not in state:
        # A normalisation without a classifier has no place in a backbone of maps.
        mapping.ignore(*(f"{n}.{kind}" for n in (norm, head) for kind in ("weight", "bias")))
        return backbone
    from keras_vssl.downstream.classifier import VideoClassifier

    classes = shape_of(state, f"{head}.weight", 2)[0]
    model = VideoClassifier(backbone, num_classes=classes, layer_norm=True)
    mapping.layer_norm(norm, model.layer_norm)
    mapping.dense(head, model.head)
    return model
