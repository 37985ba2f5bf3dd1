"""ResNets that normalise before they convolve, on frames with a temporal shift and on sound: MMV."""

import functools

import keras
from keras import layers, ops

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.backbones.audio_resnet import convolve_picture
from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.backbones.residual import convolve, four_counts
from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.layers.pooling import MaxPooling3D
from keras_vssl.layers.temporal_shift import TemporalShift

# Haiku's default, which the official code keeps: truncated normal of deviation fan_in ** -0.5.
_INITIALIZER = "lecun_normal"


@keras.saving.register_keras_serializable(package="keras_vssl")
class TSMResNetV2(VideoBackbone):
    """MMV's video network: a pre-activation ResNet on every frame, with a temporal shift.

    A block is `x + conv3(relu(bn(conv2(relu(bn(conv1(shift(relu(bn(x)))))))))`, of 1x1, 3x3
    (strided) and 1x1 kernels. The first block of each stage takes a strided 1x1 convolution of the
    unshifted `relu(bn(x))` for `x`, the first stage too. The stem is a bare convolution and a max
    pooling; batch normalisation and ReLU come once more at the end. The shift is MMV's
    (`keras_vssl.layers.TemporalShift`, convention "mmv"): weights of `TSMResNet` don't fit.

    | form | `blocks` | `width` | channels of the output |
    |---|---|---|---|
    | TSM-50 | 3, 4, 6, 3 | 64 | 2048 |
    | TSM-50x2 | 3, 4, 6, 3 | 128 | 4096 |
    | 101, 152, 200 layers | 3, 4, 23, 3; 3, 8, 36, 3; 3, 24, 36, 3 | 64 | 2048 |

    Strided layers pad as TensorFlow's "same". Pixels are in [0, 1], without mean and deviation.
    Output: `[B, T, H / 32, W / 32, 32 * width]`. Endpoints: `stem_conv`, `stem_pool`, `layer1` to
    `layer4` (sums, not yet normalised), `last`.

    Args:
        blocks: 4 ints, of each stage.
        width: int, channels of the stem.
        fraction: float, of the channels that are shifted, each way; 0 leaves frames by themselves.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: LeCun
            normal, which Haiku's default is but for the truncation's correction.
        clip_shape: `(T, H, W, 3)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: `blocks` are not four, or `fraction` is out of [0, 0.5].

    Example:

    ```python
    backbone = keras_vssl.backbones.TSMResNetV2.from_preset("tsm_resnet_50_mmv")
    backbone(np.zeros((1, 32, 224, 224, 3), "float32")).shape  # (1, 32, 7, 7, 2048)
    ```

    Reference:
        - [Alayrac et al. NeurIPS 2020](https://arxiv.org/abs/2006.16228) (MMV)
        - [Lin et al. ICCV 2019](https://arxiv.org/abs/1811.08383) (the shift)
        - [He et al. ECCV 2016](https://arxiv.org/abs/1603.05027) (pre-activation)
    """

    def __init__(
        self,
        blocks=(3, 4, 6, 3),
        width=64,
        fraction=1 / 8,
        epsilon=1e-5,
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        dtype=None,
        **kwargs,
    ):
        blocks = four_counts(blocks)
        initializer = initializer_config(kernel_initializer, _INITIALIZER)

        def conv(x, channels, size, stride, name):
            return convolve(
                x,
                channels,
                (1, size, size),
                (1, stride, stride),
                padding="same",
                initializer=initializer,
                dtype=dtype,
                name=name,
            )

        def pool(x, name):
            return MaxPooling3D((1, 3, 3), (1, 2, 2), "same", name=name, dtype=dtype)(x)

        def shift(x, name):
            return TemporalShift(fraction, "mmv", name=name, dtype=dtype)(x)

        inputs = keras.Input(tuple(clip_shape), name="clip")
        endpoints = _preactivation(
            inputs, blocks, width, conv, pool, epsilon, dtype, shift if fraction else None
        )
        super().__init__(inputs, endpoints, 32 * width, dtype=dtype, **kwargs)
        self.blocks = blocks
        self.width = int(width)
        self.fraction = float(fraction)
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.clip_shape = tuple(clip_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "blocks": list(self.blocks),
            "width": self.width,
            "fraction": self.fraction,
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class AudioResNetV2(AudioBackbone):
    """MMV's audio network: a pre-activation ResNet whose picture is a log-mel spectrogram.

    The blocks, the stem and the depths are those of `TSMResNetV2` without its shift: a bare 7x7
    stem of stride 2, a max pooling, four stages of bottleneck blocks that halve time and frequency
    from the second on, batch normalisation and ReLU at the end. Strided layers pad as TensorFlow's
    "same". The network's code and weights leave the number of mel bands open.

    The preset's front-end is that of FakeOut, the one published code that feeds this network
    (44.1 kHz, 80 bands, 5.8 ms steps). VATT's paper describes MMV's own as 80 bands of 42 ms
    windows in 21 ms steps, and MMV's repository holds none.

    Output: `[B, T / 32, F / 32, 32 * width]`. Endpoints: `stem_conv`, `stem_pool`, `layer1` to
    `layer4` (sums, not yet normalised), `last`.

    Args:
        blocks: 4 ints, of each stage; see `TSMResNetV2`.
        width: int, channels of the stem.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: LeCun
            normal, see `TSMResNetV2`.
        spectrogram_shape: `(T, F)`, `None` for what may vary.
        front_end, sound, dtype: see `AudioBackbone`.

    Raises:
        ValueError: `blocks` are not four.

    Example:

    ```python
    backbone = keras_vssl.backbones.AudioResNetV2.from_preset("audio_resnet_50_mmv")
    backbone(np.zeros((1, 183, 80), "float32")).shape  # (1, 6, 3, 2048)
    ```

    Reference:
        - [Alayrac et al. NeurIPS 2020](https://arxiv.org/abs/2006.16228) (MMV)
        - [He et al. ECCV 2016](https://arxiv.org/abs/1603.05027)
    """

    def __init__(
        self,
        blocks=(3, 4, 6, 3),
        width=64,
        epsilon=1e-5,
        kernel_initializer=None,
        spectrogram_shape=(None, 80),
        dtype=None,
        **kwargs,
    ):
        blocks = four_counts(blocks)
        initializer = initializer_config(kernel_initializer, _INITIALIZER)

        def conv(x, channels, size, stride, name):
            return convolve_picture(x, channels, size, stride, "same", initializer, name, dtype)

        def pool(x, name):
            return layers.MaxPooling2D(3, 2, "same", name=name, dtype=dtype)(x)

        inputs = keras.Input(tuple(spectrogram_shape), name="spectrogram")
        picture = ops.expand_dims(inputs, -1)
        endpoints = _preactivation(picture, blocks, width, conv, pool, epsilon, dtype)
        super().__init__(inputs, endpoints, 32 * width, dtype=dtype, **kwargs)
        self.blocks = blocks
        self.width = int(width)
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.spectrogram_shape = tuple(spectrogram_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "blocks": list(self.blocks),
            "width": self.width,
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "spectrogram_shape": list(self.spectrogram_shape),
        }


def _preactivation(x, blocks, width, conv, pool, epsilon, dtype, shift=None):
    """The endpoints of a pre-activation ResNet, for what a convolution and a pooling are here."""
    norm = functools.partial(BatchNormalization, epsilon=epsilon, dtype=dtype)

    def activated(x, name, number):
        x = norm(name=f"{name}_bn{number}")(x)
        return layers.ReLU(name=f"{name}_relu{number}", dtype=dtype)(x)

    def block(x, stage, index, name):
        channels, stride = width * 2**stage, 2 if stage and not index else 1
        y = activated(x, name, 1)
        if not index:
            x = conv(y, 4 * channels, 1, stride, name=f"{name}_shortcut")
        if shift:
            y = shift(y, name=f"{name}_shift")
        y = activated(conv(y, channels, 1, 1, name=f"{name}_conv1"), name, 2)
        y = activated(conv(y, channels, 3, stride, name=f"{name}_conv2"), name, 3)
        y = conv(y, 4 * channels, 1, 1, name=f"{name}_conv3")
        return layers.Add(name=f"{name}_add", dtype=dtype)([x, y])

    endpoints = {"stem_conv": conv(x, width, 7, 2, name="stem")}
    endpoints["stem_pool"] = x = pool(endpoints["stem_conv"], name="stem_pool")
    for stage, count in enumerate(blocks):
        for index in range(count):
            x = block(x, stage, index, name=f"layer{stage + 1}_{index}")
        endpoints[f"layer{stage + 1}"] = x
    x = norm(name="last_bn")(x)
    endpoints["last"] = layers.ReLU(name="last", dtype=dtype)(x)
    return endpoints
