"""CrissCross's video and audio networks, and its projectors and predictors."""

import re

import keras
import numpy as np

from keras_vssl.backbones.audio_resnet import AudioResNet
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.residual import check_choice
from keras_vssl.convert.avid import VIDEO, build_video, check_no_clip, is_video
from keras_vssl.convert.mapping import ConvertError, Mapping, choose_part, count_blocks, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.layers.heads import Projector

LICENCE = "CC BY-NC 4.0 (pritamqu/CrissCross)"
CITATION = (
    "Sarkar and Etemad, Self-Supervised Audio-Visual Representation Learning with Relaxed "
    "Cross-Modal Synchronicity, AAAI 2023, https://arxiv.org/abs/2111.05329"
)
# data -> UCF101 and HMDB51 fine-tuned, ESC-50 and DCASE2014 linear; the repository's README.
_FIGURES = {
    "Kinetics-Sound": (88.3, 60.5, 82.8, 93.0),
    "Kinetics-400": (91.5, 64.7, 86.8, 96.0),
    "AudioSet": (92.4, 67.4, 90.5, 97.0),
}


def _published(part, data):
    ucf, hmdb, esc, dcase = _FIGURES[data]
    name = data.lower().replace("-", "_")
    if part == "video":
        figures = f"UCF101 fine-tuned {ucf}, HMDB51 {hmdb} (repository, mean of splits)"
    else:
        figures = f"ESC-50 linear {esc}, DCASE2014 {dcase} (repository)"
    return Checkpoint(
        f"crisscross_{part}_{name}",
        f"{part[:3]}_crisscross_{name}.pth.tar.zip",
        "https://github.com/pritamqu/CrissCross",
        "r2plus1d_18_crisscross" if part == "video" else "audio_resnet_18_crisscross",
        data,
        (figures,),
        note="A file of the repository's releases; unpack it first.",
    )


CHECKPOINTS = tuple(_published(part, data) for data in _FIGURES for part in ("video", "audio"))

_NORM = r"(weight|bias|running_mean|running_var)"
_AUDIO = (
    rf"conv1\.(0\.weight|1\.{_NORM})|block\d\.\d+\."
    rf"(conv[12]\.weight|bn[12]\.{_NORM}|downsample\.(0\.weight|1\.{_NORM}))"
)
_PROJECTOR = rf"layer[123]\.(0\.(weight|bias)|1\.{_NORM})"
_PREDICTOR = rf"layer1\.(0\.(weight|bias)|1\.{_NORM})|layer2\.(weight|bias)"
# A training checkpoint's tensors; the encoders repeat the networks and the projectors.
_METHOD = re.compile(
    rf"video_(backbone|encoder\.0)\.({VIDEO})|audio_(backbone|encoder\.0)\.({_AUDIO})"
    rf"|(video|audio)_(projector|encoder\.2)\.({_PROJECTOR})"
    rf"|(video|audio)_predictor\.({_PREDICTOR})"
)
_HEAD = "{}_projector.layer1.0.weight"


def recognizes(state):
    return (
        is_video(state)
        or is_video(state, "video_backbone.")
        or _is_audio(state, "")
        or _is_audio(state, "audio_backbone.")
        or all(_HEAD.format(modality) in state for modality in ("video", "audio"))
    )


def build(
    state, part=None, epsilon=1e-5, front_end="crisscross", projector_layers=3, **backbone_options
):
    """Builds the network or the heads that `state` holds.

    Args:
        state: dict of name to array: one network alone, as the authors release them, or a training
            checkpoint (`video_backbone.*`, `audio_backbone.*`, projectors, predictors).
        part: "video", "audio" or "heads". Default: the video network, or what there is. "heads" is
            a `keras.Model` of pooled features, dict of "video" and "audio" `[B, 512]`, to
            "video_projection", "video_prediction" and the audio's, as they are, unnormalised.
        epsilon: float, of batch normalisation.
        front_end: of the audio network, see `AudioBackbone`.
        projector_layers: 3, the published setting, or 2, the default of the authors' class, which
            has the middle layer's tensors and does not use them.
        **backbone_options: `clip`, `mean`, `std` (of the video network), `dtype`.

    The file of a video network has the names of AVID's and RepLAI's, which is the same network but
    for the pooling of its map (CrissCross takes the mean, they the maximum).
    """
    prefixes = {
        "video": next((p for p in ("video_backbone.", "") if is_video(state, p)), None),
        "audio": next((p for p in ("audio_backbone.", "") if _is_audio(state, p)), None),
        "heads": "" if _HEAD.format("video") in state else None,
    }
    there = [name for name, prefix in prefixes.items() if prefix is not None]
    part = choose_part(part, tuple(prefixes), there, "CrissCross's")
    prefix = prefixes[part]
    if part == "video":
        preset = "r2plus1d_18_crisscross"
        model, mapping = build_video(state, prefix, preset, epsilon, backbone_options)
    else:
        check_no_clip(backbone_options)
        if part == "audio":
            model, mapping = _build_audio(state, prefix, epsilon, front_end, backbone_options)
        else:
            model, mapping = _build_heads(state, epsilon, projector_layers, backbone_options)
    mapping.ignore(*filter(_METHOD.fullmatch, state))
    return model, mapping


def _is_audio(state, prefix):
    stem = state.get(f"{prefix}conv1.0.weight")
    return stem is not None and stem.ndim == 4 and f"{prefix}block1.0.conv1.weight" in state


def _build_audio(state, prefix, epsilon, front_end, options):
    patterns = [rf"{re.escape(prefix)}block{stage}\.(\d+)\." for stage in (1, 2, 3, 4)]
    blocks = count_blocks(state, patterns, "block1 to block4 have")
    if f"{prefix}block1.0.conv3.weight" in state:
        raise ConvertError("block1.0.conv3: only audio networks of basic blocks can be converted.")
    backbone = AudioResNet(
        **{
            **ARCHITECTURES["audio_resnet_18_crisscross"]["config"],
            "channels": [
                shape_of(state, f"{prefix}block{stage}.0.conv1.weight", 4)[0]
                for stage in (1, 2, 3, 4)
            ],
            "blocks": blocks,
            "stem_width": shape_of(state, f"{prefix}conv1.0.weight", 4)[0],
            "epsilon": epsilon,
            "front_end": front_end,
            **options,
        }
    )
    mapping = Mapping()

    def unit(conv, norm, layer):
        # Frequency is the height of their pictures; time is the first axis of ours.
        mapping.add(f"{prefix}{conv}.weight", backbone.get_layer(layer).kernel, _turned)
        mapping.norm(f"{prefix}{norm}", backbone.get_layer(f"{layer}_bn"))

    unit("conv1.0", "conv1.1", "stem")
    layers = {layer.name for layer in backbone.layers}
    for stage, count in enumerate(blocks, start=1):
        for index in range(count):
            block, layer = f"block{stage}.{index}", f"layer{stage}_{index}"
            for part in (1, 2):
                unit(f"{block}.conv{part}", f"{block}.bn{part}", f"{layer}_conv{part}")
            if f"{layer}_shortcut" in layers:
                unit(f"{block}.downsample.0", f"{block}.downsample.1", f"{layer}_shortcut")
    return backbone, mapping


def _turned(kernel):
    return np.transpose(kernel, (3, 2, 1, 0))


def _build_heads(state, epsilon, projector_layers, options):
    check_choice("projector_layers", projector_layers, 2, 3)
    layers_used = (1, 2, 3) if projector_layers == 3 else (1, 3)
    mapping, inputs, outputs = Mapping(), {}, {}
    for modality in ("video", "audio"):
        names = [f"{modality}_projector.layer{i}" for i in layers_used]
        shapes = [shape_of(state, f"{name}.0.weight", 2) for name in names]
        projector = Projector(
            [width for width, _ in shapes],
            last_batch_normalization=True,
            last_affine=True,
            epsilon=epsilon,
            name=f"{modality}_projector",
            **options,
        )
        layers = [f"{modality}_predictor.layer1.0", f"{modality}_predictor.layer2"]
        predictor = Projector(
            [shape_of(state, f"{name}.weight", 2)[0] for name in layers],
            epsilon=epsilon,
            name=f"{modality}_predictor",
            **options,
        )
        inputs[modality] = keras.Input((shapes[0][1],), name=modality)
        outputs[f"{modality}_projection"] = z = projector(inputs[modality])
        outputs[f"{modality}_prediction"] = predictor(z)
        for name, dense, norm in zip(names, projector.dense, projector.norms):
            mapping.dense(f"{name}.0", dense)
            mapping.norm(f"{name}.1", norm)
        for name, dense in zip(layers, predictor.dense):
            mapping.dense(name, dense)
        mapping.norm(f"{modality}_predictor.layer1.1", predictor.norms[0])
    return keras.Model(inputs, outputs), mapping
