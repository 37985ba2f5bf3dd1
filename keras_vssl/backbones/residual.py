"""What residual networks over space and time share: a stem, four stages of blocks."""

import functools

import keras
from keras import layers

from keras_vssl.backbones.backbone import initializer_config
from keras_vssl.backbones.presets import KAIMING_FAN_OUT
from keras_vssl.backbones.temporal_groups import GroupedInTime, bound_clip, normalization
from keras_vssl.layers.convolution import Conv3D
from keras_vssl.layers.pooling import MaxPooling3D


class VideoResNet(GroupedInTime):
    """A stem, a max pooling if wanted, and four stages of residual blocks.

    Endpoints: `stem_conv` (before its normalisation), `stem`, `stem_pool` (when it exists),
    `layer1`, `layer2`, `layer3`, `layer4`.

    Args:
        stem: function of the clip, the convolved tensor.
        block: function `(x, stage, index, name)`, the output of block `index` of `stage`, both
            from 0.
        norm: function of `name` that makes a normalisation layer.
        blocks, width, stem_pool, epsilon, padding, kernel_initializer, clip_shape,
            stem_pool_frames, temporal_groups: see `R3D`.
        stem_pool_stride, stage_pool: see `SlowResNet`.
        clip, dtype, **kwargs: see `VideoBackbone`.
    """

    def __init__(
        self,
        stem,
        block,
        norm,
        *,
        blocks,
        width,
        stem_pool,
        epsilon,
        padding,
        kernel_initializer,
        clip_shape,
        dtype,
        stem_pool_frames=1,
        stem_pool_stride=None,
        stage_pool=1,
        temporal_groups=None,
        clip=None,
        **kwargs,
    ):
        check_choice("padding", padding, "symmetric", "same")
        blocks = four_counts(blocks)
        clip_shape, clip = bound_clip(temporal_groups, clip_shape, clip)
        inputs = keras.Input(clip_shape, name="clip")
        x = stem(inputs)
        endpoints = {"stem_conv": x}
        x = norm(name="stem_bn")(x)
        endpoints["stem"] = x = layers.ReLU(name="stem_relu", dtype=dtype)(x)
        if stem_pool:
            endpoints["stem_pool"] = x = _pool(
                x, int(stem_pool_frames), stem_pool_stride, padding, dtype
            )
        for stage, count in enumerate(blocks):
            for index in range(count):
                x = block(x, stage, index, name=f"layer{stage + 1}_{index}")
            endpoints[f"layer{stage + 1}"] = x
            if not stage and stage_pool > 1:
                size = (int(stage_pool), 1, 1)
                x = MaxPooling3D(size, size, name="stage_pool", dtype=dtype)(x)
                endpoints["stage_pool"] = x

        super().__init__(
            inputs, endpoints, feature_dim=x.shape[-1], clip=clip, dtype=dtype, **kwargs
        )
        self.bind(temporal_groups)
        self.blocks = blocks
        self.width = int(width)
        self.stem_pool = bool(stem_pool)
        self.epsilon = float(epsilon)
        self.padding = padding
        self.kernel_initializer = initializer_config(kernel_initializer, KAIMING_FAN_OUT)
        self.clip_shape = clip_shape

    def get_config(self):
        return {
            **super().get_config(),
            "blocks": list(self.blocks),
            "width": self.width,
            "stem_pool": self.stem_pool,
            "epsilon": self.epsilon,
            "padding": self.padding,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


def conv_and_norm(padding, kernel_initializer, epsilon, dtype, temporal_groups=None):
    """The functions that convolve a tensor and that make a normalisation layer, for one network."""
    initializer = initializer_config(kernel_initializer, KAIMING_FAN_OUT)
    return (
        functools.partial(convolve, padding=padding, initializer=initializer, dtype=dtype),
        normalization(temporal_groups, epsilon=epsilon, dtype=dtype),
    )


def convolve(x, channels, kernel, stride, *, padding, initializer, dtype, name, dilation=(1, 1, 1)):
    """A convolution without bias; strided ones pad as `padding` says."""
    # With odd kernels and no stride, "same" is the symmetric padding, and cheaper than a copy.
    mode = "valid" if padding == "symmetric" and stride != (1, 1, 1) else "same"
    if mode == "valid" and kernel != (1, 1, 1):
        around = tuple(k // 2 for k in kernel)
        x = layers.ZeroPadding3D(around, name=f"{name}_pad", dtype=dtype)(x)
    return Conv3D(
        channels,
        kernel,
        stride,
        mode,
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer=keras.initializers.get(initializer),
        dtype=dtype,
        name=name,
    )(x)


def check_choice(name, value, *choices):
    """Raises a `ValueError` that names the argument unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` is {' or '.join(map(repr, choices))}, but received {value!r}.")


def _pool(x, frames, stride, padding, dtype):
    check_choice("stem_pool_frames", frames, 1, 3)
    if padding == "symmetric":
        # Zeros, for what comes out of a ReLU, are as good as the minus infinity of the papers.
        around = (frames // 2, 1, 1)
        x = layers.ZeroPadding3D(around, name="stem_pool_pad", dtype=dtype)(x)
    mode = "valid" if padding == "symmetric" else "same"
    if stride is None:
        stride = 1 if frames == 1 else 2
    return MaxPooling3D((frames, 3, 3), (int(stride), 2, 2), mode, name="stem_pool", dtype=dtype)(x)


def four_counts(blocks):
    """`blocks` as a tuple; raises a `ValueError` unless they are four ints of at least 1."""
    blocks = tuple(int(count) for count in blocks)
    if len(blocks) != 4 or min(blocks) < 1:
        raise ValueError(
            f"`blocks` takes the block counts of the four stages, each at least 1: got {blocks}."
        )
    return blocks
