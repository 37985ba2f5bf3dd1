"""Order and spatial transformation of ultrasound frames (Jiao et al. 2020)."""

import dataclasses
import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from keras_vssl.data import orders
from keras_vssl.data.samplers import Sampler, Spatial, View
from keras_vssl.distribution import replica_share
from keras_vssl.layers.affine import AffineWarp
from keras_vssl.layers.tuple_heads import ConcatenationHead, SortingHead
from keras_vssl.tasks.task import Recipe, Task

COMBINATIONS = ("parallel", "sequential")


@dataclasses.dataclass(frozen=True)
class ShuffledWarps(Sampler):
    """Equally spaced frames of a video in a random order, and the warp that they all get.

    "clips" `[count, 1, H, W, 3]`, one crop for all; "affine" float32 `[warps]`, uniform in [-1, 1];
    target int, the class of the order, forwards and backwards being one (`keras_vssl.data.orders`).

    Args:
        count: int, frames. stride: int, source frames from one to the next.
        warps: int, numbers that describe a warp (`keras_vssl.layers.affine.AffineWarp.names`).
        spatial: `Spatial`.
    """

    count: int = 4
    stride: int = 8
    warps: int = 5
    spatial: Spatial = dataclasses.field(default_factory=lambda: Spatial(None, mode="centre"))

    frames: ClassVar = 1
    short: ClassVar = "skip"

    def __post_init__(self):
        self._check()
        orders.unsigned_orders(self.count)
        if self.stride < 1:
            raise ValueError(f"Expected a stride of 1 frame or more, received {self.stride}.")

    @property
    def views(self):
        return self.count

    @property
    def shapes(self):
        return {**super().shapes, "affine": ((self.warps,), "float32")}

    def span(self, info):
        return (self.count - 1) * self.stride + 1

    def plan(self, info, rng):
        start = int(rng.integers(0, info.frames - self.span(info) + 1))
        frames = start + self.stride * np.arange(self.count, dtype=np.int64)
        ((box, flip),) = self.spatial.boxes(info, rng)
        views = [View(frames[i : i + 1], box, self.spatial.shape, flip) for i in range(self.count)]
        warp = rng.uniform(-1, 1, self.warps).astype(np.float32)
        return orders.shuffled(views, rng, arrays={"affine": warp})


@keras.saving.register_keras_serializable(package="keras_vssl")
class UltrasoundOrder(Task):
    """Restores the order of shuffled frames and names the spatial transformation of a clip.

    Who can do both has to know the anatomy. Four frames of a video are shuffled, an affine warp, the
    same for all of them, is applied, and one image network serves two heads: an order among 12
    (forwards and backwards are one), and the numbers of the warp. No code is published; this
    follows the paper's abstract and a summary.

    **Views**: 4 clips of one frame, one crop; no other augmentation. "parallel": the network sees
    the clip twice, as it is for the order and warped for the warp. "sequential": it sees the warped
    clip once, for both.

    **Objective**: `L = -log softmax(order logits)[order] + lambda mean_k loss(warp_k, u_k)`, where
    u in [-1, 1] are the numbers of the warp over their ranges (`AffineWarp`).

    **Not the paper's**: `combine`'s default, how features are joined, all ranges, the loss of the
    warp, lambda, the spacing of frames, the crop, which clips the branches see, the optimizer and
    the length of training are not verified; the defaults are this library's.

    Args:
        backbone: `VideoBackbone`, run on single frames.
        combine: "parallel" (Siamese) or "sequential" (fused).
        count: int, frames (4, the paper's; 3 to 5). stride: int, frames from one to the next.
        rotation, shear: floats, the largest angles in degrees. scale: float, the largest change of
            size. translation: float, the largest shift in shares of the side. 0 leaves one out.
        crop_after_warp: bool, warp a larger frame and keep a centre that no black corner, which
            would tell the rotation, can reach; the frame that is read is so much larger.
        geometry_weight: float, lambda. 0 leaves the order alone.
        regression: name of a Keras loss for the warp: "mean_squared_error", "mean_absolute_error",
            "huber" ...
        is_clip_shared: bool, "parallel": both branches see one clip; False: the warped one is that
            of the next video of the batch.
        pairwise: bool, join the features of the order by pairs, as OPN does, or end to end.
        hidden: int, width of the layer that joins them. dropout: float, before the classifier.
        resize: (height, width), int or None, the frame the crop is cut from (`Spatial`).
        size: int or (height, width), what the network sees.
        mode: "centre" or "random", the place of the crop (`Spatial`).
        flip: float, the probability of mirroring; anatomy has a left and a right.

    Logged: `order_accuracy`, and `geometry_error`, the mean squared error of u (always 0: 1/3).

    Example:

    ```python
    backbone = keras_vssl.backbones.TSMResNet.from_preset("tsn_resnet_50")
    task = keras_vssl.tasks.UltrasoundOrder(backbone, combine="sequential")
    task.fit(videos, epochs=20)
    ```

    Reference:
        [Jiao, Droste, Drukker, Papageorghiou, Noble. Self-supervised representation learning for
        ultrasound video. ISBI 2020](https://arxiv.org/abs/2003.00105)
    """

    recipe = Recipe(100, 1000, 32, "1,000 videos", "the library's choice", is_published=False)
    citation = (
        "J. Jiao, R. Droste, L. Drukker, A. T. Papageorghiou, J. A. Noble. Self-supervised "
        "representation learning for ultrasound video. ISBI 2020."
    )

    def __init__(
        self,
        backbone,
        combine="parallel",
        count=4,
        stride=8,
        rotation=30.0,
        scale=0.2,
        shear=10.0,
        translation=0.1,
        crop_after_warp=True,
        geometry_weight=1.0,
        regression="mean_squared_error",
        is_clip_shared=True,
        pairwise=True,
        hidden=512,
        dropout=0.5,
        resize=None,
        size=112,
        mode="centre",
        flip=0.0,
        **kwargs,
    ):
        if combine not in COMBINATIONS or geometry_weight < 0:
            raise ValueError(
                f"Expected combine to be one of {COMBINATIONS} and a geometry_weight of 0 or more, "
                f"received {combine!r} and {geometry_weight}."
            )
        policy, seen = backbone.dtype_policy, Spatial(None, size).shape
        ranges = {"rotation": rotation, "scale": scale, "shear": shear, "translation": translation}
        warp = AffineWarp(**ranges, size=seen, name="warp", dtype=policy)
        if not (share := warp.clear_share if crop_after_warp else 1.0):
            raise ValueError(
                f"Expected ranges that leave a part of the frame free of black corners, received "
                f"{ranges}; make them smaller or set crop_after_warp=False."
            )
        # The margins on both sides are equal, so that the centre stays the centre.
        read = tuple(side + 2 * math.ceil((side / share - side) / 2) for side in seen)
        spatial = Spatial(resize, read, mode, flip=flip)
        sampler = ShuffledWarps(count, stride, len(warp.names), spatial)
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.warp, self.ranges, self.size = warp, ranges, size
        self.combine, self.crop_after_warp = combine, bool(crop_after_warp)
        self.geometry_weight, self.regression = float(geometry_weight), regression
        self.is_clip_shared, self.pairwise = bool(is_clip_shared), bool(pairwise)
        self.hidden, self.dropout = int(hidden), float(dropout)
        self.classes = len(orders.unsigned_orders(count))
        options = {"name": "order_head", "dtype": policy}
        if self.pairwise:
            pairs = orders.neighbouring_pairs(count)
            self.order_head = SortingHead(hidden, self.classes, pairs, dropout=dropout, **options)
        else:
            self.order_head = ConcatenationHead(self.classes, dropout, hidden, **options)
        self.order_head.build((None, count, backbone.feature_dim))
        # On the mean over the frames, which does not depend on their order.
        numbers = len(warp.names)
        self.geometry_head = keras.layers.Dense(numbers, name="geometry_head", dtype="float32")
        self.geometry_head.build((None, backbone.feature_dim))
        logged = ("order_accuracy", "geometry_error")
        self.trackers = {name: keras.metrics.Mean(name=name) for name in logged}
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Logits of the orders and the numbers of the warp, end to end: `[B, 12 + n]`."""
        if not isinstance(inputs, dict) or "affine" not in inputs:
            raise ValueError(
                'Expected a dict with "clips" [B, n, 1, H, W, 3] and "affine" '
                f"[B, {self.sampler.warps}], received "
                f"{sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}."
            )
        clips, affine = self.clips(inputs), inputs["affine"]
        if self.combine == "sequential":
            views = self.warp(clips, affine)
        else:
            other = clips if self.is_clip_shared else ops.roll(clips, -1, axis=0)
            views = ops.concatenate([self.warp(clips), self.warp(other, affine)], axis=1)
        features = self.encode(self.backbone.standardize(views), training=training)
        count = self.sampler.count
        logits = self.order_head(features[:, :count], training=training)
        geometry = self.geometry_head(ops.mean(features[:, -count:], axis=1))
        return ops.concatenate([logits, geometry], axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits, predicted = y_pred[:, : self.classes], y_pred[:, self.classes :]
        affine, order = ops.cast(x["affine"], "float32"), ops.cast(y, "int32")
        entropy = keras.losses.sparse_categorical_crossentropy(order, logits, from_logits=True)
        geometry = keras.losses.get(self.regression)(affine, predicted)
        right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), order)
        self.trackers["order_accuracy"].update_state(ops.cast(right, "float32"))
        error = ops.square(ops.stop_gradient(predicted) - affine)
        self.trackers["geometry_error"].update_state(ops.mean(error, axis=-1))
        return replica_share(ops.mean(entropy) + self.geometry_weight * ops.mean(geometry))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # The paper's is not verified; this is the library's choice.
        self.compile(optimizer or keras.optimizers.SGD(0.01, momentum=0.9))

    def chance(self, batch_size):
        return {"order_accuracy": 1 / self.classes, "geometry_error": 1 / 3}

    def get_config(self):
        spatial = self.sampler.spatial
        return {
            **super().get_config(),
            **self.ranges,
            "combine": self.combine,
            "count": self.sampler.count,
            "stride": self.sampler.stride,
            "crop_after_warp": self.crop_after_warp,
            "geometry_weight": self.geometry_weight,
            "regression": self.regression,
            "is_clip_shared": self.is_clip_shared,
            "pairwise": self.pairwise,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "resize": spatial.resize,
            "size": self.size,
            "mode": spatial.mode,
            "flip": spatial.flip,
        }
