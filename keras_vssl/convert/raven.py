"""RAVEn's and BRAVEn's encoders of lips and of voices, and their front ends alone."""

import re

from keras_vssl.backbones.raven_encoder import RAVEnEncoder
from keras_vssl.convert.lip_resnet import build_front_end, is_video, is_wave
from keras_vssl.convert.mapping import ConvertError, Mapping, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.layers.raven_predictor import RAVEnPredictor

LICENCE = "MIT (ahaliassos/raven)"
CITATION = (
    "Haliassos, Ma, Mira, Petridis, Pantic, Jointly Learning Visual and Auditory Speech "
    "Representations from Raw Data, ICLR 2023, https://arxiv.org/abs/2212.06246"
)

# LRS3 test word error rates of the repository's README, low (30 h) and high (433 h) resource.
_RATES = (
    ("raven", "base", "lrs3", (47.0, 39.1), (4.7, 2.2)),
    ("raven", "base", "lrs3_vox2", (40.2, 33.1), (3.8, 1.9)),
    ("raven", "large", "lrs3_vox2", (32.5, 27.8), (2.7, 1.4)),
    ("braven", "base", "lrs3", (43.4, 36.0), (4.0, 1.9)),
    ("braven", "large", "lrs3_vox2", (30.8, 26.6), (2.3, 1.2)),
)
CHECKPOINTS = tuple(
    Checkpoint(
        f"{method}_{kind}_{size}_{data}",
        "",
        "https://github.com/ahaliassos/raven",
        f"raven_{kind}_{size}",
        data.replace("lrs3", "LRS3").replace("_vox2", " and VoxCeleb2-en"),
        (
            f"LRS3 {task} word error rate {rates[0]} (30 h) and {rates[1]} (433 h) after "
            "fine-tuning (README)",
        ),
        note="The README links pre-trained and fine-tuned files; the names in those that are "
        "pre-trained only could not be checked.",
    )
    for method, size, data, lips, voices in _RATES
    for kind, task, rates in (("video", "VSR", lips), ("audio", "ASR", voices))
)

# What fine-tuning adds: the CTC layer and the decoder of text.
_TEXT = re.compile(
    r"ctc\.ctc_lo\.(weight|bias)|decoder\.embed\.0\.weight"
    r"|decoder\.decoders\.\d+\.(self_attn|src_attn)\.linear_(q|k|v|out)\.(weight|bias)"
    r"|decoder\.decoders\.\d+\.feed_forward\.w_[12]\.(weight|bias)"
    r"|decoder\.decoders\.\d+\.norm[123]\.(weight|bias)"
    r"|decoder\.(after_norm|output_layer)\.(weight|bias)"
)


def recognizes(state):
    return _prefix(state) is not None or _front_end_alone(state)


def build(state, part="encoder", **backbone_options):
    """Builds an encoder, or its front end.

    Args:
        state: dict of name to array: a fine-tuned recogniser (`encoder.*`, `ctc.*`, `decoder.*`; the
            last two are left out), an encoder, or a front end alone.
        part: "encoder" or "front_end" (the convolutional network, pooled for each frame).
        **backbone_options: `clip`, `mean`, `std` (of the lips' network), `dtype`.
    """
    if part not in ("encoder", "front_end"):
        raise ConvertError(f"`part` is 'encoder' or 'front_end', but received {part!r}.")
    if _front_end_alone(state):
        options = {"pooled": True} if is_video(state) else {}
        return build_front_end(state, **{**options, **backbone_options})
    prefix = _prefix(state)
    if prefix is None:
        raise ConvertError("The checkpoint holds no encoder of RAVEn: frontend.*, encoders.*.")
    front = f"{prefix}frontend."
    options = {"pooled": True} if is_video(state, front) else {}
    front_end, mapping = build_front_end(state, front, **{**options, **backbone_options})
    mapping.ignore(*filter(_TEXT.fullmatch, state))
    if part == "front_end":
        rest = re.compile(re.escape(prefix) + r"(embed|encoders|after_norm)\..*")
        mapping.ignore(*filter(rest.fullmatch, state))
        return front_end, mapping
    found, size = shape_of(state, f"{prefix}encoders.0.self_attn.pos_bias_u", 2)
    model = RAVEnEncoder(
        front_end,
        width=found * size,
        heads=found,
        mlp_width=shape_of(state, f"{prefix}encoders.0.feed_forward.w_1.weight", 2)[0],
        depth=count_numbered(state, re.escape(prefix) + r"encoders\.(\d+)\."),
        dtype=backbone_options.get("dtype"),
    )
    mapping.dense(f"{prefix}embed.0", model.get_layer("embed"))
    for index in range(model.depth):
        map_block(mapping, f"{prefix}encoders.{index}", model.get_layer(f"block{index + 1}"))
    _layer_norm(mapping, f"{prefix}after_norm", model.get_layer("norm"))
    return model, mapping


def build_predictor(state, prefix=""):
    """Builds a `RAVEnPredictor`, of which no published file is known, and its mapping."""
    heads, size = shape_of(state, f"{prefix}encoders.0.self_attn.pos_bias_u", 2)
    out_width = shape_of(state, f"{prefix}last_linear.weight", 2)[0]
    model = RAVEnPredictor(
        out_width,
        width=heads * size,
        heads=heads,
        mlp_width=shape_of(state, f"{prefix}encoders.0.feed_forward.w_1.weight", 2)[0],
        depth=count_numbered(state, re.escape(prefix) + r"encoders\.(\d+)\."),
    )
    model.build((None, None, shape_of(state, f"{prefix}embed.linear.weight", 2)[1]))
    mapping = Mapping()
    mapping.add(f"{prefix}embed.mask_emb", model.mask.embedding)
    mapping.dense(f"{prefix}embed.linear", model.embed)
    for index, block in enumerate(model.blocks):
        map_block(mapping, f"{prefix}encoders.{index}", block)
    _layer_norm(mapping, f"{prefix}after_norm", model.norm)
    mapping.dense(f"{prefix}last_linear", model.proj)
    return model, mapping


def map_block(mapping, name, block):
    """Maps a `RelativeBlock`."""
    map_attention(mapping, f"{name}.self_attn", block.attention)
    mapping.dense(f"{name}.feed_forward.w_1", block.fc1)
    mapping.dense(f"{name}.feed_forward.w_2", block.fc2)
    _layer_norm(mapping, f"{name}.norm_mha", block.norm1)
    if block.batch_norm:
        mapping.norm(f"{name}.norm_ff", block.norm2)
    else:
        _layer_norm(mapping, f"{name}.norm_ff", block.norm2)
    if block.layer_scale:
        mapping.add(f"{name}.gamma_mha", block.gamma1)
        mapping.add(f"{name}.gamma_ff", block.gamma2)


def map_attention(mapping, name, attention):
    """Maps a `RelativeAttention`."""
    for theirs, layer in (
        ("q", attention.query),
        ("k", attention.key),
        ("v", attention.value),
        ("out", attention.proj),
    ):
        mapping.dense(f"{name}.linear_{theirs}", layer)
    mapping.add(f"{name}.linear_pos.weight", attention.position.kernel, lambda array: array.T)
    mapping.add(f"{name}.pos_bias_u", attention.content_bias)
    mapping.add(f"{name}.pos_bias_v", attention.position_bias)


def _layer_norm(mapping, name, layer):
    mapping.add(f"{name}.weight", layer.gamma)
    mapping.add(f"{name}.bias", layer.beta)


def _prefix(state):
    """What stands before an encoder's names, or `None` where there is none."""
    for prefix in ("encoder.", ""):
        front = f"{prefix}frontend."
        if (is_video(state, front) or is_wave(state, front)) and (
            f"{prefix}encoders.0.self_attn.pos_bias_u" in state
        ):
            return prefix
    return None


def _front_end_alone(state):
    slopes = "trunk.layer1.0.relu1.weight" in state  # AV-HuBERT's
    return is_wave(state) or (is_video(state) and not slopes)
