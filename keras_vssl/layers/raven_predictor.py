"""RAVEn's predictor of a teacher's features."""

import keras
from keras import layers, ops

from keras_vssl.layers.masking_embedding import MaskEmbedding
from keras_vssl.layers.relative_attention import EPSILON, RelativeBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class RAVEnPredictor(layers.Layer):
    """A small transformer from a student's features to a teacher's, frame by frame.

    A linear map, a learned vector in the place of masked frames, blocks with relative positions
    and layer normalisation alone, a normalisation, a linear map. The published code of the
    pre-training is the successor's (ahaliassos/usr), whose form this is.

    Args:
        out_width: int, of the teacher's features.
        width, heads, mlp_width: see `RelativeBlock`.
        depth: int, blocks.

    Call arguments:
        x: `[B, T, C]`.
        masked: `None` or `[B, T]`, nonzero for the frames that were masked.
        valid: `None` or `[B, T]`, nonzero for the frames that are no padding.

    Returns:
        `[B, T, out_width]`.

    Reference:
        [Haliassos et al. ICLR 2023](https://arxiv.org/abs/2212.06246)
    """

    def __init__(self, out_width, width=512, heads=8, mlp_width=2048, depth=2, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.out_width, self.width, self.heads = int(out_width), int(width), int(heads)
        self.mlp_width, self.depth = int(mlp_width), int(depth)
        self.embed = layers.Dense(self.width, name="embed", dtype=policy)
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.mask = MaskEmbedding(normal, name="mask", dtype=policy)
        self.blocks = [
            RelativeBlock(
                width,
                heads,
                mlp_width,
                batch_norm=False,
                layer_scale=False,
                name=f"block{index + 1}",
                dtype=policy,
            )
            for index in range(depth)
        ]
        self.norm = layers.LayerNormalization(epsilon=EPSILON, name="norm", dtype=policy)
        self.proj = layers.Dense(self.out_width, name="proj", dtype=policy)

    def build(self, x_shape):
        shape = (None, None, self.width)
        self.embed.build(x_shape)
        for layer in (self.mask, *self.blocks, self.norm, self.proj):
            layer.build(shape)
        self.built = True

    def call(self, x, masked=None, valid=None):
        x = self.embed(x)
        if masked is not None:
            x = self.mask(x, masked)
        x = x * self.width**0.5
        for block in self.blocks:
            x = block(x, valid=valid)
        return self.proj(self.norm(x))

    def compute_output_spec(self, x, masked=None, valid=None):
        return keras.KerasTensor((*x.shape[:-1], self.out_width), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "out_width": self.out_width,
            "width": self.width,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "depth": self.depth,
        }


def over_time_normalized(x, epsilon=1e-5):
    """Each channel of `[B, T, C]` to mean 0 and variance 1 over time, padded steps included.

    What the successor's teachers' features go through before they are predicted.
    """
    mean = ops.mean(x, axis=1, keepdims=True)
    variance = ops.mean(ops.square(x - mean), axis=1, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + epsilon)
