"""Heads that classify a tuple of frames from the features of its members."""

import keras
from keras import ops

from keras_vssl.layers.normalization import BatchNormalization

# The pairs of four positions in the order of OPN's released network, on which the columns of its
# last layer depend. `OrderHead`, VCOP's, has them in lexicographic order.
OPN_PAIRS = ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3))


@keras.saving.register_keras_serializable(package="keras_vssl")
class ConcatenationHead(keras.layers.Layer):
    """A classifier on the features of a tuple, end to end in its order.

    Shuffle and Learn's head on three frames is the linear one (Misra et al. ECCV 2016, Sec. 3.1).
    A linear classifier adds up one function of each member, so it can't compare members that tell
    nothing by themselves; a hidden layer can.

    Args:
        classes: int.
        dropout: float in [0, 1), before the classifier; 0 where the backbone ends in dropout.
        hidden: int, width of a layer with ReLU before the classifier, or 0: none.

    Call arguments:
        features: `[B, n, D]`.

    Returns:
        float32 logits `[B, classes]`.
    """

    def __init__(self, classes=2, dropout=0.0, hidden=0, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.dropout, self.hidden = int(classes), float(dropout), int(hidden)
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.join = None
        if self.hidden:
            self.join = keras.layers.Dense(
                self.hidden, "relu", name="join", dtype=self.dtype_policy
            )
        self.classify = keras.layers.Dense(self.classes, name="classify", dtype="float32")

    def build(self, input_shape):
        width = input_shape[1] * input_shape[2]
        if self.join is not None:
            self.join.build((None, width))
        self.classify.build((None, self.hidden or width))
        self.built = True

    def call(self, features, training=None):
        width = features.shape[1] * features.shape[2]
        joined = ops.reshape(features, (-1, width))
        if self.join is not None:
            joined = self.join(joined)
        return self.classify(self.drop(joined, training=training))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes)

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "dropout": self.dropout,
            "hidden": self.hidden,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class SortingHead(keras.layers.Layer):
    """Classifies the order of a tuple by relations of its pairs, as OPN's released network does.

    A dense layer and batch normalisation without gain, both shared by all pairs, then a gain and
    an offset that each pair has for itself, ReLU; the outputs of the pairs are concatenated,
    dropped out and classified (Lee et al. ICCV 2017, Sec. 3.3 and official code). In training a
    pair is normalised with the statistics of its own rows. `OrderHead` is VCOP's simpler form.

    Args:
        hidden: int, width of the pair layer.
        classes: int; 12 for four frames whose order forwards and backwards is one class.
        pairs: pairs of positions, in the order of the concatenation; the first member of a pair
            comes first.
        batch_normalization: bool, and with it the gains and offsets.
        dropout: float in [0, 1), after the concatenation.
        momentum, epsilon: of batch normalisation.

    Call arguments:
        features: `[B, n, D]`.

    Returns:
        float32 logits `[B, classes]`.
    """

    def __init__(
        self,
        hidden=512,
        classes=12,
        pairs=OPN_PAIRS,
        batch_normalization=True,
        dropout=0.5,
        momentum=0.9,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden, self.classes = int(hidden), int(classes)
        self.pairs = tuple((int(i), int(j)) for i, j in pairs)
        self.batch_normalization = bool(batch_normalization)
        self.dropout = float(dropout)
        self.momentum, self.epsilon = float(momentum), float(epsilon)

        def dense(units, name, dtype):
            # Official prototxt; the last layer's bias starts at 1 too.
            normal = keras.initializers.RandomNormal(stddev=0.005)
            return keras.layers.Dense(
                units, kernel_initializer=normal, bias_initializer="ones", name=name, dtype=dtype
            )

        self.pair = dense(self.hidden, "pair", self.dtype_policy)
        # Logits in float32: the softmax of a bfloat16 head loses the loss's last digits.
        self.classify = dense(self.classes, "classify", "float32")
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.norm = None
        if self.batch_normalization:
            self.norm = BatchNormalization(
                self.momentum,
                self.epsilon,
                center=False,
                scale=False,
                name="norm",
                dtype=self.dtype_policy,
            )
        self.gains, self.offsets = [], []

    def build(self, input_shape):
        count, width = input_shape[1], input_shape[2]
        last = max(max(pair) for pair in self.pairs)
        if last >= count:
            raise ValueError(
                f"Expected features [B, n, D] of {last + 1} members, which the pairs "
                f"{self.pairs} join, received {tuple(input_shape)}; give other `pairs`."
            )
        self.pair.build((None, 2 * width))
        self.classify.build((None, self.hidden * len(self.pairs)))
        if self.norm is not None:
            self.norm.build((None, self.hidden))
            for index in range(len(self.pairs)):
                for kind, values in (("gain", self.gains), ("offset", self.offsets)):
                    initializer = "ones" if kind == "gain" else "zeros"
                    name = f"{kind}_{index}"
                    values.append(self.add_weight((self.hidden,), initializer, name=name))
        self.built = True

    def call(self, features, training=None):
        joined = []
        for index, (i, j) in enumerate(self.pairs):
            x = self.pair(ops.concatenate([features[:, i], features[:, j]], axis=-1))
            if self.norm is not None:
                gain, offset = (ops.cast(v[index], x.dtype) for v in (self.gains, self.offsets))
                x = self.norm(x, training=training) * gain + offset
            joined.append(ops.relu(x))
        return self.classify(self.drop(ops.concatenate(joined, axis=-1), training=training))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "classes": self.classes,
            "pairs": [list(pair) for pair in self.pairs],
            "batch_normalization": self.batch_normalization,
            "dropout": self.dropout,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
