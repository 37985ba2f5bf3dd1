"""A transformer block that attends within windows of a grid (Swin V2)."""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.layers.transformer import DropPath


@keras.saving.register_keras_serializable(package="keras_vssl")
class WindowAttention(layers.Layer):
    """Multi-head cosine attention among the tokens of one window.

    Logits are cosines over a learned temperature of each head, plus a bias that a small network
    gives for each pair from the signed logarithms of their distance.

    Args:
        heads: int.
        window: `(height, width)`, the window's tokens in row-major order.
        bias_hidden: int, width of the network of the bias.
        bias_dropout: float in [0, 1), after both of its layers.
        bias_window: `(height, width)` or `None`. With a window, distances are counted as shares
            of it, 8 from end to end, the logarithms are log_8(1 + |d|), the network's last layer
            has no offset, and 16 sigmoid of its output is the bias: the published Swin V2. It is
            `window`, or that of the pre-training where the window has grown since. Without one,
            as in AudioMAE's decoder, the logarithms are ln(1 + |d|) of distances in tokens, and
            the output itself is the bias.
        qkv_bias: "all" or "query_value" (the published Swin V2).

    Call arguments:
        x: `[windows, height * width, D]`, the windows of one sample in succession.
        offsets: float `[n, A, A]` or `None`, added to the logits of each sample's n windows.

    Reference:
        [Liu et al. CVPR 2022](https://arxiv.org/abs/2111.09883), Sec. 3.2 and 3.3. The
        temperature is at least 0.01, as there; it starts at 0.1 with a `bias_window`, as in the
        published code, and at 1 without, as in timm's early version. The published code learns the
        logarithm of its inverse instead.
    """

    def __init__(
        self,
        heads,
        window=(4, 4),
        bias_hidden=384,
        bias_dropout=0.1,
        bias_window=None,
        qkv_bias="all",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if qkv_bias not in ("all", "query_value"):
            raise ValueError(f'Expected qkv_bias "all" or "query_value", received {qkv_bias!r}.')
        self.heads = int(heads)
        self.window = tuple(int(v) for v in window)
        self.bias_hidden = int(bias_hidden)
        self.bias_dropout = float(bias_dropout)
        self.bias1 = layers.Dense(self.bias_hidden, "relu", name="bias1", dtype="float32")
        self.bias_window = None if bias_window is None else tuple(int(v) for v in bias_window)
        self.bias2 = layers.Dense(
            self.heads, use_bias=bias_window is None, name="bias2", dtype="float32"
        )
        self.qkv_bias = qkv_bias
        self.query_bias = self.value_bias = None
        self.drop = layers.Dropout(self.bias_dropout, dtype="float32")
        self.qkv = None
        self.project = None
        places = np.stack(np.meshgrid(*map(np.arange, self.window), indexing="ij"), -1)
        places = places.reshape(-1, 2)
        distance = (places[:, None] - places[None]).reshape(-1, 2).astype("float32")
        self._pairs = None
        if not self.bias_dropout:
            # Pairs at one distance have one bias; with dropout each pair has its own draw.
            distance, self._pairs = np.unique(distance, axis=0, return_inverse=True)
            self._pairs = self._pairs.reshape(-1).astype("int32")
        scale = 1.0
        if self.bias_window is not None:
            distance = 8.0 * distance / np.maximum(np.array(self.bias_window) - 1, 1)
            scale = np.log(8.0)
        distance = np.sign(distance) * np.log1p(np.abs(distance)) / scale
        self._distance = distance.astype("float32")

    def build(self, input_shape):
        width = input_shape[-1]
        if width % self.heads:
            raise ValueError(f"A width of {width} can't be shared by {self.heads} heads.")
        self.qkv = layers.Dense(
            3 * width, use_bias=self.qkv_bias == "all", name="qkv", dtype=self.dtype_policy
        )
        self.project = layers.Dense(width, name="project", dtype=self.dtype_policy)
        self.qkv.build(input_shape)
        self.project.build(input_shape)
        self.bias1.build((None, 2))
        self.bias2.build((None, self.bias_hidden))
        if self.qkv_bias == "query_value":
            self.query_bias = self.add_weight(
                name="query_bias", shape=(width,), initializer="zeros"
            )
            self.value_bias = self.add_weight(
                name="value_bias", shape=(width,), initializer="zeros"
            )
        start = 1.0 if self.bias_window is None else 0.1
        self.temperature = self.add_weight(
            name="temperature",
            shape=(self.heads,),
            initializer=keras.initializers.Constant(start),
            dtype="float32",
            autocast=False,
        )
        self.built = True

    def call(self, x, offsets=None, training=None):
        area, width = x.shape[1:]
        qkv = self.qkv(x)
        if self.query_bias is not None:
            query, value = (ops.cast(v, qkv.dtype) for v in (self.query_bias, self.value_bias))
            qkv = qkv + ops.concatenate([query, ops.zeros_like(query), value])
        qkv = ops.reshape(qkv, (-1, area, 3, self.heads, width // self.heads))
        query, key, value = (qkv[:, :, i] for i in range(3))
        # Cosines over 0.01 reach 100: float32 up to the softmax.
        query, key = (ops.cast(v, "float32") for v in (query, key))
        logits = ops.einsum("wqhd,wkhd->whqk", query, key)
        lengths = ops.einsum("wqh,wkh->whqk", _length(query), _length(key))
        temperature = ops.maximum(ops.convert_to_tensor(self.temperature), 0.01)
        logits = logits / ops.maximum(lengths, 1e-6) / ops.reshape(temperature, (-1, 1, 1))
        logits = logits + self._bias(training)
        if offsets is not None:
            count = offsets.shape[0]
            logits = ops.reshape(logits, (-1, count, self.heads, area, area))
            logits = logits + ops.expand_dims(ops.cast(offsets, "float32"), 1)
            logits = ops.reshape(logits, (-1, self.heads, area, area))
        weights = ops.cast(ops.softmax(logits, axis=-1), value.dtype)
        x = ops.reshape(ops.einsum("whqk,wkhd->wqhd", weights, value), (-1, area, width))
        return self.project(x)

    def _bias(self, training):
        x = self.drop(self.bias1(ops.convert_to_tensor(self._distance)), training=training)
        x = self.drop(self.bias2(x), training=training)
        if self.bias_window is not None:
            x = 16.0 * ops.sigmoid(x)
        if self._pairs is not None:
            x = ops.take(x, ops.convert_to_tensor(self._pairs), axis=0)
        area = self.window[0] * self.window[1]
        return ops.reshape(ops.transpose(x), (self.heads, area, area))

    def compute_output_shape(self, input_shape, offsets=None):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "window": list(self.window),
            "bias_hidden": self.bias_hidden,
            "bias_dropout": self.bias_dropout,
            "bias_window": None if self.bias_window is None else list(self.bias_window),
            "qkv_bias": self.qkv_bias,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class WindowBlock(layers.Layer):
    """A transformer block whose attention stays within windows, normalised after each branch.

    `x + norm(attend(x))`, then `x + norm(mlp(x))`. With a shift the grid is rolled before it is
    cut into windows, and tokens that only the rolling brought together do not see each other. An
    axis that one window spans is not shifted.

    Args:
        heads: int.
        grid: `(height, width)` of the tokens, a multiple of the window.
        window: `(height, width)`.
        shift: `(rows, columns)`.
        mlp_ratio: float, hidden width of the MLP over D.
        epsilon: float, of layer normalisation.
        bias_hidden, bias_dropout, bias_window, qkv_bias: see `WindowAttention`.
        drop_path: float in [0, 1), the probability that a sample goes past a branch in training.

    Call arguments:
        x: `[B, height * width, D]`, row-major.

    Reference:
        [Liu et al. CVPR 2022](https://arxiv.org/abs/2111.09883), Sec. 3. The decoder of AudioMAE
        ([Huang et al. NeurIPS 2022](https://arxiv.org/abs/2207.06405), Sec. 3) has 16 of these,
        4 x 4 windows over 64 x 8 tokens, time shifted by 2 in every second block.
    """

    def __init__(
        self,
        heads,
        grid,
        window=(4, 4),
        shift=(0, 0),
        mlp_ratio=4.0,
        epsilon=1e-6,
        bias_hidden=384,
        bias_dropout=0.1,
        bias_window=None,
        qkv_bias="all",
        drop_path=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.heads = int(heads)
        self.grid = tuple(int(v) for v in grid)
        self.window = tuple(min(w, size) for w, size in zip(window, self.grid))
        self.shift = tuple(s if size > w else 0 for s, size, w in zip(shift, self.grid, window))
        self.mlp_ratio = float(mlp_ratio)
        self.epsilon = float(epsilon)
        if any(size % w for size, w in zip(self.grid, self.window)) or any(
            not 0 <= s < w for s, w in zip(self.shift, self.window)
        ):
            raise ValueError(
                f"Expected a grid of whole windows and a shift within one, but received "
                f"grid={self.grid}, window={self.window}, shift={self.shift}."
            )
        policy = self.dtype_policy
        self.attention = WindowAttention(
            heads,
            self.window,
            bias_hidden,
            bias_dropout,
            bias_window,
            qkv_bias,
            name="attention",
            dtype=policy,
        )
        self.drop = DropPath(drop_path, name="drop", dtype=policy)
        self.norm1 = layers.LayerNormalization(epsilon=epsilon, name="norm1", dtype=policy)
        self.norm2 = layers.LayerNormalization(epsilon=epsilon, name="norm2", dtype=policy)
        self._mask = self._shift_mask() if any(self.shift) else None

    def build(self, input_shape):
        width = input_shape[-1]
        policy = self.dtype_policy
        hidden = int(width * self.mlp_ratio)
        self.dense1 = layers.Dense(hidden, name="dense1", dtype=policy)
        self.dense2 = layers.Dense(width, name="dense2", dtype=policy)
        self.attention.build((None, self.window[0] * self.window[1], width))
        self.norm1.build(input_shape)
        self.dense1.build(input_shape)
        self.dense2.build((*input_shape[:-1], hidden))
        self.norm2.build(input_shape)
        self.built = True

    def call(self, x, training=None):
        x = x + self.attend(x, training=training)
        return x + self.feed(x, training=training)

    def attend(self, x, training=None):
        """The residual branch of attention."""
        return self.drop(self.norm1(self._attend(x, training)), training=training)

    def feed(self, x, training=None):
        """The residual branch of the multi-layer perceptron."""
        y = ops.gelu(self.dense1(x), approximate=False)
        return self.drop(self.norm2(self.dense2(y)), training=training)

    def _attend(self, x, training):
        width = x.shape[-1]
        x = ops.reshape(x, (-1, *self.grid, width))
        x = self._roll(x, -1)
        (rows, columns), (high, wide) = self._windows(), self.window
        x = ops.reshape(x, (-1, rows, high, columns, wide, width))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, high * wide, width))
        x = self.attention(x, self._mask, training=training)
        x = ops.reshape(x, (-1, rows, columns, high, wide, width))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, *self.grid, width))
        return ops.reshape(self._roll(x, 1), (-1, self.grid[0] * self.grid[1], width))

    def _windows(self):
        return tuple(size // w for size, w in zip(self.grid, self.window))

    def _roll(self, x, sign):
        for axis, shift in enumerate(self.shift, start=1):
            if shift:
                x = ops.roll(x, sign * shift, axis=axis)
        return x

    def _shift_mask(self):
        """float32 `[windows, A, A]`: -100 between tokens of different sides of the roll's seam."""
        (rows, columns), (high, wide) = self._windows(), self.window
        # After the roll the last `shift` rows (columns) are those that came from the first.
        side = [np.arange(size) >= size - s for size, s in zip(self.grid, self.shift)]
        side = 2 * side[0][:, None].astype("int32") + side[1][None]
        side = side.reshape(rows, high, columns, wide).transpose(0, 2, 1, 3)
        side = side.reshape(rows * columns, high * wide)
        return np.where(side[:, :, None] == side[:, None, :], 0.0, -100.0).astype("float32")

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "grid": list(self.grid),
            "window": list(self.window),
            "shift": list(self.shift),
            "mlp_ratio": self.mlp_ratio,
            "epsilon": self.epsilon,
            "bias_hidden": self.attention.bias_hidden,
            "bias_dropout": self.attention.bias_dropout,
            "bias_window": self.attention.get_config()["bias_window"],
            "qkv_bias": self.attention.qkv_bias,
            "drop_path": self.drop.rate,
        }


def _length(x):
    """Euclidean lengths with a finite gradient at zero."""
    return ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=-1), 1e-24))
