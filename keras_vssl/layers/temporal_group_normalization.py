"""Batch normalisation by groups of neighbouring time steps."""

import keras
import numpy as np
from keras import ops

from keras_vssl.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class TemporalGroupNormalization(keras.layers.Layer):
    """A `BatchNormalization` of its own for each of a few groups of neighbouring time steps.

    The T steps are split into contiguous groups as equal as they can be, the longer ones first
    (`numpy.array_split`). Each group has gains, offsets and running statistics of its own, and its
    batch statistics are those of its steps alone, over rows, steps, height and width (Cho et al.
    2020, the official figure; the sizes and the number of groups are the project's). One group is
    exactly `BatchNormalization`. Channels are never grouped: this is no group normalisation.

    The groups' statistics belong to places in time, so the layer is bound to the number of steps
    that it was built for.

    The running variance moves towards the biased variance of the batch, as Keras' does and as the
    normalisation itself uses. PyTorch's moves towards the unbiased one, which is larger by
    n / (n - 1) for the n values of a channel in a group: that matters for tiny batches of few steps
    alone. Running statistics of either kind can be loaded.

    Args:
        groups: int, groups; fewer where there are fewer steps: `min(groups, T)`.
        momentum, epsilon, statistics: of `BatchNormalization`.

    Attributes:
        norms: list of the groups' `BatchNormalization`s, in the order of time; filled by `build`.
        sizes: tuple of ints, the steps of each group; filled by `build`.

    Call arguments:
        inputs: `[B, T, H, W, C]`, or any `[B, T, ..., C]`.

    Raises:
        ValueError: the number of steps is unknown when the layer is built, or another one later.
    """

    def __init__(self, groups=4, momentum=0.9, epsilon=1e-5, statistics=None, **kwargs):
        super().__init__(**kwargs)
        if groups < 1:
            raise ValueError(f"Expected one group of time steps or more, received {groups}.")
        self.groups = int(groups)
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.statistics = statistics
        self.norms, self.sizes = [], ()

    def build(self, input_shape):
        steps = input_shape[1]
        if steps is None:
            raise ValueError(
                f"Expected a known number of time steps to split into groups, received an input of "
                f"shape {tuple(input_shape)}; build the network for clips of one length."
            )
        self.sizes = tuple(map(len, np.array_split(np.arange(steps), min(self.groups, steps))))
        for index, size in enumerate(self.sizes):
            norm = BatchNormalization(
                self.momentum,
                self.epsilon,
                self.statistics,
                name=f"group_{index}",
                dtype=self.dtype_policy,
            )
            norm.build((input_shape[0], size, *input_shape[2:]))
            self.norms.append(norm)
        self.built = True

    def call(self, inputs, training=None):
        self._check(inputs.shape)
        if len(self.norms) == 1:
            return self.norms[0](inputs, training=training)
        parts, start = [], 0
        for norm, size in zip(self.norms, self.sizes):
            parts.append(norm(inputs[:, start : start + size], training=training))
            start += size
        return ops.concatenate(parts, axis=1)

    def _check(self, shape):
        steps = sum(self.sizes)
        if shape[1] != steps:
            raise ValueError(
                f"Expected {steps} time steps, for which {self.name!r} has statistics in groups of "
                f"{self.sizes}, received {shape[1]}; give clips of the length that the network "
                "was built for, or build and train one for yours."
            )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "groups": self.groups,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "statistics": self.statistics,
        }
