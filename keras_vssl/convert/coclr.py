"""CoCLR, InfoNCE and UberNCE of TengdaHan/CoCLR: S3D and S3D-G."""

import re

from keras_vssl.backbones.inception import CHANNELS
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.s3d import S3D
from keras_vssl.convert.inception import SEQUENTIAL, Names, arguments, map_inception, read_s3d
from keras_vssl.convert.mapping import ConvertError, shape_of
from keras_vssl.convert.published import Checkpoint

LICENCE = "Apache 2.0"
CITATION = (
    "Han et al., Self-supervised Co-Training for Video Representation Learning, NeurIPS 2020, "
    "https://arxiv.org/abs/2010.09709"
)
_WHERE = "https://github.com/TengdaHan/CoCLR"
_FLOW = "Flow is read as three channels, normalised like RGB."
CHECKPOINTS = (
    Checkpoint(
        name="s3d_coclr_rgb_ucf101",
        file="CoCLR-ucf101-rgb-128-s3d-ep182.tar",
        where=_WHERE,
        backbone="s3d_coclr",
        data="UCF101, no labels",
        figures=("UCF101 retrieval R@1 51.8 (authors' page)",),
    ),
    Checkpoint(
        name="s3d_coclr_flow_ucf101",
        file="CoCLR-ucf101-flow-128-s3d-epoch109.pth.tar",
        where=_WHERE,
        backbone="s3d_coclr",
        data="UCF101 flow, no labels",
        figures=("UCF101 retrieval R@1 48.4 on flow (authors' page)",),
        note=_FLOW,
    ),
    Checkpoint(
        name="s3d_infonce_rgb_ucf101",
        file="InfoNCE-ucf101-rgb-128-s3d-ep399.pth.tar",
        where=_WHERE,
        backbone="s3d_coclr",
        data="UCF101, no labels",
        figures=("UCF101 retrieval R@1 33.1 (authors' page)",),
    ),
    Checkpoint(
        name="s3d_infonce_flow_ucf101",
        file="InfoNCE-ucf101-f-128-s3d-ep396.pth.tar",
        where=_WHERE,
        backbone="s3d_coclr",
        data="UCF101 flow, no labels",
        figures=("UCF101 retrieval R@1 45.2 on flow (authors' page)",),
        note=_FLOW,
    ),
    Checkpoint(
        name="s3d_coclr_rgb_kinetics400",
        file="CoCLR-k400-rgb-128-s3d.pth.tar",
        where=_WHERE,
        backbone="s3d_coclr",
        data="Kinetics-400, no labels",
        figures=("UCF101 retrieval R@1 45.6, fine-tuned 87.89 (authors' page)",),
    ),
    Checkpoint(
        name="s3d_coclr_flow_kinetics400",
        file="CoCLR-k400-flow-128-s3d.pth.tar",
        where=_WHERE,
        backbone="s3d_coclr",
        data="Kinetics-400 flow, no labels",
        figures=(
            "UCF101 retrieval R@1 44.4, fine-tuned 85.27 on flow; 90.61 as the mean of both "
            "streams' probabilities (authors' page)",
        ),
        note=_FLOW,
    ),
)

# Each layer is registered twice: under its own name, and in one of five blocks.
_OWN = {endpoint: endpoint.capitalize() for endpoint in CHANNELS}
_BLOCKS = {
    "conv_1a": "block1.0",
    "conv_2b": "block2.1",
    "conv_2c": "block2.2",
    "mixed_3b": "block3.1",
    "mixed_3c": "block3.2",
    "mixed_4b": "block4.1",
    "mixed_4c": "block4.2",
    "mixed_4d": "block4.3",
    "mixed_4e": "block4.4",
    "mixed_4f": "block4.5",
    "mixed_5b": "block5.1",
    "mixed_5c": "block5.2",
}
_PARTS = {
    None: (".conv", ".bn"),
    "spatial": (".conv1", ".bn1"),
    "temporal": (".conv2", ".bn2"),
}
_GATES = {"b0": ".gating_b0.fc", "b1b": ".gating_b1.fc", "b2b": ".gating_b2.fc"}
_GATES["b3"] = ".gating_b3.fc"
_MARKS = tuple(
    (f"{places['conv_1a']}.conv1.weight", f"{places['mixed_3b']}.branch0.0.conv.weight")
    for places in (_OWN, _BLOCKS)
)
# What pre-training holds beside the query network: projection heads, the key network, the
# sampler (the other modality's network) and the queues. No task here takes them.
_HEADS = tuple(f"encoder_q.{i}.{part}" for i in (2, 4) for part in ("weight", "bias"))
_QUEUES = ("queue", "queue_ptr", "queue_second", "queue_vname", "queue_label")
_OTHERS = re.compile(r"(encoder_k|sampler)\.(0\.(Conv_|Mixed_|block[1-5]\.)|[24]\.(weight|bias)$)")


def recognizes(state):
    return _prefix(state) is not None


def build(state, slow=False, backbone_only=False, epsilon=1e-5, **backbone_options):
    """Builds the network that `state` belongs to.

    A pre-training checkpoint gives the query network; the key network, the sampler, the
    projection heads and the queues are left out. A fine-tuned one gives a `VideoClassifier`; with
    `final_bn`, the linear probe's, its features are L2-normalised first.

    Args:
        state: dict of name to array.
        slow: bool, the stem has stride 1 in time, which no tensor tells.
        backbone_only: bool, leave the classifier out.
        epsilon: float, of batch normalisation.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    prefix = _prefix(state)
    if prefix is None:
        raise ConvertError(
            f"The checkpoint has neither {' and '.join(_MARKS[0])} nor {' and '.join(_MARKS[1])}; "
            f"of CoCLR's networks only S3D can be converted."
        )
    is_own = f"{prefix}{_MARKS[0][0]}" in state
    names, aliases = (
        Names(places, SEQUENTIAL, _PARTS, _GATES, prefix)
        for places in ((_OWN, _BLOCKS) if is_own else (_BLOCKS, _OWN))
    )
    options = {"stem_stride": 1 if slow else 2, "epsilon": epsilon, **backbone_options}
    config = ARCHITECTURES["s3d_coclr"]["config"]
    backbone = S3D(**arguments(config, read_s3d(state, names), **options))
    mapping = map_inception(backbone, names)
    mapping.ignore(*(name for name, _, _ in map_inception(backbone, aliases).entries))
    if prefix:
        mapping.ignore(*_HEADS, *_QUEUES, *filter(_OTHERS.match, state))
    return _with_classifier(state, backbone, mapping, backbone_only), mapping


def _with_classifier(state, backbone, mapping, backbone_only):
    # Behind a dropout the linear layer is the second of its sequence.
    head = "final_fc.1" if "final_fc.1.weight" in state else "final_fc.0"
    norm = [f"final_bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    if backbone_only:
        mapping.ignore(f"{head}.weight", f"{head}.bias", *norm)
    if backbone_only or f"{head}.weight" not in state:
        return backbone
    from keras_vssl.downstream import VideoClassifier

    model = VideoClassifier(
        backbone,
        num_classes=shape_of(state, f"{head}.weight", 2)[0],
        dropout=0.9 if head == "final_fc.1" else 0.0,
        normalize=norm[0] in state,
    )
    mapping.dense(head, model.head)
    if norm[0] in state:
        mapping.norm("final_bn", model.norm)
    return model


def _prefix(state):
    """`"encoder_q.0."` in a pre-training checkpoint, `""` in a network's own, or `None`."""
    for prefix in ("encoder_q.0.", ""):
        # A ResNet has a block1.0.conv1 too, but no branches.
        if any({f"{prefix}{stem}", f"{prefix}{block}"} <= set(state) for stem, block in _MARKS):
            return prefix
    return None
