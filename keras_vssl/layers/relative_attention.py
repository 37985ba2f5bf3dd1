"""Attention with relative positions in Transformer-XL's form, and RAVEn's block around it."""

import math

import keras
from keras import layers, ops

from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.layers.transformer import DropPath

# ESPnet's layer normalisation.
EPSILON = 1e-12
# LayerScale's start in RAVEn's networks.
SCALE = 0.1


def relative_positions(x):
    """Sines and cosines, interleaved, of the offsets between the steps of a sequence.

    Args:
        x: `[B, T, D]`, D even; only the shape is read.

    Returns:
        float32 `[2 T - 1, D]`: offsets `T - 1` (the query is last, the key first) down to `1 - T`.
    """
    width = x.shape[-1]
    # Counted along the tensor, not by `arange`: T may be unknown in a graph.
    ahead = ops.cumsum(ops.ones_like(x[0, :, 0], dtype="float32")) - 1.0
    offsets = ops.concatenate([ops.flip(ahead, 0), -ahead[1:]])
    channels = ops.arange(0, width, 2, dtype="float32")
    angles = offsets[:, None] * ops.exp(channels * (-math.log(10000.0) / width))
    table = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.reshape(table, (-1, width))


def shift(scores):
    """From scores of queries and offsets to those of queries and keys.

    Args:
        scores: `[B, heads, T, 2 T - 1]`, offsets from `T - 1` down to `1 - T`.

    Returns:
        `[B, heads, T, T]`, where (i, j) is the score of query i at the offset i - j.
    """
    heads, steps = scores.shape[1], ops.shape(scores)[2]
    x = ops.pad(scores, [(0, 0), (0, 0), (0, 0), (1, 0)])
    x = ops.reshape(x, (-1, heads, 2 * steps, steps))[:, :, 1:]
    return ops.reshape(x, (-1, heads, steps, 2 * steps - 1))[:, :, :, :steps]


@keras.saving.register_keras_serializable(package="keras_vssl")
class RelativeAttention(layers.Layer):
    """Multi-head self-attention whose scores know how far apart two steps are.

    `softmax(((q + u) k' + shift((q + v) p')) / sqrt(d)) w`, where p is a linear map of
    `relative_positions`, and u and v are learned for each head. The softmax is in float32. With u,
    v and that map at zero it is plain attention.

    Args:
        width: even int, channels of the steps; the heads divide it evenly.
        heads: int.

    Call arguments:
        x: `[B, T, width]`.
        valid: `None` or `[B, T]`, nonzero for the steps that may be attended to. A row without any
            attends to nothing.

    Returns:
        `[B, T, width]`.

    Reference:
        Dai et al. ACL 2019, Sec. 3.3 (https://arxiv.org/abs/1901.02860).
    """

    def __init__(self, width, heads, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads = int(width), int(heads)
        if heads < 1 or width % heads or width % 2:
            raise ValueError(
                f"Expected an even width and heads that divide it evenly, received a width of "
                f"{width} and {heads} heads."
            )
        for name in ("query", "key", "value", "proj", "position"):
            dense = layers.Dense(
                self.width, use_bias=name != "position", name=name, dtype=self.dtype_policy
            )
            setattr(self, name, dense)

    def build(self, input_shape):
        for layer in (self.query, self.key, self.value, self.proj, self.position):
            layer.build((None, None, self.width))
        shape = (self.heads, self.width // self.heads)
        self.content_bias = self.add_weight(name="content_bias", shape=shape)
        self.position_bias = self.add_weight(name="position_bias", shape=shape)
        self.built = True

    def _heads(self, x):
        shape = (-1, ops.shape(x)[1], self.heads, self.width // self.heads)
        return ops.transpose(ops.reshape(x, shape), (0, 2, 1, 3))

    def position_scores(self, x):
        """The second term of the scores, not yet divided by `sqrt(d)`: `[B, heads, T, T]`."""
        return self._position_scores(self._heads(self.query(x)), x)

    def _position_scores(self, query, x):
        table = ops.cast(relative_positions(x), self.compute_dtype)[None]
        query = query + ops.cast(self.position_bias, query.dtype)[:, None]
        return shift(ops.matmul(query, ops.swapaxes(self._heads(self.position(table)), -1, -2)))

    def call(self, x, valid=None):
        query, key, value = (self._heads(part(x)) for part in (self.query, self.key, self.value))
        content = query + ops.cast(self.content_bias, query.dtype)[:, None]
        scores = ops.matmul(content, ops.swapaxes(key, -1, -2)) + self._position_scores(query, x)
        scores = ops.cast(scores, "float32") / (self.width // self.heads) ** 0.5
        if valid is not None:
            hidden = ops.equal(ops.cast(valid, "int32"), 0)[:, None, None, :]
            scores = ops.where(hidden, -1e30, scores)
        weights = ops.softmax(scores, axis=-1)
        if valid is not None:
            weights = ops.where(hidden, 0.0, weights)
        x = ops.matmul(ops.cast(weights, value.dtype), value)
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, ops.shape(x)[2], self.width))
        return self.proj(x)

    def compute_output_spec(self, x, valid=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "heads": self.heads}


@keras.saving.register_keras_serializable(package="keras_vssl")
class RelativeBlock(layers.Layer):
    """RAVEn's block: `x += a attention(norm(x))`, then `x += b fc2(relu(fc1(norm(x))))`.

    Args:
        width, heads: see `RelativeAttention`.
        mlp_width: int or `None`: 4 times the width.
        batch_norm: bool, the second normalisation is batch normalisation over batch and time,
            padded steps among them, as in the encoders; else layer normalisation.
        layer_scale: bool, a and b are learned for each channel, from 0.1; else they are 1.
        drop_path: float in [0, 1), see `DropPath`.

    Call arguments: those of `RelativeAttention`, and `training`.

    Returns:
        `[B, T, width]`.

    Reference:
        [Haliassos et al. ICLR 2023](https://arxiv.org/abs/2212.06246)
    """

    def __init__(
        self,
        width,
        heads,
        mlp_width=None,
        batch_norm=True,
        layer_scale=True,
        drop_path=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.width = int(width)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.batch_norm, self.layer_scale = bool(batch_norm), bool(layer_scale)
        self.drop_path = float(drop_path)
        self.norm1 = layers.LayerNormalization(epsilon=EPSILON, name="norm1", dtype=policy)
        self.attention = RelativeAttention(width, heads, name="attention", dtype=policy)
        if batch_norm:
            self.norm2 = BatchNormalization(name="norm2", dtype=policy)
        else:
            self.norm2 = layers.LayerNormalization(epsilon=EPSILON, name="norm2", dtype=policy)
        self.fc1 = layers.Dense(self.mlp_width, "relu", name="fc1", dtype=policy)
        self.fc2 = layers.Dense(self.width, name="fc2", dtype=policy)
        self.drop = DropPath(self.drop_path, name="drop", dtype=policy)

    def build(self, input_shape):
        shape = (None, None, self.width)
        for layer in (self.norm1, self.attention, self.norm2, self.fc1):
            layer.build(shape)
        self.fc2.build((None, None, self.mlp_width))
        self.gamma1 = self.gamma2 = None
        if self.layer_scale:
            start = keras.initializers.Constant(SCALE)
            self.gamma1 = self.add_weight(name="gamma1", shape=(self.width,), initializer=start)
            self.gamma2 = self.add_weight(name="gamma2", shape=(self.width,), initializer=start)
        self.built = True

    def call(self, x, valid=None, training=None):
        y = self.attention(self.norm1(x), valid=valid)
        x = x + self.drop(self._scaled(y, self.gamma1), training=training)
        y = self.fc2(self.fc1(self.norm2(x, training=training)))
        return x + self.drop(self._scaled(y, self.gamma2), training=training)

    def _scaled(self, x, gamma):
        return x if gamma is None else x * ops.cast(gamma, x.dtype)

    def compute_output_spec(self, x, valid=None, training=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.attention.heads,
            "mlp_width": self.mlp_width,
            "batch_norm": self.batch_norm,
            "layer_scale": self.layer_scale,
            "drop_path": self.drop_path,
        }
