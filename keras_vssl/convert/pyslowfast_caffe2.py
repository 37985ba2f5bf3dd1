"""PySlowFast's Slow and I3D networks as the Caffe2 pickles of its model zoo."""

import re

from keras_vssl.convert import pyslowfast
from keras_vssl.convert.mapping import count_numbered
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
    names = _names(state)
    model, mapping = pyslowfast.build(
        {name: state[blob] for name, blob in names.items() if blob in state},
        stem_stride=stem_stride,
        dilate_last=dilate_last,
        backbone_only=backbone_only,
        **backbone_options,
    )
    mapping.rename(names)
    mapping.ignore(*filter(_STATE.fullmatch, state))
    return model, mapping


def _names(state):
    """PySlowFast's names -> blobs, of every block that has one."""
    names = {"head.projection.weight": "pred_w", "head.projection.bias": "pred_b"}

    def add(conv, norm, blob, blob_norm):
        names[f"{conv}.weight"] = f"{blob}_w"
        for ending, kind in _NORM.items():
            names[f"{norm}.{kind}"] = f"{blob_norm}_{ending}"

    add("s1.pathway0_stem.conv", "s1.pathway0_stem.bn", "conv1", "res_conv1_bn")
    for stage in (2, 3, 4, 5):
        for block in range(count_numbered(state, rf"res{stage}_(\d+)_branch")):
            start, blob = f"s{stage}.pathway0_res{block}", f"res{stage}_{block}_branch"
            add(f"{start}.branch1", f"{start}.branch1_bn", f"{blob}1", f"{blob}1_bn")
            for part in "abc":
                conv, name = f"{start}.branch2.{part}", f"{blob}2{part}"
                add(conv, f"{conv}_bn", name, f"{name}_bn")
    return names
