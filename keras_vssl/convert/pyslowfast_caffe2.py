"""PySlowFast's Slow and I3D networks as the Caffe2 pickles of its model zoo."""

import re

from keras_vssl.convert import pyslowfast
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.pyslowfast import CITATION, LICENCE  # noqa: F401

CHECKPOINTS = (
    Checkpoint(
        "slow_r50_pyslowfast_kinetics400",
        "SLOWONLY_8x8_R50.pkl",
        "https://github.com/facebookresearch/SlowFast",
        "slow_r50",
        "Kinetics-400, labels",
        ("Kinetics-400 top-1 74.8, top-5 91.6 (PySlowFast model zoo)",),
    ),
)
# A blob's ending, as PyTorch calls it; `riv` is the running variance in spite of its name.
_NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
_BLOB = re.compile(r"res(\d)_(\d+)_branch(1|2[abc])_(w|bn_(?:s|b|rm|riv))")
_OTHERS = {
    "conv1_w": "s1.pathway0_stem.conv.weight",
    "pred_w": "head.projection.weight",
    "pred_b": "head.projection.bias",
    **{f"res_conv1_bn_{k}": f"s1.pathway0_stem.bn.{v}" for k, v in _NORM.items()},
}
# What Caffe2 keeps of its training: learning rates, counters, momenta.
_STATE = re.compile(r"(lr|model_iter|.*_momentum|.*_grad)")


def recognizes(state):
    return "conv1_w" in state and "res_conv1_bn_riv" in state


def build(state, stem_stride=None, dilate_last=False, backbone_only=False, **backbone_options):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array, `res2_0_branch2a_w` and so on.
        stem_stride, dilate_last, backbone_only: as for the format `pyslowfast`.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    renamed = {_name(blob): blob for blob in state}
    model, mapping = pyslowfast.build(
        {name: state[blob] for name, blob in renamed.items()},
        stem_stride=stem_stride,
        dilate_last=dilate_last,
        backbone_only=backbone_only,
        **backbone_options,
    )
    blobs = {**{_name(blob): blob for blob in _all_blobs(mapping)}, **renamed}
    mapping.entries = [(blobs.get(n, n), v, transform) for n, v, transform in mapping.entries]
    mapping.ignored = {blobs.get(name, name) for name in mapping.ignored}
    mapping.ignore(*filter(_STATE.fullmatch, state))
    return model, mapping


def _name(blob):
    """PySlowFast's name of a blob; what is none keeps its own."""
    if match := _BLOB.fullmatch(blob):
        stage, block, branch, kind = match.groups()
        name = f"s{stage}.pathway0_res{block}.branch{branch[0]}"
        name += f".{branch[1]}" if len(branch) > 1 else ""
        return f"{name}.weight" if kind == "w" else f"{name}_bn.{_NORM[kind[3:]]}"
    return _OTHERS.get(blob, blob)


def _all_blobs(mapping):
    """The blobs that a mapping asks for, those too that the file lacks."""
    for name in mapping.names:
        if match := re.fullmatch(r"s(\d)\.pathway0_res(\d+)\.branch(.+)\.(\w+)", name):
            stage, block, branch, kind = match.groups()
            inner = branch.replace(".", "").replace("_bn", "")
            ending = {v: k for k, v in _NORM.items()}[kind]
            yield f"res{stage}_{block}_branch{inner}_" + (
                f"bn_{ending}" if "_bn" in branch else "w"
            )
    yield from _OTHERS
