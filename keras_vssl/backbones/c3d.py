"""C3D: a plain stack of 3x3x3 convolutions."""

import keras
from keras import layers

from keras_vssl.backbones.backbone import initializer_config
from keras_vssl.backbones.presets import PYTORCH_DEFAULT
from keras_vssl.backbones.temporal_groups import GroupedInTime, bound_clip, normalization
from keras_vssl.layers.pooling import MaxPooling3D

POOLINGS = ("padded", "ceil", "floor")


@keras.saving.register_keras_serializable(package="keras_vssl")
class C3D(GroupedInTime):
    """Eight 3x3x3 convolutions in five stages with max pooling between them.

    The first pooling is over space alone, so that motion survives the early layers; the next
    three halve time too. With `batch_normalization` and no `dense` this is the network of VCOP:
    16x112x112 gives a map of 2x7x7. With `dense` it is the original Sports-1M network: a fifth
    pooling (see `pooling`) and fc6 and fc7, written as a convolution over the whole
    pooled map and a 1x1x1 one, so 16x112x112 gives a map of 1x1x1 and larger clips a larger one.

    Endpoints: `conv1`, `pool1`, `conv2`, `pool2`, `conv3a`, `conv3b`, `pool3`, `conv4a`,
    `conv4b`, `pool4`, `conv5a`, `conv5b` (each after its ReLU), and with `dense` `pool5`, `fc6`,
    `fc7`.

    Args:
        width: int, channels of the first stage; the others have 2, 4, 8 and 8 times as many.
        blocks: 5 ints, convolutions of each stage.
        batch_normalization: bool, normalise after each convolution (which keeps its bias).
        dense: int, width of fc6 and fc7 (4096 for Sports-1M), or `None` to end at `conv5b`.
        dense_shape: 3 ints, the pooled map (T, H, W) that fc6 spans; (1, 4, 4) for 16x112x112.
        pooling: "padded" rounds sizes down and pads the fifth pooling by one on both sides of
            space, as the PyTorch ports do; "ceil" rounds all of them up, as the original in Caffe
            does (its fifth windows lie one pixel further on); "floor" rounds down, as VMZ's form
            in Caffe2 does (1x3x3 for 16x112x112).
        dropout: float in [0, 1), after fc6.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: PyTorch's.
        clip_shape: `(T, H, W, 3)`; `None` for what may vary.
        temporal_groups: with `batch_normalization`, by groups of time steps: see `R3D`.
        clip, mean, std, dtype: see `VideoBackbone`.

    Example:

    ```python
    backbone = keras_vssl.backbones.C3D(width=16)
    backbone(np.zeros((1, 16, 112, 112, 3), "float32")).shape  # (1, 2, 7, 7, 128)
    ```

    Reference:
        [Tran et al. ICCV 2015](https://arxiv.org/abs/1412.0767),
        [Xu et al. CVPR 2019](https://openaccess.thecvf.com/content_CVPR_2019/html/Xu_Self-Supervised_Spatiotemporal_Learning_via_Video_Clip_Order_Prediction_CVPR_2019_paper.html)
    """

    def __init__(
        self,
        width=64,
        blocks=(1, 1, 2, 2, 2),
        batch_normalization=True,
        dense=None,
        dense_shape=(1, 4, 4),
        pooling="padded",
        dropout=0.5,
        epsilon=1e-5,
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        temporal_groups=None,
        clip=None,
        dtype=None,
        **kwargs,
    ):
        blocks = tuple(int(count) for count in blocks)
        if len(blocks) != 5 or min(blocks) < 1:
            raise ValueError(
                f"`blocks` takes the number of convolutions of the five stages, each at least 1, "
                f"but received {blocks}."
            )
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` is one of {POOLINGS}, but received {pooling!r}.")
        if temporal_groups is not None and not batch_normalization:
            raise ValueError(
                f"Expected `batch_normalization` where it is by groups, received `temporal_groups`="
                f"{temporal_groups!r} without it."
            )
        initializer = initializer_config(kernel_initializer, PYTORCH_DEFAULT)
        norm = normalization(temporal_groups, epsilon=epsilon, dtype=dtype)
        clip_shape, clip = bound_clip(temporal_groups, clip_shape, clip)

        def conv(x, channels, kernel, padding, name):
            fan_in = kernel[0] * kernel[1] * kernel[2] * x.shape[-1]
            return layers.Conv3D(
                channels,
                kernel,
                padding=padding,
                kernel_initializer=keras.initializers.get(initializer),
                bias_initializer=keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5),
                dtype=dtype,
                name=name,
            )(x)

        def pool(x, size, stage):
            # Zeros pad as minus infinity would: the map has just been through a ReLU.
            padding = None
            if pooling == "ceil":
                padding = tuple((0, n - 1) for n in size)
            elif pooling == "padded" and stage == 5:
                padding = (0, 1, 1)
            if padding is not None:
                x = layers.ZeroPadding3D(padding, name=f"pool{stage}_pad", dtype=dtype)(x)
            return MaxPooling3D(size, name=f"pool{stage}", dtype=dtype)(x)

        inputs = keras.Input(clip_shape, name="clip")
        x, endpoints = inputs, {}
        for stage, count in enumerate(blocks, start=1):
            for index in range(count):
                name = f"{stage}{chr(ord('a') + index)}" if count > 1 else f"{stage}"
                x = conv(x, width * min(8, 2 ** (stage - 1)), (3, 3, 3), "same", f"conv{name}")
                if batch_normalization:
                    x = norm(name=f"bn{name}")(x)
                x = layers.ReLU(name=f"relu{name}", dtype=dtype)(x)
                endpoints[f"conv{name}"] = x
            if stage < 5:
                x = pool(x, (1 if stage == 1 else 2, 2, 2), stage)
                endpoints[f"pool{stage}"] = x
        if dense is not None:
            endpoints["pool5"] = x = pool(x, (2, 2, 2), 5)
            x = conv(x, dense, tuple(dense_shape), "valid", "fc6")
            endpoints["fc6"] = x = layers.ReLU(name="relu6", dtype=dtype)(x)
            x = layers.Dropout(dropout, name="drop6", dtype=dtype)(x)
            x = conv(x, dense, (1, 1, 1), "valid", "fc7")
            endpoints["fc7"] = x = layers.ReLU(name="relu7", dtype=dtype)(x)

        super().__init__(
            inputs, endpoints, feature_dim=x.shape[-1], clip=clip, dtype=dtype, **kwargs
        )
        self.bind(temporal_groups)
        self.width = int(width)
        self.blocks = blocks
        self.batch_normalization = bool(batch_normalization)
        self.dense = dense
        self.dense_shape = tuple(dense_shape)
        self.pooling = pooling
        self.dropout = float(dropout)
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.clip_shape = clip_shape

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "blocks": list(self.blocks),
            "batch_normalization": self.batch_normalization,
            "dense": self.dense,
            "dense_shape": list(self.dense_shape),
            "pooling": self.pooling,
            "dropout": self.dropout,
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }
