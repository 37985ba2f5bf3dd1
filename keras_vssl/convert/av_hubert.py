"""AV-HuBERT's encoder (fairseq), pre-trained or fine-tuned, its head, and its front end alone."""

import re

from keras_vssl.backbones.av_hubert_encoder import AVHuBERTEncoder
from keras_vssl.convert.lip_resnet import build_front_end, is_video
from keras_vssl.convert.mapping import ConvertError, Mapping, check_part, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import ViTMapping
from keras_vssl.layers.cluster_head import ClusterHead

LICENCE = "AV-HuBERT licence agreement (research, non-commercial; facebookresearch/av_hubert)"
CITATION = (
    "Shi, Hsu, Lakhotia, Mohamed, Learning Audio-Visual Speech Representation by Masked "
    "Multimodal Cluster Prediction, ICLR 2022, https://arxiv.org/abs/2201.02184"
)
_WHERE = "https://github.com/facebookresearch/av_hubert"
CHECKPOINTS = (
    Checkpoint("av_hubert_base_lrs3", "", _WHERE, "av_hubert_base", "LRS3 (433 h)"),
    Checkpoint("av_hubert_base_lrs3_vox", "", _WHERE, "av_hubert_base", "LRS3 and VoxCeleb2-en"),
    Checkpoint("av_hubert_large_lrs3", "", _WHERE, "av_hubert_large", "LRS3 (433 h)"),
    Checkpoint(
        "av_hubert_large_lrs3_vox",
        "",
        _WHERE,
        "av_hubert_large",
        "LRS3 and VoxCeleb2-en",
        (
            "LRS3 lip reading word error rate 32.5 (30 h), 26.9 with self-training (abstract)",
            "LRS3 speech recognition word error rate 1.3 (abstract)",
        ),
    ),
)

PARTS = ("encoder", "front_end", "head")
_RESNET = "feature_extractor_video.resnet."
_NORM = r"(weight|bias)"
# A pre-trained network's head, and what fine-tuning adds: a decoder of text, or a CTC layer.
_HEAD = (r"final_proj\.(weight|bias)", r"label_embs_concat")
_TEXT = re.compile(
    r"decoder\.(embed_tokens\.weight|output_projection\.weight|embed_positions\._float_tensor"
    rf"|version|layer_norm\.{_NORM})"
    rf"|decoder\.layers\.\d+\.(self_attn|encoder_attn)\.(k|v|q|out)_proj\.{_NORM}"
    rf"|decoder\.layers\.\d+\.(self_attn_layer_norm|encoder_attn_layer_norm)\.{_NORM}"
    rf"|decoder\.layers\.\d+\.(fc1|fc2|final_layer_norm)\.{_NORM}"
    rf"|encoder\.proj\.{_NORM}"
)


def recognizes(state):
    if _prefix(state) is not None or _front_end(state) is not None:
        return True
    return set(state) == {"final_proj.weight", "final_proj.bias", "label_embs_concat"}


def build(state, part=None, heads=None, **backbone_options):
    """Builds the encoder, its lip network or its head.

    Args:
        state: dict of name to array: a pre-trained network, a fine-tuned one
            (`encoder.w2v_model.*`; its decoder of text is left out), or one of the parts alone.
        part: "encoder", "front_end" (the lips' network, pooled for each frame) or "head" (a
            `ClusterHead`). Default: the encoder, or what there is.
        heads: int. Default: one for 64 channels, as the published networks have.
        **backbone_options: `clip`, `mean`, `std` (of the lips' network), `dtype`.
    """
    check_part(part, None, *PARTS)
    prefix = _prefix(state)
    if part is None and prefix is None:
        part = "front_end" if _front_end(state) is not None else "head"
    if part == "head":
        return _build_head(state, prefix or "", backbone_options)
    if part == "front_end":
        front = _front_end(state) if prefix is None else f"{prefix}{_RESNET}"
        if front is None:
            raise ConvertError(f"The checkpoint holds no lip network: {_RESNET}*.")
        model, mapping = build_front_end(state, front, **{"pooled": True, **backbone_options})
        if prefix is not None:
            _ignore_others(state, mapping, (front,))
        return model, mapping
    if prefix is None:
        raise ConvertError(f"The checkpoint holds no encoder: {_RESNET}*, encoder.layers.*.")
    return _build_encoder(state, prefix, heads, backbone_options)


def _build_encoder(state, prefix, heads, options):
    mapping = ViTMapping(state)
    front_end, _ = build_front_end(
        state, f"{prefix}{_RESNET}", mapping=mapping, **{"pooled": True, **options}
    )
    width, audio_dim = shape_of(state, f"{prefix}feature_extractor_audio.proj.weight", 2)
    masked = shape_of(state, f"{prefix}mask_emb", 1)[0]
    gain, direction = _weight_norm(state, f"{prefix}encoder.pos_conv.0")
    _, group, kernel = shape_of(state, direction, 3)
    model = AVHuBERTEncoder(
        front_end,
        width=width,
        heads=heads or max(1, width // 64),
        mlp_width=shape_of(state, f"{prefix}encoder.layers.0.fc1.weight", 2)[0],
        depth=count_numbered(state, re.escape(prefix) + r"encoder\.layers\.(\d+)\."),
        audio_dim=audio_dim,
        mask_audio=masked == audio_dim != width,
        position_kernel=kernel,
        position_groups=max(1, width // group),
        dtype=options.get("dtype"),
    )
    mapping.add(f"{prefix}mask_emb", model.get_layer("mask").embedding)
    mapping.dense(f"{prefix}feature_extractor_audio.proj", model.get_layer("audio_proj"))
    mapping.dense(f"{prefix}feature_extractor_video.proj", model.get_layer("video_proj"))
    mapping.layer_norm(f"{prefix}layer_norm", model.get_layer("fused_norm"))
    mapping.dense(f"{prefix}post_extract_proj", model.get_layer("proj"))
    positions = model.get_layer("positions")
    mapping.add(gain, positions.gain, lambda array: array.reshape(-1))
    mapping.add(direction, positions.direction, lambda array: array.transpose(2, 1, 0))
    mapping.add(f"{prefix}encoder.pos_conv.0.bias", positions.bias)
    for index in range(model.depth):
        name, block = f"{prefix}encoder.layers.{index}", model.get_layer(f"block{index + 1}")
        mapping.block(name, block, BLOCK)
    mapping.layer_norm(f"{prefix}encoder.layer_norm", model.get_layer("norm"))
    head = re.compile("|".join(re.escape(prefix) + name for name in _HEAD))
    mapping.ignore(*filter(head.fullmatch, state))
    if prefix:
        mapping.ignore(*filter(_TEXT.fullmatch, state))
    return model, mapping


# A block's parts in fairseq's names.
BLOCK = {
    "norm1": "self_attn_layer_norm",
    "norm2": "final_layer_norm",
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "proj": "self_attn.out_proj",
    "fc1": "fc1",
    "fc2": "fc2",
}


def _build_head(state, prefix, options):
    classes, width = shape_of(state, f"{prefix}label_embs_concat", 2)
    features = shape_of(state, f"{prefix}final_proj.weight", 2)[1]
    head = ClusterHead(classes, width, dtype=options.get("dtype"))
    head.build((None, features))
    mapping = Mapping()
    mapping.dense(f"{prefix}final_proj", head.proj)
    mapping.add(f"{prefix}label_embs_concat", head.embeddings)
    _ignore_others(state, mapping, (f"{prefix}final_proj.", f"{prefix}label_embs_concat"))
    return head, mapping


def _ignore_others(state, mapping, kept):
    """Leaves out the parts of a whole network that were not asked for, each by its name."""
    prefix = _prefix(state)
    if prefix is None:
        return
    parts = (
        "feature_extractor_audio.",
        "feature_extractor_video.",
        "post_extract_proj.",
        "layer_norm.",
        "mask_emb",
        "encoder.pos_conv.0.",
        "encoder.layers.",
        "encoder.layer_norm.",
        "final_proj.",
        "label_embs_concat",
    )
    starts = tuple(f"{prefix}{part}" for part in parts)
    mapping.ignore(
        *(name for name in state if name.startswith(starts) and not name.startswith(kept))
    )
    if prefix:
        mapping.ignore(*filter(_TEXT.fullmatch, state))


def _weight_norm(state, name):
    """The names of the gain and the direction: PyTorch has renamed them."""
    new = f"{name}.parametrizations.weight.original"
    if f"{new}1" in state:
        return f"{new}0", f"{new}1"
    return f"{name}.weight_g", f"{name}.weight_v"


def _prefix(state):
    """What stands before the encoder's names, or `None` where there is none."""
    for prefix in ("encoder.w2v_model.", ""):
        if is_video(state, f"{prefix}{_RESNET}") and (
            f"{prefix}encoder.layers.0.self_attn.k_proj.weight" in state
        ):
            return prefix
    return None


def _front_end(state):
    """What stands before the lip network's names where it is alone; slopes tell whose it is."""
    for prefix in ("", "resnet.", _RESNET):
        if is_video(state, prefix) and f"{prefix}trunk.layer1.0.relu1.weight" in state:
            return prefix
    return None
