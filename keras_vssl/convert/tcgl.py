"""TCGL's encoders, which are VCOP's, out of the whole method's checkpoint."""

import re

from keras_vssl.convert import vcop

LICENCE = "none stated by the source (YangLiu9208/TCGL)"
CITATION = (
    "Liu et al., TCGL: Temporal Contrastive Graph for Self-supervised Video Representation "
    "Learning, IEEE Transactions on Image Processing 2022, https://arxiv.org/abs/2112.03587"
)
# The authors published none; a user's own file has this format.
CHECKPOINTS = ()
# Graph convolutions (as PyTorch Geometric saves them, before 2.0 and since), the projection of
# the contrast, the order head and its fusion; their classes come with the method.
_METHOD = re.compile(
    r"gcn(_f)?\d?\.(weight|bias|lin\.weight)|fc[1278]\.(weight|bias)"
    r"|fusion\.fc_\d\.[02]\.(weight|bias)"
)


def recognizes(state):
    names = set(state)
    return any(name.startswith("base_network.") for name in names) and bool(
        {"gcn1.weight", "gcn1.lin.weight"} & names
    )


def build(state, epsilon=1e-5, **backbone_options):
    """Builds the encoder that `state` holds: C3D, R3D or R(2+1)D in VCOP's form.

    Args:
        state: dict of name to array, `base_network.*` and the method's graph convolutions and
            heads, which are left out.
        epsilon: float, of batch normalisation.
        **backbone_options: `clip`, `mean`, `std`, `dtype`.

    The network takes clips with their mean over time subtracted (the method's STKD), of 16 frames
    or of 4.
    """
    backbone, mapping = vcop.build(state, epsilon, backbone_only=True, **backbone_options)
    mapping.ignore(*filter(_METHOD.fullmatch, state))
    return backbone, mapping
