"""Vision transformers on spectrograms: AST, AudioMAE, MAViL, XKD."""

import math

import keras
from keras import layers, ops

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.layers.front_ends import front_end_config
from keras_vssl.layers.patches import TokenMap
from keras_vssl.layers.positions import TableGrid
from keras_vssl.layers.tokens import TokenEmbedding
from keras_vssl.layers.transformer import TransformerBlock

POOLINGS = ("tokens", "patches")


@keras.saving.register_keras_serializable(package="keras_vssl")
class AudioViT(AudioBackbone):
    """A ViT that sees a log-mel spectrogram as a picture of one channel.

    | | AST | AudioMAE, MAViL | XKD |
    |---|---|---|---|
    | `patch`, stride | 16 x 16, 10 | 16 x 16, 16 | 16 x 4, the same |
    | patches | 101 x 12 of 1024 x 128 | 64 x 8 of 1024 x 128 | 28 x 20 of 448 x 80 |
    | `extra_tokens` | 2: class, distillation | 1: class | 1: class |
    | `positions` | learned | sine_cosine_turned (AudioMAE's code; sine_cosine is meant) | learned |
    | `frequency_major` | yes | no | yes |
    | `pooling` | tokens | patches | patches |
    | `qkv_bias` | all | all | none |
    | `final_norm` | yes | pre-trained yes, fine-tuned no: its classifier has one | yes |

    The published AST has frequency as the height of the picture. Here spectrograms are always time
    first and its kernels are turned when a checkpoint is converted; its order of the tokens, all
    times of the lowest bands first, is kept (`frequency_major`).

    Endpoints: `patches` `[B, N, D]` (no positions yet), `block1` ... and `tokens`
    `[B, extra_tokens + N, D]`, `pooled` `[B, D]`, `map` `[B, T', F', D]`: the patches' tokens,
    time first whatever their order.

    Args:
        frames, bands: ints, T and F of the spectrogram. They replace the front-end's.
        patch: int, or `(time, frequency)`.
        stride: int, `(time, frequency)`, or `None`: that of the patch.
        width, depth, heads: ints.
        mlp_width: int or `None`: 4 times the width.
        extra_tokens: int, learned tokens before the patches: 0, 1 (class), 2 (and distillation).
        positions: `"learned"`, `"sine_cosine"` or `"sine_cosine_turned"` (both fixed), see
            `TokenEmbedding`.
        frequency_major: bool, the order of the tokens.
        qkv_bias: "all" or "none", see `keras_vssl.layers.Attention`.
        final_norm: bool, normalise the tokens after the last block.
        pooling: `"patches"` or `"tokens"`: `pooled` is the mean of the patches or of the extra
            tokens.
        drop_path: float, of the last block; it grows linearly from 0 in the first.
        epsilon: float, of layer normalisation.
        front_end, sound, dtype: see `AudioBackbone`.

    Raises:
        ValueError: the spectrogram is smaller than a patch, or extra tokens are to be pooled and
            there are none.

    Example:

    ```python
    backbone = keras_vssl.backbones.AudioViT.from_preset("audio_vit_base")
    backbone(np.zeros((1, 160000), "float32")).shape           # (1, 64, 8, 768)
    keep = keras_vssl.layers.visible_patches(1, 512, 0.8, seed=0)  # (1, 102)
    tokens = backbone.embed_tokens(np.zeros((1, 1024, 128), "float32"), keep)
    backbone.encode_tokens(tokens).shape                       # (1, 103, 768)
    ```

    Reference:
        - [Gong et al. Interspeech 2021](https://arxiv.org/abs/2104.01778) (AST)
        - [Huang et al. NeurIPS 2022](https://arxiv.org/abs/2207.06405) (AudioMAE)
        - [Sarkar and Etemad AAAI 2024](https://arxiv.org/abs/2211.13929) (XKD)
    """

    size_arguments = ("frames", "bands")

    def __init__(
        self,
        frames=1024,
        bands=128,
        patch=16,
        stride=None,
        width=768,
        depth=12,
        heads=12,
        mlp_width=None,
        extra_tokens=1,
        positions="sine_cosine",
        frequency_major=False,
        qkv_bias="all",
        final_norm=True,
        pooling="patches",
        drop_path=0.0,
        epsilon=1e-6,
        front_end="audiomae",
        sound=None,
        dtype=None,
        **kwargs,
    ):
        patch = _pair(patch)
        stride = patch if stride is None else _pair(stride)
        if frames < patch[0] or bands < patch[1]:
            raise ValueError(
                f"Expected a spectrogram of at least a patch {patch}, but received {frames} frames "
                f"and {bands} bands."
            )
        if pooling not in POOLINGS or (pooling == "tokens" and not extra_tokens):
            raise ValueError(
                f"`pooling` is one of {POOLINGS}, 'tokens' only where there are extra ones, but "
                f"received {pooling!r} with {extra_tokens} extra tokens."
            )
        grid = patch_grid(frames, bands, patch, stride)
        if front_end is not None:
            front_end = {**front_end_config(front_end), "frames": frames, "bands": bands}

        spectrogram = keras.Input((frames, bands), name="spectrogram")
        x = layers.Reshape((frames, bands, 1), name="picture", dtype=dtype)(spectrogram)
        # Glorot's bounds for the patch as one vector, as for the other linear maps.
        bound = math.sqrt(6.0 / (math.prod(patch) + width))
        x = layers.Conv2D(
            width,
            patch,
            stride,
            kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
            name="patch_embed",
            dtype=dtype,
        )(x)
        if frequency_major:
            x = layers.Permute((2, 1, 3), name="frequency_major", dtype=dtype)(x)
        x = layers.Reshape((-1, width), name="patches", dtype=dtype)(x)
        endpoints = {"patches": x}
        token_grid = grid[::-1] if frequency_major else grid
        x = TokenEmbedding(
            token_grid, extra_tokens, positions, name="token_embedding", dtype=dtype
        )(x)
        for index in range(depth):
            x = endpoints[f"block{index + 1}"] = TransformerBlock(
                width,
                heads,
                mlp_width,
                qkv_bias,
                epsilon,
                drop_path=drop_path * index / max(depth - 1, 1),
                name=f"block{index + 1}",
                dtype=dtype,
            )(x)
        if final_norm:
            x = layers.LayerNormalization(epsilon=epsilon, name="norm", dtype=dtype)(x)
        endpoints["tokens"] = x
        endpoints["pooled"] = _pooled(x, pooling, extra_tokens)
        x = TokenMap(token_grid, extra_tokens, name="token_map", dtype=dtype)(x)
        if frequency_major:
            x = layers.Permute((2, 1, 3), name="time_major", dtype=dtype)(x)
        endpoints["map"] = x
        super().__init__(
            spectrogram, endpoints, width, front_end=front_end, sound=sound, dtype=dtype, **kwargs
        )
        self.frames, self.bands = int(frames), int(bands)
        self.patch, self.stride, self.grid = patch, stride, grid
        self.width, self.depth, self.heads = int(width), int(depth), int(heads)
        self.mlp_width = 4 * width if mlp_width is None else int(mlp_width)
        self.extra_tokens = int(extra_tokens)
        self.positions = positions
        self.frequency_major = bool(frequency_major)
        self.qkv_bias = qkv_bias
        self.final_norm = bool(final_norm)
        self.pooling = pooling
        self.drop_path = float(drop_path)
        self.epsilon = float(epsilon)

    def embed_tokens(self, inputs, keep=None):
        """Embedded tokens with positions, the extra ones first.

        Args:
            inputs: waveforms `[B, n]` or spectrograms `[B, T, F]`.
            keep: int32 `[B, K]`, the patches that go on, by their place in the tokens' order
                (see `keras_vssl.layers.visible_patches`); `None` for all.

        Returns:
            `[B, extra_tokens + K, width]`.
        """
        x = self.get_layer("picture")(self.prepare(inputs))
        x = self.get_layer("patch_embed")(x)
        if self.frequency_major:
            x = self.get_layer("frequency_major")(x)
        return self.get_layer("token_embedding")(self.get_layer("patches")(x), keep=keep)

    def encode_tokens(self, tokens, training=None):
        """The blocks and the final normalisation on tokens that `embed_tokens` gave.

        Returns:
            `[B, extra_tokens + K, width]`; with all patches what the endpoint `tokens` is.
        """
        for index in range(self.depth):
            tokens = self.get_layer(f"block{index + 1}")(tokens, training=training)
        return self.get_layer("norm")(tokens) if self.final_norm else tokens

    def pool(self, tokens):
        """The features `[B, D]` of tokens that `encode_tokens` gave, by `pooling`; float32."""
        return _pooled(tokens, self.pooling, self.extra_tokens)

    def position_tables(self):
        """See `Backbone.position_tables`: learned rows are interpolated linearly."""
        grid = self.grid[::-1] if self.frequency_major else self.grid
        methods = "linear" if self.positions == "learned" else "fixed"
        path = self.get_layer("token_embedding").table.path
        return {path: TableGrid(grid, self.extra_tokens, methods)}

    def get_config(self):
        return {
            **super().get_config(),
            "frames": self.frames,
            "bands": self.bands,
            "patch": list(self.patch),
            "stride": list(self.stride),
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "extra_tokens": self.extra_tokens,
            "positions": self.positions,
            "frequency_major": self.frequency_major,
            "qkv_bias": self.qkv_bias,
            "final_norm": self.final_norm,
            "pooling": self.pooling,
            "drop_path": self.drop_path,
            "epsilon": self.epsilon,
        }


def patch_grid(frames, bands, patch, stride):
    """Patches along time and frequency; what is left at the end is not seen.

    Args:
        frames, bands: ints, the spectrogram. patch, stride: `(time, frequency)`.
    """
    return tuple((s - p) // q + 1 for s, p, q in zip((frames, bands), patch, stride))


def _pair(value):
    return (int(value),) * 2 if isinstance(value, int) else tuple(int(v) for v in value)


def _pooled(tokens, pooling, extra_tokens):
    tokens = tokens[:, :extra_tokens] if pooling == "tokens" else tokens[:, extra_tokens:]
    return ops.mean(ops.cast(tokens, "float32"), axis=1)
