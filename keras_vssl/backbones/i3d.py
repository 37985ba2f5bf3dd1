"""I3D: Inception-v1 with every kernel inflated to time."""

import functools

import keras

from keras_vssl.backbones.inception import VideoInception, plain_unit

# Sonnet's default for convolutions, which the official code trains from.
_FAN_IN = {"class_name": "VarianceScaling", "config": {}}


@keras.saving.register_keras_serializable(package="keras_vssl")
class I3D(VideoInception):
    """Inception-v1 whose k x k kernels became k x k x k: "Two-Stream Inflated 3D ConvNet".

    Two networks of this class, one for RGB and one for optical flow, are trained apart and their
    logits added (`keras_vssl.downstream.TwoStream`). A clip of T x H x W gives a map of T/8 x
    H/32 x W/32, rounded up, of 1024 channels.

    | form | input | `padding` | `epsilon` |
    |---|---|---|---|
    | Kinetics, RGB | 3 channels in [-1, 1] | `"same"` | 1e-3 |
    | Kinetics, flow | 2 channels, TV-L1 clipped to 20 pixels, in [-1, 1] | `"same"` | 1e-3 |
    | VTDL | 3 channels | `"even"` | 1e-5 |

    Endpoints: `conv_1a`, `pool_2a`, `conv_2b`, `conv_2c`, `pool_3a`, `mixed_3b`, `mixed_3c`,
    `pool_4a`, `mixed_4b` to `mixed_4f`, `pool_5a`, `mixed_5b`, `mixed_5c`.

    The official classifier averages pairs of neighbouring steps before its linear layer, so of
    the T/8 steps the first and the last count half; `VideoClassifier` counts them all alike.

    Args:
        width: int, channels of the first convolution; all others are scaled with it.
        channels: dict of endpoint to channels (an int; six for a block: branch 0, branch 1's two,
            branch 2's two, branch 3), where they are not the scaled ones. `None`: none.
        stem_kernel: odd int, frames that the first convolution spans.
        padding: of strided convolutions and of poolings. `"same"`: as TensorFlow, by the input's
            size. `"even"`: as TensorFlow pads even sizes, whatever the size. `"symmetric"`: as
            many zeros before as behind. They agree where no stride is 2; weights of one lose
            accuracy in another.
        pool_padding: the same for poolings alone, or `None` for `padding`.
        pool_stride: int, stride in time of the poolings 4a and 5a.
        epsilon: float, of batch normalisation.
        momentum: float, of batch normalisation's running statistics.
        kernel_initializer: Keras initializer, its name or its configuration. Default: truncated
            normal over fan-in.
        clip_shape: `(T, H, W, C)`; `None` for what may vary. C is 3, or 2 for flow.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: `padding` or an endpoint of `channels` is unknown.

    Example:

    ```python
    backbone = keras_vssl.backbones.I3D.from_preset("i3d_rgb")
    backbone(np.zeros((1, 64, 224, 224, 3), "float32")).shape  # (1, 8, 7, 7, 1024)
    ```

    Reference:
        [Carreira and Zisserman CVPR 2017](https://arxiv.org/abs/1705.07750)
    """

    def __init__(
        self,
        width=64,
        channels=None,
        stem_kernel=7,
        padding="same",
        pool_padding=None,
        pool_stride=2,
        epsilon=1e-3,
        momentum=0.99,
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        dtype=None,
        **kwargs,
    ):
        unit = functools.partial(plain_unit, dtype=dtype)

        def stem(x, channels, **layers):
            kernel, name = (stem_kernel, 7, 7), "conv_1a"
            return {name: unit(x, channels, kernel, stride=(2, 2, 2), name=name, **layers)}

        super().__init__(
            stem=stem,
            unit=unit,
            gate=lambda name: False,
            width=width,
            channels=channels,
            padding=padding,
            pool_padding=pool_padding,
            pool_stride=pool_stride,
            epsilon=epsilon,
            momentum=momentum,
            kernel_initializer=kernel_initializer,
            default_initializer=_FAN_IN,
            clip_shape=clip_shape,
            dtype=dtype,
            **kwargs,
        )
        self.stem_kernel = int(stem_kernel)

    def get_config(self):
        return {**super().get_config(), "stem_kernel": self.stem_kernel}
