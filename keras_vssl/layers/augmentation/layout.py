"""Where the channels, frames, rows and columns of a clip are.

Clips are `[..., T, H, W, 3]`. Inside the layers they are planes, `[..., T, 3, H, W]`: with three
channels innermost, a CPU's broadcasts take several times as long.
"""

from keras import ops

LAST, PLANES = -1, -3


def to_planes(x):
    """`[..., T, H, W, 3]` as `[..., T, 3, H, W]`."""
    return ops.moveaxis(x, -1, -3)


def from_planes(x):
    """`[..., T, 3, H, W]` as `[..., T, H, W, 3]`."""
    return ops.moveaxis(x, -3, -1)


def height_width(axis):
    """The axes of rows and columns where the channels are at `axis` (-1 or -3)."""
    if axis not in (LAST, PLANES):
        raise ValueError(f"`axis` of the channels is -1 or -3, but received {axis}.")
    return (-3, -2) if axis == LAST else (-2, -1)


def aligned(value, x):
    """A number, or one number for each leading entry of x, in a shape that broadcasts with x."""
    rank = len(getattr(value, "shape", ()))
    if not rank:
        return value
    return ops.reshape(value, (*ops.shape(value), *[1] * (len(x.shape) - rank)))
