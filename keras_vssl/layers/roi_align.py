"""Features of boxes: bilinear samples of a feature map, averaged over bins (RoIAlign)."""

import keras
from keras import ops


def linear_weights(places, count):
    """What each of `count` equally spaced samples weighs at places between them.

    Args:
        places: float `[...]`; sample i is at i. Outside of [0, count - 1] the weights fall to 0.

    Returns:
        float32 `[..., count]`.
    """
    places = ops.cast(places, "float32")[..., None]
    return ops.relu(1.0 - ops.abs(places - ops.arange(count, dtype="float32")))


@keras.saving.register_keras_serializable(package="keras_vssl")
class ROIAlign(keras.layers.Layer):
    """Cuts a grid of features out of a map for each box.

    A box is divided into equal bins; in each, `samples` by `samples` points are sampled bilinearly
    and averaged. Feature i of an axis lies at i + 0.5. Points farther than 1 outside of the outer
    features count as 0; nearer ones take the outer features. Sampling is linear and separable, so it
    is two matrix products, with gradients to the map.

    Args:
        size: int, bins along each side. samples: int, along each side of a bin.

    Call arguments:
        features: `[B, H, W, C]`.
        boxes: `[B, N, 4]`, (left, top, right, bottom) in cells of the map.

    Returns:
        float32 `[B, N, size, size, C]`.

    Reference:
        He, Gkioxari, Dollár, Girshick. Mask R-CNN. ICCV 2017 (sec. 3); half a pixel is taken off, as
        "aligned" does in detectron2 and mmcv.
    """

    def __init__(self, size=5, samples=2, dtype="float32", **kwargs):
        # In bfloat16 places would be off by a tenth of a cell.
        super().__init__(dtype=dtype, **kwargs)
        self.size, self.samples = int(size), int(samples)

    def call(self, features, boxes):
        features, boxes = ops.cast(features, "float32"), ops.cast(boxes, "float32")
        across = self._weights(boxes[..., 0], boxes[..., 2], features.shape[2])
        down = self._weights(boxes[..., 1], boxes[..., 3], features.shape[1])
        rows = ops.einsum("bnpy,byxc->bnpxc", down, features)
        return ops.einsum("bnqx,bnpxc->bnpqc", across, rows)

    def _weights(self, low, high, count):
        """What each feature of an axis counts in each bin: `[B, N, size, count]`."""
        points = (ops.arange(self.size * self.samples, dtype="float32") + 0.5) / self.samples
        places = low[..., None] + points * ((high - low)[..., None] / self.size) - 0.5
        near = ops.logical_and(places >= -1.0, places <= count)
        weights = linear_weights(ops.clip(places, 0, count - 1), count)
        weights = weights * ops.cast(near, "float32")[..., None]
        shape = (-1, low.shape[1], self.size, self.samples, count)
        return ops.mean(ops.reshape(weights, shape), axis=3)

    def compute_output_shape(self, features_shape, boxes_shape):
        return (*boxes_shape[:2], self.size, self.size, features_shape[-1])

    def get_config(self):
        return {**super().get_config(), "size": self.size, "samples": self.samples}
