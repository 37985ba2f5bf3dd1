"""Pixels as targets: normalised patches and the mean squared error on them."""

from keras import ops


def channel_normalized(patches, channels=3, epsilon=1e-6):
    """Each patch normalised in each channel on its own: `(x - mean) / (std + epsilon)`.

    The variance is the unbiased one, the epsilon stands outside of the root (VideoMAE).

    Args:
        patches: `[B, N, pixels * channels]`, channels fastest, see `layers.patchify`.
        channels: int. epsilon: float.

    Returns:
        float32, the same shape. A constant patch becomes 0.

    Reference:
        Tong et al. NeurIPS 2022 (https://arxiv.org/abs/2203.12602), official code.
    """
    mean, deviation = channel_moments(patches, channels)
    x = _by_channel(patches, channels)
    return ops.reshape((x - mean) / (deviation + epsilon), ops.shape(patches))


def channel_moments(patches, channels=3):
    """Mean and unbiased standard deviation of each patch and channel, each `[B, N, 1, channels]`."""
    return _moments(_by_channel(patches, channels), axis=2)


def patch_normalized(patches, epsilon=1e-6):
    """Each patch normalised over all its values: `(x - mean) / sqrt(var + epsilon)`.

    The variance is the unbiased one, the epsilon stands under the root (MAE, AudioMAE).

    Args:
        patches: `[B, N, values]`. epsilon: float.

    Returns:
        float32, the same shape.

    Reference:
        He et al. CVPR 2022 (https://arxiv.org/abs/2111.06377), official code.
    """
    x = ops.cast(patches, "float32")
    mean, deviation = _moments(x, axis=2)
    return (x - mean) / ops.sqrt(ops.square(deviation) + epsilon)


def masked_mse(prediction, target, weight=None):
    """Mean squared error of each sample over its counted tokens.

    Args:
        prediction, target: `[B, M, values]`.
        weight: `[B, M]` or `None` (1 each): 1 for tokens that count, else 0. VideoMAE V2 decodes
            some tokens that the encoder saw, which do not count.

    Returns:
        float32 `[B]`. With weights their batch's mean is the mean over all counted tokens, however
        many each sample has.

    Reference:
        He et al. CVPR 2022, Sec. 3; Wang et al. CVPR 2023 (https://arxiv.org/abs/2303.16727).
    """
    prediction, target = ops.cast(prediction, "float32"), ops.cast(target, "float32")
    errors = ops.mean(ops.square(prediction - target), axis=-1)
    if weight is None:
        return ops.mean(errors, axis=1)
    weight = ops.cast(weight, "float32")
    share = ops.mean(ops.sum(weight, axis=1))
    return ops.sum(errors * weight, axis=1) / ops.maximum(share, 1e-6)


def motion_weights(frames, window, stride, size, low=0.8, high=2.0):
    """How much each pixel of a clip counts: more where more moves ("motion attention").

    The squared differences of neighbouring frames are averaged over all pairs and over windows;
    in each channel the largest average gets the weight `high`, the smallest `low`; the map is
    enlarged bilinearly. Where no channel's averages differ all weights are 1.

    Args:
        frames: `[B, n, H, W, C]`, pixels in [0, 1].
        window, stride: (height, width) of the windows and of their steps, in pixels.
        size: (height, width) of the result.
        low, high: floats.

    Returns:
        float32 `[B, height, width, C]`.

    Reference:
        Yao et al. CVPR 2020, official code (its mode "DPAU").
    """
    frames = ops.cast(frames, "float32")
    moved = ops.mean(ops.square(frames[:, 1:] - frames[:, :-1]), axis=1)
    moved = ops.average_pool(moved, window, stride, "valid", data_format="channels_last")
    least, most = (f(moved, axis=(1, 2), keepdims=True) for f in (ops.min, ops.max))
    weights = low + (high - low) * (moved - least + 1e-6) / (most - least + 1e-6)
    weights = ops.where(ops.max(most - least, axis=-1, keepdims=True) > 0, weights, 1.0)
    return ops.image.resize(weights, size, "bilinear", data_format="channels_last")


def _moments(x, axis):
    # From the first value, not from 0: a constant's mean is then exact, and its target exactly 0,
    # where rounding over an epsilon of 1e-6 would give up to 1.
    first = ops.take(x, [0], axis=axis)
    mean = ops.mean(x - first, axis=axis, keepdims=True)
    squares = ops.sum(ops.square(x - first - mean), axis=axis, keepdims=True)
    return first + mean, ops.sqrt(squares / (x.shape[axis] - 1))


def _by_channel(patches, channels):
    x = ops.cast(patches, "float32")
    return ops.reshape(x, (-1, x.shape[1], x.shape[2] // channels, channels))
