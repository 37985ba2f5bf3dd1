"""The pre-norm transformer block of the vision transformers, and its attention."""

import keras
from keras import layers, ops

QKV_BIASES = ("all", "query_value", "none")


@keras.saving.register_keras_serializable(package="keras_vssl")
def gelu_tanh(x):
    """GELU in its tanh form, ViViT's; the exact one is "gelu"."""
    return keras.activations.gelu(x, approximate=True)


@keras.saving.register_keras_serializable(package="keras_vssl")
class Attention(layers.Layer):
    """Multi-head self-attention with one kernel for queries, keys and values.

    `softmax(q k' / sqrt(width / heads)) v`, the softmax in float32. The kernel's columns are the
    queries of all heads, then the keys, then the values, as timm orders them; checkpoints with
    three matrices concatenate them.

    A subclass may override `split` (to rotate queries and keys, say).

    Args:
        width: int, channels of the tokens; the heads divide it evenly.
        heads: int.
        qkv_bias: "all"; "query_value" (BEiT, VideoMAE: keys have none, which changes nothing but
            the weights there are); or "none".
        kernel_initializer: Keras initializer of both kernels.

    Call arguments:
        x: `[B, N, width]`.
        key_mask: bool `[B, N]` or `None`, True for the tokens that may be attended to; at least
            one a row.
        rotation: `None`, or cosines and sines `[B or 1, N, 1, r]` by which the first r channels of
            each query and key are rotated, see `keras_vssl.layers.rotary`.

    Returns:
        `[B, N, width]`.
    """

    def __init__(self, width, heads, qkv_bias="all", kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads, self.qkv_bias = int(width), int(heads), qkv_bias
        if heads < 1 or width % heads:
            raise ValueError(
                f"Expected heads that divide the width {width} evenly, received {heads}."
            )
        if qkv_bias not in QKV_BIASES:
            raise ValueError(f"Expected qkv_bias to be one of {QKV_BIASES}, received {qkv_bias!r}.")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.qkv = layers.Dense(
            3 * self.width,
            use_bias=qkv_bias == "all",
            kernel_initializer=_fresh(self.kernel_initializer),
            name="qkv",
            dtype=self.dtype_policy,
        )
        self.proj = layers.Dense(
            self.width,
            kernel_initializer=_fresh(self.kernel_initializer),
            name="proj",
            dtype=self.dtype_policy,
        )
        self.query_bias = self.value_bias = None

    def build(self, input_shape):
        shape = (None, None, self.width)
        self.qkv.build(shape)
        self.proj.build(shape)
        if self.qkv_bias == "query_value":
            self.query_bias = self.add_weight(
                name="query_bias", shape=(self.width,), initializer="zeros"
            )
            self.value_bias = self.add_weight(
                name="value_bias", shape=(self.width,), initializer="zeros"
            )
        self.built = True

    def split(self, x):
        """Queries, keys and values of tokens `[B, N, width]`, each `[B, N, heads, d]`."""
        qkv = ops.reshape(self.qkv(x), (-1, ops.shape(x)[1], 3, self.width))
        query, key, value = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        if self.query_bias is not None:
            query = query + ops.cast(self.query_bias, query.dtype)
            value = value + ops.cast(self.value_bias, value.dtype)
        shape = (-1, ops.shape(x)[1], self.heads, self.width // self.heads)
        return tuple(ops.reshape(part, shape) for part in (query, key, value))

    def call(self, x, key_mask=None, rotation=None):
        query, key, value = self.split(x)
        if rotation is not None:
            query, key = rotate(query, *rotation), rotate(key, *rotation)
        mask = None if key_mask is None else key_mask[:, None, None, :]
        x = ops.dot_product_attention(query, key, value, mask=mask)
        return self.proj(ops.reshape(x, (-1, ops.shape(x)[1], self.width)))

    def compute_output_spec(self, x, key_mask=None, rotation=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "qkv_bias": self.qkv_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class TransformerBlock(layers.Layer):
    """`y = x + drop(attention(norm1(x)))`, `z = y + drop(fc2(activation(fc1(norm2(y)))))`.

    Args:
        width: int, channels of the tokens.
        heads: int.
        mlp_width: int or `None`: 4 times the width.
        qkv_bias: see `Attention`.
        epsilon: float, of both layer normalisations.
        activation: of the multi-layer perceptron; "gelu" is the exact one.
        drop_path: float in [0, 1), the probability that a sample goes past a residual branch in
            training; the others' branches are scaled by `1 / (1 - drop_path)`.
        kernel_initializer: Keras initializer of all kernels.

    Call arguments:
        x: `[B, N, width]`.
        key_mask: see `Attention`.
        training: bool, drops paths.

    Returns:
        `[B, N, width]`.

    Reference:
        Dosovitskiy et al. ICLR 2021, Eq. 2 and 3 (https://arxiv.org/abs/2010.11929).
    """

    def __init__(
        self,
        width,
        heads,
        mlp_width=None,
        qkv_bias="all",
        epsilon=1e-6,
        activation="gelu",
        drop_path=0.0,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.width = int(width)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.epsilon, self.drop_path = float(epsilon), float(drop_path)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.norm1 = self.make_norm("norm1")
        self.attention = Attention(
            self.width,
            heads,
            qkv_bias,
            _fresh(self.kernel_initializer),
            name="attention",
            dtype=self.dtype_policy,
        )
        self.norm2 = self.make_norm("norm2")
        self.fc1 = self.make_dense(self.mlp_width, "fc1", activation=self.activation)
        self.fc2 = self.make_dense(self.width, "fc2")
        self.drop = DropPath(self.drop_path, name="drop", dtype=self.dtype_policy)

    def make_norm(self, name):
        """A layer normalisation like the block's own."""
        return layers.LayerNormalization(epsilon=self.epsilon, name=name, dtype=self.dtype_policy)

    def make_dense(self, units, name, **kwargs):
        """A dense layer like the block's own."""
        kwargs = {"kernel_initializer": _fresh(self.kernel_initializer), **kwargs}
        return layers.Dense(units, name=name, dtype=self.dtype_policy, **kwargs)

    def build(self, input_shape):
        shape = (None, None, self.width)
        for layer in (self.norm1, self.attention, self.norm2, self.fc1):
            layer.build(shape)
        self.fc2.build((None, None, self.mlp_width))
        self.built = True

    def call(self, x, key_mask=None, training=None):
        x = x + self.drop(self.attention(self.norm1(x), key_mask=key_mask), training=training)
        return self.feed_forward(x, training=training)

    def feed_forward(self, x, training=None):
        """The second half: the perceptron and its shortcut."""
        return x + self.drop(self.fc2(self.fc1(self.norm2(x))), training=training)

    def compute_output_spec(self, x, key_mask=None, training=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.attention.heads,
            "mlp_width": self.mlp_width,
            "qkv_bias": self.attention.qkv_bias,
            "epsilon": self.epsilon,
            "activation": keras.activations.serialize(self.activation),
            "drop_path": self.drop_path,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class DropPath(layers.Layer):
    """Stochastic depth: in training a sample `[...]` of `x` `[B, ...]` becomes 0 with probability
    `rate`, else it is divided by `1 - rate`.

    Args:
        rate: float in [0, 1).
        seed: int or `None`.

    Reference:
        Huang et al. ECCV 2016 (https://arxiv.org/abs/1603.09382).
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"Expected a rate of drop path from 0 to below 1, received {rate}.")
        self.rate, self.seed = float(rate), seed
        self.generator = keras.random.SeedGenerator(seed) if self.rate else None
        self.built = True

    def call(self, x, training=None):
        if not (training and self.rate):
            return x
        noise = keras.random.uniform(
            (ops.shape(x)[0], *[1] * (len(x.shape) - 1)), seed=self.generator
        )
        return x * ops.cast(noise >= self.rate, x.dtype) / (1.0 - self.rate)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def rotate(x, cosines, sines):
    """Rotates neighbouring channels `(a, b)` of `[B, N, heads, d]`: `(a, b) cos + (-b, a) sin`.

    Args:
        x: queries or keys. cosines, sines: `[B or 1, N, 1, r]`, r even; channels from r on stay.
    """
    count = cosines.shape[-1]
    turned, rest = x[..., :count], x[..., count:]
    shape = (-1, ops.shape(x)[1], x.shape[2], count)
    pairs = ops.reshape(turned, (*shape[:3], count // 2, 2))
    across = ops.reshape(ops.stack([-pairs[..., 1], pairs[..., 0]], axis=-1), shape)
    turned = turned * ops.cast(cosines, x.dtype) + across * ops.cast(sines, x.dtype)
    return ops.concatenate([turned, rest], axis=-1) if rest.shape[-1] else turned


def _fresh(initializer):
    """A copy: one unseeded initializer object may not draw for two weights."""
    return keras.initializers.get(keras.initializers.serialize(initializer))
