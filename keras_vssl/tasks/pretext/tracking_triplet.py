"""Ranking of tracked patches: Siamese triplets (Wang and Gupta)."""

import keras
from keras import ops

from keras_vssl.callbacks.curriculum import Curriculum
from keras_vssl.data.tracking import TrackCache, TrackedPatches
from keras_vssl.distribution import gather, replica_id, replica_share
from keras_vssl.layers.augmentation.augmentation import unit as pixels
from keras_vssl.layers.augmentation.color import to_grayscale
from keras_vssl.losses.contrastive import unit
from keras_vssl.losses.ranking import rank_hard_loss
from keras_vssl.optimizers.multipliers import ScaledOptimizer
from keras_vssl.tasks.joint_embedding import JointEmbedding
from keras_vssl.tasks.task import Recipe


@keras.saving.register_keras_serializable(package="keras_vssl")
class TrackingTriplet(JointEmbedding):
    """Keeps two patches that a tracker joins nearer together than patches of other tracks.

    A patch that moves is found in a video and followed for some thirty frames (`TrackMiner`). What
    it shows at the start and at the end is one thing, seen twice: their embeddings must be nearer
    to each other than to all others of the batch. `keras-vssl mine FOLDER --kind tracks` finds the
    patches, once; `keras-vssl pretrain` does so by itself.

    **Views**: 2 patches of one frame each, the first and the last of a track, resized; each is
    mirrored with probability 0.5 on its own. No other augmentation.

    **Objective**: with unit embeddings a, p of a pair and N its chosen negatives,
    `L = sum_{n in N} (max(0, a.n - a.p + m) + max(0, p.n - a.p + m)) / (2 K)`, averaged over the
    pairs. N are `hard K` of the K patches that are most similar to a, and `random K` of all the
    rest; at first all are random.

    Args:
        backbone: `VideoBackbone`, e.g. `caffenet_tracking`. Its output, averaged over the patch and
            rectified, is the embedding: there is no head.
        tracks: dict or None, arguments of `keras_vssl.data.TrackCache`: which tracks are read.
        margin: float, m: 1 in the released configuration; 0.5 in the paper, from memory. With
            rectified embeddings cosines are never negative, so that under a margin of 1 every
            patch of another track is a candidate and the loss is 0 only at a.p = 1, a.n = 0.
        negatives: int, K.
        hard, random: floats, shares of K, whose products with K are cut to whole numbers.
        hard_from: float, the share of the run before which all K negatives are random (150,000 of
            400,000 iterations; reported, not in the release).
        grayscale: bool, patches are made grey, as for the released grey model.
        size: int or (height, width), pixels. flip: float, probability.

    `triplet_accuracy`, logged, is the share of other tracks' patches that are farther from a
    pair's first patch than its second is.

    Example:

    ```python
    task = keras_vssl.tasks.TrackingTriplet(
        keras_vssl.backbones.CaffeNet.from_preset("caffenet_tracking")
    )
    keras_vssl.data.mine_tracks(videos)
    task.fit(videos, epochs=20)
    # Patches that are cut already, as the authors' list names them:
    pairs = keras_vssl.data.PatchPairs("trainlist_label_8m.txt", "patches/")
    task.fit(keras_vssl.data.BatchSequence(pairs, 50), epochs=5)
    ```

    Reference:
        Wang, Gupta. Unsupervised learning of visual representations using videos. ICCV 2015
        (https://arxiv.org/abs/1505.00687). VOC 2012 detection, an ensemble: 52 mAP (54.4 from
        ImageNet labels; abstract).
    """

    # The released solver: 400,000 iterations of 50 pairs, so about five times each of 8M patches.
    recipe = Recipe(5, 4_000_000, 50, "4 million pairs of YouTube patches", "released solver")
    advice = "mine their tracks, or find more of them with a lower threshold and a smaller every"
    citation = (
        "X. Wang, A. Gupta. Unsupervised learning of visual representations using videos. ICCV "
        "2015."
    )

    def __init__(
        self,
        backbone,
        tracks=None,
        margin=1.0,
        negatives=4,
        hard=0.5,
        random=0.5,
        hard_from=0.375,
        grayscale=False,
        size=227,
        flip=0.5,
        **kwargs,
    ):
        if not (0 <= hard <= 1 and 0 <= random <= 1 and 0 <= hard_from <= 1):
            raise ValueError(
                f"Expected hard, random and hard_from from 0 to 1, received {hard}, {random} and "
                f"{hard_from}."
            )
        if int(negatives * hard) + int(negatives * random) < 1:
            raise ValueError(
                f"Expected shares that choose at least one negative, received hard={hard} and "
                f"random={random} of {negatives}."
            )
        sampler = TrackedPatches(TrackCache(**(tracks or {})), size, float(flip))
        super().__init__(
            backbone, sampler=sampler, logged=("triplet_accuracy",), target="plan", **kwargs
        )
        self.tracks, self.grayscale = tracks, bool(grayscale)
        self.margin, self.negatives = float(margin), int(negatives)
        self.hard, self.random, self.hard_from = float(hard), float(random), float(hard_from)
        self.seed_generator = keras.random.SeedGenerator()
        # How many of the hardest and how many of the rest: what the curriculum writes.
        self.counts = self.add_weight(
            shape=(2,), initializer="zeros", trainable=False, dtype="float32", name="counts"
        )
        self.counts.assign(self.stages[0][1])
        self.built = True
        self.default_compile()

    @property
    def stages(self):
        """((share of the run from which on, (hard, random)), ...), for `Curriculum`."""
        mixed = int(self.negatives * self.hard), int(self.negatives * self.random)
        if self.hard_from == 0:
            return ((0, mixed),)
        return ((0, (0, self.negatives)), (self.hard_from, mixed))

    def call(self, inputs, training=None):
        """Unit embeddings `[B, 2, D]` without negative entries."""
        clips = self.clips(inputs)
        if self.grayscale:
            clips = self.backbone.standardize(to_grayscale(pixels(clips)))
        return unit(ops.relu(self.encode(clips, training=training)))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        first, second = y_pred[:, 0], y_pred[:, 1]
        count = ops.shape(first)[0]
        labels = ops.arange(count) + replica_id() * count if y is None else y
        labels = ops.cast(labels, "float32")  # which holds a track's id exactly
        others = ops.concatenate([gather(first), gather(second)])
        other_labels = ops.tile(gather(labels), [2])
        hard, random = ops.unstack(ops.convert_to_tensor(self.counts), 2)
        loss = rank_hard_loss(
            first, second, labels, others, other_labels, self.margin, self.negatives, hard, random,
            self.seed_generator,
        )  # fmt: skip
        others = ops.not_equal(labels[:, None], other_labels[None]), others
        self.track({"triplet_accuracy": _in_order(first, second, *others)}, first, second)
        return replica_share(ops.mean(loss))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # Released solver: 1e-3, a tenth of it every 100,000 of 400,000 iterations, momentum 0.9,
        # decay 5e-4 but not of biases, which learn twice as fast.
        quarter = (steps or self.recipe.steps) / 4
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            [round(quarter * i) for i in (1, 2, 3)], [1e-3, 1e-4, 1e-5, 1e-6]
        )
        biases = any(v.path.endswith("bias") for v in self.trainable_variables)
        paper = ScaledOptimizer(
            keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4),
            {"bias$": 2.0} if biases else None,
            decoupled=False,
        )
        self.compile(optimizer or paper)

    def chance(self, batch_size):
        return {"triplet_accuracy": 0.5}

    def fit(self, x=None, y=None, *, epochs=1, callbacks=None, **kwargs):
        callbacks = list(callbacks or ())
        if not any(isinstance(callback, Curriculum) for callback in callbacks):
            callbacks.append(Curriculum("counts", self.stages, epochs, 1))
        return super().fit(x, y, epochs=epochs, callbacks=callbacks, **kwargs)

    def get_config(self):
        size = self.sampler.size
        return {
            **super().get_config(),
            "tracks": self.tracks and dict(self.tracks),
            "margin": self.margin,
            "negatives": self.negatives,
            "hard": self.hard,
            "random": self.random,
            "hard_from": self.hard_from,
            "grayscale": self.grayscale,
            "size": list(size) if isinstance(size, tuple) else size,
            "flip": self.sampler.flip,
        }


def _in_order(first, second, allowed, others):
    """The share of the allowed `others` that are farther from `first` than `second` is, `[B]`."""
    allowed = ops.cast(allowed, "float32")
    own = ops.sum(first * second, axis=1, keepdims=True)
    nearer = ops.cast(ops.matmul(first, ops.transpose(others)) < own, "float32")
    return ops.sum(allowed * nearer, axis=1) / ops.maximum(ops.sum(allowed, axis=1), 1.0)
