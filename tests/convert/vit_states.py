"""Small states of published vision transformers: names and shapes with random values."""

import numpy as np


def filled(shapes, seed=0):
    """dict of name to float32 array from a dict of name to shape; gains are near 1."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in shapes.items():
        gain = len(shape) == 1 and "norm" in name and name.endswith("weight")
        scale = 0.1 if len(shape) == 1 else 0.3 / np.sqrt(max(1, np.prod(shape[1:]) / 16))
        state[name] = (rng.normal(float(gain), scale, shape)).astype("float32")
    return state


def linear(name, outputs, inputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def block(name, width, mlp_width, parts):
    """A block's shapes. `parts`: names as in `keras_vssl.convert.vit`, e.g. its `TIMM`."""
    shapes = {**norm(f"{name}.{parts['norm1']}", width)}
    for part in parts["qkv"]:
        shapes |= linear(f"{name}.{part}", 3 * width // len(parts["qkv"]), width)
    return {
        **shapes,
        **linear(f"{name}.{parts['proj']}", width, width),
        **norm(f"{name}.{parts['norm2']}", width),
        **linear(f"{name}.{parts['fc1']}", mlp_width, width),
        **linear(f"{name}.{parts['fc2']}", width, mlp_width),
    }


def embedding(name, width, patch):
    return {f"{name}.weight": (width, 3, *patch), f"{name}.bias": (width,)}
