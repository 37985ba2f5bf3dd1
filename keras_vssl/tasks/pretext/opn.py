"""Order prediction network: sorting the frames of a sequence (OPN)."""

import dataclasses
from typing import ClassVar

import keras
import numpy as np

from keras_vssl.data import orders
from keras_vssl.data.mining import MotionProfile, motion_profile, moving_patch, window_weights
from keras_vssl.data.samplers import Sampler, Spatial, View
from keras_vssl.layers.augmentation import RandomChannel
from keras_vssl.layers.tuple_heads import SortingHead
from keras_vssl.optimizers import ScaledOptimizer
from keras_vssl.tasks.task import Recipe, Task


@dataclasses.dataclass(frozen=True)
class ShuffledPatches(Sampler):
    """The same part of a few frames of a video, each shifted a little, in a random order.

    The distances between the frames are drawn one by one; the place in time is drawn in proportion
    to the motion between the first frame and the last, and the region is the one where most moves.
    Crops start anywhere in the region, at one place for all frames, and each frame adds a shift of
    its own; along an axis where that leads to the region's edge or beyond it is left out (official
    code). Views `[count, 1, H, W, 3]`; target int, the class of the order, forwards and backwards
    being one (`keras_vssl.data.orders`).

    Args:
        count: int, frames to sort, 3 to 5.
        gap: (least, most) source frames from one of them to the next; in a short video less than
            the most.
        margin: int, by how many pixels the region is larger than the crop in height and width.
        jitter: int, the largest shift of a frame along either axis, in pixels.
        motion: `MotionProfile`, or None: time and region are uniform.
        spatial: `Spatial`, the frame and the crop; the flip is shared.
    """

    count: int = 4
    gap: tuple = (5, 15)
    margin: int = 20
    jitter: int = 5
    motion: MotionProfile | None = None
    spatial: Spatial = dataclasses.field(default_factory=lambda: Spatial(240, 80))

    frames: ClassVar = 1
    short: ClassVar = "skip"

    def __post_init__(self):
        self._check()
        orders.unsigned_orders(self.count)
        if not 1 <= self.gap[0] <= self.gap[1]:
            raise ValueError(
                f"Expected gap=(least, most) frames with 1 <= least <= most, received {self.gap}."
            )
        if self.margin < 0 or self.jitter < 0:
            raise ValueError(
                f"Expected a margin and a jitter of 0 pixels or more, received {self.margin} and "
                f"{self.jitter}."
            )
        self.region()  # one that is larger than the frame is refused here

    @property
    def views(self):
        return self.count

    @property
    def mined(self):
        return (self.motion,) if self.motion else ()

    def region(self):
        """The `Spatial` that the region is drawn by."""
        size = tuple(side + self.margin for side in self.spatial.shape)
        return dataclasses.replace(self.spatial, size=size)

    def span(self, info):
        return (self.count - 1) * self.gap[0] + 1

    def place(self, info, rng):
        """Frame numbers `[count]` in temporal order, the region's box, and whether to mirror."""
        most = min(self.gap[1], (info.frames - 1) // (self.count - 1))
        gaps = rng.integers(self.gap[0], most + 1, self.count - 1)
        frames = np.concatenate([[0], np.cumsum(gaps)]).astype(np.int64)
        starts = info.frames - int(frames[-1])
        ((box, flip),) = self.region().boxes(info, rng)
        if self.motion is None:
            return frames + rng.integers(starts), box, flip
        profile = self.motion.read(info.path)
        frames += rng.choice(starts, p=window_weights(profile, int(frames[-1]) + 1))
        size = box[3] - box[1], box[2] - box[0]
        return frames, moving_patch(profile, (frames[0], frames[-1]), size), flip

    def corners(self, rng):
        """The crops' left and top in the region, in pixels, `[count, 2]`."""
        base = rng.integers(0, self.margin + 1, 2)
        moved = base + rng.integers(-self.jitter, self.jitter + 1, (self.count, 2))
        return np.where((moved > 0) & (moved < self.margin), moved, base)

    def plan(self, info, rng):
        frames, (left, top, right, bottom), flip = self.place(info, rng)
        height, width = self.spatial.shape
        # Mirroring first, as the release does, gives the same crops as often.
        x, y = (right - left) / (width + self.margin), (bottom - top) / (height + self.margin)
        views = []
        for frame, (column, row) in zip(frames, self.corners(rng).tolist()):
            box = (
                left + column * x,
                top + row * y,
                min(left + (column + width) * x, 1.0),
                min(top + (row + height) * y, 1.0),
            )
            views.append(View(np.array([frame], np.int64), box, (height, width), flip))
        return orders.shuffled(views, rng)


@keras.saving.register_keras_serializable(package="keras_vssl")
class OPN(Task):
    """Sorts four shuffled frames of a video.

    Frames come from where something moves: a profile of each video's motion is mined once
    (`keras-vssl mine`; `keras-vssl pretrain` does it by itself). One image network encodes each
    frame; one layer relates the features of every pair, as a comparison does in sorting, and all
    relations together are classified. Many actions look alike forwards and backwards, so both
    are one class: 12 of four frames.

    **Views**: 4 clips of one frame, the same moving patch in each. Against cues of a low level,
    every frame is shifted by a few pixels of its own and shows one colour channel of its own in
    all three; mirrored together (`ShuffledPatches`).

    **Objective**: softmax cross-entropy,
    `L = -log softmax(fc8([relu(g_ij norm(fc7([f_i, f_j])) + b_ij)]_{i<j}))[order]`.

    Args:
        backbone: `VideoBackbone`, run on single frames.
        count: int, frames to sort (4, which the paper settled on; 3 to 5).
        gap: (least, most) source frames between neighbours. The paper's is not verified; this is
            the library's choice.
        margin, jitter: of `ShuffledPatches`, in pixels.
        channel_splitting: bool.
        motion: True, a dict of arguments of `keras_vssl.data.MotionProfile`, or False: time and
            place are uniform.
        hidden: int, width of the pair layer (fc7).
        batch_normalization: bool, of the pair layer; False is the release for VOC 2007, whose
            network has none either.
        dropout: float, before the classifier.
        resize: (height, width), int or None, the frame the region is cut from (`Spatial`); UCF101's
            own is 240 pixels high.
        size: int or (height, width), the crop.
        flip: float, the probability of mirroring a sequence.

    Example:

    ```python
    backbone = keras_vssl.backbones.CaffeNet.from_preset("caffenet_opn")
    task = keras_vssl.tasks.OPN(backbone)
    keras_vssl.data.MotionProfile().write_all(videos.paths)
    task.fit(videos, epochs=20)
    # The head of a published file (its network: without `part`).
    head = keras_vssl.convert.convert("UCF_OPN.caffemodel", part="head").model
    task.head.set_weights(head.get_weights())
    ```

    Reference:
        Lee, Huang, Singh, Yang. Unsupervised representation learning by sorting sequences.
        ICCV 2017.
        UCF101, HMDB51 fine-tuning (CaffeNet, mean of 3 splits, from memory): 56.3, 22.1; frame
        retrieval on UCF101, top-1 (by Büchler et al. 2018, from memory): 19.9.
    """

    # The released solver stops after 170,000 steps; the epochs are those steps.
    recipe = Recipe(1141, 9537, 64, "UCF101 (9,537 training videos)", "released solver, in steps")
    advice = "use longer videos or a smaller gap, or motion=False"
    citation = (
        "H.-Y. Lee, J.-B. Huang, M. Singh, M.-H. Yang. Unsupervised representation learning by "
        "sorting sequences. ICCV 2017."
    )

    def __init__(
        self,
        backbone,
        count=4,
        gap=(5, 15),
        margin=20,
        jitter=5,
        channel_splitting=True,
        motion=True,
        hidden=512,
        batch_normalization=True,
        dropout=0.5,
        resize=240,
        size=80,
        flip=0.5,
        **kwargs,
    ):
        spatial = Spatial(resize, size, "random", flip=flip)
        gap = tuple(int(n) for n in gap)
        sampler = ShuffledPatches(count, gap, margin, jitter, motion_profile(motion), spatial)
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.motion, self.channel_splitting = motion, bool(channel_splitting)
        policy = backbone.dtype_policy
        self.augment = RandomChannel(float(self.channel_splitting), dtype=policy)
        classes, pairs = len(orders.unsigned_orders(count)), orders.neighbouring_pairs(count)
        self.head = SortingHead(
            hidden, classes, pairs, batch_normalization, dropout, name="order_head", dtype=policy
        )
        self.head.build((None, count, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Logits of the orders, `[B, 12]` for four frames."""
        clips = self.augment(self.clips(inputs), training=training)
        features = self.encode(self.backbone.standardize(clips), training=training)
        return self.head(features, training=training)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # Released solver: 0.01, a tenth of it after 130,000 of 170,000 steps. Caffe learns biases
        # at twice the rate and without decay.
        fall = max(1, round((steps or self.recipe.steps) * 13 / 17))
        rate = keras.optimizers.schedules.PiecewiseConstantDecay([fall], [1e-2, 1e-3])
        sgd = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)
        paper = ScaledOptimizer(sgd, {"bias$": 2.0}, decoupled=False)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile(optimizer or paper, loss, metrics=["accuracy"])

    def chance(self, batch_size):
        return {"accuracy": 1 / self.head.classes}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "count": s.count,
            "gap": list(s.gap),
            "margin": s.margin,
            "jitter": s.jitter,
            "channel_splitting": self.channel_splitting,
            "motion": dict(self.motion) if isinstance(self.motion, dict) else bool(self.motion),
            "hidden": self.head.hidden,
            "batch_normalization": self.head.batch_normalization,
            "dropout": self.head.dropout,
            "resize": s.spatial.resize,
            "size": s.spatial.size,
            "flip": s.spatial.flip,
        }
