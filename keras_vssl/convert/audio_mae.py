"""AudioMAE: pre-trained and fine-tuned checkpoints, and the decoder of the former."""

import numpy as np

from keras_vssl.backbones.audio_vit import AudioViT, patch_grid
from keras_vssl.convert.audio_vit import (
    map_table,
    map_window_block,
    read_frames,
    spectrogram_arguments,
    with_audio_classifier,
)
from keras_vssl.convert.mapping import ConvertError, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import ViTMapping, heads_of
from keras_vssl.layers.masked_decoder import MaskedDecoder

LICENCE = "CC-BY-NC 4.0"
CITATION = "Huang et al., Masked Autoencoders that Listen, NeurIPS 2022"
_WHERE = "https://github.com/facebookresearch/AudioMAE"
CHECKPOINTS = (
    Checkpoint(
        "audiomae_base_pretrained",
        "",
        _WHERE,
        "audio_vit_base",
        "AudioSet-2M and AudioSet-20K, without labels",
        ("AudioSet-2M fine-tuned 47.3 mAP, AudioSet-20K 37.0 mAP (README)",),
        note="Its decoder is read with decoder_only=True.",
    ),
    Checkpoint(
        "audiomae_base_audioset",
        "",
        _WHERE,
        "audio_vit_base",
        "AudioSet-2M",
        ("AudioSet-2M fine-tuned 47.3 mAP (README)",),
    ),
)
# What the code computes, for checkpoints without a table.
_POSITIONS = "sine_cosine_turned"


def recognizes(state):
    patches = state.get("patch_embed.proj.weight")
    return patches is not None and patches.ndim == 4 and patches.shape[1] == 1


def build(
    state,
    frames=None,
    bands=128,
    stride=None,
    heads=None,
    epsilon=1e-6,
    front_end="audiomae",
    backbone_only=False,
    decoder_only=False,
    decoder_heads=16,
    dtype=None,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. A pre-trained checkpoint becomes its encoder, one with
            `fc_norm` and `head` an `AudioClassifier`.
        frames: int, of the spectrogram. Default: from the position table, 1024 without one.
        bands: int, of the spectrogram.
        stride: int or `(time, frequency)`, of the patches. Default: the patch's size.
        heads: int. Default: 64 channels a head.
        epsilon: float, of layer normalisation.
        front_end, dtype: see `AudioBackbone`.
        backbone_only: bool, leave `fc_norm` and `head` out.
        decoder_only: bool, build the `MaskedDecoder` of a pre-trained checkpoint instead.
        decoder_heads: int, its heads; blocks with windows tell theirs.
    """
    if any(name.startswith("patch_embed_v.") for name in state):
        raise ConvertError(
            "The checkpoint holds a video encoder too (patch_embed_v), as MAViL's do; only the "
            "tensors of its audio encoder can be converted."
        )
    width, _, *patch = shape_of(state, "patch_embed.proj.weight", 4)
    stride = (stride, stride) if isinstance(stride, int) else tuple(stride or patch)
    if frames is None and "pos_embed" in state:
        places = shape_of(state, "pos_embed", 3)[1] - 1
        frames = read_frames(places, tuple(patch), stride, bands)
    sizes = (frames or 1024, bands, tuple(patch), stride)
    if decoder_only:
        return _build_decoder(state, patch_grid(*sizes), decoder_heads, epsilon, dtype)
    backbone = AudioViT(
        width=width,
        depth=count_numbered(state, r"blocks\.(\d+)\."),
        heads=heads_of(width, heads),
        mlp_width=shape_of(state, "blocks.0.mlp.fc1.weight", 2)[0],
        positions=_POSITIONS,
        final_norm="norm.weight" in state,
        epsilon=epsilon,
        front_end=front_end,
        dtype=dtype,
        **spectrogram_arguments(*sizes),
    )
    mapping = ViTMapping(state)
    mapping.conv("patch_embed.proj", backbone.get_layer("patch_embed"))
    embedding = backbone.get_layer("token_embedding")
    mapping.add("cls_token", embedding.tokens[0], np.ravel)
    map_table(mapping, "pos_embed", embedding)
    for index in range(backbone.depth):
        mapping.block(f"blocks.{index}", backbone.get_layer(f"block{index + 1}"))
    if backbone.final_norm:
        mapping.layer_norm("norm", backbone.get_layer("norm"))
    mapping.ignore(*filter(_is_decoder, state))
    model = with_audio_classifier(
        state, backbone, mapping, "fc_norm", "head", epsilon, backbone_only
    )
    return model, mapping


def _is_decoder(name):
    return name == "mask_token" or name.startswith("decoder_")


def _build_decoder(state, grid, heads, epsilon, dtype):
    width, encoder_width = shape_of(state, "decoder_embed.weight", 2)
    windowed = "decoder_blocks.0.attn.tau" in state
    decoder = MaskedDecoder(
        grid,
        shape_of(state, "decoder_pred.weight", 2)[0],
        width=width,
        depth=count_numbered(state, r"decoder_blocks\.(\d+)\."),
        heads=shape_of(state, "decoder_blocks.0.attn.tau", 1)[0] if windowed else heads,
        window=(4, 4) if windowed else None,
        positions=_POSITIONS,
        epsilon=epsilon,
        dtype=dtype,
    )
    decoder.build((None, None, encoder_width))
    mapping = ViTMapping(state)
    mapping.dense("decoder_embed", decoder.embed)
    mapping.add("mask_token", decoder.mask_token)
    map_table(mapping, "decoder_pos_embed", decoder)
    for index, block in enumerate(decoder.blocks):
        name = f"decoder_blocks.{index}"
        if windowed:
            map_window_block(mapping, name, block)
        else:
            mapping.block(name, block)
    mapping.layer_norm("decoder_norm", decoder.norm)
    mapping.dense("decoder_pred", decoder.predict)
    mapping.ignore(*(name for name in state if not _is_decoder(name)))
    return decoder, mapping
