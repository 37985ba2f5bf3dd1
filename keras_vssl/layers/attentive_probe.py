"""The attentive probe: a learned query that looks at a frozen network's tokens."""

import math

import keras
from keras import layers, ops

from keras_vssl.layers.transformer import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class CrossAttentionBlock(layers.Layer):
    """`y = q + attention(q, norm1(x))`, `y + fc2(gelu(fc1(norm2(y))))`.

    The query is not normalised and the attention has no output projection, as in V-JEPA's probe.

    Args:
        width: int, channels. heads: int.
        mlp_width: int or `None`: 4 times the width.
        epsilon: float, of layer normalisation.

    Call arguments:
        query: `[B, Q, width]`. tokens: `[B, N, width]`.
    """

    def __init__(self, width, heads, mlp_width=None, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads, self.epsilon = int(width), int(heads), float(epsilon)
        if heads < 1 or width % heads:
            raise ValueError(
                f"Expected heads that divide the width {width} evenly, received {heads}."
            )
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        policy = self.dtype_policy
        self.norm1, self.norm2 = (
            layers.LayerNormalization(epsilon=self.epsilon, name=name, dtype=policy)
            for name in ("norm1", "norm2")
        )
        self.query = layers.Dense(self.width, name="query", dtype=policy)
        self.key_value = layers.Dense(2 * self.width, name="key_value", dtype=policy)
        self.fc1 = layers.Dense(self.mlp_width, activation="gelu", name="fc1", dtype=policy)
        self.fc2 = layers.Dense(self.width, name="fc2", dtype=policy)

    def build(self, *shapes):
        for layer in (self.norm1, self.query, self.key_value, self.norm2, self.fc1):
            layer.build((None, None, self.width))
        self.fc2.build((None, None, self.mlp_width))
        self.built = True

    def call(self, query, tokens):
        head = (self.heads, self.width // self.heads)
        key_value = self.key_value(self.norm1(tokens))
        key_value = ops.reshape(key_value, (-1, ops.shape(tokens)[1], 2, *head))
        q = ops.reshape(self.query(query), (-1, query.shape[1], *head))
        x = ops.dot_product_attention(q, key_value[:, :, 0], key_value[:, :, 1])
        x = query + ops.reshape(x, (-1, query.shape[1], self.width))
        return x + self.fc2(self.fc1(self.norm2(x)))

    def compute_output_shape(self, query_shape, tokens_shape):
        return query_shape

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class AttentiveProbe(layers.Layer):
    """Classifies by what a learned query finds among tokens.

    `depth - 1` transformer blocks on the tokens, one cross-attention block, a linear layer.
    V-JEPA 1's probe has depth 1, V-JEPA 2's 4 with 16 heads.

    Args:
        classes: int, or `None` for the pooled tokens in place of logits.
        width: int, channels of the tokens. heads: int. depth: int, 1 or more.
        mlp_width: int or `None`: 4 times the width.
        epsilon: float, of layer normalisation (official code: 1e-5; transformers: 1e-6).

    Call arguments:
        tokens: `[B, N, width]`, or a map `[B, T, H, W, width]`.
        training: bool.

    Returns:
        logits `[B, classes]`, or `[B, width]`.

    Example:

    ```python
    tokens = backbone(clips)                                      # [B, T', H', W', 1024]
    logits = keras_vssl.layers.AttentiveProbe(174, 1024, 16)(tokens)
    ```

    Reference:
        Bardes et al. TMLR 2024 (https://arxiv.org/abs/2404.08471), Sec. 4; depth 4: Assran et
        al. 2025 (https://arxiv.org/abs/2506.09985).
    """

    def __init__(self, classes, width, heads, depth=4, mlp_width=None, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        if depth < 1:
            raise ValueError(f"Expected a depth of 1 or more, received {depth}.")
        self.classes = None if classes is None else int(classes)
        self.width, self.heads, self.depth = int(width), int(heads), int(depth)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.epsilon = float(epsilon)
        shared = {
            "mlp_width": self.mlp_width,
            "epsilon": self.epsilon,
            "dtype": self.dtype_policy,
        }
        self.blocks = [
            TransformerBlock(self.width, self.heads, name=f"block{index + 1}", **shared)
            for index in range(self.depth - 1)
        ]
        self.cross = CrossAttentionBlock(self.width, self.heads, name="cross", **shared)
        self.head = None
        if self.classes is not None:
            self.head = layers.Dense(self.classes, name="head", dtype=self.dtype_policy)

    def build(self, *shapes):
        self.query = self.add_weight(
            name="query",
            shape=(1, self.width),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )
        for layer in (*self.blocks, self.cross):
            layer.build((None, None, self.width))
        if self.head is not None:
            self.head.build((None, self.width))
        self.built = True

    def pool(self, tokens, training=None):
        """What the query found: `[B, width]`."""
        if len(tokens.shape) != 3:
            tokens = ops.reshape(tokens, (-1, math.prod(tokens.shape[1:-1]), self.width))
        for block in self.blocks:
            tokens = block(tokens, training=training)
        query = ops.cast(ops.convert_to_tensor(self.query), tokens.dtype)[None]
        query = ops.broadcast_to(query, (ops.shape(tokens)[0], 1, self.width))
        return self.cross(query, tokens)[:, 0]

    def call(self, tokens, training=None):
        pooled = self.pool(tokens, training=training)
        return pooled if self.head is None else self.head(pooled)

    def compute_output_shape(self, input_shape):
        return input_shape[0], self.classes or self.width

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "width": self.width,
            "heads": self.heads,
            "depth": self.depth,
            "mlp_width": self.mlp_width,
            "epsilon": self.epsilon,
        }
