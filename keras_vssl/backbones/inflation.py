"""Image networks made networks over clips by I3D's rule."""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.backbones.backbone import VideoBackbone
from keras_vssl.backbones.frame_wise import fitted, image_model
from keras_vssl.layers.inflated import InflatedConv, InflatedDepthwise
from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.layers.pooling import MaxPooling3D

# What is the same on every frame and on none: taken over as it is.
_POINTWISE = (
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax, layers.Add,
    layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum,
    layers.Dropout, layers.Rescaling, layers.GaussianNoise, layers.Identity,
)  # fmt: skip
# What has an axis: the last, whatever its number was among four.
_OVER_CHANNELS = (layers.LayerNormalization, layers.Normalization, layers.Concatenate)
# What is done to each frame by itself.
_PER_FRAME = (
    layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Reshape, layers.Cropping2D,
    layers.UpSampling2D, layers.Dense,
)  # fmt: skip


@keras.saving.register_keras_serializable(package="keras_vssl")
class Inflated(VideoBackbone):
    """An image network over clips: its kernels see several frames. Made by `inflate`.

    Args:
        image_backbone: a functional image model, or its configuration.
        temporal_kernel, temporal_kernels, temporal_strides: see `inflate`.
        clip, mean, std, dtype: see `VideoBackbone`.
    """

    def __init__(
        self,
        image_backbone,
        temporal_kernel=None,
        temporal_kernels=None,
        temporal_strides=None,
        clip=None,
        dtype=None,
        **kwargs,
    ):
        has_weights = not isinstance(image_backbone, dict)
        image = image_model(image_backbone)
        kernels, strides = dict(temporal_kernels or {}), dict(temporal_strides or {})
        names = {layer.name for layer in image.layers}
        if unknown := sorted({*kernels, *strides} - names):
            raise ValueError(f"The image network has no layer {', '.join(unknown)}.")
        _, *frame = image.inputs[0].shape
        pyramid = {str(name): t for name, t in getattr(image, "pyramid_outputs", {}).items()}
        (last,) = keras.tree.flatten(image.output)
        graph = keras.Model(image.inputs[0], {**pyramid, "map": last})

        def inflated(layer):
            return _inflated_layer(layer, temporal_kernel, kernels, strides, dtype)

        inputs = keras.Input((None, *frame), name="clip")
        clone = keras.models.clone_model(graph, input_tensors=inputs, clone_function=inflated)
        endpoints = {name: clone.output[name] for name in (*pyramid, "map")}
        super().__init__(
            clone.inputs[0],
            endpoints,
            last.shape[-1],
            clip=fitted(clip, frame),
            dtype=dtype,
            **kwargs,
        )
        self.image_config = keras.saving.serialize_keras_object(image)
        self.temporal_kernel = temporal_kernel
        self.temporal_kernels, self.temporal_strides = kernels, strides
        if has_weights:
            for layer in image.layers:
                _spread_weights(layer, self.get_layer(layer.name) if layer.weights else None)

    def get_config(self):
        return {
            **super().get_config(),
            "image_backbone": self.image_config,
            "temporal_kernel": self.temporal_kernel,
            "temporal_kernels": dict(self.temporal_kernels),
            "temporal_strides": dict(self.temporal_strides),
        }


def inflate(
    image_backbone, temporal_kernel=None, temporal_kernels=None, temporal_strides=None, **kwargs
):
    """Makes an image network a network over clips by I3D's rule.

    Every k x k kernel becomes t x k x k: the image's weights, repeated over t frames and divided
    by t. So a video of one still image gives what the image network gives, but for the frames
    near the ends, where kernels see zeros. Poolings and everything else work on each frame by
    itself (the channel attention of an EfficientNet too).

    Args:
        image_backbone: a functional Keras model from one image `[B, H, W, 3]` to one map
            `[B, H', W', C]`, with its weights: of keras.applications with `include_top=False`, an
            image backbone of keras_hub or keras_cv, or your own.
        temporal_kernel: odd int, t of every kernel larger than 1 x 1. `None` is I3D's rule: k x k
            becomes k x k x k. 1 x 1 kernels stay as they are.
        temporal_kernels: dict of a layer's name to its t; wins over `temporal_kernel`.
        temporal_strides: dict of a convolution's or pooling's name to its stride in time. Without
            it every frame stays.
        **kwargs: `clip`, `mean`, `std`, `dtype`, see `VideoBackbone`. `mean` and `std` are those
            that the image network was trained with: uint8 frames become `(x / 255 - mean) / std`.

    Returns:
        An `Inflated`, a `VideoBackbone` with the endpoint `map`, and those of `pyramid_outputs`
        where the image network has them. It has the inflated weights.

    Raises:
        ValueError: the network isn't functional, or has a layer without a counterpart over clips;
            the layer is named.

    Example:

    ```python
    image = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    backbone = keras_vssl.backbones.inflate(image, temporal_kernel=3)
    backbone(np.zeros((1, 8, 64, 64, 3), "float32")).shape  # (1, 8, 2, 2, 2048)
    ```

    Reference:
        [Carreira and Zisserman CVPR 2017](https://arxiv.org/abs/1705.07750), Sec. 2.4
    """
    return Inflated(image_backbone, temporal_kernel, temporal_kernels, temporal_strides, **kwargs)


def _inflated_layer(layer, default, kernels, strides, dtype):
    """The layer over clips for a layer over images, without its weights."""
    config = {**layer.get_config(), **({} if dtype is None else {"dtype": dtype})}
    name, stride = layer.name, strides.get(layer.name, 1)
    if isinstance(layer, layers.InputLayer):
        return layer
    if type(layer) in (layers.Conv2D, layers.DepthwiseConv2D):
        size = config["kernel_size"]
        taps = kernels.get(name, 1 if max(size) == 1 else default or max(size))
        if taps < 1 or taps % 2 == 0:
            raise ValueError(f"Expected an odd temporal kernel for {name}, received {taps}.")
        if type(layer) is layers.DepthwiseConv2D:
            if stride != 1:
                raise ValueError(f"The depthwise convolution {name} can't have a stride in time.")
            return InflatedDepthwise(taps, config, name=name, dtype=config["dtype"])
        if config["groups"] > 1:
            raise ValueError(f"The convolution {name} has groups, which can't be inflated.")
        config |= {
            "kernel_size": (taps, *size),
            "strides": (stride, *config["strides"]),
            "dilation_rate": (1, *config["dilation_rate"]),
            "data_format": "channels_last",
        }
        return InflatedConv.from_config(config)
    if isinstance(layer, (layers.MaxPooling2D, layers.AveragePooling2D)):
        config |= {
            "pool_size": (1, *config["pool_size"]),
            "strides": (stride, *config["strides"]),
        }
        is_max = isinstance(layer, layers.MaxPooling2D)
        return (MaxPooling3D if is_max else layers.AveragePooling3D).from_config(config)
    if isinstance(layer, layers.ZeroPadding2D):
        return layers.ZeroPadding3D.from_config({**config, "padding": ((0, 0), *config["padding"])})
    if isinstance(layer, layers.BatchNormalization):
        return BatchNormalization.from_config({**config, "axis": -1})
    if isinstance(layer, _OVER_CHANNELS):
        return type(layer).from_config({**config, "axis": -1})
    if isinstance(layer, _POINTWISE):
        return type(layer).from_config(config)
    if isinstance(layer, _PER_FRAME):
        inner = type(layer).from_config({**config, "name": f"{name}_frame"})
        return layers.TimeDistributed(inner, name=name)
    raise ValueError(
        f"The layer {name} ({type(layer).__name__}) has no counterpart over clips; inflate a part "
        f"of the network without it, or use FrameWise."
    )


def _spread_weights(layer, target):
    """Copies a layer's weights to its inflated form; kernels repeated over time and divided."""
    if target is None:
        return
    if isinstance(target, InflatedDepthwise):
        kernel = ops.convert_to_numpy(layer.kernel) / target.taps
        for frame in target.frames:
            frame.kernel.assign(kernel)
        if layer.use_bias:
            target.frames[0].bias.assign(layer.bias)
        return
    for source, variable in zip(layer.weights, target.weights, strict=True):
        array = ops.convert_to_numpy(source)
        if array.shape != tuple(variable.shape):
            taps = variable.shape[0]
            array = np.broadcast_to(array / taps, variable.shape)
        variable.assign(array)
