"""RepLAI's video and audio networks, which are AVID's, and its five heads."""

import re

import keras

from keras_vssl.backbones.audio_vgg import AudioVGG
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.avid import VIDEO, build_video, check_no_clip, is_video
from keras_vssl.convert.mapping import ConvertError, Mapping, choose_part, count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.layers.heads import Projector

LICENCE = "none stated by the source (HimangiM/RepLAI)"
CITATION = (
    "Mittal, Morgado, Jain, Gupta, Learning State-Aware Visual Representations from Audible "
    "Interactions, NeurIPS 2022, https://arxiv.org/abs/2209.13583"
)


def _published(variant, data, *figures):
    return Checkpoint(
        f"replai_{variant}{data.lower().replace('-', '_')}",
        "",
        "https://github.com/HimangiM/RepLAI",
        "r2plus1d_18_replai",
        data,
        figures,
        note="A file on the authors' Google Drive; its names here are those that the code writes.",
    )


# The repository's README: EPIC-Kitchens-100 linear, Ego4D.
CHECKPOINTS = (
    *(
        _published(
            variant,
            "EPIC-Kitchens-100",
            f"EPIC-Kitchens-100 linear: verb {verb}, noun {noun} top-1 (repository)",
        )
        for variant, verb, noun in (
            ("", 31.71, 11.25),
            ("without_astc_", 29.29, 9.67),
            ("without_moi_", 28.71, 8.33),
            ("scratch_", 25.75, 8.12),
        )
    ),
    *(
        _published(
            variant,
            "Ego4D",
            f"Ego4D: state change {change}, verb {verb}, noun {noun} top-1 (repository)",
        )
        for variant, change, verb, noun in (
            ("", "66.30", 22.5, 14.7),
            ("without_astc_", "63.60", 21.1, 13.5),
            ("without_moi_", "62.90", 19.8, 11.2),
            ("scratch_", "66.20", 22.2, 14.1),
        )
    ),
)

_NORM = r"(weight|bias|running_mean|running_var)"
_AUDIO = rf"conv1\.(0\.weight|1\.{_NORM})|block[1-4]\.(conv[12]\.weight|bn[12]\.{_NORM})"
_HEADS = ("video_clr", "audio_clr", "video_aot", "audio_aot", "aot_diff")
# RepLAI's towers, without the `backbone.` that readers take off, and AVID's own.
_TOWERS = {"video": ("video.", "video_model.", ""), "audio": ("audio.", "audio_model.", "")}
_METHOD = re.compile(
    rf"(video|video_model)\.({VIDEO})|(audio|audio_model)\.({_AUDIO})"
    rf"|mlp\.({'|'.join(_HEADS)})\.[02]\.(weight|bias)"
    r"|(video|audio)_proj\.projection\.[024]\.(weight|bias)"
)


def recognizes(state):
    return (
        any(is_video(state, prefix) for prefix in _TOWERS["video"][:2])
        or any(_is_audio(state, prefix) for prefix in _TOWERS["audio"])
        or all(f"mlp.{head}.0.weight" in state for head in _HEADS)
    )


def build(state, part=None, epsilon=1e-5, front_end="replai", **backbone_options):
    """Builds the network or the heads that `state` holds.

    Args:
        state: dict of name to array: a checkpoint of the method (`backbone.video.*`,
            `backbone.audio.*`, `mlp.*`), AVID's own (`video_model.*`, `audio_model.*`), or one
            network alone. A video network alone has the names of CrissCross's, so give
            `format="replai"`.
        part: "video", "audio" or "heads". Default: the video network, or what there is. "heads" is
            a `keras.Model` of pooled features "video" and "audio" `[B, 512]` and of a
            "difference" of two `video_aot` outputs `[B, 128]`, dict to the outputs of the five
            heads by their names (`video_clr`, ..., `aot_diff`), unnormalised.
        epsilon: float, of batch normalisation.
        front_end: of the audio network, see `AudioBackbone`.
        **backbone_options: `clip`, `mean`, `std` (of the video network), `dtype`.
    """
    prefixes = {
        "video": next((p for p in _TOWERS["video"] if is_video(state, p)), None),
        "audio": next((p for p in _TOWERS["audio"] if _is_audio(state, p)), None),
        "heads": "mlp." if f"mlp.{_HEADS[0]}.0.weight" in state else None,
    }
    there = [name for name, prefix in prefixes.items() if prefix is not None]
    part = choose_part(part, tuple(prefixes), there, "RepLAI's")
    prefix = prefixes[part]
    if part == "video":
        preset = "r2plus1d_18_replai"
        model, mapping = build_video(state, prefix, preset, epsilon, backbone_options)
    else:
        check_no_clip(backbone_options)
        if part == "audio":
            model, mapping = _build_audio(state, prefix, epsilon, front_end, backbone_options)
        else:
            model, mapping = _build_heads(state, backbone_options)
    mapping.ignore(*filter(_METHOD.fullmatch, state))
    return model, mapping


def _is_audio(state, prefix):
    stem = state.get(f"{prefix}conv1.0.weight")
    return stem is not None and stem.ndim == 4 and f"{prefix}block1.conv1.weight" in state


def _build_audio(state, prefix, epsilon, front_end, options):
    count = count_numbered(state, rf"{re.escape(prefix)}block(\d)\.") - 1
    units = [("conv1.0", "conv1.1")]
    for block in range(1, count + 1):
        units += [(f"block{block}.conv{part}", f"block{block}.bn{part}") for part in (1, 2)]
    shapes = [shape_of(state, f"{prefix}{conv}.weight", 4) for conv, _ in units]
    config = ARCHITECTURES["audio_vgg_replai"]["config"]
    if len(units) != len(config["strides"]):
        raise ConvertError(f"The audio network has {count} blocks; AVID's has 4.")
    backbone = AudioVGG(
        **{
            **config,
            "channels": [shape[0] for shape in shapes],
            "kernels": [shape[2] for shape in shapes],
            "epsilon": epsilon,
            "front_end": front_end,
            **options,
        }
    )
    mapping = Mapping()
    for number, (conv, norm) in enumerate(units, start=1):
        mapping.conv(f"{prefix}{conv}", backbone.get_layer(f"conv{number}"))
        mapping.norm(f"{prefix}{norm}", backbone.get_layer(f"conv{number}_bn"))
    return backbone, mapping


def _build_heads(state, options):
    mapping, heads, widths = Mapping(), {}, {}
    for name in _HEADS:
        layers = [f"mlp.{name}.{i}" for i in (0, 2)]
        shapes = [shape_of(state, f"{layer}.weight", 2) for layer in layers]
        heads[name] = Projector(
            [width for width, _ in shapes], batch_normalization=False, name=name, **options
        )
        widths[name] = shapes[0][1]
        heads[name].build((None, widths[name]))
        for layer, dense in zip(layers, heads[name].dense):
            mapping.dense(layer, dense)
    source = {name: name.split("_")[0] for name in _HEADS[:4]} | {"aot_diff": "difference"}
    inputs = {}
    for name in _HEADS:
        inputs.setdefault(source[name], keras.Input((widths[name],), name=source[name]))
    outputs = {name: head(inputs[source[name]]) for name, head in heads.items()}
    return keras.Model(inputs, outputs), mapping
