"""Shuffle and Learn: temporal order verification."""

import dataclasses
from typing import ClassVar

import keras
import numpy as np

from keras_vssl.data.mining import MotionProfile, motion_profile, window_weights
from keras_vssl.data.plans import plain_size
from keras_vssl.data.samplers import Plan, Sampler, Spatial, View
from keras_vssl.layers.tuple_heads import ConcatenationHead
from keras_vssl.optimizers import ScaledOptimizer
from keras_vssl.tasks.task import Recipe, Task

_TRIES = 32


@dataclasses.dataclass(frozen=True)
class FrameTriples(Sampler):
    """Three frames of a video: the middle one lies between the others, or before or after both.

    Five frames a < b < c < d < e are drawn where something moves; (b, c, d) is right, (b, a, d) and
    (b, e, d) are wrong. Half of the triples are reversed, which changes nothing of that. Views
    `[3, 1, H, W, 3]`; target int, 1 for right and 0 for wrong.

    `d - b` is uniform in (tau_min, tau_max], or as far as the video goes; its place is drawn in
    proportion to the motion between b and d. Then a and e are uniform, tau_min to tau_max from b
    and d, and c is between them. Where a or e looks like c, five others are drawn.

    Args:
        tau_max: int, frames, the largest distance of b and d. tau_min: int, frames, the smallest
            of a from b and of e from d.
        negatives: float, the share of wrong triples.
        difference: float, how much a and e have to differ from c: mean squared difference of the
            colours (0 to 255) of the profile's cells. 0 takes all.
        motion: `MotionProfile`, or None: places are uniform, and no frame is compared.
        is_crop_shared: bool, one crop for the triple, or one for each frame.
        spatial: `Spatial`; the flip is the triple's.
    """

    tau_max: int = 60
    tau_min: int = 15
    negatives: float = 0.75
    difference: float = 10.0
    motion: MotionProfile | None = None
    is_crop_shared: bool = True
    spatial: Spatial = dataclasses.field(default_factory=Spatial)

    frames: ClassVar = 1
    short: ClassVar = "skip"
    views: ClassVar = 3

    def __post_init__(self):
        self._check()
        if not 1 <= self.tau_min < self.tau_max:
            raise ValueError(
                f"Expected 1 <= tau_min < tau_max, in frames, received tau_min={self.tau_min} and "
                f"tau_max={self.tau_max}."
            )
        if not 0 <= self.negatives <= 1 or self.difference < 0:
            raise ValueError(
                f"Expected negatives from 0 to 1 and a difference of 0 or more, received "
                f"{self.negatives} and {self.difference}."
            )

    @property
    def mined(self):
        return (self.motion,) if self.motion else ()

    def span(self, info):
        return 3 * self.tau_min + 2

    def five(self, info, rng):
        """Frame numbers (a, b, c, d, e).

        Raises:
            ValueError: in all that were drawn, a or e looks like c.
        """
        motion = colours = None
        if self.motion:
            motion = self.motion.read(info.path).mean(axis=(1, 2))
            colours = self.motion.colours(info.path).astype(np.float32) if self.difference else None
        for _ in range(_TRIES):
            five = self._draw(info.frames, motion, rng)
            if colours is None:
                return five
            a, _, c, _, e = five
            if np.square(colours[[a, e]] - colours[c]).mean(axis=(1, 2, 3)).min() > self.difference:
                return five
        raise ValueError(
            f"in {_TRIES} draws no frames differ by more than difference={self.difference:g}; "
            f"lower it, or use videos in which more moves"
        )

    def _draw(self, total, motion, rng):
        low, last = self.tau_min, total - 1
        between = int(rng.integers(low + 1, min(self.tau_max, last - 2 * low) + 1))
        starts = np.arange(low, last - low - between + 1)
        weights = np.ones(len(starts))
        if motion is not None:
            found = window_weights(motion, between + 1)[starts]
            weights = found if found.sum() > 0 else weights
        b = int(rng.choice(starts, p=weights / weights.sum()))
        d = b + between
        a = int(rng.integers(max(b - self.tau_max, 0), b - low + 1))
        e = int(rng.integers(d + low, min(d + self.tau_max, last) + 1))
        return a, b, int(rng.integers(b + 1, d)), d, e

    def plan(self, info, rng):
        a, b, c, d, e = self.five(info, rng)
        is_right = rng.random() >= self.negatives
        middle = c if is_right else (a, e)[rng.integers(2)]
        order = (b, middle, d)[:: rng.choice((1, -1))]
        boxes = [self.spatial.boxes(info, rng)[0] for _ in order]
        flip = boxes[0][1]
        if self.is_crop_shared:
            boxes = boxes[:1] * len(order)
        views = tuple(
            View(np.array([frame], np.int64), box, self.spatial.shape, flip)
            for frame, (box, _) in zip(order, boxes)
        )
        return Plan(views, np.int64(is_right))


@keras.saving.register_keras_serializable(package="keras_vssl")
class ShuffleAndLearn(Task):
    """Tells whether three frames of a video are in order.

    The first and the last frame of right and wrong triples are the same; only the middle one
    differs, so the network has to place a frame in time. Triples come from where something moves:
    a profile of each video's motion is mined once (`keras-vssl mine`; `keras-vssl pretrain` does it
    by itself). One image network encodes each frame.

    **Views**: 3 clips of one frame, 25 % in order (forwards or backwards), 75 % with a middle frame
    from before or after both others (`FrameTriples`); the whole frame, no augmentation.

    **Objective**: softmax cross-entropy, `L = -log softmax(W [f_1, f_2, f_3] + v)[is in order]`.

    Args:
        backbone: `VideoBackbone`, run on single frames.
        tau_max, tau_min, negatives, difference: of `FrameTriples`. The paper's best are 60, 15 and
            0.75; its threshold of likeness is not published, 10 is this library's.
        motion: True, a dict of arguments of `keras_vssl.data.MotionProfile`, or False: the triples
            come from anywhere, and none is left out for its likeness.
        resize: (height, width), int or None, the frame the crop is cut from (`Spatial`).
        size: int or (height, width), the crop. The release squashes the whole frame to 227 x 227.
        flip: float, the probability of mirroring a triple.
        is_crop_shared: bool, one crop for the triple; False, one a frame, a switch of the release.
        hidden: int, width of a layer before the classifier; 0, the paper's, is none. A linear
            classifier adds up what single frames tell: where they tell nothing, it learns nothing.
        dropout: float, before the classifier; CaffeNet ends in its own.

    Example:

    ```python
    backbone = keras_vssl.backbones.CaffeNet.from_preset("caffenet_bn_shuffle_learn")
    task = keras_vssl.tasks.ShuffleAndLearn(backbone)
    keras_vssl.data.MotionProfile().write_all(videos.paths)
    task.fit(videos, epochs=20)
    # The head of a published file (its network: without `part`).
    head = keras_vssl.convert.convert("shuffle.caffemodel", part="head").model
    task.head.set_weights(head.get_weights())
    ```

    Reference:
        Misra, Zitnick, Hebert. Shuffle and learn: Unsupervised learning using temporal order
        verification. ECCV 2016.
        UCF101, HMDB51 fine-tuning (mean of 3 splits): 50.2, 18.1; pose on FLIC (PCK): 84.7; VOC
        2007 detection (mAP): 42.4.
    """

    # The release's rate falls after 80,000 and 100,000 steps; where it stops is not in it.
    recipe = Recipe(16, 900_000, 128, "900,000 triples of UCF101", "released solver; stop chosen")
    advice = "use longer videos or a smaller tau_min, or motion=False"
    citation = (
        "I. Misra, C. L. Zitnick, M. Hebert. Shuffle and learn: Unsupervised learning using "
        "temporal order verification. ECCV 2016."
    )

    def __init__(
        self,
        backbone,
        tau_max=60,
        tau_min=15,
        negatives=0.75,
        difference=10.0,
        motion=True,
        resize=(227, 227),
        size=227,
        flip=0.0,
        is_crop_shared=True,
        hidden=0,
        dropout=0.0,
        **kwargs,
    ):
        spatial = Spatial(resize, size, "random", flip=flip)
        sampler = FrameTriples(
            tau_max, tau_min, negatives, float(difference), motion_profile(motion),
            bool(is_crop_shared), spatial,
        )  # fmt: skip
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.motion = motion
        policy = backbone.dtype_policy
        self.head = ConcatenationHead(2, dropout, hidden, name="order_head", dtype=policy)
        self.head.build((None, sampler.views, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Logits of wrong and right order, `[B, 2]`."""
        features = self.encode(self.clips(inputs), training=training)
        return self.head(features, training=training)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # Caffe's SGD. The release sums the gradients of four batches of 32 triples, so that batch
        # statistics there are those of 96 frames.
        steps = steps or self.recipe.steps
        falls = [max(i, round(steps * at / self.recipe.steps)) for i, at in ((1, 8e4), (2, 1e5))]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(falls, [1e-3, 1e-4, 1e-5])
        sgd = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)
        paper = ScaledOptimizer(sgd, {"bias$": 2.0}, decoupled=False)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile(optimizer or paper, loss, metrics=["accuracy"])

    def chance(self, batch_size):
        return {"accuracy": max(self.sampler.negatives, 1 - self.sampler.negatives)}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "tau_max": s.tau_max,
            "tau_min": s.tau_min,
            "negatives": s.negatives,
            "difference": s.difference,
            "motion": dict(self.motion) if isinstance(self.motion, dict) else bool(self.motion),
            "resize": plain_size(s.spatial.resize),
            "size": plain_size(s.spatial.size),
            "flip": s.spatial.flip,
            "is_crop_shared": s.is_crop_shared,
            "hidden": self.head.hidden,
            "dropout": self.head.dropout,
        }
