"""AST: the official checkpoints, Hugging Face's, and the DeiT that AST starts from."""

import math

import numpy as np

from keras_vssl.backbones.audio_vit import AudioViT, patch_grid
from keras_vssl.convert.audio_vit import (
    fit_table,
    read_frames,
    spectrogram_arguments,
    with_audio_classifier,
)
from keras_vssl.convert.mapping import count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import HUB, TIMM, ViTMapping, heads_of

LICENCE = "BSD 3-Clause (AST); Apache 2.0 (DeiT)"
CITATION = "Gong et al., AST: Audio Spectrogram Transformer, Interspeech 2021"
_FIGURES = ("AudioSet-2M 45.93 mAP (weight-averaged, the number in the file's name)",)
CHECKPOINTS = (
    Checkpoint(
        "ast_base_audioset",
        "audioset_10_10_0.4593.pth",
        "https://github.com/YuanGongND/ast",
        "ast_base",
        "ImageNet, then AudioSet-2M",
        _FIGURES,
        licence="BSD 3-Clause",
    ),
    Checkpoint(
        "ast_base_audioset_hub",
        "",
        "https://huggingface.co/MIT/ast-finetuned-audioset-10-10-0.4593",
        "ast_base",
        "ImageNet, then AudioSet-2M",
        _FIGURES,
        licence="BSD 3-Clause",
        note="The same network in transformers' naming.",
    ),
)

_HUB = "audio_spectrogram_transformer"
# (patches, both tokens, positions, blocks, norm, a block's parts, the head's norm, the head); the
# hub's names as transformers' modeling_audio_spectrogram_transformer.py has them.
_OFFICIAL = (
    "v.patch_embed.proj", ("v.cls_token", "v.dist_token"), "v.pos_embed", "v.blocks", "v.norm",
    TIMM, "mlp_head.0", "mlp_head.1",
)  # fmt: skip
_PUBLISHED_ON_HUB = (
    f"{_HUB}.embeddings.patch_embeddings.projection",
    (f"{_HUB}.embeddings.cls_token", f"{_HUB}.embeddings.distillation_token"),
    f"{_HUB}.embeddings.position_embeddings", f"{_HUB}.encoder.layer", f"{_HUB}.layernorm",
    HUB, "classifier.layernorm", "classifier.dense",
)  # fmt: skip
_IMAGENET = (
    "patch_embed.proj", ("cls_token", "dist_token"), "pos_embed", "blocks", "norm",
    TIMM, "mlp_head.0", "mlp_head.1",
)  # fmt: skip


def recognizes(state):
    return _naming(state) is not None


def build(
    state,
    stride=10,
    frames=None,
    bands=128,
    heads=None,
    epsilon=1e-6,
    head_epsilon=1e-5,
    front_end="ast",
    backbone_only=False,
    dtype=None,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. With its head it becomes an `AudioClassifier`. From timm's
            distilled DeiT (`deit_base_distilled_patch16_384`) it becomes an `AudioViT` as AST
            starts from it: kernels summed over the colours, positions fitted.
        stride: int or `(time, frequency)`, of the patches.
        frames: int, of the spectrogram. Default: those of the checkpoint (1024, 512 or 128 where
            the position table fits, else what the patches need). The table is fitted to others:
            the middle of it, or stretched.
        bands: int, of the spectrogram.
        heads: int. Default: 64 channels a head.
        epsilon: float, of the backbone's layer normalisations. Hugging Face's configuration
            writes 1e-12 there and in the head; the weights were trained with these defaults.
        head_epsilon: float, of the head's.
        front_end: see `AudioBackbone`; "ast-esc50" and "ast-speech" for these data sets.
        backbone_only: bool, leave the head out.
        dtype: see `AudioBackbone`.
    """
    naming = _naming(state) or _OFFICIAL
    patches, tokens, table, blocks, norm, names, head_norm, head = naming
    width, _, *patch = shape_of(state, f"{patches}.weight", 4)
    patch = tuple(patch[::-1])  # the published picture has frequency as its height
    stride = (stride, stride) if isinstance(stride, int) else tuple(stride)
    places = shape_of(state, table, 3)[1] - len(tokens)
    if naming is _IMAGENET:
        source, frames = (math.isqrt(places),) * 2, frames or 1024
    else:
        trained = read_frames(places, patch, stride, bands)
        source, frames = patch_grid(trained, bands, patch, stride)[::-1], frames or trained
    backbone = AudioViT(
        width=width,
        depth=count_numbered(state, rf"{blocks}\.(\d+)\."),
        heads=heads_of(width, heads),
        mlp_width=shape_of(state, f"{blocks}.0.{names['fc1']}.weight", 2)[0],
        extra_tokens=len(tokens),
        positions="learned",
        frequency_major=True,
        final_norm=True,
        pooling="tokens",
        epsilon=epsilon,
        front_end=front_end,
        dtype=dtype,
        **spectrogram_arguments(frames, bands, patch, stride),
    )
    mapping = ViTMapping(state)
    embed, embedding = backbone.get_layer("patch_embed"), backbone.get_layer("token_embedding")
    # [O, colours, frequency, time] to [time, frequency, 1, O].
    mapping.add(
        f"{patches}.weight",
        embed.kernel,
        lambda array: array.sum(axis=1, keepdims=True).transpose(3, 2, 1, 0),
    )
    mapping.add(f"{patches}.bias", embed.bias)
    for name, token in zip(tokens, embedding.tokens):
        mapping.add(name, token, np.ravel)
    mapping.add(table, embedding.table, lambda array: fit_table(array, source, backbone.grid[::-1]))
    for index in range(backbone.depth):
        mapping.block(f"{blocks}.{index}", backbone.get_layer(f"block{index + 1}"), names)
    mapping.layer_norm(norm, backbone.get_layer("norm"))
    # The classifiers of ImageNet.
    heads = [f"{start}{name}" for start in ("v.", "") for name in ("head", "head_dist")]
    mapping.ignore(*(f"{name}.{kind}" for name in heads for kind in ("weight", "bias")))
    model = with_audio_classifier(
        state, backbone, mapping, head_norm, head, head_epsilon, backbone_only
    )
    return model, mapping


def _naming(state):
    for naming in (_OFFICIAL, _PUBLISHED_ON_HUB, _IMAGENET):
        patches, tokens, *_ = naming
        if f"{patches}.weight" in state and tokens[1] in state:
            return naming
    return None
