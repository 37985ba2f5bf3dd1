"""The decoder of VideoMAE: from visible tokens to the pixels of others, never in grid order."""

import keras
from keras import layers, ops

from keras_vssl.layers.positions import sinusoid
from keras_vssl.layers.transformer import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class PixelDecoder(layers.Layer):
    """Predicts cubes from the encoded visible tokens and a learned token for each cube.

    Args:
        tokens: int, N, of the whole clip. outputs: int, values of a cube.
        width, depth, heads, mlp_width, epsilon: of the blocks.

    Call arguments:
        encoded: `[B, V, D]`. visible: int32 `[B, V]`, their places. decoded: int32 `[B, M]`, the
            places to predict.

    Returns:
        float32 `[B, M, outputs]`.
    """

    def __init__(
        self, tokens, outputs, width, depth, heads, mlp_width=None, epsilon=1e-6, **kwargs
    ):
        super().__init__(**kwargs)
        self.tokens, self.outputs, self.depth = int(tokens), int(outputs), int(depth)
        self.width, self.heads, self.mlp_width = int(width), int(heads), mlp_width
        self.epsilon, policy = float(epsilon), self.dtype_policy
        self._table = sinusoid(self.tokens, self.width)
        self.project = layers.Dense(self.width, use_bias=False, name="project", dtype=policy)
        self.blocks = [
            TransformerBlock(
                self.width, heads, mlp_width, "query_value", epsilon,
                name=f"block{index + 1}", dtype=policy,
            )
            for index in range(self.depth)
        ]  # fmt: skip
        self.norm = layers.LayerNormalization(epsilon=self.epsilon, name="norm", dtype=policy)
        self.head = layers.Dense(self.outputs, name="head", dtype="float32")

    def build(self, input_shape):
        self.project.build(input_shape)
        for layer in (*self.blocks, self.norm, self.head):
            layer.build((None, None, self.width))
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(self.width,),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )
        self.built = True

    def call(self, encoded, visible, decoded, training=None):
        x = self.project(encoded)
        table = ops.cast(ops.convert_to_tensor(self._table), x.dtype)
        token = ops.cast(ops.convert_to_tensor(self.mask_token), x.dtype)
        x = [x + ops.take(table, visible, axis=0), token + ops.take(table, decoded, axis=0)]
        x = ops.concatenate(x, axis=1)
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(self.norm(x[:, visible.shape[1] :]))

    def get_config(self):
        names = ("tokens", "outputs", "width", "depth", "heads", "mlp_width", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
