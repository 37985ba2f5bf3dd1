"""MaCLR's (MoDist's) two projection heads, without their networks."""

import re

import keras

from keras_vssl.convert.mapping import ConvertError, Mapping, count_numbered, shape_of
from keras_vssl.convert.pyslowfast import LICENCE  # noqa: F401
from keras_vssl.layers.heads import Projector

CITATION = (
    "Xiao et al., MaCLR: Motion-aware Contrastive Learning of Representations for Videos, ECCV "
    "2022, https://arxiv.org/abs/2106.09703"
)
# The authors' file, maclr.pyth, holds the networks too: `pyslowfast` reads it.
CHECKPOINTS = ()
_NAME = re.compile(r"((?:encoder_q\.)?(?:head\.)?)pathway([01])_projection_\d+\.(weight|bias)")


def recognizes(state):
    return bool(state) and all(_NAME.fullmatch(name) for name in state)


def build(state):
    """Builds the heads that `state` belongs to.

    Args:
        state: dict of name to array: `pathway0_projection_*` (visual) and `pathway1_projection_*`
            (motion) alone, with or without `head.` and `encoder_q.` before them. A checkpoint with
            a network becomes its backbone (`pyslowfast`).

    Returns:
        `keras.Model` of pooled features, dict of "visual" and "motion" `[B, D]`, to the unit
        embeddings of the same names. Its layers `visual_head` and `motion_head` are `MoDist`'s.
    """
    if not recognizes(state):
        raise ConvertError("Expected the tensors pathway0_projection_* and pathway1_projection_*.")
    prefix = _NAME.fullmatch(next(iter(state)))[1]
    mapping, inputs, outputs = Mapping(), {}, {}
    for pathway, modality in enumerate(("visual", "motion")):
        name = f"{prefix}pathway{pathway}_projection_"
        count = count_numbered(state, rf"{re.escape(name)}(\d+)\.")
        shapes = [shape_of(state, f"{name}{i}.weight", 2) for i in range(max(count, 1))]
        head = Projector(
            [width for width, _ in shapes],
            batch_normalization=False,
            normalize=True,
            name=f"{modality}_head",
        )
        inputs[modality] = keras.Input((shapes[0][1],), name=modality)
        outputs[modality] = head(inputs[modality])
        for i, dense in enumerate(head.dense):
            mapping.dense(f"{name}{i}", dense)
    return keras.Model(inputs, outputs), mapping
