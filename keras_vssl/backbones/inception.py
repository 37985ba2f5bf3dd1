"""What Inception networks over clips share: a stem, nine blocks of four branches, poolings."""

import functools

import keras
from keras import layers

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.backbones.residual import check_choice
from keras_vssl.layers.convolution import Conv3D
from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.layers.pooling import MaxPooling3D

# Szegedy et al. CVPR 2015, Table 1; a block's counts are those of BRANCHES.
CHANNELS = {
    "conv_1a": 64,
    "conv_2b": 64,
    "conv_2c": 192,
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}
BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3")
# A pooling's name and window, before the endpoint; strides are 2 where the window is not 1.
_POOLS = {
    "conv_2b": ("pool_2a", (1, 3, 3)),
    "mixed_3b": ("pool_3a", (1, 3, 3)),
    "mixed_4b": ("pool_4a", (3, 3, 3)),
    "mixed_5b": ("pool_5a", (2, 2, 2)),
}
PADDINGS = ("same", "symmetric", "even")


class VideoInception(VideoBackbone):
    """Inception-v1 over clips, for whatever a unit (convolution, normalisation, ReLU) is.

    Args:
        stem: function `(clip, channels, conv, norm)`, a dict of endpoints; the last is the output.
        unit: function `(x, channels, size, conv, norm, name)`, a unit of a `size`-cubed kernel.
        gate: function `(name)`, whether the outputs of that endpoint's branches are gated.
        width, channels, padding, pool_padding, pool_stride, epsilon, momentum, kernel_initializer,
            clip_shape: see `S3D`.
        embedding_dim: int or `None`, see `S3D`.
        dtype, **kwargs: see `VideoBackbone`.
    """

    def __init__(
        self,
        stem,
        unit,
        gate,
        *,
        width,
        channels,
        padding,
        pool_padding,
        pool_stride,
        epsilon,
        momentum,
        kernel_initializer,
        default_initializer,
        clip_shape,
        dtype,
        embedding_dim=None,
        **kwargs,
    ):
        check_choice("padding", padding, *PADDINGS)
        check_choice("pool_padding", pool_padding, None, *PADDINGS)
        counts = scaled_channels(width, channels)
        initializer = initializer_config(kernel_initializer, default_initializer)
        conv = functools.partial(_convolve, padding=padding, initializer=initializer, dtype=dtype)
        norm = functools.partial(
            BatchNormalization, epsilon=epsilon, momentum=momentum, dtype=dtype
        )
        pool = functools.partial(_pool, padding=pool_padding or padding, dtype=dtype)
        unit = functools.partial(unit, conv=conv, norm=norm)

        inputs = keras.Input(tuple(clip_shape), name="clip")
        endpoints = dict(stem(inputs, counts["conv_1a"], conv=conv, norm=norm))
        x = list(endpoints.values())[-1]
        for name in list(counts)[1:]:
            if name in _POOLS:
                pool_name, window = _POOLS[name]
                strides = tuple(1 if size == 1 else 2 for size in window)
                if window[0] > 1:
                    strides = (pool_stride, *strides[1:])
                endpoints[pool_name] = x = pool(x, window, strides, name=pool_name)
            if name.startswith("conv"):
                x = unit(x, counts[name], 1 if name == "conv_2b" else 3, name=name)
                endpoints[name] = x
                if gate(name):
                    endpoints["gate_2c"] = x = self_gating(x, name, dtype)
            else:
                x = _mixed(x, counts[name], unit, pool, gate(name), dtype, name)
                endpoints[name] = x
        if embedding_dim is not None:
            x = layers.GlobalAveragePooling3D(keepdims=True, name="embedding_pool", dtype=dtype)(x)
            endpoints["embedding"] = x = layers.Dense(embedding_dim, name="embedding", dtype=dtype)(
                x
            )

        super().__init__(inputs, endpoints, feature_dim=x.shape[-1], dtype=dtype, **kwargs)
        self.width = int(width)
        self.channels = None if channels is None else dict(channels)
        self.padding = padding
        self.pool_padding = pool_padding
        self.pool_stride = int(pool_stride)
        self.epsilon = float(epsilon)
        self.momentum = float(momentum)
        self.kernel_initializer = initializer
        self.clip_shape = tuple(clip_shape)

    def get_config(self):
        channels = self.channels and {
            name: list(count) if isinstance(count, (list, tuple)) else count
            for name, count in self.channels.items()
        }
        return {
            **super().get_config(),
            "width": self.width,
            "channels": channels,
            "padding": self.padding,
            "pool_padding": self.pool_padding,
            "pool_stride": self.pool_stride,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


def scaled_channels(width, channels=None):
    """The channels of every endpoint: the paper's, scaled to a first convolution of `width`.

    Args:
        width: int.
        channels: dict of endpoint to int or six ints that take the place of scaled ones.

    Raises:
        ValueError: an endpoint is unknown, or its counts are of the wrong number.
    """

    def scaled(count):
        return max(1, round(count * width / CHANNELS["conv_1a"]))

    counts = {
        name: scaled(count) if isinstance(count, int) else tuple(map(scaled, count))
        for name, count in CHANNELS.items()
    }
    for name, count in (channels or {}).items():
        expected = counts.get(name)
        fits = isinstance(count, int) if isinstance(expected, int) else _is_six(count)
        if expected is None or not fits:
            raise ValueError(
                f"`channels` takes an int for a convolution and six for a block, by endpoint "
                f"({', '.join(counts)}), but received {name}: {count}."
            )
        counts[name] = count if isinstance(count, int) else tuple(count)
    return counts


def plain_unit(x, channels, size, *, conv, norm, dtype, name, stride=(1, 1, 1)):
    """relu(bn(conv(x))) with one kernel, `size` an int or `(T, H, W)`."""
    kernel = (size,) * 3 if isinstance(size, int) else tuple(size)
    x = conv(x, channels, kernel, stride, name=name)
    x = norm(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)


def self_gating(x, name, dtype):
    """x * sigmoid(W mean(x) + b), the mean over time and space (Xie et al. ECCV 2018, Sec. 4.4)."""
    mean = layers.GlobalAveragePooling3D(keepdims=True, name=f"{name}_gate_pool", dtype=dtype)(x)
    gate = layers.Dense(x.shape[-1], "sigmoid", name=f"{name}_gate", dtype=dtype)(mean)
    return layers.Multiply(name=f"{name}_gated", dtype=dtype)([x, gate])


def _mixed(x, counts, unit, pool, is_gated, dtype, name):
    """Four branches side by side: 1, 1-3, 1-3, and pool-1."""
    count = dict(zip(BRANCHES, counts, strict=True))

    def branch(x, part, size):
        return unit(x, count[part], size, name=f"{name}_{part}")

    pooled = pool(x, (3, 3, 3), (1, 1, 1), name=f"{name}_pool")
    outputs = {
        "b0": branch(x, "b0", 1),
        "b1b": branch(branch(x, "b1a", 1), "b1b", 3),
        "b2b": branch(branch(x, "b2a", 1), "b2b", 3),
        "b3": branch(pooled, "b3", 1),
    }
    if is_gated:
        outputs = {part: self_gating(y, f"{name}_{part}", dtype) for part, y in outputs.items()}
    return layers.Concatenate(name=name, dtype=dtype)(list(outputs.values()))


def _convolve(x, channels, kernel, stride, *, padding, initializer, dtype, name, **options):
    """A convolution, without bias unless told; strided ones pad as `padding` says."""
    mode = "same"
    if padding != "same" and stride != (1, 1, 1):
        mode = "valid"
        around = _around(kernel, stride, padding)
        x = layers.ZeroPadding3D(around, name=f"{name}_pad", dtype=dtype)(x)
    options = {
        "use_bias": False,
        "kernel_initializer": keras.initializers.get(initializer),
        **options,
    }
    return Conv3D(channels, kernel, stride, mode, dtype=dtype, name=name, **options)(x)


def _pool(x, window, strides, *, padding, dtype, name):
    if padding == "same" or (strides == (1, 1, 1) and window == (3, 3, 3)):
        return MaxPooling3D(window, strides, "same", name=name, dtype=dtype)(x)
    if padding == "even":
        # The extra zeros behind are PyTorch's `ceil_mode`.
        around = [
            (before, behind + stride - 1)
            for (before, behind), stride in zip(_around(window, strides, padding), strides)
        ]
    else:
        around = [(size // 2, size // 2) if size % 2 else (0, 0) for size in window]
    # Zeros, for what comes out of a ReLU, are as good as the minus infinity of the papers.
    if any(map(any, around)):
        x = layers.ZeroPadding3D(tuple(around), name=f"{name}_pad", dtype=dtype)(x)
    return MaxPooling3D(window, strides, "valid", name=name, dtype=dtype)(x)


def _around(kernel, strides, padding):
    """Zeros before and behind on each axis."""
    if padding == "symmetric":
        return tuple((size // 2, size // 2) for size in kernel)
    totals = [max(size - stride, 0) for size, stride in zip(kernel, strides)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _is_six(counts):
    return isinstance(counts, (list, tuple)) and len(counts) == len(BRANCHES)
