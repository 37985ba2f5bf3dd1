"""What the tasks share that pull embeddings of one video together."""

import keras
from keras import ops

from keras_vssl.callbacks.collapse import Collapse
from keras_vssl.metrics.embeddings import alignment, feature_std, uniformity
from keras_vssl.tasks.task import Task

SPREAD = ("feature_std", "alignment", "uniformity")


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
        batch_normalization: "local", "synchronized" or "shuffled": over which devices the paper
            computes batch statistics. It is a statement: nothing applies it yet. On one device all
            are the same; on several, statistics are global under `keras.distribution` and of each
            replica's own rows under `tf.distribute`.
    """

    batch_normalization = "local"

    def __init__(self, backbone, *, sampler, logged=(), target=None, **kwargs):
        super().__init__(backbone, sampler=sampler, target=target, **kwargs)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in (*logged, *SPREAD)}

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
