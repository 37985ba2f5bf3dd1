"""The decoder of a masked autoencoder: from the visible tokens to all patches."""

import keras
from keras import layers, ops

from keras_vssl.layers.masking import scatter_tokens
from keras_vssl.layers.tokens import FIXED, fixed_table
from keras_vssl.layers.transformer import TransformerBlock
from keras_vssl.layers.window_attention import WindowBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class MaskedDecoder(layers.Layer):
    """Projects visible tokens, fills the hidden places with one learned token, predicts patches.

    The visible patches go back to their places in the grid, all get fixed 2-D positions, and the
    blocks see the whole grid.

    Args:
        grid: `(rows, columns)` of the patches, row-major.
        outputs: int, values predicted for each patch.
        width: int, of the decoder.
        depth: int, blocks.
        heads: int.
        extra_tokens: int, tokens before the patches, e.g. a class token. Their positions are
            zeros. They pass the blocks too, unless `window` is given.
        window: `None` for global attention, or `(rows, columns)`: the blocks attend within
            windows, and every second one within windows that lie half a window of rows further
            on. The extra tokens are left out then.
        positions: `"sine_cosine"` or `"sine_cosine_turned"`, see `layers.tokens.fixed_table`.
        epsilon: float, of layer normalisation.

    Call arguments:
        tokens: `[B, extra_tokens + K, D]`, an encoder's output for the visible patches.
        keep: int32 `[B, K]`, the places of these patches.
        training: bool.

    Returns:
        `[B, N, outputs]`, in the order of the grid.

    Reference:
        He et al. CVPR 2022, Sec. 3 (https://arxiv.org/abs/2111.06377); with windows Huang et al.
        NeurIPS 2022, Sec. 3 (https://arxiv.org/abs/2207.06405).
    """

    def __init__(
        self,
        grid,
        outputs,
        width=512,
        depth=8,
        heads=16,
        extra_tokens=1,
        window=None,
        positions="sine_cosine",
        epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.grid = tuple(int(v) for v in grid)
        self.outputs, self.width, self.depth = int(outputs), int(width), int(depth)
        self.heads, self.extra_tokens = int(heads), int(extra_tokens)
        self.window = None if window is None else tuple(int(v) for v in window)
        if positions not in FIXED:
            raise ValueError(f"`positions` is one of {FIXED}, but received {positions!r}.")
        self.positions, self.epsilon = positions, float(epsilon)
        policy = self.dtype_policy
        self.embed = layers.Dense(self.width, name="embed", dtype=policy)
        self.blocks = [self._block(index) for index in range(self.depth)]
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="norm", dtype=policy)
        self.predict = layers.Dense(self.outputs, name="predict", dtype=policy)

    def _block(self, index):
        options = {"name": f"block{index}", "epsilon": self.epsilon, "dtype": self.dtype_policy}
        if self.window is None:
            return TransformerBlock(self.width, self.heads, **options)
        shift = (self.window[0] // 2 if index % 2 else 0, 0)
        return WindowBlock(self.heads, self.grid, self.window, shift, **options)

    def build(self, tokens_shape, keep_shape=None):
        places = self.grid[0] * self.grid[1]
        shape = (None, places, self.width)
        self.embed.build(tokens_shape)
        for layer in (*self.blocks, self.norm, self.predict):
            layer.build(shape)
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(1, 1, self.width),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        self.table = self.add_weight(
            name="table",
            shape=(self.extra_tokens + places, self.width),
            initializer=lambda shape, dtype: fixed_table(
                self.positions, self.grid, self.width, self.extra_tokens
            ),
            trainable=False,
        )
        self.built = True

    def call(self, tokens, keep, training=None):
        x = self.embed(tokens)
        extra, visible = x[:, : self.extra_tokens], x[:, self.extra_tokens :]
        whole = (ops.shape(x)[0], self.grid[0] * self.grid[1], self.width)
        hidden = ops.broadcast_to(ops.cast(self.mask_token, x.dtype), whole)
        x = ops.concatenate([extra, scatter_tokens(hidden, keep, visible)], axis=1)
        x = x + ops.cast(self.table, x.dtype)
        first = self.extra_tokens
        if self.window is not None:
            x, first = x[:, first:], 0
        for block in self.blocks:
            x = block(x, training=training)
        return self.predict(self.norm(x))[:, first:]

    def compute_output_shape(self, tokens_shape, keep_shape):
        return (tokens_shape[0], self.grid[0] * self.grid[1], self.outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "grid": list(self.grid),
            "outputs": self.outputs,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "extra_tokens": self.extra_tokens,
            "window": None if self.window is None else list(self.window),
            "positions": self.positions,
            "epsilon": self.epsilon,
        }
