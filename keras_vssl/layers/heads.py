"""Heads that several methods share."""

import math

import keras
from keras import ops

from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.losses.contrastive import unit


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


@keras.saving.register_keras_serializable(package="keras_vssl")
class Projector(keras.layers.Layer):
    """The multi-layer perceptron between a backbone and a contrastive loss; also a predictor.

    Dense layers of the given widths; after all but the last: batch normalisation (optional) and
    the activation (Chen et al. ICML 2020, Sec. 2.1; a predictor is the same network, Grill et al.
    NeurIPS 2020).

    Args:
        widths: ints, outputs of each dense layer; the last is the embedding's width.
        batch_normalization: bool, after the hidden layers.
        last_batch_normalization: bool, after the last layer too (SimSiam's projector).
        last_affine: bool, with gain and offset there too (CrissCross); SimSiam's has none.
        activation: of the hidden layers.
        use_bias: bool, biases in all layers.
        normalize: bool, unit L2 norm at the output.
        momentum, epsilon: of batch normalisation.
        kernel_initializer: Keras initializer of the dense layers.

    Call arguments:
        features: `[..., D]`.

    Returns:
        float32 embeddings `[..., widths[-1]]`.
    """

    def __init__(
        self,
        widths=(2048, 128),
        batch_normalization=True,
        last_batch_normalization=False,
        activation="relu",
        use_bias=True,
        normalize=False,
        momentum=0.9,
        epsilon=1e-5,
        kernel_initializer="glorot_uniform",
        last_affine=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.widths = tuple(int(w) for w in widths)
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"Expected one width or more, all above 0, received {widths}.")
        self.batch_normalization = bool(batch_normalization)
        self.last_batch_normalization = bool(last_batch_normalization)
        self.activation = keras.activations.get(activation)
        self.last_affine = bool(last_affine)
        self.use_bias, self.normalize = bool(use_bias), bool(normalize)
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        initializer = keras.initializers.serialize(self.kernel_initializer)
        count = len(self.widths)
        self.dense, self.norms = [], []
        for i, width in enumerate(self.widths):
            self.dense.append(
                keras.layers.Dense(
                    width,
                    use_bias=self.use_bias,
                    kernel_initializer=keras.initializers.get(initializer),
                    name=f"dense_{i}",
                    # The embedding in float32: similarities lose digits in bfloat16.
                    dtype="float32" if i == count - 1 else self.dtype_policy,
                )
            )
            last = i == count - 1
            if self.last_batch_normalization if last else self.batch_normalization:
                self.norms.append(
                    BatchNormalization(
                        self.momentum,
                        self.epsilon,
                        center=self.last_affine or not last,
                        scale=self.last_affine or not last,
                        name=f"norm_{i}",
                        dtype="float32" if last else self.dtype_policy,
                    )
                )
            else:
                self.norms.append(None)

    def build(self, input_shape):
        width = input_shape[-1]
        for dense, norm in zip(self.dense, self.norms):
            dense.build((None, width))
            width = dense.units
            if norm is not None:
                norm.build((None, width))
        self.built = True

    def call(self, features, training=None):
        width = features.shape[-1]
        lead = ops.shape(features)[:-1]
        x = ops.reshape(features, (-1, width))
        for i, (dense, norm) in enumerate(zip(self.dense, self.norms)):
            x = dense(x)
            if norm is not None:
                x = norm(x, training=training)
            if i < len(self.dense) - 1:
                x = self.activation(x)
        x = ops.cast(x, "float32")
        if self.normalize:
            x = unit(x)
        return ops.reshape(x, (*lead, self.widths[-1]))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.widths[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "widths": list(self.widths),
            "batch_normalization": self.batch_normalization,
            "last_batch_normalization": self.last_batch_normalization,
            "last_affine": self.last_affine,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "normalize": self.normalize,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
