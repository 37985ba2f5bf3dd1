"""Which variables an optimizer treats apart."""

import re

# What transformers' recipes leave undecayed beside the vectors: Keras' attention has biases of two
# dimensions, PReLU's slopes more, and tokens and tables of positions are learned as rows. A linear
# layer on relative positions (`position/kernel`) is a kernel like others.
NO_DECAY = (
    r"(bias|gamma|beta|alpha)$",
    r"(class|cls|mask)_token|(^|/)token\d*$",
    r"position(?!/kernel$)|pos_embed|(^|/)table$",
)


def is_selected(variable, patterns, vectors):
    """Whether a variable's path matches one of the patterns, or it has fewer than two dimensions.

    Args:
        variable: `keras.Variable`.
        patterns: regular expressions, searched for in `variable.path`, e.g. "layer1_0_bn1/gamma".
        vectors: bool, select all scalars and vectors: biases, gains and offsets of norms.
    """
    if vectors and len(variable.shape) < 2:
        return True
    return any(re.search(pattern, variable.path) for pattern in patterns)
