"""A plain convolutional network over spectrograms, after VGG-M."""

import keras
from keras import layers

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.backbones.backbone import initializer_config
from keras_vssl.backbones.presets import KAIMING_FAN_OUT
from keras_vssl.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class AudioVGG(AudioBackbone):
    """3x3 convolutions with max pooling between some of them, and fully connected layers.

    Each convolution and each fully connected layer is followed by batch normalisation and ReLU.
    The poolings (3x3, stride 2) halve time and frequency together: 99 x 40 comes to 13 x 5. The
    fully connected layers are written as convolutions, the first over a whole map of
    `dense_shape`: a sound of the nominal length gives one step, a longer one several. Without
    them the output is the last map.

    Endpoints: `conv1` to `conv5` (after their ReLU), `pool` and a number after each convolution
    that has one, `fc1` and so on.

    The layers' order, the channels and the front-end's bands and steps are what AVTS is remembered
    to have (after SyncNet, whose channels these are); kernels, poolings and the width of the
    fully connected layer are this project's choice. There is no published code.

    Args:
        channels: ints, outputs of the convolutions.
        pools: ints, the convolutions (from 1) that a pooling follows.
        dense: ints, widths of the fully connected layers, or `None`.
        dense_shape: (T, F), the map that the first of them spans.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        spectrogram_shape: `(T, F)`, `None` for a length that may vary.
        front_end, sound, dtype: see `AudioBackbone`.

    Raises:
        ValueError: `pools` names a convolution that does not exist.

    Example:

    ```python
    backbone = keras_vssl.backbones.AudioVGG(front_end="avts")
    backbone(np.zeros((1, 16000), "float32")).shape  # (1, 13, 5, 256)
    ```

    Reference:
        - [Korbar et al. NeurIPS 2018](https://arxiv.org/abs/1807.00230)
        - [Chung and Zisserman, ACCV Workshops 2016](https://www.robots.ox.ac.uk/~vgg/publications/2016/Chung16a/chung16a.pdf)
    """

    def __init__(
        self,
        channels=(64, 192, 384, 256, 256),
        pools=(1, 2, 5),
        dense=None,
        dense_shape=(13, 5),
        epsilon=1e-5,
        kernel_initializer=None,
        spectrogram_shape=(None, 40),
        dtype=None,
        **kwargs,
    ):
        channels, pools = tuple(int(c) for c in channels), tuple(int(p) for p in pools)
        if not channels or not set(pools) <= set(range(1, len(channels) + 1)):
            raise ValueError(
                f"`pools` names convolutions from 1 to {len(channels)}, one for each of "
                f"`channels`, but received {pools}."
            )
        initializer = initializer_config(kernel_initializer, KAIMING_FAN_OUT)

        def block(x, width, kernel, padding, name):
            x = layers.Conv2D(
                width,
                kernel,
                padding=padding,
                use_bias=False,
                kernel_initializer=keras.initializers.get(initializer),
                dtype=dtype,
                name=name,
            )(x)
            x = BatchNormalization(epsilon=epsilon, name=f"{name}_bn", dtype=dtype)(x)
            return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)

        inputs = keras.Input(tuple(spectrogram_shape), name="spectrogram")
        x = layers.Reshape((-1, spectrogram_shape[1], 1), name="picture", dtype=dtype)(inputs)
        endpoints = {}
        for number, width in enumerate(channels, start=1):
            endpoints[f"conv{number}"] = x = block(x, width, (3, 3), "same", f"conv{number}")
            if number in pools:
                x = layers.MaxPooling2D(3, 2, "same", name=f"pool{number}", dtype=dtype)(x)
                endpoints[f"pool{number}"] = x
        for number, width in enumerate(dense or (), start=1):
            kernel = tuple(dense_shape) if number == 1 else (1, 1)
            endpoints[f"fc{number}"] = x = block(x, width, kernel, "valid", f"fc{number}")

        super().__init__(inputs, endpoints, feature_dim=x.shape[-1], dtype=dtype, **kwargs)
        self.channels, self.pools = channels, pools
        self.dense = None if dense is None else tuple(int(width) for width in dense)
        self.dense_shape = tuple(dense_shape)
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.spectrogram_shape = tuple(spectrogram_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": list(self.channels),
            "pools": list(self.pools),
            "dense": None if self.dense is None else list(self.dense),
            "dense_shape": list(self.dense_shape),
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "spectrogram_shape": list(self.spectrogram_shape),
        }
