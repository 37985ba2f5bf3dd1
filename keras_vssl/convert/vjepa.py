"""V-JEPA 1 and 2: encoders, predictors and probes, in the official naming and transformers'."""

import re

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.convert.mapping import ConvertError, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import JEPA_HUB, TIMM, ViTMapping, grids_of, heads_of
from keras_vssl.layers.patches import grid_of

LICENCE = "MIT (facebookresearch/vjepa2); V-JEPA 1's files CC-BY-NC 4.0 (facebookresearch/jepa)"
CITATION = (
    "Bardes et al., Revisiting Feature Prediction for Learning Visual Representations from Video, "
    "TMLR 2024; Assran et al., V-JEPA 2, 2025, https://arxiv.org/abs/2506.09985"
)
_REPOSITORY, _HUB_PAGE = "https://github.com/facebookresearch/vjepa2", "https://huggingface.co/"
_V1 = "https://github.com/facebookresearch/jepa"
_FIRST = (
    ("vjepa_large", (16, 224, 224, 3), ("Kinetics-400 probe 80.8", "SSv2 probe 69.5")),
    ("vjepa_huge", (16, 224, 224, 3), ("Kinetics-400 probe 82.0", "SSv2 probe 71.4")),
    ("vjepa_huge_384", (16, 384, 384, 3), ("Kinetics-400 probe 81.9",)),
)
_SECOND = (
    ("vjepa2_large", "vitl.pt", "vjepa2-vitl-fpc64-256",
     ("SSv2 probe 73.7", "Diving48 probe 89.0", "EPIC-Kitchens-100 anticipation 32.7 R@5")),
    ("vjepa2_huge", "vith.pt", "vjepa2-vith-fpc64-256", ()),
    ("vjepa2_giant", "vitg.pt", "vjepa2-vitg-fpc64-256", ()),
    ("vjepa2_giant_384", "vitg-384.pt", "vjepa2-vitg-fpc64-384",
     ("SSv2 probe 77.3", "Diving48 probe 90.2", "EPIC-Kitchens-100 anticipation 39.7 R@5")),
)  # fmt: skip
_OPTION = {name: {"clip_shape": (16, 384, 384, 3)} for name in ("vjepa2_giant_384",)}
CHECKPOINTS = (
    *(
        Checkpoint(
            f"{name}_videomix2m", "", _V1, name, "VideoMix2M", figures, {"clip_shape": clip},
            licence="CC-BY-NC 4.0", note="The target encoder is what the figures are of.",
        )
        for name, clip, figures in _FIRST
    ),
    *(
        Checkpoint(
            f"{name}_videomix22m", file, _REPOSITORY, name, "VideoMix22M", figures, _OPTION.get(name, {}),
            licence="MIT",
        )
        for name, file, _, figures in _SECOND
    ),
    *(
        Checkpoint(
            f"{name}_hub", "model.safetensors", f"{_HUB_PAGE}facebook/{page}", name,
            "VideoMix22M", options=_OPTION.get(name, {}), licence="MIT",
            note="The same weights in the naming of transformers.",
        )
        for name, _, page, _ in _SECOND
    ),
)  # fmt: skip

PARTS = ("encoder", "target_encoder", "predictor", "probe")
# (embedding, blocks, norm, a block's parts) and (embedding, mask tokens, blocks, norm, output).
_OFFICIAL = ("patch_embed.proj", "blocks", "norm", TIMM)
_HUB = ("embeddings.patch_embeddings.proj", "layer", "layernorm", JEPA_HUB)
_OFFICIAL_PREDICTOR = (
    "predictor_embed", "mask_tokens", "predictor_blocks", "predictor_norm", "predictor_proj"
)  # fmt: skip
_HUB_PREDICTOR = (
    "embeddings.predictor_embeddings", "embeddings.mask_tokens", "layer", "layernorm", "proj"
)  # fmt: skip
_END = r"\.(weight|bias)"
_BLOCK = rf"\d+\.(norm1|attn\.qkv|attn\.proj|norm2|mlp\.fc1|mlp\.fc2){_END}"
_HUB_BLOCK = rf"\d+\.(norm[12]|attention\.(query|key|value|proj)|mlp\.fc[12]){_END}"
_BARE = rf"(pos_embed|patch_embed\.proj{_END}|norm{_END}|blocks\.{_BLOCK})"
# What the parts that are not asked for consist of: any other name is a stranger.
_KNOWN = {
    "encoder": re.compile(
        rf"((encoder\.)?{_BARE}|(vjepa2\.)?encoder\.(embeddings\.patch_embeddings\.proj{_END}"
        rf"|layer\.{_HUB_BLOCK}|layernorm{_END}))"
    ),
    "target_encoder": re.compile(rf"target_encoder\.{_BARE}"),
    "predictor": re.compile(
        rf"(predictor\.(predictor_pos_embed|mask_tokens\.\d+|predictor_(embed|norm|proj){_END}"
        rf"|predictor_blocks\.{_BLOCK})|(vjepa2\.)?predictor\.(embeddings\.mask_tokens"
        rf"|embeddings\.predictor_embeddings{_END}|layer\.{_HUB_BLOCK}|(layernorm|proj){_END}))"
    ),
    "probe": re.compile(
        rf"(classifier|linear){_END}|pooler\.(query_tokens|blocks\.{_BLOCK}"
        rf"|cross_attention_block\.(norm[12]|xattn\.(q|kv)|mlp\.fc[12]){_END}"
        r"|(cross|self)_attention_layers?\.(\d+\.)?(layer_norm[12]|cross_attn\.[qkv]_proj"
        rf"|self_attn\.([qkv]|out)_proj|mlp\.fc[12]){_END})"
    ),
}


def recognizes(state):
    names = {name.removeprefix("vjepa2.") for name in state}
    if {"encoder.embeddings.patch_embeddings.proj.weight", "encoder.layernorm.weight"} & names:
        return any(".attention.proj.weight" in name for name in names)
    if {"predictor.predictor_embed.weight", "pooler.cross_attention_block.xattn.q.weight"} & names:
        return True
    for prefix in ("encoder.", "target_encoder.", ""):
        embedding = state.get(f"{prefix}patch_embed.proj.weight")
        if embedding is None or f"{prefix}blocks.0.attn.qkv.bias" not in state:
            continue
        known = all(any(p.fullmatch(n) for p in _KNOWN.values()) for n in state)
        return embedding.ndim == 5 and (bool(prefix) or known)
    return False


def build(
    state,
    part=None,
    rope=None,
    uniform_power=True,
    heads=None,
    epsilon=None,
    clip_shape=None,
    backbone_only=False,
    **backbone_options,
):
    """Builds one of the networks that `state` holds.

    Args:
        state: dict of name to array.
        part: "encoder" or "target_encoder", a `VideoViT`; "predictor", a `JepaPredictor`;
            "probe", an `AttentiveProbe`. Default: the encoder that the authors evaluate (V-JEPA 1
            the target encoder, V-JEPA 2 "encoder"), or else what there is.
        rope: bool, whether positions are rotary (V-JEPA 2) or a sine-cosine table (V-JEPA 1).
            Whole files and those of transformers tell it, an encoder alone does not.
        uniform_power: bool, whether the axes share the channels of that table evenly.
        heads: int or `None`: the published ones of this width, of the part that is built.
        epsilon: float, of layer normalisation. Default: 1e-6, of the official probe 1e-5.
        clip_shape: `(T, H, W, 3)`; positions are computed for it. Default: (16, 256, 256, 3), or
            what V-JEPA 1's table of positions is of.
        backbone_only: bool, nothing else than the encoder is built anyway.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    hub = "vjepa2." if any(name.startswith("vjepa2.") for name in state) else ""
    is_hub = any(".embeddings." in name for name in state) or "pooler.query_tokens" in state
    has = {name for name in PARTS if any(map(_KNOWN[name].fullmatch, state))}
    if part is None:
        first = ("encoder", "target_encoder") if is_hub or _rope(state, rope, False) else (
            "target_encoder", "encoder"
        )  # fmt: skip
        part = next((name for name in (*first, "predictor", "probe") if name in has), "encoder")
    if part not in has:
        raise ConvertError(
            f"Expected part to be one of {', '.join(sorted(has))}, which this checkpoint holds, "
            f"received {part!r}."
        )
    mapping = ViTMapping(state)
    mapping.ignore(*(n for name in has - {part} for n in filter(_KNOWN[name].fullmatch, state)))
    if part == "probe":
        return _probe(state, mapping, heads, epsilon, backbone_options.get("dtype")), mapping
    is_hub = any(".embeddings." in name for name in state)
    rope = True if is_hub else _rope(state, rope)
    prefix = f"{hub}{part}." if f"{hub}{part}." in {n[: len(hub + part) + 1] for n in state} else ""
    shared = (epsilon or 1e-6, rope, uniform_power, heads)
    if part == "predictor":
        names = _HUB_PREDICTOR if is_hub else _OFFICIAL_PREDICTOR
        model = _predictor(state, mapping, prefix, names, shared, clip_shape, backbone_options)
    else:
        names = _HUB if is_hub else _OFFICIAL
        model = _encoder(state, mapping, prefix, names, shared, clip_shape, backbone_options)
    return model, mapping


def _rope(state, rope, certain=True):
    """Whether positions are rotary; what the tensors say, unless it is told."""
    if rope is not None:
        return rope
    if "predictor.predictor_pos_embed" in state:
        return False
    if (count := count_numbered(state, r"predictor\.mask_tokens\.(\d+)$")) > 2:
        return True
    if certain:
        raise ConvertError(
            "Nothing in these tensors tells V-JEPA 1 from V-JEPA 2"
            f"{f' ({count} mask tokens)' if count else ''}; pass rope=False (V-JEPA 1, fixed "
            "tables of positions) or rope=True (V-JEPA 2, rotary positions)."
        )
    return False


def _encoder(state, mapping, prefix, names, shared, clip_shape, backbone_options):
    epsilon, rope, uniform_power, heads = shared
    embed, blocks, norm, parts = names
    width, _, *patch = shape_of(state, f"{prefix}{embed}.weight", 5)
    stored = f"{prefix}pos_embed"
    if clip_shape is None:
        clip_shape = (16, 256, 256, 3)
        if not rope and stored in state:
            rows = shape_of(state, stored, 3)[1]
            clip_shape, _ = grids_of(rows, patch, None, (16, 224, 224, 3))
    config = ARCHITECTURES["vjepa2_large"]["config"]
    positions = "rotary" if rope else "sine_cosine_3d" + ("" if uniform_power else "_half")
    backbone = VideoViT(
        width,
        count_numbered(state, rf"{re.escape(prefix + blocks)}\.(\d+)\."),
        # V-JEPA 2's g has 22 heads of 64, VideoMAE V2's 16 of 88.
        heads or (22 if width == 1408 else heads_of(width)),
        shape_of(state, f"{prefix}{blocks}.0.mlp.fc1.weight", 2)[0],
        patch,
        positions,
        qkv_bias="all",
        epsilon=epsilon,
        kernel_initializer=config["kernel_initializer"],
        clip_shape=clip_shape,
        **{**{key: config[key] for key in ("mean", "std")}, **backbone_options},
    )
    mapping.patch_embed(f"{prefix}{embed}", backbone.get_layer("patch_embed"))
    for index in range(backbone.depth):
        block = backbone.get_layer(f"block{index + 1}")
        mapping.block(f"{prefix}{blocks}.{index}", block, parts)
    mapping.layer_norm(f"{prefix}{norm}", backbone.get_layer("norm"))
    mapping.ignore(stored)  # fixed; files of V-JEPA 2 hold one that its network does not use
    return backbone


def _predictor(state, mapping, prefix, names, shared, clip_shape, options):
    from keras_vssl.layers.jepa_predictor import JepaPredictor

    epsilon, rope, uniform_power, heads = shared
    embed, tokens, blocks, norm, output = (f"{prefix}{name}" for name in names)
    parts = JEPA_HUB if names is _HUB_PREDICTOR else TIMM
    width, encoded = shape_of(state, f"{embed}.weight", 2)
    patch = next(
        (a.shape[2:] for n, a in state.items() if n.endswith(".proj.weight") and a.ndim == 5),
        (2, 16, 16),
    )
    clip_shape = tuple(clip_shape or (16, 256, 256, 3))
    count = count_numbered(state, rf"{re.escape(tokens)}\.(\d+)$")
    joined = [f"{tokens}.{index}" for index in range(count)] or [tokens]
    predictor = JepaPredictor(
        grid_of(clip_shape[:3], patch),
        encoded,
        width,
        count_numbered(state, rf"{re.escape(blocks)}\.(\d+)\."),
        heads or (12 if width == 384 else heads_of(width)),
        shape_of(state, f"{blocks}.0.mlp.fc1.weight", 2)[0],
        count or shape_of(state, tokens, 4)[0],
        "rotary" if rope else "sine_cosine_3d",
        "equal" if uniform_power else "time_half",
        epsilon,
        dtype=options.get("dtype"),
        name="predictor",
    )
    predictor.build()
    mapping.dense(embed, predictor.embed)
    mapping.join(joined, predictor.tokens, lambda array: array.reshape(-1, array.shape[-1]))
    for index, block in enumerate(predictor.blocks):
        mapping.block(f"{blocks}.{index}", block, parts)
    mapping.layer_norm(norm, predictor.norm)
    mapping.dense(output, predictor.project)
    mapping.ignore(f"{prefix}predictor_pos_embed")
    return predictor


def _probe(state, mapping, heads, epsilon, dtype):
    from keras_vssl.layers.attentive_probe import AttentiveProbe

    hub = "pooler.cross_attention_layer.cross_attn.q_proj.weight" in state
    cross = "pooler.cross_attention_layer" if hub else "pooler.cross_attention_block"
    blocks = "pooler.self_attention_layers" if hub else "pooler.blocks"
    norm = "layer_norm" if hub else "norm"
    query, key_value = (
        ("cross_attn.q_proj", ("cross_attn.k_proj", "cross_attn.v_proj"))
        if hub
        else ("xattn.q", ("xattn.kv",))
    )
    parts = TIMM
    if hub:
        projections = tuple(f"self_attn.{part}_proj" for part in "qkv")
        parts = {**TIMM, "norm1": "layer_norm1", "norm2": "layer_norm2", "qkv": projections}
        parts |= {"proj": "self_attn.out_proj"}
    head = "classifier" if hub else "linear"
    classes, width = shape_of(state, f"{head}.weight", 2)
    probe = AttentiveProbe(
        classes,
        width,
        heads or (22 if width == 1408 else 16),
        1 + count_numbered(state, rf"{re.escape(blocks)}\.(\d+)\."),
        shape_of(state, f"{cross}.mlp.fc1.weight", 2)[0],
        epsilon or (1e-6 if hub else 1e-5),
        dtype=dtype,
        name="probe",
    )
    probe.build()
    mapping.add("pooler.query_tokens", probe.query, lambda array: array.reshape(1, -1))
    for index, block in enumerate(probe.blocks):
        mapping.block(f"{blocks}.{index}", block, parts)
    layer = probe.cross
    mapping.layer_norm(f"{cross}.{norm}1", layer.norm1)
    mapping.dense(f"{cross}.{query}", layer.query)
    for end, variable in (("weight", layer.key_value.kernel), ("bias", layer.key_value.bias)):
        mapping.join([f"{cross}.{part}.{end}" for part in key_value], variable, _transposed)
    mapping.layer_norm(f"{cross}.{norm}2", layer.norm2)
    mapping.dense(f"{cross}.mlp.fc1", layer.fc1)
    mapping.dense(f"{cross}.mlp.fc2", layer.fc2)
    mapping.dense(head, probe.head)
    return probe


def _transposed(array):
    return array.T
