"""Pastes patches of a clip onto it, along tracks."""

from keras import ops

from keras_vssl.layers.roi_align import linear_weights


def paste_patches(clips, tracks, patches):
    """Clips onto which patches of their own are pasted, resized to a box at every frame.

    Args:
        clips: float `[B, T, H, W, C]`.
        tracks: `[B, N, T, 5]`, (left, top, right, bottom) in pixels, and the opacity in [0, 1].
        patches: `[B, N, 3]`: the frame that a patch is cut from, at its box there; its shape (0
            rectangle, 1 ellipse, 2 rhombus); the distance from its centre, in shares of its size,
            from which on it fades (0.5: it doesn't).

    Returns:
        float32, the shape of `clips`. Later patches lie over earlier ones; all are cut before any
        is pasted.

    Reference:
        Wang et al. CVPR 2021, official code; it draws shapes at the size of the cut and resizes
        them, here they are computed at each frame's.
    """
    clips, tracks, patches = (ops.cast(x, "float32") for x in (clips, tracks, patches))
    pasted, (frames, height, width) = clips, clips.shape[1:4]
    for index in range(tracks.shape[1]):
        boxes, opacity = tracks[:, index, :, :4], tracks[:, index, :, 4]
        source, shape, edge = (patches[:, index, i, None, None, None] for i in range(3))
        own = ops.one_hot(ops.cast(patches[:, index, 0], "int32"), frames, dtype="float32")
        cut, home = ops.einsum("bt,bthwc->bhwc", own, clips), ops.einsum("bt,btk->bk", own, boxes)
        down, y = _axis(boxes[..., 1], boxes[..., 3], home[:, 1], home[:, 3], height)
        across, x = _axis(boxes[..., 0], boxes[..., 2], home[:, 0], home[:, 2], width)
        patch = ops.einsum("bthy,byxc->bthxc", down, cut)
        patch = ops.einsum("btwx,bthxc->bthwc", across, patch)
        x, y = x[:, :, None, :], y[:, :, :, None]  # distances from the centre
        distance = ops.where(shape == 1, ops.sqrt(ops.square(x) + ops.square(y)), x + y)
        distance = ops.where(shape == 0, ops.maximum(x, y), distance)
        inside = ops.logical_and(distance < 0.5, ops.maximum(x, y) < 0.5)
        alpha = ops.clip((0.5 - distance) / ops.maximum(0.5 - edge, 1e-6), 0.0, 1.0)
        alpha = ops.where(inside, alpha, 0.0) * opacity[:, :, None, None]
        pasted = pasted + alpha[..., None] * (patch - pasted)
    return pasted


def _axis(low, high, home_low, home_high, count):
    """Where the pixels of an axis come from, and how far from a patch's centre they are.

    Args:
        low, high: `[B, T]`, a patch's edges. home_low, home_high: `[B]`, where it was cut.

    Returns:
        (weights `[B, T, count, count]`, distances in shares of the patch `[B, T, count]`).
    """
    pixels = ops.arange(count, dtype="float32") + 0.5
    share = (pixels - low[..., None]) / ops.maximum(high - low, 1.0)[..., None]
    first, last = home_low[:, None, None], ops.maximum(home_high, home_low + 1)[:, None, None]
    places = ops.clip(first + share * (last - first) - 0.5, first, last - 1)
    return linear_weights(places, count), ops.abs(share - 0.5)
