"""Residual bottleneck networks over clips: SlowOnly, its dense-stem form, and I3D's ResNet."""

import keras
from keras import layers

from keras_vssl.backbones.residual import VideoResNet, check_choice, conv_and_norm

_EXPANSION = 4


@keras.saving.register_keras_serializable(package="keras_vssl")
class SlowResNet(VideoResNet):
    """A ResNet of bottleneck blocks that looks at time late and never shortens it.

    A block convolves t x 1 x 1, then 1 x 3 x 3 (which carries the spatial stride), then
    1 x 1 x 1 to four times the channels. In a Slow network only the last two stages have t = 3; in
    I3D's ResNet the blocks of a stage take turns, and poolings shorten time. Forms in use:

    | form | frames | `stem_kernel`, `stem_stride` | pools in time | time steps |
    |---|---|---|---|---|
    | SlowOnly | few, far apart (8 x 8) | 1, 1 | none | T |
    | dense: CVRL's R3D-50, MoDist's and MaCLR's backbone | more, denser | 5, 2 | none | T / 2 |
    | I3D R50 of mmaction2 | 32, dense | 5, 2 | `stem_pool_stride`, `stage_pool` of 2 | T / 8 |
    | I3D R50 of PySlowFast | 8 x 8 | 5, 1 | `stage_pool` of 2 | T / 2 |

    Height and width are divided by 32, or by 16 with `dilate_last`.

    Endpoints: `stem_conv` (before its normalisation), `stem`, `stem_pool` (when it exists),
    `layer1`, `stage_pool` (when it exists), `layer2`, `layer3`, `layer4` (the papers' res2 to res5).

    Args:
        blocks: 4 ints, blocks of each stage: (3, 4, 6, 3) is R50, (3, 4, 23, 3) R101,
            (3, 8, 36, 3) R152.
        width: int, channels of the stem; the stages give 4, 8, 16 and 32 times as many. 128 is
            the papers' "2x".
        stem_kernel: odd int, frames that the first convolution spans.
        stem_stride: int, its stride in time.
        temporal_kernels: 4 odd ints, t of each stage, or for a stage a list of them, t of each of
            its blocks. All 1 (with `stem_kernel=1`) is a 2-D ResNet over single frames.
        stem_pool: bool, a 1x3x3 max pooling of stride (1, 2, 2) after the stem. Published
            networks have it; without it every later map has twice the height and width.
        stem_pool_stride: int, that pooling's stride in time.
        stage_pool: int, frames that a max pooling after the first stage makes one of; 1: none.
        dilate_last: bool, stride 1 and dilation 2 instead of stride 2 in the last stage
            (detection on AVA).
        zero_init_last: bool, start each block's last normalisation from gain zero, so that a
            new network is its shortcuts alone.
        epsilon: float, of batch normalisation.
        padding: `"symmetric"` (PyTorch) or `"same"` (TensorFlow; they differ where a stride is 2,
            so weights of one lose accuracy in the other).
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        clip_shape: `(T, H, W, 3)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: `blocks` or `temporal_kernels` are not four, a temporal kernel is even, a stage
            has other kernels than blocks, or `padding` is unknown.

    Example:

    ```python
    backbone = keras_vssl.backbones.SlowResNet.from_preset("slow_r50")
    backbone(np.zeros((1, 8, 224, 224, 3), "float32")).shape  # (1, 8, 7, 7, 2048)
    ```

    Reference:
        - [Feichtenhofer et al. ICCV 2019](https://arxiv.org/abs/1812.03982), Table 1, slow pathway
        - [Qian et al. CVPR 2021](https://arxiv.org/abs/2008.03800), Table 1 (dense stem)
    """

    def __init__(
        self,
        blocks=(3, 4, 6, 3),
        width=64,
        stem_kernel=1,
        stem_stride=1,
        temporal_kernels=(1, 1, 3, 3),
        stem_pool=True,
        stem_pool_stride=1,
        stage_pool=1,
        dilate_last=False,
        zero_init_last=True,
        epsilon=1e-5,
        padding="symmetric",
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        dtype=None,
        **kwargs,
    ):
        check_choice("padding", padding, "symmetric", "same")
        temporal_kernels = tuple(
            int(taps) if isinstance(taps, int) else tuple(map(int, taps))
            for taps in temporal_kernels
        )
        kernels = _kernels_of_blocks(temporal_kernels, blocks, stem_kernel)
        conv, norm = conv_and_norm(padding, kernel_initializer, epsilon, dtype)

        def block(x, stage, index, name):
            stride, dilation = (2 if stage and not index else 1), 1
            if stage == 3 and dilate_last:
                stride, dilation = 1, 2
            return bottleneck(
                x,
                width * 2**stage,
                kernels[stage][index],
                stride,
                dilation,
                conv=conv,
                norm=norm,
                last_gain="zeros" if zero_init_last else "ones",
                dtype=dtype,
                name=name,
            )

        super().__init__(
            stem=lambda x: conv(x, width, (stem_kernel, 7, 7), (stem_stride, 2, 2), name="stem"),
            block=block,
            norm=norm,
            blocks=blocks,
            width=width,
            stem_pool=stem_pool,
            stem_pool_stride=stem_pool_stride,
            stage_pool=stage_pool,
            epsilon=epsilon,
            padding=padding,
            kernel_initializer=kernel_initializer,
            clip_shape=clip_shape,
            dtype=dtype,
            **kwargs,
        )
        self.stem_kernel = int(stem_kernel)
        self.stem_stride = int(stem_stride)
        self.temporal_kernels = temporal_kernels
        self.stem_pool_stride = int(stem_pool_stride)
        self.stage_pool = int(stage_pool)
        self.dilate_last = bool(dilate_last)
        self.zero_init_last = bool(zero_init_last)

    def get_config(self):
        return {
            **super().get_config(),
            "stem_kernel": self.stem_kernel,
            "stem_stride": self.stem_stride,
            "temporal_kernels": [
                taps if isinstance(taps, int) else list(taps) for taps in self.temporal_kernels
            ],
            "stem_pool_stride": self.stem_pool_stride,
            "stage_pool": self.stage_pool,
            "dilate_last": self.dilate_last,
            "zero_init_last": self.zero_init_last,
        }


def _kernels_of_blocks(temporal_kernels, blocks, stem_kernel):
    """The temporal kernel of every block, a list for each stage."""
    if len(temporal_kernels) != 4 or len(blocks) != 4:
        raise ValueError(
            f"`blocks` and `temporal_kernels` are of four stages, but received {blocks} and "
            f"{temporal_kernels}."
        )
    kernels = [
        [taps] * count if isinstance(taps, int) else list(taps)
        for taps, count in zip(temporal_kernels, blocks)
    ]
    if any(len(taps) != count for taps, count in zip(kernels, blocks)):
        raise ValueError(
            f"A stage of `temporal_kernels` has a kernel for each of its blocks: expected {blocks} "
            f"of them, received {temporal_kernels}."
        )
    if any(taps % 2 == 0 for taps in (stem_kernel, *sum(kernels, []))):
        raise ValueError(
            f"`stem_kernel` and the `temporal_kernels` are odd numbers of frames, but received "
            f"{stem_kernel} and {temporal_kernels}."
        )
    return kernels


def bottleneck(
    x, inner, taps, stride, dilation, *, conv, norm, last_gain, dtype, name, before=None
):
    """relu(shortcut(x) + bn(1x1x1(relu(bn(1x3x3(relu(bn(taps x 1x1(before(x))))))))))."""
    strides, channels = (1, stride, stride), inner * _EXPANSION
    y = x if before is None else before(x)
    y = conv(y, inner, (taps, 1, 1), (1, 1, 1), name=f"{name}_conv1")
    y = norm(name=f"{name}_bn1")(y)
    y = layers.ReLU(name=f"{name}_relu1", dtype=dtype)(y)
    y = conv(y, inner, (1, 3, 3), strides, dilation=(1, dilation, dilation), name=f"{name}_conv2")
    y = norm(name=f"{name}_bn2")(y)
    y = layers.ReLU(name=f"{name}_relu2", dtype=dtype)(y)
    y = conv(y, channels, (1, 1, 1), (1, 1, 1), name=f"{name}_conv3")
    y = norm(name=f"{name}_bn3", gamma_initializer=last_gain)(y)
    if stride > 1 or x.shape[-1] != channels:
        x = conv(x, channels, (1, 1, 1), strides, name=f"{name}_shortcut")
        x = norm(name=f"{name}_shortcut_bn")(x)
    y = layers.Add(name=f"{name}_add", dtype=dtype)([x, y])
    return layers.ReLU(name=f"{name}_relu3", dtype=dtype)(y)
