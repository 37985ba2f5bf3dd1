"""Residual networks over space and time: R3D, MC3 and R(2+1)D."""

import functools

import keras
from keras import layers

from keras_vssl.backbones.residual import VideoResNet, check_choice, conv_and_norm
from keras_vssl.backbones.temporal_groups import normalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class R3D(VideoResNet):
    """A ResNet of basic blocks with full 3x3x3 convolutions.

    Time, height and width are halved together at the start of stages 2, 3 and 4; the stem halves
    height and width. Strided convolutions pad symmetrically (PyTorch's `padding=k // 2`).

    Endpoints: `stem_conv` (before its normalisation), `stem`, `stem_pool` (when it exists),
    `layer1`, `layer2`, `layer3`, `layer4`.

    The networks after kenshohara/3D-ResNets-PyTorch have a cubic stem, `stem_kernel=7`: SLIC's
    without a pooling, VTDL's and CEP's with `stem_pool=True, stem_pool_frames=3`, which halves
    time once more.

    Args:
        blocks: 4 ints, basic blocks of each stage. (2, 2, 2, 2) is R3D-18, (3, 4, 6, 3) R3D-34,
            (1, 1, 1, 1) the 10-layer network that VCOP and its successors call R3D.
        width: int, channels of the stem and the first stage; each later stage doubles them.
        stem_pool: bool, a 1x3x3 max pooling of stride (1, 2, 2) after the stem.
        stem_kernel: odd int, frames that the first convolution spans.
        stem_stride: int, its stride in time.
        stem_pool_frames: 1 or 3, frames that the stem's pooling spans; 3 goes with a stride of 2.
        temporal_groups: `None`, or batch normalisation by groups of time steps
            (`TemporalGroupNormalization`): an int, the most groups a layer has (one with fewer
            steps has as many as steps), or a dict of a normalisation layer's name to its groups.
            The network is then bound to clips of one length, `clip_shape[0]` frames or, where that
            is `None`, `clip["frames"]`.
        epsilon: float, of batch normalisation: 1e-5 in torchvision and VCOP, 1e-3 in VMZ.
        padding: `"symmetric"` (PyTorch) or `"same"` (TensorFlow; they differ where a stride is 2).
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        clip_shape: `(T, H, W, 3)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: `blocks` are not four, `stem_kernel` is even, or a choice is unknown; with
            `temporal_groups`, an unknown layer, or clips of another length.

    Example:

    ```python
    backbone = keras_vssl.backbones.R3D(blocks=(1, 1, 1, 1), width=16)
    backbone(np.zeros((1, 16, 112, 112, 3), "float32")).shape  # (1, 2, 7, 7, 128)
    ```

    Reference:
        [Tran et al. CVPR 2018](https://arxiv.org/abs/1711.11248)
    """

    _temporal = (True, True, True, True)

    def __init__(
        self,
        blocks=(2, 2, 2, 2),
        width=64,
        stem_pool=False,
        epsilon=1e-5,
        padding="symmetric",
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        stem_kernel=3,
        stem_stride=1,
        stem_pool_frames=1,
        temporal_groups=None,
        dtype=None,
        **kwargs,
    ):
        if stem_kernel % 2 == 0:
            raise ValueError(
                f"`stem_kernel` is an odd number of frames, but received {stem_kernel}."
            )
        conv, norm = conv_and_norm(padding, kernel_initializer, epsilon, dtype, temporal_groups)
        super().__init__(
            stem=lambda x: conv(x, width, (stem_kernel, 7, 7), (stem_stride, 2, 2), name="stem"),
            block=functools.partial(
                _block,
                width=width,
                temporal=self._temporal,
                conv=conv,
                shortcut=conv,
                norm=norm,
                dtype=dtype,
            ),
            norm=norm,
            blocks=blocks,
            width=width,
            stem_pool=stem_pool,
            epsilon=epsilon,
            padding=padding,
            kernel_initializer=kernel_initializer,
            clip_shape=clip_shape,
            stem_pool_frames=stem_pool_frames,
            temporal_groups=temporal_groups,
            dtype=dtype,
            **kwargs,
        )
        self.stem_kernel = int(stem_kernel)
        self.stem_stride = int(stem_stride)
        self.stem_pool_frames = int(stem_pool_frames)

    def get_config(self):
        return {
            **super().get_config(),
            "stem_kernel": self.stem_kernel,
            "stem_stride": self.stem_stride,
            "stem_pool_frames": self.stem_pool_frames,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class MC3(R3D):
    """R3D whose stages 2 to 4 convolve over space alone (1x3x3): "mixed convolutions".

    Time is never reduced: a clip of T frames gives a feature map of T steps. Arguments and
    endpoints are those of `R3D`.

    Reference:
        [Tran et al. CVPR 2018](https://arxiv.org/abs/1711.11248)
    """

    _temporal = (True, False, False, False)


@keras.saving.register_keras_serializable(package="keras_vssl")
class R2Plus1D(VideoResNet):
    """A ResNet of basic blocks whose convolutions are factored into space, then time.

    A t x k x k convolution becomes a 1 x k x k convolution to M channels, batch normalisation,
    ReLU and a t x 1 x 1 convolution, with M such that the parameters number as many as before:
    `M = floor(t k k Cin Cout / (k k Cin + t Cout))`. Published networks disagree on what Cin and
    Cout are, so weights of one convention do not fit another:

    | convention | `midplanes` | `stem_midplanes` | `factored_shortcut` | `shortcut_taps` |
    |---|---|---|---|---|
    | torchvision | `"block"` | 45 | `False` | |
    | VMZ | `"conv"` | 45 | `False` | |
    | VCOP | `"conv"` | `None` (83) | `True` | 1 |
    | mmaction2 | `"conv"` | `None` (83) | `True` | 3 |
    | AVID, CrissCross, RepLAI | `"out"` | no factored stem | `False` | |

    AVID's form has no widened middle (M is Cout), the whole 3x7x7 kernel in the stem
    (`factored_stem=False`), a pooling after it (`stem_pool=True`), and normalises a block once,
    after the addition (`norm_after_sum=True`).

    Endpoints: `stem_conv` (before its normalisation), `stem`, `stem_pool` (when it exists),
    `layer1`, `layer2`, `layer3`, `layer4`.

    Args:
        blocks, width, stem_pool, padding, kernel_initializer, clip_shape, temporal_groups: see
            `R3D`.
        midplanes: `"block"`, M from the channels of the block, the same for both of its
            convolutions; `"conv"`, M from each convolution's own channels; `"out"`, M = Cout.
        stem_midplanes: int, M of the stem, or `None` for the formula.
        factored_shortcut: bool, factor the 1x1x1 convolutions of the shortcuts too.
        shortcut_taps: int, the t that enters the formula for a factored shortcut. Its kernel is
            1x1x1 whatever this says; mmaction2 computes with 3.
        factored_stem: bool, factor the stem's 3x7x7 convolution.
        norm_after_sum: bool, add the shortcut as it is to the block's last convolution, and
            normalise the sum; otherwise both are normalised and then added.
        epsilon: float, of the batch normalisation after a factored convolution.
        inner_epsilon: float, of the one between its halves; `None` for the same.
        clip, mean, std, dtype: see `VideoBackbone`.

    Example:

    ```python
    backbone = keras_vssl.backbones.R2Plus1D.from_preset("r2plus1d_18")
    backbone(np.zeros((1, 16, 112, 112, 3), "float32")).shape  # (1, 2, 7, 7, 512)
    ```

    Reference:
        [Tran et al. CVPR 2018](https://arxiv.org/abs/1711.11248)
    """

    def __init__(
        self,
        blocks=(2, 2, 2, 2),
        width=64,
        midplanes="block",
        stem_midplanes=45,
        factored_shortcut=False,
        shortcut_taps=1,
        stem_pool=False,
        epsilon=1e-5,
        inner_epsilon=None,
        padding="symmetric",
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        factored_stem=True,
        norm_after_sum=False,
        temporal_groups=None,
        dtype=None,
        **kwargs,
    ):
        check_choice("midplanes", midplanes, "block", "conv", "out")
        plain, norm = conv_and_norm(padding, kernel_initializer, epsilon, dtype, temporal_groups)
        factored = functools.partial(
            _convolve_factored,
            conv=plain,
            norm=normalization(
                temporal_groups,
                epsilon=epsilon if inner_epsilon is None else inner_epsilon,
                dtype=dtype,
            ),
            dtype=dtype,
        )

        def shortcut(x, channels, kernel, stride, name):
            if not factored_shortcut:
                return plain(x, channels, kernel, stride, name=name)
            middle = middle_width(x.shape[-1], channels, taps=shortcut_taps, size=1)
            return factored(x, channels, kernel, stride, middle, name=name)

        def stem(x):
            if not factored_stem:
                return plain(x, width, (3, 7, 7), (1, 2, 2), name="stem")
            middle = stem_midplanes or middle_width(x.shape[-1], width, size=7)
            return factored(x, width, (3, 7, 7), (1, 2, 2), middle, name="stem")

        super().__init__(
            stem=stem,
            block=functools.partial(
                _block,
                width=width,
                temporal=(True,) * 4,
                conv=factored,
                shortcut=shortcut,
                norm=norm,
                midplanes={"block": middle_width, "conv": None, "out": _out_width}[midplanes],
                norm_after_sum=norm_after_sum,
                dtype=dtype,
            ),
            norm=norm,
            blocks=blocks,
            width=width,
            stem_pool=stem_pool,
            epsilon=epsilon,
            padding=padding,
            kernel_initializer=kernel_initializer,
            clip_shape=clip_shape,
            temporal_groups=temporal_groups,
            dtype=dtype,
            **kwargs,
        )
        self.midplanes = midplanes
        self.stem_midplanes = stem_midplanes
        self.factored_shortcut = bool(factored_shortcut)
        self.shortcut_taps = int(shortcut_taps)
        self.inner_epsilon = inner_epsilon
        self.factored_stem = bool(factored_stem)
        self.norm_after_sum = bool(norm_after_sum)

    def get_config(self):
        return {
            **super().get_config(),
            "midplanes": self.midplanes,
            "stem_midplanes": self.stem_midplanes,
            "factored_shortcut": self.factored_shortcut,
            "shortcut_taps": self.shortcut_taps,
            "inner_epsilon": self.inner_epsilon,
            "factored_stem": self.factored_stem,
            "norm_after_sum": self.norm_after_sum,
        }


def middle_width(channels_in, channels_out, taps=3, size=3):
    """Channels between the halves of a factored `taps x size x size` convolution (Sec. 3.5)."""
    area = size * size
    return (taps * area * channels_in * channels_out) // (area * channels_in + taps * channels_out)


def _out_width(channels_in, channels_out):
    return channels_out


def _block(
    x,
    stage,
    index,
    *,
    width,
    temporal,
    conv,
    shortcut,
    norm,
    dtype,
    name,
    midplanes=None,
    norm_after_sum=False,
):
    """relu(shortcut(x) + bn(conv(relu(bn(conv(x)))))), or relu(bn(shortcut(x) + conv(...)))."""
    channels = width * 2**stage
    kernel = (3 if temporal[stage] else 1, 3, 3)
    is_first = stage > 0 and index == 0
    stride = (2 if temporal[stage] else 1, 2, 2) if is_first else (1, 1, 1)
    extra = {"midplanes": midplanes(x.shape[-1], channels)} if midplanes else {}
    y = conv(x, channels, kernel, stride, name=f"{name}_conv1", **extra)
    y = norm(name=f"{name}_bn1")(y)
    y = layers.ReLU(name=f"{name}_relu1", dtype=dtype)(y)
    y = conv(y, channels, kernel, (1, 1, 1), name=f"{name}_conv2", **extra)
    if not norm_after_sum:
        y = norm(name=f"{name}_bn2")(y)
    if stride != (1, 1, 1) or x.shape[-1] != channels:
        x = shortcut(x, channels, (1, 1, 1), stride, name=f"{name}_shortcut")
        if not norm_after_sum:
            x = norm(name=f"{name}_shortcut_bn")(x)
    y = layers.Add(name=f"{name}_add", dtype=dtype)([x, y])
    if norm_after_sum:
        y = norm(name=f"{name}_bn2")(y)
    return layers.ReLU(name=f"{name}_relu2", dtype=dtype)(y)


def _convolve_factored(x, channels, kernel, stride, midplanes=None, *, conv, norm, dtype, name):
    if midplanes is None:
        midplanes = middle_width(x.shape[-1], channels, taps=kernel[0], size=kernel[1])
    x = conv(x, midplanes, (1, *kernel[1:]), (1, *stride[1:]), name=f"{name}_spatial")
    x = norm(name=f"{name}_spatial_bn")(x)
    x = layers.ReLU(name=f"{name}_spatial_relu", dtype=dtype)(x)
    return conv(x, channels, (kernel[0], 1, 1), (stride[0], 1, 1), name=f"{name}_temporal")
