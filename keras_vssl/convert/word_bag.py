"""The text network of S3D_HowTo100M and MIL-NCE alone."""

from keras_vssl.backbones.word_bag import WordBag
from keras_vssl.convert.mapping import Mapping, shape_of

LICENCE = "Apache 2.0 (S3D_HowTo100M)"
CITATION = (
    "Miech et al., End-to-End Learning of Visual Representations from Uncurated Instructional "
    "Videos, CVPR 2020, https://arxiv.org/abs/1912.06430"
)
PREFIX = "text_module."


def recognizes(state):
    return {"word_embd.weight", "fc1.weight", "fc2.weight"} <= set(state)


def build(state, mask_padding=False, prefix="", dtype=None):
    """Builds the text network that `state` belongs to.

    Args:
        state: dict of name to array: `word_embd.weight`, `fc1` and `fc2`.
        mask_padding: bool, see `WordBag`; the weights were trained without.
        prefix: str, before every name.
        dtype: see `Backbone`.
    """
    rows, vectors = shape_of(state, f"{prefix}word_embd.weight", 2)
    backbone = WordBag(
        rows=rows,
        vectors=vectors,
        hidden=shape_of(state, f"{prefix}fc1.weight", 2)[0],
        output=shape_of(state, f"{prefix}fc2.weight", 2)[0],
        mask_padding=mask_padding,
        dtype=dtype,
    )
    mapping = Mapping()
    mapping.add(f"{prefix}word_embd.weight", backbone.get_layer("vectors").embeddings)
    mapping.dense(f"{prefix}fc1", backbone.get_layer("hidden"))
    mapping.dense(f"{prefix}fc2", backbone.get_layer("embedding"))
    return backbone, mapping
