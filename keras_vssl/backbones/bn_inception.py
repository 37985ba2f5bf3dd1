"""BN-Inception over single frames, the network of TSN's paper."""

import keras
from keras import layers

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.layers.frames import FoldFrames, UnfoldFrames
from keras_vssl.layers.pooling import CeilMaxPooling2D

# Ioffe and Szegedy 2015, Table 1 and the published networks: 1x1; 3x3 reduced, 3x3; double 3x3
# reduced, first, second; the pooling's projection. 0: the block halves the map and has none.
CHANNELS = {
    "inception_3a": (64, 64, 64, 64, 96, 96, 32),
    "inception_3b": (64, 64, 96, 64, 96, 96, 64),
    "inception_3c": (0, 128, 160, 64, 96, 96, 0),
    "inception_4a": (224, 64, 96, 96, 128, 128, 128),
    "inception_4b": (192, 96, 128, 96, 128, 128, 128),
    "inception_4c": (160, 128, 160, 128, 160, 160, 128),
    "inception_4d": (96, 128, 192, 160, 192, 192, 128),
    "inception_4e": (0, 128, 192, 192, 256, 256, 0),
    "inception_5a": (352, 192, 320, 160, 224, 224, 128),
    "inception_5b": (352, 192, 320, 192, 224, 224, 128),
}
PARTS = (
    "1x1", "3x3_reduce", "3x3", "double_3x3_reduce", "double_3x3_1", "double_3x3_2", "pool_proj",
)  # fmt: skip


@keras.saving.register_keras_serializable(package="keras_vssl")
class BNInception(VideoBackbone):
    """Inception with batch normalisation on every frame by itself.

    Convolutions have a bias although a normalisation follows, poolings round up (Caffe's), and the
    blocks' average poolings count the padding; the last block's pooling is a maximum. The output
    is the map of every frame, `[B, T, H / 32, W / 32, 1024]`. Snippets of optical flow are frames
    of `2 L` channels, differences of RGB of `3 L`.

    Endpoints: `conv1`, `pool1`, `conv2`, `pool2` and the blocks `inception_3a` to `inception_5b`,
    of the frames side by side (`[B * T, h, w, c]`); `map`, the output.

    Args:
        width: int, channels of the first convolution; all others keep their proportion.
        epsilon: float, of batch normalisation.
        momentum: float, of its running statistics.
        kernel_initializer: Keras initializer, its name or its configuration.
        clip_shape: `(T, H, W, C)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`.

    Example:

    ```python
    backbone = keras_vssl.backbones.BNInception.from_preset("tsn_bn_inception")
    backbone(np.zeros((1, 3, 224, 224, 3), "float32")).shape  # (1, 3, 7, 7, 1024)
    ```

    Reference:
        - [Ioffe and Szegedy ICML 2015](https://arxiv.org/abs/1502.03167)
        - [Wang et al. ECCV 2016](https://arxiv.org/abs/1608.00859) (TSN)
    """

    def __init__(
        self,
        width=64,
        epsilon=1e-5,
        momentum=0.9,
        kernel_initializer="glorot_uniform",
        clip_shape=(None, None, None, 3),
        dtype=None,
        **kwargs,
    ):
        initializer = initializer_config(kernel_initializer, "glorot_uniform")

        def unit(x, channels, size, stride, name):
            if size > 1:
                pad = layers.ZeroPadding2D(size // 2, name=f"{name}_pad", dtype=dtype)
                x = pad(x)
            x = layers.Conv2D(
                _scaled(channels, width),
                size,
                stride,
                kernel_initializer=keras.initializers.get(initializer),
                name=name,
                dtype=dtype,
            )(x)
            norm = layers.BatchNormalization(
                epsilon=epsilon, momentum=momentum, name=f"{name}_bn", dtype=dtype
            )
            return layers.ReLU(name=f"{name}_relu", dtype=dtype)(norm(x))

        inputs = keras.Input(tuple(clip_shape), name="clip")
        x = FoldFrames(name="fold", dtype=dtype)(inputs)
        endpoints = {}
        endpoints["conv1"] = x = unit(x, 64, 7, 2, "conv1_7x7_s2")
        endpoints["pool1"] = x = CeilMaxPooling2D(name="pool1", dtype=dtype)(x)
        x = unit(x, 64, 1, 1, "conv2_3x3_reduce")
        endpoints["conv2"] = x = unit(x, 192, 3, 1, "conv2_3x3")
        endpoints["pool2"] = x = CeilMaxPooling2D(name="pool2", dtype=dtype)(x)
        for name in CHANNELS:
            endpoints[name] = x = _block(x, name, unit, dtype)
        endpoints["map"] = UnfoldFrames(name="map", dtype=dtype)([x, inputs])
        super().__init__(inputs, endpoints, x.shape[-1], dtype=dtype, **kwargs)
        self.width, self.epsilon, self.momentum = int(width), float(epsilon), float(momentum)
        self.kernel_initializer, self.clip_shape = initializer, tuple(clip_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


def _block(x, name, unit, dtype):
    """Four branches side by side; three in a block that halves the map."""
    counts = dict(zip(PARTS, CHANNELS[name], strict=True))
    stride = 1 if counts["1x1"] else 2

    def part(x, key, size=1, stride=1):
        return unit(x, counts[key], size, stride, f"{name}_{key}")

    branches = [part(x, "1x1")] if counts["1x1"] else []
    branches.append(part(part(x, "3x3_reduce"), "3x3", 3, stride))
    double = part(part(x, "double_3x3_reduce"), "double_3x3_1", 3)
    branches.append(part(double, "double_3x3_2", 3, stride))
    if stride == 2:
        branches.append(CeilMaxPooling2D(name=f"{name}_pool", dtype=dtype)(x))
    elif name == "inception_5b":
        pool = layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool", dtype=dtype)
        branches.append(part(pool(x), "pool_proj"))
    else:
        padded = layers.ZeroPadding2D(1, name=f"{name}_pool_pad", dtype=dtype)(x)
        pool = layers.AveragePooling2D(3, 1, name=f"{name}_pool", dtype=dtype)
        branches.append(part(pool(padded), "pool_proj"))
    return layers.Concatenate(name=name, dtype=dtype)(branches)


def _scaled(channels, width):
    return max(1, channels * int(width) // 64)
