"""What the tasks share that pull embeddings of one video together."""

import warnings

import keras
from keras import ops

from keras_vssl.callbacks.collapse import Collapse
from keras_vssl.distribution import data_shards, replica_count, shuffle, unshuffle
from keras_vssl.layers.normalization import set_statistics
from keras_vssl.layers.queue import MemoryQueue
from keras_vssl.metrics.embeddings import alignment, feature_std, uniformity
from keras_vssl.tasks.task import Task

SPREAD = ("feature_std", "alignment", "uniformity")
# What a task says of its batch statistics, as its layers are told.
POLICIES = {"local": "local", "synchronized": "synchronized", "shuffled": "local"}


class JointEmbedding(Task):
    """A task whose loss compares embeddings; logs whether they collapse.

    Every step logs, beside the parts of the loss, the spread of the embeddings: `feature_std`
    (about 1 spread out, 0 collapsed), `alignment` (squared distance of positives, 0 to 4) and
    `uniformity` (0 collapsed, about -4 spread out). `fit` warns when they have collapsed.

    A subclass overrides `compute_loss` and calls `track` there.

    Args:
        backbone, sampler: as for `Task`.
        logged: names of the further values that `track` gets.

    Attributes:
        batch_normalization: "local", "synchronized" or "shuffled": over which devices the method
            computes batch statistics. On one device all are the same; on several, `compile` sets
            every `BatchNormalization` of the task to "synchronized", or, for the other two, to
            "local", and `shuffled` exchanges the rows of what goes through it. To deviate from the
            paper set the attribute and compile again.
        batch_groups: int, groups of rows with statistics of their own on each device. More than one
            with "shuffled" makes one device do what the paper's many did.
    """

    batch_normalization = "local"
    batch_groups = 1

    def __init__(self, backbone, *, sampler, logged=(), target=None, **kwargs):
        super().__init__(backbone, sampler=sampler, target=target, **kwargs)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in (*logged, *SPREAD)}

    def compile(self, *args, **kwargs):
        """`Task.compile`; applies `batch_normalization` and `batch_groups`."""
        if self.batch_normalization not in POLICIES:
            raise ValueError(
                f"Expected batch_normalization to be one of {tuple(POLICIES)}, received "
                f"{self.batch_normalization!r}."
            )
        set_statistics(self, POLICIES[self.batch_normalization], self.batch_groups)
        super().compile(*args, **kwargs)

    def shuffled(self, function, x, seed=None):
        """`function(x)`, computed on rows in random order where the policy is "shuffled".

        For a key encoder whose batch statistics would tell rows apart (He et al. CVPR 2020,
        sec. 3.3). On one device without groups, where it would change nothing but the order of
        sums, `x` stays as it is.

        Args:
            function: of rows `[B, ...]`, to rows `[B, ...]`.
            x: floating-point `[B, ...]`.
            seed: `keras.random.SeedGenerator`.
        """
        parts = replica_count() * data_shards() * self.batch_groups
        if self.batch_normalization != "shuffled" or parts == 1:
            return function(x)
        rows, order = shuffle(x, seed)
        return unshuffle(function(rows), order)

    def prepare(self, videos):
        """`Task.prepare`; warns of a queue that holds keys of each video's own."""
        usable = super().prepare(videos)
        size = max((q.size for q in self.layers if isinstance(q, MemoryQueue)), default=0)
        if size >= len(usable):
            warnings.warn(
                f"The queue holds {size} keys and there are {len(usable)} videos, so that a "
                f"video's own keys are among its negatives; use queue_size={len(usable) // 2}.",
                stacklevel=3,
            )
        return usable

    def track(self, values, first, second):
        """Updates the logged means.

        Args:
            values: dict of name to scalar or `[B]`, for the names in `logged`.
            first, second: `[B, D]`, embeddings of positive pairs.
        """
        first, second = ops.stop_gradient(first), ops.stop_gradient(second)
        spread = (feature_std(first), alignment(first, second), uniformity(first))
        for name, value in {**values, **dict(zip(SPREAD, spread))}.items():
            self.trackers[name].update_state(ops.stop_gradient(value))

    def fit(self, x=None, y=None, *, callbacks=None, **kwargs):
        callbacks = list(callbacks or ())
        if not any(isinstance(callback, Collapse) for callback in callbacks):
            callbacks.append(Collapse())
        return super().fit(x, y, callbacks=callbacks, **kwargs)
