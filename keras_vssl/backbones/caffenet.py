"""CaffeNet: Caffe's AlexNet of one tower, frame by frame."""

import keras
from keras import layers

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.layers.convolution import GroupedConv2D
from keras_vssl.layers.frames import FoldFrames, UnfoldFrames
from keras_vssl.layers.local_response_normalization import LocalResponseNormalization
from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.layers.pooling import CeilMaxPooling2D

# (kernel, stride, padding, groups, pooled, normalised across channels) of each convolution.
_CONVOLUTIONS = (
    (11, None, 0, 1, True, True),
    (5, 1, 2, 2, True, True),
    (3, 1, 1, 1, False, False),
    (3, 1, 1, 2, False, False),
    (3, 1, 1, 2, True, False),
)


@keras.saving.register_keras_serializable(package="keras_vssl")
class CaffeNet(VideoBackbone):
    """Five convolutions and fully connected layers over every frame of a clip by itself.

    The frames go through the network as images of one batch and come out as a map per frame;
    a single image is a clip of one frame. In a block the order is convolution, batch
    normalisation (where there is one), ReLU, 3x3 max pooling with stride 2 whose size rounds up,
    and local response normalisation after the pooling, which is where CaffeNet departs from
    AlexNet. conv2, conv4 and conv5 have two groups. The fully connected layers are written as
    convolutions, the first over a whole map of `dense_shape`: 227x227 frames give a map of 1x1,
    larger ones a larger map.

    The forms of the early methods:

    | method | frame | `batch_normalization` | `affine` | `dense` |
    |---|---|---|---|---|
    | Shuffle and Learn | 227 | yes | no | 4096, 4096 |
    | OPN | 80 | yes (no for VOC) | yes | 1024 |
    | tracking triplets | 227 | no | | 4096, 1024, no dropout |
    | odd-one-out (O3N) | 224 | yes, from conv1 | yes | 128 |

    Caffe's networks were trained on BGR pixels of 0 to 255 minus a mean. This one takes RGB: a
    `std` of 1/255 keeps the range, and a converted conv1 has its channels in the other order.
    Caffe learns biases at twice the rate and without decay; here they learn like the kernels.

    Endpoints: `conv1`, `pool1`, `norm1`, `conv2`, `pool2`, `norm2`, `conv3`, `conv4`, `conv5`
    (convolutions after their ReLU), `pool5`, and for each of `dense` `fc6`, `fc7` and so on
    (after its ReLU and dropout).

    Args:
        channels: 5 ints, outputs of the convolutions.
        dense: ints, widths of the fully connected layers; `()` ends at `pool5`.
        dense_shape: (H, W), the pooled map that the first of them spans: (6, 6) for frames of 224
            or 227, (2, 2) for 80.
        batch_normalization: bool, normalise from convolution `normalized_from` on, in the fully
            connected layers too. All layers keep their biases.
        affine: bool, batch normalisation has a gain and an offset (Caffe's `Scale` layer).
        normalized_from: int, the first convolution (from 1) with batch normalisation.
        lrn: bool, local response normalisation after `pool1` and `pool2`.
        stem_stride: int, stride of conv1.
        dropout: float in [0, 1), after each fully connected layer.
        conv_bias: float, initial bias of conv2, conv4 and conv5; those of the fully connected
            layers start at 1.
        epsilon: float, of batch normalisation.
        momentum: float, of batch normalisation. Caffe keeps 0.999 of its running sums, corrected
            for their start; Keras does not correct, so a short run needs the default.
        kernel_initializer: Keras initializer, its name or its configuration. Default: Caffe's
            normal distributions, standard deviation 0.01, and 0.005 where fully connected.
        clip_shape: `(T, H, W, C)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: there are not five `channels`, or a number that two groups can't share.

    Example:

    ```python
    backbone = keras_vssl.backbones.CaffeNet.from_preset("caffenet")
    frames = np.zeros((2, 1, 227, 227, 3), "uint8")
    backbone(frames).shape                    # (2, 1, 1, 1, 4096)
    backbone.endpoint("pool5")(frames).shape  # (2, 1, 6, 6, 256)
    ```

    Reference:
        - [Krizhevsky et al. NeurIPS 2012](https://papers.nips.cc/paper/4824),
          [Jia et al. 2014](https://arxiv.org/abs/1408.5093)
        - [Misra et al. ECCV 2016](https://arxiv.org/abs/1603.08561),
          [Lee et al. ICCV 2017](https://arxiv.org/abs/1708.01246),
          [Wang and Gupta ICCV 2015](https://arxiv.org/abs/1505.00687),
          [Fernando et al. CVPR 2017](https://arxiv.org/abs/1611.06646)
    """

    def __init__(
        self,
        channels=(96, 256, 384, 384, 256),
        dense=(4096, 4096),
        dense_shape=(6, 6),
        batch_normalization=False,
        affine=True,
        normalized_from=3,
        lrn=True,
        stem_stride=4,
        dropout=0.5,
        conv_bias=1.0,
        epsilon=1e-5,
        momentum=0.9,
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        dtype=None,
        clip=None,
        **kwargs,
    ):
        channels, dense = tuple(int(c) for c in channels), tuple(int(d) for d in dense)
        if len(channels) != len(_CONVOLUTIONS):
            raise ValueError(f"`channels` takes five numbers, but received {channels}.")
        if odd := [c for c in channels if c % 2]:
            raise ValueError(f"`channels` are shared by two groups, but received {odd}.")

        def activation(x, number, normalized):
            if normalized:
                x = BatchNormalization(
                    momentum, epsilon, center=affine, scale=affine, name=f"bn{number}", dtype=dtype
                )(x)
            return layers.ReLU(name=f"relu{number}", dtype=dtype)(x)

        def initializer(std):
            default = keras.initializers.RandomNormal(stddev=std)
            return keras.initializers.get(initializer_config(kernel_initializer, default))

        inputs = keras.Input(tuple(clip_shape), name="clip")
        endpoints = {}

        def mark(x, name):
            unfold = UnfoldFrames(name=f"{name}_frames", dtype=dtype)
            endpoints[name] = unfold([x, inputs])

        x = FoldFrames(name="frames", dtype=dtype)(inputs)
        for number, (size, stride, padding, groups, pooled, respond) in enumerate(
            _CONVOLUTIONS, start=1
        ):
            x = GroupedConv2D(
                channels[number - 1],
                size,
                stride or stem_stride,
                "same" if padding else "valid",
                groups=groups,
                kernel_initializer=initializer(0.01),
                bias_initializer=keras.initializers.Constant(conv_bias if groups > 1 else 0.0),
                name=f"conv{number}",
                dtype=dtype,
            )(x)
            x = activation(x, number, batch_normalization and number >= normalized_from)
            mark(x, f"conv{number}")
            if pooled:
                x = CeilMaxPooling2D(3, 2, name=f"pool{number}", dtype=dtype)(x)
                mark(x, f"pool{number}")
            if respond and lrn:
                x = LocalResponseNormalization(name=f"norm{number}", dtype=dtype)(x)
                mark(x, f"norm{number}")
        for index, width in enumerate(dense):
            number = 6 + index
            x = layers.Conv2D(
                width,
                (1, 1) if index else tuple(dense_shape),
                kernel_initializer=initializer(0.005),
                bias_initializer="ones",
                name=f"fc{number}",
                dtype=dtype,
            )(x)
            x = activation(x, number, batch_normalization)
            x = layers.Dropout(dropout, name=f"drop{number}", dtype=dtype)(x)
            mark(x, f"fc{number}")

        clip = {"frames": 1, "resize": [256, 256], "size": 227, **(clip or {})}
        super().__init__(
            inputs, endpoints, feature_dim=x.shape[-1], clip=clip, dtype=dtype, **kwargs
        )
        self.channels = channels
        self.dense = dense
        self.dense_shape = tuple(int(n) for n in dense_shape)
        self.batch_normalization = bool(batch_normalization)
        self.affine = bool(affine)
        self.normalized_from = int(normalized_from)
        self.lrn = bool(lrn)
        self.stem_stride = int(stem_stride)
        self.dropout = float(dropout)
        self.conv_bias = float(conv_bias)
        self.epsilon = float(epsilon)
        self.momentum = float(momentum)
        self.kernel_initializer = (
            None if kernel_initializer is None else initializer_config(kernel_initializer, None)
        )
        self.clip_shape = tuple(clip_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "channels": list(self.channels),
            "dense": list(self.dense),
            "dense_shape": list(self.dense_shape),
            "batch_normalization": self.batch_normalization,
            "affine": self.affine,
            "normalized_from": self.normalized_from,
            "lrn": self.lrn,
            "stem_stride": self.stem_stride,
            "dropout": self.dropout,
            "conv_bias": self.conv_bias,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "kernel_initializer": self.kernel_initializer,
            "clip_shape": list(self.clip_shape),
        }
