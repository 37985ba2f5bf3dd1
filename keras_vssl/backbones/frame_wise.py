"""An image network on every frame of a clip."""

import keras

from keras_vssl.backbones.backbone import VideoBackbone
from keras_vssl.layers.frames import FoldFrames, UnfoldFrames


@keras.saving.register_keras_serializable(package="keras_vssl")
class FrameWise(VideoBackbone):
    """Runs a Keras image network on every frame by itself, as TSN does.

    The frames are put side by side in the batch, so the network is used as it is, with its weights.
    The output is the map of every frame `[B, T, H', W', C]`; averaged over time it is TSN's
    consensus of features. Endpoint: `map`.

    Args:
        image_backbone: a functional Keras model from one image `[B, H, W, 3]` to one map
            `[B, H', W', C]`: of keras.applications with `include_top=False`, an image backbone of
            keras_hub or keras_cv, or your own.
        clip, mean, std, dtype: see `VideoBackbone`. `mean` and `std` are those that the image
            network was trained with: uint8 frames become `(x / 255 - mean) / std`.

    Raises:
        ValueError: the network has several inputs or outputs, or its output is no map.

    Example:

    ```python
    image = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3))
    backbone = keras_vssl.backbones.FrameWise(image, mean=[0.5] * 3, std=[0.5] * 3)
    backbone(np.zeros((1, 8, 96, 96, 3), "uint8")).shape  # (1, 8, 3, 3, 1280)
    ```

    Reference:
        [Wang et al. ECCV 2016](https://arxiv.org/abs/1608.00859) (TSN), Sec. 3.1
    """

    def __init__(self, image_backbone, clip=None, dtype=None, **kwargs):
        image_backbone = image_model(image_backbone)
        _, *frame = image_backbone.inputs[0].shape
        inputs = keras.Input((None, *frame), name="clip")
        frames = FoldFrames(name="fold", dtype=dtype)(inputs)
        maps = UnfoldFrames(name="map", dtype=dtype)([image_backbone(frames), inputs])
        super().__init__(
            inputs, {"map": maps}, maps.shape[-1], clip=fitted(clip, frame), dtype=dtype, **kwargs
        )
        self.image_backbone = image_backbone

    def get_config(self):
        image = keras.saving.serialize_keras_object(self.image_backbone)
        return {**super().get_config(), "image_backbone": image}


def image_model(model):
    """A functional image model, from itself or from its configuration.

    Raises:
        ValueError: it isn't functional, or not from one image to one map.
    """
    if isinstance(model, dict):
        model = keras.saving.deserialize_keras_object(model)
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            f"Expected a functional Keras image model, received a {type(model).__name__}; give one "
            f"with symbolic inputs and outputs, such as keras.applications and keras_hub have."
        )
    outputs = keras.tree.flatten(model.output)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ValueError(
            f"Expected an image model with one input [B, H, W, C], received inputs of the shapes "
            f"{[tuple(tensor.shape) for tensor in model.inputs]}."
        )
    if len(outputs) != 1 or len(outputs[0].shape) != 4:
        raise ValueError(
            f"Expected an image model whose output is one map [B, H', W', C], received outputs of "
            f"the shapes {[tuple(tensor.shape) for tensor in outputs]}; leave the classifier out "
            f"(include_top=False)."
        )
    return model


def fitted(clip, frame):
    """`clip` with the size of the frames that an image network takes, where that is fixed."""
    height, width = frame[:2]
    if None in (height, width):
        return clip
    size = height if height == width else [height, width]
    return {"size": size, "resize": min(height, width), **(clip or {})}
