"""PySlowFast's Slow and I3D networks, supervised or contrastive, and those of its fork MaCLR."""

from keras_vssl.convert.mapping import ConvertError
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.slow import build_slow

LICENCE = (
    "Apache 2.0 (PySlowFast, self-supervised-maclr); the data the weights saw has its own terms"
)
CITATION = (
    "Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019, "
    "https://arxiv.org/abs/1812.03982"
)
_WHERE = "https://github.com/facebookresearch/SlowFast"
CHECKPOINTS = (
    *(
        Checkpoint(
            f"slow_r50_{method.lower()}_kinetics400",
            "",
            _WHERE,
            "slow_r50",
            "Kinetics-400, no labels",
            (f"Kinetics-400 linear {figure} (two clips, 8x8; contrastive_ssl README)", *more),
        )
        for method, figure, more in (
            ("MoCo", 66.6, ("UCF101 fine-tuned 94.5 (four clips, split 1; the same)",)),
            ("BYOL", 67.4, ("UCF101 fine-tuned 94.7 (four clips, split 1; the same)",)),
            ("SimCLR", 61.5, ()),
            ("SwAV", 62.6, ()),
        )
    ),
    Checkpoint(
        "slow_r50_dense_maclr_kinetics400",
        "maclr.pyth",
        "https://github.com/facebookresearch/self-supervised-maclr",
        "slow_r50_dense",
        "Kinetics-400, no labels",
    ),
)
_HEAD = "head.projection"
_QUERY = "encoder_q."  # MaCLR's online network; all else in its file is state of the training
_TRAINING_STATE = ("backbone_hist.", "queue", "ptr", "iter", "knn_mem", "swav_")


class _Names:
    """`s2.pathway0_res0.branch2.a` and its kin; stage 1 here is their s2."""

    def __init__(self, prefix, pathway):
        self.prefix = prefix
        self.pathway = f"pathway{pathway}"

    def conv(self, where):
        if where == "stem":
            return f"{self.prefix}s1.{self.pathway}_stem.conv"
        stage, block, part = where
        inner = "branch1" if part == "shortcut" else f"branch2.{' abc'[part]}"
        return f"{self.prefix}s{stage + 1}.{self.pathway}_res{block}.{inner}"

    def norm(self, where):
        return f"{self.conv(where)[:-4]}bn" if where == "stem" else f"{self.conv(where)}_bn"

    def blocks(self, stage):
        return rf"{self.prefix}s{stage + 1}\.{self.pathway}_res(\d+)\."


def recognizes(state):
    return any(name.endswith("s1.pathway0_stem.conv.weight") for name in state)


def build(
    state,
    pathway=0,
    stem_stride=None,
    dilate_last=False,
    epsilon=1e-5,
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    A contrastive checkpoint (MoCo, BYOL, SimCLR, SwAV, MaCLR) becomes its online backbone: momentum
    copies, queues and projection heads are left out. MaCLR's second pathway, which saw motion, is
    left out too unless it is asked for.

    Args:
        state: dict of name to array.
        pathway: int, `0` for the network of the RGB clips, `1` for MaCLR's motion network.
        stem_stride: int, the stem's stride in time. Default: 2 where it spans several frames.
        dilate_last: bool, the detection form (AVA).
        epsilon: float, of batch normalisation.
        backbone_only: bool, leave `head.projection` out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    if any("_fuse." in name for name in state):
        raise ConvertError(
            "The checkpoint is a SlowFast network, whose slow pathway also sees the fast one "
            "(s1_fuse); only Slow networks can be converted."
        )
    if pathway not in (0, 1):
        raise ConvertError(f"`pathway` is 0 or 1, but received {pathway!r}.")
    prefix = _QUERY if any(name.startswith(_QUERY) for name in state) else ""
    is_contrastive = bool(prefix) or any(name.startswith(_TRAINING_STATE) for name in state)
    has_classifier = f"{_HEAD}.weight" in state and not is_contrastive and pathway == 0
    if pathway == 1:
        # FLOW_MEAN, FLOW_STD, FLOW_NUM_FRAMES and FLOW_SAMPLING_RATE of the released schema.
        motion = {"mean": [0.0] * 3, "std": [1.0] * 3, "clip": {"frames": 16, "stride": 4}}
        backbone_options = {**motion, **backbone_options}
    model, mapping = build_slow(
        state,
        _Names(prefix, pathway),
        head=_HEAD,
        stem_stride=stem_stride,
        dilate_last=dilate_last,
        epsilon=epsilon,
        backbone_only=backbone_only or not has_classifier,
        i3d="i3d_r50_pyslowfast",
        **backbone_options,
    )
    mapping.ignore(
        *(
            name
            for name in state
            if not name.startswith(prefix)
            or name.startswith(_TRAINING_STATE)
            or f".pathway{1 - pathway}_" in name
            or name.startswith(f"{prefix}head.")
            and not has_classifier
        )
    )
    return model, mapping
