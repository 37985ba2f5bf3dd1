"""VideoMAE's and VideoMAE V2's networks, in their own naming and in that of transformers."""

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.backbones.video_vit import VideoViT
from keras_vssl.convert.mapping import count_numbered, shape_of
from keras_vssl.convert.published import Checkpoint
from keras_vssl.convert.vit import HUB, TIMM, ViTMapping, grids_of, heads_of
from keras_vssl.layers.positions import TableGrid

LICENCE = "CC-BY-NC 4.0 (MCG-NJU/VideoMAE); MIT (OpenGVLab/VideoMAEv2)"
CITATION = (
    "Tong et al., VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised "
    "Video Pre-Training, NeurIPS 2022"
)
_WHERE = "https://github.com/MCG-NJU/VideoMAE"
_TUNED = (
    ("small", "kinetics400", 1600, "Kinetics-400 79.0 / 93.8"),
    ("base", "kinetics400", 800, "Kinetics-400 80.0 / 94.4"),
    ("base", "kinetics400", 1600, "Kinetics-400 81.5 / 95.1"),
    ("large", "kinetics400", 1600, "Kinetics-400 85.2 / 96.8"),
    ("huge", "kinetics400", 1600, "Kinetics-400 86.6 / 97.1"),
    ("small", "ssv2", 2400, "Something-Something V2 66.8 / 90.3"),
    ("base", "ssv2", 800, "Something-Something V2 69.6 / 92.0"),
    ("base", "ssv2", 2400, "Something-Something V2 70.8 / 92.4"),
    ("base", "ucf101", 3200, "UCF101 91.3 / 98.5"),
)
_DATA = {"kinetics400": "Kinetics-400", "ssv2": "Something-Something V2", "ucf101": "UCF101"}
CHECKPOINTS = (
    *(
        Checkpoint(
            f"videomae_{size}_{data}_{epochs}",
            "",
            _WHERE,
            backbone=f"video_vit_{size}",
            data=_DATA[data],
            figures=(f"{figure} fine-tuned (official model zoo)",),
            licence="CC-BY-NC 4.0",
            note=f"Pre-trained for {epochs} epochs; there is a pre-trained and a fine-tuned file.",
        )
        for size, data, epochs, figure in _TUNED
    ),
    Checkpoint(
        "videomae_v2_giant",
        "",
        "https://github.com/OpenGVLab/VideoMAEv2",
        backbone="video_vit_giant",
        data="UnlabeledHybrid",
        figures=(
            "Kinetics-400 fine-tuned 87.2 / 97.4 (official model zoo)",
            "Something-Something V2 fine-tuned 77.0 / 95.9 (official model zoo)",
        ),
        licence="MIT",
    ),
)
_BASE = ARCHITECTURES["video_vit_base"]["config"]
_CLIP = (16, 224, 224, 3)
_STATISTICS = {"mean": _BASE["mean"], "std": _BASE["std"]}
# (encoder's embedding, its blocks, its norm, a block's parts, the classifier, decoder's blocks)
_PRETRAINED = (
    "encoder.patch_embed.proj", "encoder.blocks", "encoder.norm", TIMM, None, "decoder.blocks"
)  # fmt: skip
_FINE_TUNED = ("patch_embed.proj", "blocks", "norm", TIMM, "head", None)
_HUB = (
    "videomae.embeddings.patch_embeddings.projection",
    "videomae.encoder.layer",
    "videomae.layernorm",
    HUB,
    "classifier",
    "decoder.decoder_layers",
)


def recognizes(state):
    names = _naming(state)
    if f"{names[0]}.weight" not in state or state[f"{names[0]}.weight"].ndim != 5:
        return False
    block = f"{names[1]}.0."
    return any(f"{block}{name}" in state for name in names[3]["query_bias"])


def build(
    state,
    heads=None,
    decoder_heads=None,
    ratio=0.9,
    decoder_ratio=0.0,
    epsilon=1e-6,
    clip_shape=None,
    trained_shape=None,
    backbone_only=False,
    **backbone_options,
):
    """Builds the network that `state` belongs to.

    Args:
        state: dict of name to array. With a decoder it becomes a `VideoMAE` task, with a
            classifier a `VideoClassifier`.
        heads, decoder_heads: ints or `None`: the published ones of this width (64 channels each
            but for H and g). The hub's small model is configured with 16 heads; the official code
            that trained it has 6.
        ratio, decoder_ratio: floats, of the `VideoMAE` task.
        epsilon: float, of layer normalisation.
        clip_shape: `(T, H, W, 3)`: the positions are computed, no tensor tells the clip. Default:
            (16, 224, 224, 3). A learned table (`use_learnable_pos_emb`) is interpolated to it.
        trained_shape: `(T, H, W, 3)`, the clip of a learned table, where it isn't (16, 224, 224,
            3) and does not follow from `clip_shape`.
        backbone_only: bool, leave the decoder or the classifier out.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.
    """
    embed, blocks, norm, names, head, decoder = _naming(state)
    width, _, *patch = shape_of(state, f"{embed}.weight", 5)
    table = f"{embed.removesuffix('patch_embed.proj')}pos_embed"
    learned = table in state
    if learned:
        # The pre-training code makes one row too many, the first.
        unused = int(names is TIMM and decoder is not None)
        rows = shape_of(state, table, 3)[1] - unused
        clip_shape, saved = grids_of(rows, patch, clip_shape, _CLIP, trained_shape)
    backbone = VideoViT(
        width,
        count_numbered(state, rf"{blocks}\.(\d+)\."),
        heads_of(width, heads),
        shape_of(state, f"{blocks}.0.{names['fc1']}.weight", 2)[0],
        patch,
        "learned" if learned else "sinusoid",
        final_norm=f"{norm}.weight" in state,
        epsilon=epsilon,
        clip_shape=clip_shape or _CLIP,
        **{**_STATISTICS, **backbone_options},
    )
    mapping = ViTMapping(state)
    mapping.patch_embed(embed, backbone.get_layer("patch_embed"))
    if learned:
        space = backbone.get_layer("positions").space
        methods = backbone.position_tables()[space.path].methods
        mapping.table(table, space, TableGrid(saved, 0, methods), backbone.grid, unused)
    for index in range(backbone.depth):
        mapping.block(f"{blocks}.{index}", backbone.get_layer(f"block{index + 1}"), names)
    if backbone.final_norm:
        mapping.layer_norm(norm, backbone.get_layer("norm"))

    if backbone_only:
        parts = ("decoder.", "encoder_to_decoder.", "mask_token", "fc_norm.", f"{head}.")
        mapping.ignore(*(name for name in state if name.startswith(parts)))
        return backbone, mapping
    if "encoder_to_decoder.weight" in state:
        return _with_decoder(
            state, backbone, mapping, decoder, names, decoder_heads, ratio, decoder_ratio
        )
    if f"{head}.weight" in state:
        return _with_classifier(state, backbone, mapping, head)
    return backbone, mapping


def _naming(state):
    if any(name.startswith("videomae.") for name in state):
        return _HUB
    return _PRETRAINED if f"{_PRETRAINED[0]}.weight" in state else _FINE_TUNED


def _with_decoder(state, backbone, mapping, blocks, names, heads, ratio, decoder_ratio):
    from keras_vssl.tasks.generative.videomae import VideoMAE

    width, _ = shape_of(state, "encoder_to_decoder.weight", 2)
    task = VideoMAE(
        backbone,
        decoder_width=width,
        decoder_depth=count_numbered(state, rf"{blocks}\.(\d+)\."),
        decoder_heads=heads_of(width, heads),
        decoder_mlp_width=shape_of(state, f"{blocks}.0.{names['fc1']}.weight", 2)[0],
        ratio=ratio,
        decoder_ratio=decoder_ratio,
    )
    decoder = task.decoder
    mapping.add("encoder_to_decoder.weight", decoder.project.kernel, lambda array: array.T)
    mapping.add("mask_token", decoder.mask_token, lambda array: array.reshape(-1))
    for index, block in enumerate(decoder.blocks):
        mapping.block(f"{blocks}.{index}", block, names)
    mapping.layer_norm("decoder.norm", decoder.norm)
    mapping.dense("decoder.head", decoder.head)
    return task, mapping


def _with_classifier(state, backbone, mapping, head):
    from keras_vssl.downstream.classifier import VideoClassifier

    classes, _ = shape_of(state, f"{head}.weight", 2)
    pooled = "fc_norm.weight" in state
    classifier = VideoClassifier(backbone, num_classes=classes, layer_norm=pooled)
    if pooled:
        mapping.layer_norm("fc_norm", classifier.layer_norm)
    mapping.dense(head, classifier.head)
    return classifier, mapping
