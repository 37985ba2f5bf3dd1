"""Heads that several methods share."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class OrderHead(keras.layers.Layer):
    """Classifies the order of n features by joining them pairwise.

    One dense layer is shared by all pairs (i, j), i < j; the first member of a pair comes first
    in the concatenation. The outputs of the pairs are concatenated, dropped out, and classified
    among the n! orders (Lee et al. ICCV 2017, Sec. 3.3; Xu et al. CVPR 2019, Sec. 3.3).

    Args:
        hidden: int, width of the pair layer.
        dropout: float in [0, 1), after the concatenation.

    Call arguments:
        features: `[B, n, D]`.

    Returns:
        Logits `[B, n!]`.
    """

    def __init__(self, hidden=512, dropout=0.5, **kwargs):
        super().__init__(**kwargs)
        self.hidden = int(hidden)
        self.dropout = float(dropout)
        # PyTorch's default dense initialisation, which the published recipe was tuned with.
        uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        self.pair = keras.layers.Dense(
            self.hidden, "relu", kernel_initializer=uniform, name="pair", dtype=self.dtype_policy
        )
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.classify = None

    def build(self, input_shape):
        count, width = input_shape[1], input_shape[2]
        self.pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
        uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        # Logits in float32: the softmax of a bfloat16 head loses the loss's last digits.
        self.classify = keras.layers.Dense(
            math.factorial(count), kernel_initializer=uniform, name="classify", dtype="float32"
        )
        self.pair.build((None, 2 * width))
        self.drop.build((None, self.hidden * len(self.pairs)))
        self.classify.build((None, self.hidden * len(self.pairs)))
        self.built = True

    def call(self, features, training=None):
        joined = [
            self.pair(ops.concatenate([features[:, i], features[:, j]], axis=-1))
            for i, j in self.pairs
        ]
        return self.classify(self.drop(ops.concatenate(joined, axis=-1), training=training))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], math.factorial(input_shape[1]))

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "dropout": self.dropout}
