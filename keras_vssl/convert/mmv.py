"""MMV's towers of video, audio and text, and its embedding heads, from Haiku's names."""

import re

from keras_vssl.backbones.preactivation import AudioResNetV2, TSMResNetV2
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.word_bag import WordBag
from keras_vssl.convert.avid import check_no_clip
from keras_vssl.convert.haiku import map_haiku_norm
from keras_vssl.convert.mapping import ConvertError, Mapping, choose_part, count_numbered, shape_of
from keras_vssl.convert.mmv_heads import HEADS, build_heads, heads_prefix
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.s3d_names import build_haiku_s3d, map_haiku_s3d

LICENCE = "CC BY-NC 4.0 (weights of deepmind/deepmind-research, mmv)"
CITATION = (
    "Alayrac et al., Self-Supervised MultiModal Versatile Networks, NeurIPS 2020, "
    "https://arxiv.org/abs/2006.16228"
)


def _published(name, file, backbone, ucf101):
    return Checkpoint(
        name=name,
        file=file,
        where="https://github.com/deepmind/deepmind-research/tree/master/mmv",
        backbone=backbone,
        data="HowTo100M and AudioSet, unlabelled",
        figures=(f"UCF101 split 1 linear {ucf101} (repository)",),
        note="The names of the tensors are those that the code makes; no file was at hand.",
    )


CHECKPOINTS = (
    _published("s3dg_mmv_howto100m", "mmv_s3d.pkl", "s3dg_mmv", 89.6),
    _published("tsm_resnet_50_mmv_howto100m", "mmv_tsm_resnet_x1.pkl", "tsm_resnet_50_mmv", 91.5),
    _published(
        "tsm_resnet_50_2x_mmv_howto100m", "mmv_tsm_resnet_x2.pkl", "tsm_resnet_50_2x_mmv", 91.8
    ),
)

# Where a tower's names start, by the tensor that only it has.
_STEMS = {
    "tsm": "TSMResNetV2/tsm_resnet_stem/w",
    "s3d": "S3D/Conv2d_1a_7x7/~/conv3_d/w",
    "audio": "res_net_v2/~/initial_conv/w",
    "text": "embed/embeddings",
}
# Across the replicas of a TPU, or on one device.
_NORMS = ("__cross_replica_batch_norm", "__batch_norm")
_NORM = (
    r"__(cross_replica_)?batch_norm(_\d)?/"
    r"(scale|offset|~/(mean|var)_ema/(average|hidden|counter))"
)
_TOWERS = re.compile(
    rf"(.*/)?(TSMResNetV2/(tsm_resnet_stem/w|{_NORM}"
    rf"|tsm_resnet_unit_\d/block_\d+/((conv_\d|shortcut_conv)/w|{_NORM}))"
    rf"|res_net_v2/(~/initial_conv/w|{_NORM}"
    rf"|~/block_group_\d/block_\d+/(~/(conv_\d|shortcut_conv)/w|{_NORM}))"
    rf"|S3D/(Conv2d_\w+|Mixed_\w+/Branch_\w+)/(~/conv3_d(_1)?/w|self_gating/[wb]|{_NORM})"
    rf"|text_module/~/(embed/embeddings|text_conv1/[wb]))"
)
_HEADS = re.compile(rf"(.*/)?{re.escape(HEADS)}\w+/(final_projection(_inner)?/[wb]|{_NORM})")


def recognizes(state):
    # FakeOut fine-tuned the same towers under a classifier of its own.
    return bool(_prefixes(state)) and "first_mlp_layer/w" not in state


def build(state, part=None, fraction=1 / 8, epsilon=1e-5, front_end=None, **backbone_options):
    """Builds one of the towers that `state` holds, or the heads.

    Args:
        state: dict of name to array: a whole model, `text_audio_video/...`, or one tower by
            itself, `TSMResNetV2/...`, `S3D/...` or `res_net_v2/...`.
        part: "video" (a `TSMResNetV2` or an `S3D`), "audio" (an `AudioResNetV2`), "text" (a
            `WordBag`) or "heads". Default: the video network, or what there is. "heads" is a
            `keras.Model` of a dict of pooled features "video", "audio" and "text", `[B, D]` each,
            to "video_in_va", "audio_in_va", "text_in_va" (the space of video and audio) and
            "video_in_vat", "audio_in_vat", "text_in_vat" (that of text), as they are, unnormalised.
        fraction: float, of the channels that the video network shifts in time; not for `S3D`.
        epsilon: float, of batch normalisation.
        front_end: of the audio network, see `AudioBackbone`; the checkpoint has none.
        **backbone_options: `clip`, `mean`, `std` (of the video network), `dtype`.
    """
    prefixes = _prefixes(state)
    if (heads := heads_prefix(state)) is not None:
        prefixes["heads"] = heads
    kinds = {"video": "tsm" if "tsm" in prefixes else "s3d"}
    kinds |= {name: name for name in ("audio", "text", "heads")}
    there = [name for name, kind in kinds.items() if kind in prefixes]
    part = choose_part(part, tuple(kinds), there, "MMV's")
    prefix = prefixes[kinds[part]]
    if part != "video":
        check_no_clip(backbone_options)
    if part == "heads":
        backbone, mapping = build_heads(state, prefix, epsilon, **backbone_options)
    elif part == "text":
        backbone, mapping = build_text(state, prefix, **backbone_options)
    elif part == "audio":
        backbone, mapping = build_audio(state, prefix, epsilon, front_end, **backbone_options)
    elif kinds[part] == "tsm":
        backbone, mapping = build_tsm(state, prefix, fraction, epsilon, **backbone_options)
    else:
        backbone = build_haiku_s3d(state, prefix, epsilon, **backbone_options)
        mapping = map_haiku_s3d(Mapping(), prefix, backbone, state)
    mapping.ignore(*(name for name in state if _is_left_out(name, prefix)))
    return backbone, mapping


def build_tsm(state, prefix, fraction=1 / 8, epsilon=1e-5, **options):
    """The `TSMResNetV2` that `state` holds behind a prefix such as `"TSMResNetV2/"`."""
    stem = f"{prefix}tsm_resnet_stem/w"
    options = {**ARCHITECTURES["tsm_resnet_50_mmv"]["config"], "fraction": fraction, **options}
    backbone = TSMResNetV2(
        blocks=_blocks(state, f"{prefix}tsm_resnet_unit_"),
        width=shape_of(state, stem, 4)[3],
        epsilon=epsilon,
        **options,
    )
    return backbone, _map(state, backbone, prefix, stem, f"{prefix}tsm_resnet_unit_", "/")


def build_audio(state, prefix, epsilon=1e-5, front_end=None, **options):
    """The `AudioResNetV2` that `state` holds behind a prefix such as `"res_net_v2/"`."""
    stem = f"{prefix}~/initial_conv/w"
    config = ARCHITECTURES["audio_resnet_50_mmv"]["config"]
    backbone = AudioResNetV2(
        **{
            **config,
            "blocks": _blocks(state, f"{prefix}~/block_group_"),
            "width": shape_of(state, stem, 4)[3],
            "spectrogram_shape": (None, None),
            "epsilon": epsilon,
            "front_end": front_end,
            **options,
        }
    )
    return backbone, _map(state, backbone, prefix, stem, f"{prefix}~/block_group_", "/~/")


def build_text(state, prefix, **options):
    """The `WordBag` that `state` holds behind a prefix such as `"text_module/~/"`."""
    rows, vectors = shape_of(state, f"{prefix}embed/embeddings", 2)
    hidden = shape_of(state, f"{prefix}text_conv1/w", 3)[2]
    backbone = WordBag(rows, vectors, hidden, output=None, **options)
    mapping, dense = Mapping(), backbone.get_layer("hidden")
    mapping.add(f"{prefix}embed/embeddings", backbone.get_layer("vectors").embeddings)
    # A convolution over words that sees one at a time.
    mapping.add(f"{prefix}text_conv1/w", dense.kernel, lambda array: array.squeeze(0))
    mapping.add(f"{prefix}text_conv1/b", dense.bias)
    return backbone, mapping


def _is_left_out(name, prefix):
    """Whether a tensor is of another tower, of the heads, or of the head that no one uses."""
    if name.startswith(prefix):
        return name.startswith(f"{prefix}audio2txt_embd/") and bool(_HEADS.fullmatch(name))
    return bool(_TOWERS.fullmatch(name) or _HEADS.fullmatch(name))


def _prefixes(state):
    """What stands before each tower's names, for those that `state` holds."""
    prefixes = {}
    for name in state:
        for kind, stem in _STEMS.items():
            start = name.removesuffix(stem)
            if kind == "text" and name == f"{start}{stem}" and start.endswith("text_module/~/"):
                prefixes[kind] = start
            elif kind != "text" and (name == stem or name.endswith(f"_module/~/{stem}")):
                prefixes[kind] = f"{start}{stem.split('/')[0]}/"
    return prefixes


def _blocks(state, stage):
    blocks = [
        count_numbered(state, rf"{re.escape(stage)}{index}/block_(\d+)/") for index in range(4)
    ]
    if min(blocks) < 1:
        raise ConvertError(f"The stages {stage}0 to 3 have {blocks} blocks; each needs one.")
    return blocks


def _map(state, backbone, prefix, stem, stage, inside):
    """Haiku's names of a pre-activation ResNet; normalisations are numbered as they are called."""
    mapping = Mapping()
    norm = next((norm for norm in _NORMS if f"{prefix}{norm}/scale" in state), _NORMS[0])

    def conv(name, layer):
        kernel = backbone.get_layer(layer).kernel
        # H W I O, or one more axis in front for the networks on clips.
        lift = (lambda array: array[None]) if len(kernel.shape) == 5 else None
        mapping.add(name, kernel, lift)

    def batch_norm(name, layer):
        map_haiku_norm(mapping, name, backbone.get_layer(layer))

    conv(stem, "stem")
    batch_norm(f"{prefix}{norm}", "last_bn")
    for number, count in enumerate(backbone.blocks):
        for index in range(count):
            block, layer = f"{stage}{number}/block_{index}", f"layer{number + 1}_{index}"
            if not index:
                conv(f"{block}{inside}shortcut_conv/w", f"{layer}_shortcut")
            for i in range(3):
                batch_norm(f"{block}/{norm}{f'_{i}' if i else ''}", f"{layer}_bn{i + 1}")
                conv(f"{block}{inside}conv_{i}/w", f"{layer}_conv{i + 1}")
    return mapping
