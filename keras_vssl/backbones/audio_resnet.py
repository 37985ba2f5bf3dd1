"""Residual networks of basic blocks over spectrograms."""

import keras
from keras import layers

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.backbones.backbone import initializer_config
from keras_vssl.backbones.presets import KAIMING_FAN_OUT
from keras_vssl.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class AudioResNet(AudioBackbone):
    """A 2-D ResNet of basic blocks whose picture is a spectrogram.

    Time and frequency are halved together: by a strided stem and its pooling, and at the first
    block of each stage that has a stride. Strided convolutions pad symmetrically (PyTorch's
    `padding=k // 2`).

    | form | stem | `channels` | `blocks` | `strides` | pooled by |
    |---|---|---|---|---|---|
    | CrissCross, ResNet-18 | 7x7 of stride 2, pooling | 64 to 512 | 2, 2, 2, 2 | 1, 2, 2, 2 | mean |
    | VMZ (XDC's authors) | bare 3x3 with bias | 32, 64 to 512 | 3, 2, 2, 2, 2 | all 2 | maximum |
    | GDT, SeLaVi, ResNet-9 | as CrissCross | 64 to 512 | 1, 1, 1, 1 | 1, 2, 2, 2 | mean |

    XDC's paper says ResNet-18 and no more about its audio network; VMZ's is the one that its
    authors published, so the preset `audio_resnet_18_xdc` is of that form, and is unverified.

    Endpoints: `stem` (after its normalisation and ReLU, where it has them), `stem_pool` (when it
    exists), `layer1`, `layer2` and so on.

    Args:
        channels: ints, outputs of each stage.
        blocks: ints, basic blocks of each stage.
        strides: ints, of each stage's first block.
        stem_width: int, outputs of the stem; `None` for `channels[0]`.
        stem_kernel: odd int.
        stem_stride: int.
        stem_norm: bool, batch normalisation and ReLU after the stem; without them its convolution
            has a bias instead.
        stem_pool: bool, a 3x3 max pooling of stride 2 after the stem; needs `stem_norm`.
        epsilon: float, of batch normalisation: 1e-5 in PyTorch's networks, 1e-3 in VMZ's.
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        spectrogram_shape: `(T, F)`, `None` for a length that may vary.
        front_end, sound, dtype: see `AudioBackbone`.

    Raises:
        ValueError: `channels`, `blocks` and `strides` are not one a stage, or `stem_pool` comes
            without `stem_norm`.

    Example:

    ```python
    backbone = keras_vssl.backbones.AudioResNet.from_preset("audio_resnet_18_crisscross")
    backbone(np.zeros((1, 32000), "float32")).shape  # 2 s at 16 kHz: (1, 7, 3, 512)
    ```

    Reference:
        - [Sarkar and Etemad, AAAI 2023](https://arxiv.org/abs/2111.05329)
        - [Alwassel et al. NeurIPS 2020](https://arxiv.org/abs/1911.12667)
    """

    def __init__(
        self,
        channels=(64, 128, 256, 512),
        blocks=(2, 2, 2, 2),
        strides=(1, 2, 2, 2),
        stem_width=None,
        stem_kernel=7,
        stem_stride=2,
        stem_norm=True,
        stem_pool=True,
        epsilon=1e-5,
        kernel_initializer=None,
        spectrogram_shape=(None, 80),
        dtype=None,
        **kwargs,
    ):
        channels, blocks, strides = (tuple(map(int, row)) for row in (channels, blocks, strides))
        if not channels or {len(channels)} != {len(blocks), len(strides)} or min(blocks) < 1:
            raise ValueError(
                f"`channels`, `blocks` and `strides` take one number above 0 for each stage, but "
                f"received {channels}, {blocks} and {strides}."
            )
        if stem_pool and not stem_norm:
            raise ValueError("`stem_pool` follows a ReLU: it needs `stem_norm=True`.")
        initializer = initializer_config(kernel_initializer, KAIMING_FAN_OUT)

        def conv(x, width, kernel, stride, name, use_bias=False):
            return convolve_picture(
                x, width, kernel, stride, "symmetric", initializer, name, dtype, use_bias
            )

        def norm(x, name, relu=True):
            x = BatchNormalization(epsilon=epsilon, name=f"{name}_bn", dtype=dtype)(x)
            return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x) if relu else x

        def block(x, width, stride, name):
            y = norm(conv(x, width, 3, stride, f"{name}_conv1"), f"{name}_conv1")
            y = norm(conv(y, width, 3, 1, f"{name}_conv2"), f"{name}_conv2", relu=False)
            if stride != 1 or x.shape[-1] != width:
                x = conv(x, width, 1, stride, f"{name}_shortcut")
                x = norm(x, f"{name}_shortcut", relu=False)
            x = layers.Add(name=f"{name}_add", dtype=dtype)([x, y])
            return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)

        inputs = keras.Input(tuple(spectrogram_shape), name="spectrogram")
        x = layers.Reshape((-1, spectrogram_shape[1], 1), name="picture", dtype=dtype)(inputs)
        x = conv(x, stem_width or channels[0], stem_kernel, stem_stride, "stem", not stem_norm)
        endpoints = {"stem": norm(x, "stem") if stem_norm else x}
        x = endpoints["stem"]
        if stem_pool:
            # Zeros, for what comes out of a ReLU, are as good as the minus infinity of PyTorch.
            x = layers.ZeroPadding2D(1, name="stem_pool_pad", dtype=dtype)(x)
            x = layers.MaxPooling2D(3, 2, name="stem_pool", dtype=dtype)(x)
            endpoints["stem_pool"] = x
        for stage, (width, count, stride) in enumerate(zip(channels, blocks, strides), start=1):
            for index in range(count):
                x = block(x, width, 1 if index else stride, f"layer{stage}_{index}")
            endpoints[f"layer{stage}"] = x

        super().__init__(inputs, endpoints, feature_dim=x.shape[-1], dtype=dtype, **kwargs)
        self.channels, self.blocks, self.strides = channels, blocks, strides
        self.stem_width = int(stem_width or channels[0])
        self.stem_kernel, self.stem_stride = int(stem_kernel), int(stem_stride)
        self.stem_norm, self.stem_pool = bool(stem_norm), bool(stem_pool)
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.spectrogram_shape = tuple(spectrogram_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": list(self.channels),
            "blocks": list(self.blocks),
            "strides": list(self.strides),
            "stem_width": self.stem_width,
            "stem_kernel": self.stem_kernel,
            "stem_stride": self.stem_stride,
            "stem_norm": self.stem_norm,
            "stem_pool": self.stem_pool,
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "spectrogram_shape": list(self.spectrogram_shape),
        }


def convolve_picture(
    x, channels, kernel, stride, padding, initializer, name, dtype, use_bias=False
):
    """A square 2-D convolution; strided ones pad symmetrically (PyTorch) or "same" (TensorFlow)."""
    # With odd kernels and no stride, "same" is the symmetric padding, and cheaper than a copy.
    mode = "valid" if padding == "symmetric" and stride != 1 else "same"
    if mode == "valid" and kernel != 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad", dtype=dtype)(x)
    return layers.Conv2D(
        channels,
        kernel,
        stride,
        mode,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.get(initializer),
        dtype=dtype,
        name=name,
    )(x)
