"""VMZ's own files: R3D, MC3, R(2+1)D and C3D as pickles of Caffe2's blobs."""

import re

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import torchvision_video
from keras_vssl.convert.c3d_caffe import build_sports1m
from keras_vssl.convert.mapping import ConvertError, count_numbered
from keras_vssl.convert.published import Checkpoint

LICENCE = "Apache 2.0 (facebookresearch/VMZ); the data the weights saw has its own terms"
CITATION = torchvision_video.CITATION
_KINETICS = {key: ARCHITECTURES["r3d_18"]["config"][key] for key in ("mean", "std")}
_C3D_STAGES = ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")
_NORM = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
_CONV = {"weight": "w", "bias": "b"}


def _trained(name, file, backbone, frames, figures, data="Kinetics-400"):
    return Checkpoint(
        name,
        file,
        "https://github.com/facebookresearch/VMZ",
        backbone,
        data,
        figures,
        {"clip": {"frames": frames}},
    )


def _kinetics(clip, video, fifth, page):
    clip = f"clip@1 {clip}, " if clip else ""
    return (f"Kinetics-400 {clip}video@1 {video}, video@5 {fifth} ({page})",)


CHECKPOINTS = (
    _trained("r3d_18_vmz_kinetics_8", "r3d_d18_l8.pkl", "r3d_18", 8,
             _kinetics(49.8, 62.3, 83.4, "models.md")),
    _trained("mc3_18_vmz_kinetics_8", "mc3_d18_l8.pkl", "mc3_18", 8,
             _kinetics(51.1, 63.3, 84.2, "models.md")),
    _trained("r2plus1d_18_vmz_kinetics_8", "r2.5d_d18_l8.pkl", "r2plus1d_18_xdc", 8,
             _kinetics(53.2, 65.3, 85.2, "models.md")),
    _trained("r3d_18_vmz_kinetics_16", "r3d_d18_l16.pkl", "r3d_18", 16,
             _kinetics(52.9, 64.7, 85.0, "models.md")),
    _trained("mc3_18_vmz_kinetics_16", "mc3_d18_l16.pkl", "mc3_18", 16,
             _kinetics(54.1, 65.2, 85.8, "models.md")),
    _trained("r2plus1d_18_vmz_kinetics_16", "r2.5d_d18_l16.pkl", "r2plus1d_18_xdc", 16,
             _kinetics(57.3, 68.5, 87.5, "models.md")),
    _trained("r2plus1d_34_vmz_kinetics_32", "r2.5d_d34_l32.pkl", "r2plus1d_34_vmz", 32,
             _kinetics(60.6, 72.4, 90.6, "models.md")),
    _trained("r2plus1d_34_vmz_sports1m_kinetics_32", "r2.5d_d34_l32_ft_sports1m.pkl",
             "r2plus1d_34_vmz", 32, _kinetics(63.9, 74.2, 92.1, "models.md"),
             "Sports-1M, then Kinetics-400"),
    _trained("r2plus1d_34_vmz_ig65m_8", "r2plus1d_34_clip8_ig65m_from_scratch_f79708462.pkl",
             "r2plus1d_34_vmz", 8, (), "IG-65M"),
    _trained("r2plus1d_34_vmz_ig65m_32", "r2plus1d_34_clip32_ig65m_from_scratch_f102649996.pkl",
             "r2plus1d_34_vmz", 32, (), "IG-65M"),
    _trained("r2plus1d_34_vmz_ig65m_kinetics_8",
             "r2plus1d_34_clip8_ft_kinetics_from_ig65m_ f128022400.pkl",
             "r2plus1d_34_vmz", 8, _kinetics(None, 74.9, 91.8, "model_zoo.md"),
             "IG-65M, then Kinetics-400"),
    _trained("r2plus1d_34_vmz_ig65m_kinetics_32",
             "r2plus1d_34_clip32_ft_kinetics_from_ig65m_ f106169681.pkl",
             "r2plus1d_34_vmz", 32, _kinetics(None, 80.0, 94.2, "model_zoo.md"),
             "IG-65M, then Kinetics-400"),
    _trained("c3d_vmz_kinetics", "c3d_kinetics_from_scratch_f129282105.pkl", "", 16,
             _kinetics(None, 66.6, 86.7, "model_zoo.md")),
    _trained("c3d_vmz_sports1m", "c3d_sports1m_from_scratch_f129642950.pkl", "", 16, (),
             "Sports-1M"),
    _trained("c3d_vmz_sports1m_kinetics", "c3d_ft_kinetics_from_sports1m_f131638306.pkl", "", 16,
             _kinetics(None, 67.4, 87.2, "model_zoo.md"), "Sports-1M, then Kinetics-400"),
)  # fmt: skip


def recognizes(state):
    return {"conv1_w", "conv1_spatbn_relu_rm"} <= set(state) or _is_c3d(state)


def build(
    state,
    epsilon=1e-3,
    stem_pool=False,
    dense_shape=None,
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of blob to array, `conv1_w`, `comp_0_conv_1_w` and so on, or C3D's `conv1a_w`.
        epsilon: float, of batch normalisation.
        stem_pool: bool, VMZ's `use_pool1`.
        dense_shape: 3 ints, the pooled map that C3D's fc6 spans. Default: from fc6, with T = 1.
        backbone_only: bool, leave the classifier (`last_out_L400` and its like) out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.

    Raises:
        ConvertError: the network has bottleneck blocks, or of the R2D and MC forms another one
            than R3D and MC3.
    """
    head = next((match[1] for n in state if (match := re.match(r"(last_out_L\d+)_w$", n))), "")
    options = {"backbone_only": backbone_only, "epsilon": epsilon}
    if _is_c3d(state):
        names = _c3d_names(head)
        view = {name: state[blob] for name, blob in names.items() if blob in state}
        convs = {stage: f"conv{stage}.conv" for stage in _C3D_STAGES}
        options |= {"dense_shape": dense_shape, "pooling": "floor", **_KINETICS}
        model, mapping = build_sports1m(view, convs, "fc8", **{**options, **backbone_options})
    else:
        if "comp_0_conv_3_w" in state:
            raise ConvertError(
                "The checkpoint has bottleneck blocks (comp_0_conv_3); only networks of basic "
                "blocks (18 and 34 layers, or other counts) can be converted."
            )
        names = _residual_names(state, head)
        view = {name: state[blob] for name, blob in names.items() if blob in state}
        model, mapping = torchvision_video.build(
            view, stem_pool=stem_pool, **options, **backbone_options
        )
    mapping.rename(names)
    return model, mapping


def _is_c3d(state):
    return {"conv1a_w", "conv1a_bn_rm", "fc6_w"} <= set(state)


def _c3d_names(head):
    """mmaction2's names -> blobs."""
    names = {}
    for stage in _C3D_STAGES:
        _add(names, f"conv{stage}.conv", f"conv{stage}", _CONV)
        _add(names, f"conv{stage}.bn", f"conv{stage}_bn", _NORM)
    for dense, blob in (("fc6", "fc6"), ("fc7", "fc7"), ("fc8", head or "last_out")):
        _add(names, dense, blob, _CONV)
    return names


def _residual_names(state, head):
    """torchvision's names -> blobs; a stage begins where a shortcut is projected."""
    is_factored = "conv1_middle_w" in state
    count = count_numbered(state, r"comp_(\d+)_conv_1_w$")
    names, stage, block = {}, 1, -1
    if is_factored:
        _add(names, "stem.0", "conv1_middle", _CONV)
        _add(names, "stem.1", "conv1_middle_spatbn_relu", _NORM)
        _add(names, "stem.3", "conv1", _CONV)
        _add(names, "stem.4", "conv1_spatbn_relu", _NORM)
    else:
        _add(names, "stem.0", "conv1", _CONV)
        _add(names, "stem.1", "conv1_spatbn_relu", _NORM)
    for component in range(count):
        projection = f"shortcut_projection_{component}"
        is_first = component > 0 and f"{projection}_w" in state
        stage, block = (stage + 1, 0) if is_first else (stage, block + 1)
        for part in (1, 2):
            name = f"layer{stage}.{block}.conv{part}"
            conv = f"comp_{component}_conv_{part}"
            norm = f"comp_{component}_spatbn_{part}"
            if is_factored:
                _add(names, f"{name}.0.0", f"{conv}_middle", _CONV)
                _add(names, f"{name}.0.1", f"{norm}_middle", _NORM)
                _add(names, f"{name}.0.3", conv, _CONV)
            else:
                _add(names, f"{name}.0", conv, _CONV)
            _add(names, f"{name}.1", norm, _NORM)
        if is_first:
            _add(names, f"layer{stage}.{block}.downsample.0", projection, _CONV)
            _add(names, f"layer{stage}.{block}.downsample.1", f"{projection}_spatbn", _NORM)
    _add(names, "fc", head or "last_out", _CONV)
    return names


def _add(names, name, blob, kinds):
    for kind, suffix in kinds.items():
        names[f"{name}.{kind}"] = f"{blob}_{suffix}"
