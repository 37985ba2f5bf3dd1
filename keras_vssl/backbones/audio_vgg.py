"""A plain convolutional network over spectrograms, after VGG-M."""

import keras
from keras import layers

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.backbones.audio_resnet import convolve_picture
from keras_vssl.backbones.backbone import initializer_config
from keras_vssl.backbones.presets import KAIMING_FAN_OUT
from keras_vssl.backbones.residual import check_choice
from keras_vssl.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class AudioVGG(AudioBackbone):
    """Convolutions with max pooling between some of them, and fully connected layers.

    Each convolution and each fully connected layer is followed by batch normalisation and ReLU.
    There are two forms:

    | form | convolutions | made smaller by | fully connected |
    |---|---|---|---|
    | AVTS | 5, 3x3 | poolings after 1, 2 and 5 | 1, in the preset |
    | AVID, RepLAI ("Conv2D depth 10") | 7x7, then 8 of 3x3 | strides of 1, 2, 4 and 6 | none |

    The poolings (3x3, stride 2) halve time and frequency together: 99 x 40 comes to 13 x 5. The
    fully connected layers are written as convolutions, the first over a whole map of
    `dense_shape`: a sound of the nominal length gives one step, a longer one several. Without
    them the output is the last map.

    Endpoints: `conv1` to `conv5` (after their ReLU), `pool` and a number after each convolution
    that has one, `fc1` and so on.

    Of AVTS, the layers' order, the channels and the front-end's bands and steps are what it is
    remembered to have (after SyncNet, whose channels these are); kernels, poolings and the width
    of the fully connected layer are this project's choice. There is no published code. RepLAI's
    form is that of its code; its method takes the map's maximum.

    Args:
        channels: ints, outputs of the convolutions.
        pools: ints, the convolutions (from 1) that a pooling follows.
        dense: ints, widths of the fully connected layers, or `None`.
        dense_shape: (T, F), the map that the first of them spans.
        kernels: odd ints, of each convolution, or one for all.
        strides: ints, of each convolution, or one for all.
        padding: `"same"` (TensorFlow) or `"symmetric"` (PyTorch), of convolutions; they differ
            where a stride is 2.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        spectrogram_shape: `(T, F)`, `None` for a length that may vary.
        front_end, sound, dtype: see `AudioBackbone`.

    Raises:
        ValueError: `pools` names a convolution that does not exist, `kernels` or `strides` are
            not one a convolution, or `padding` is unknown.

    Example:

    ```python
    backbone = keras_vssl.backbones.AudioVGG(front_end="avts")
    backbone(np.zeros((1, 16000), "float32")).shape  # (1, 13, 5, 256)
    ```

    Reference:
        - [Korbar et al. NeurIPS 2018](https://arxiv.org/abs/1807.00230)
        - [Mittal et al. NeurIPS 2022](https://arxiv.org/abs/2209.13583)
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
        kernels=3,
        strides=1,
        padding="same",
        dtype=None,
        **kwargs,
    ):
        channels, pools = tuple(int(c) for c in channels), tuple(int(p) for p in pools)
        if not channels or not set(pools) <= set(range(1, len(channels) + 1)):
            raise ValueError(
                f"`pools` names convolutions from 1 to {len(channels)}, one for each of "
                f"`channels`, but received {pools}."
            )
        check_choice("padding", padding, "same", "symmetric")
        kernels = _one_each("kernels", kernels, len(channels))
        strides = _one_each("strides", strides, len(channels))
        initializer = initializer_config(kernel_initializer, KAIMING_FAN_OUT)

        def norm(x, name):
            x = BatchNormalization(epsilon=epsilon, name=f"{name}_bn", dtype=dtype)(x)
            return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)

        inputs = keras.Input(tuple(spectrogram_shape), name="spectrogram")
        x = layers.Reshape((-1, spectrogram_shape[1], 1), name="picture", dtype=dtype)(inputs)
        endpoints = {}
        for number, (width, *shape) in enumerate(zip(channels, kernels, strides), start=1):
            name = f"conv{number}"
            x = convolve_picture(x, width, *shape, padding, initializer, name, dtype)
            endpoints[name] = x = norm(x, name)
            if number in pools:
                x = layers.MaxPooling2D(3, 2, "same", name=f"pool{number}", dtype=dtype)(x)
                endpoints[f"pool{number}"] = x
        for number, width in enumerate(dense or (), start=1):
            x = layers.Conv2D(
                width,
                tuple(dense_shape) if number == 1 else (1, 1),
                use_bias=False,
                kernel_initializer=keras.initializers.get(initializer),
                dtype=dtype,
                name=f"fc{number}",
            )(x)
            endpoints[f"fc{number}"] = x = norm(x, f"fc{number}")

        super().__init__(inputs, endpoints, feature_dim=x.shape[-1], dtype=dtype, **kwargs)
        self.channels, self.pools = channels, pools
        self.dense = None if dense is None else tuple(int(width) for width in dense)
        self.dense_shape = tuple(dense_shape)
        self.kernels, self.strides, self.padding = kernels, strides, padding
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
            "kernels": list(self.kernels),
            "strides": list(self.strides),
            "padding": self.padding,
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "spectrogram_shape": list(self.spectrogram_shape),
        }


def _one_each(name, values, count):
    values = (int(values),) * count if isinstance(values, int) else tuple(map(int, values))
    if (
        len(values) != count
        or min(values) < 1
        or (name == "kernels" and 0 in {v % 2 for v in values})
    ):
        raise ValueError(
            f"`{name}` takes {'odd ints' if name == 'kernels' else 'ints'} above 0, one for each of "
            f"the {count} convolutions or one for all, but received {values}."
        )
    return values
