"""Decoders of text behind a speech encoder, as fairseq's and ESPnet's."""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.layers.relative_attention import EPSILON

# fairseq's token of padding.
PADDING = 1


def sines_then_cosines(steps, width, first=0):
    """fairseq's table of positions, float32 `[steps, width]`: all sines, then all cosines.

    Args:
        steps: int. width: even int.
        first: int, the number of the first step; fairseq counts from one above its padding token's.
    """
    half = width // 2
    rates = np.exp(np.arange(half) * -(np.log(10000.0) / (half - 1)))
    angles = (first + np.arange(steps))[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype("float32")


def interleaved_sines(steps, width):
    """ESPnet's table of positions, float32 `[steps, width]`: sine and cosine of each rate."""
    rates = np.exp(np.arange(0, width, 2) * -(np.log(10000.0) / width))
    angles = np.arange(steps)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(steps, -1).astype("float32")


@keras.saving.register_keras_serializable(package="keras_vssl")
class SourceAttention(layers.Layer):
    """Multi-head attention of one sequence to another, or to itself.

    Args:
        width: int, channels of the queries; the heads divide it evenly.
        heads: int.

    Call arguments:
        x: `[B, N, width]`, the queries.
        source: `[B, T, C]`, what is attended to.
        valid: `None` or `[B, T]`, nonzero for the steps that may be attended to.
        causal: bool, step n sees steps up to n alone.

    Returns:
        `[B, N, width]`.
    """

    def __init__(self, width, heads, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads = int(width), int(heads)
        if heads < 1 or width % heads:
            raise ValueError(
                f"Expected heads that divide the width {width} evenly, received {heads}."
            )
        for name in ("query", "key", "value", "proj"):
            setattr(self, name, layers.Dense(self.width, name=name, dtype=self.dtype_policy))

    def build(self, x_shape, source_shape=None):
        channels = (source_shape or x_shape)[-1]
        for layer, inputs in (
            (self.query, self.width),
            (self.key, channels),
            (self.value, channels),
            (self.proj, self.width),
        ):
            layer.build((None, None, inputs))
        self.built = True

    def _heads(self, x):
        return ops.reshape(x, (-1, ops.shape(x)[1], self.heads, self.width // self.heads))

    def call(self, x, source, valid=None, causal=False):
        query, key, value = (
            self._heads(part) for part in (self.query(x), self.key(source), self.value(source))
        )
        mask = None if valid is None else ops.not_equal(valid, 0)[:, None, None, :]
        if causal:
            # One mask for both: not every back end takes a mask and `is_causal` together.
            steps = ops.cumsum(ops.ones_like(x[0, :, 0], dtype="int32"))
            past = (steps[:, None] >= steps[None, :])[None, None]
            mask = past if mask is None else ops.logical_and(mask, past)
        x = ops.dot_product_attention(query, key, value, mask=mask)
        return self.proj(ops.reshape(x, (-1, ops.shape(x)[1], self.width)))

    def compute_output_spec(self, x, source, valid=None, causal=False):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "heads": self.heads}


@keras.saving.register_keras_serializable(package="keras_vssl")
class DecoderBlock(layers.Layer):
    """Pre-norm: causal attention to itself, attention to the source, a ReLU perceptron.

    Args:
        width, heads: see `SourceAttention`.
        mlp_width: int.
        epsilon: float, of the three layer normalisations.

    Call arguments:
        x: `[B, N, width]`. source, valid: see `SourceAttention`.

    Returns:
        `[B, N, width]`.
    """

    def __init__(self, width, heads, mlp_width, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.width, self.mlp_width = int(width), int(mlp_width)
        self.epsilon = float(epsilon)
        for name in ("norm1", "norm2", "norm3"):
            norm = layers.LayerNormalization(epsilon=epsilon, name=name, dtype=policy)
            setattr(self, name, norm)
        self.attention = SourceAttention(width, heads, name="attention", dtype=policy)
        self.source_attention = SourceAttention(width, heads, name="source_attention", dtype=policy)
        self.fc1 = layers.Dense(self.mlp_width, "relu", name="fc1", dtype=policy)
        self.fc2 = layers.Dense(self.width, name="fc2", dtype=policy)

    def build(self, x_shape, source_shape):
        shape = (None, None, self.width)
        for layer in (self.norm1, self.norm2, self.norm3, self.fc1):
            layer.build(shape)
        self.attention.build(shape, shape)
        self.source_attention.build(shape, source_shape)
        self.fc2.build((None, None, self.mlp_width))
        self.built = True

    def call(self, x, source, valid=None):
        y = self.norm1(x)
        x = x + self.attention(y, y, causal=True)
        x = x + self.source_attention(self.norm2(x), source, valid=valid)
        return x + self.fc2(self.fc1(self.norm3(x)))

    def compute_output_spec(self, x, source, valid=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.attention.heads,
            "mlp_width": self.mlp_width,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class SpeechDecoder(layers.Layer):
    """Scores of the next token from the tokens so far and an encoder's features.

    | | `tied` | positions | tokens times the root of the width | epsilon |
    |---|---|---|---|---|
    | AV-HuBERT (fairseq) | yes | all sines, then all cosines, the first is number 2 | no | 1e-5 |
    | RAVEn (ESPnet) | no | sines and cosines interleaved, the first is number 0 | yes | 1e-12 |

    In AV-HuBERT's form token 1 is padding, which has no position and stands at the end:
    the tokens before it can't see it.
    There is no generation loop: a search calls the decoder with the tokens so far.

    Args:
        vocabulary: int, tokens.
        width, heads, mlp_width: see `DecoderBlock`.
        depth: int, blocks.
        tied: bool, AV-HuBERT's form: the embeddings score the outputs too; else RAVEn's, where a
            linear layer does.

    Call arguments:
        tokens: ints `[B, N]`, N static.
        source: `[B, T, C]`, an encoder's features.
        valid: `None` or `[B, T]`, nonzero for frames that are no padding.

    Returns:
        Logits, float32 `[B, N, vocabulary]`.

    Reference:
        - [Shi et al. ICLR 2022](https://arxiv.org/abs/2201.02184)
        - [Haliassos et al. ICLR 2023](https://arxiv.org/abs/2212.06246)
    """

    def __init__(self, vocabulary, width, heads, mlp_width, depth=6, tied=True, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.vocabulary, self.width, self.heads = int(vocabulary), int(width), int(heads)
        self.mlp_width, self.depth, self.tied = int(mlp_width), int(depth), bool(tied)
        epsilon = 1e-5 if tied else EPSILON
        self.embed = layers.Embedding(vocabulary, width, name="embed", dtype=policy)
        self.blocks = [
            DecoderBlock(width, heads, mlp_width, epsilon, name=f"block{i + 1}", dtype=policy)
            for i in range(depth)
        ]
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="norm", dtype=policy)
        self.score = None if tied else layers.Dense(vocabulary, name="score", dtype=policy)

    def build(self, tokens_shape, source_shape):
        shape = (None, None, self.width)
        self.embed.build(tokens_shape)
        for block in self.blocks:
            block.build(shape, source_shape)
        self.norm.build(shape)
        if self.score is not None:
            self.score.build(shape)
        self.built = True

    def positions(self, tokens):
        """What is added to the embeddings of `[B, N]` tokens, float32 `[B or 1, N, width]`."""
        steps = tokens.shape[1]
        if not self.tied:
            return ops.convert_to_tensor(interleaved_sines(steps, self.width))[None]
        table = sines_then_cosines(steps, self.width, first=PADDING + 1)
        table = np.concatenate([np.zeros((1, self.width), "float32"), table])
        real = ops.cast(ops.not_equal(tokens, PADDING), "int32")
        return ops.take(ops.convert_to_tensor(table), ops.cumsum(real, axis=1) * real, axis=0)

    def call(self, tokens, source, valid=None):
        x = self.embed(tokens)
        if not self.tied:
            x = x * self.width**0.5
        x = x + ops.cast(self.positions(tokens), x.dtype)
        for block in self.blocks:
            x = block(x, source, valid=valid)
        x = self.norm(x)
        if self.score is not None:
            return ops.cast(self.score(x), "float32")
        table = ops.cast(ops.transpose(self.embed.embeddings), x.dtype)
        return ops.cast(ops.matmul(x, table), "float32")

    def compute_output_spec(self, tokens, source, valid=None):
        return keras.KerasTensor((*tokens.shape, self.vocabulary), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary": self.vocabulary,
            "width": self.width,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "depth": self.depth,
            "tied": self.tied,
        }
