"""Vision transformers over space-time tokens: joint attention and TimeSformer's divided one."""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.layers.patches import TokenMap, TubeletEmbedding, grid_of
from keras_vssl.layers.positions import ClassToken, FixedPositions, LearnedPositions
from keras_vssl.layers.transformer import Attention, TransformerBlock

POSITIONS = ("sinusoid", "sine_cosine_3d", "learned", "space_time")


@keras.saving.register_keras_serializable(package="keras_vssl")
class VideoViT(VideoBackbone):
    """A transformer over the cubes of a clip, of one fixed clip shape.

    Cubes of `patch` frames and pixels are embedded linearly, get positions, and pass pre-norm
    blocks. The output is the map of the tokens `[B, T', H', W', width]`, whose mean over time and
    space is the pooled feature, or the class token as a map `[B, 1, 1, 1, width]`.

    | form | `positions` | `class_token` | `qkv_bias` | `attention` |
    |---|---|---|---|---|
    | VideoMAE | "sinusoid" | no | "query_value" | "joint" |
    | V-JEPA 1 | "sine_cosine_3d" | no | "all" | "joint" |
    | TimeSformer | "space_time" | yes, the output | "all" | "divided" |

    Endpoints: `embedded` (with positions) and `block1` and so on, all `[B, N, width]` with
    the class token first if there is one; `norm` (with `final_norm`); `map`, the output.

    Args:
        width: int, channels of a token. depth: int, blocks. heads: int.
        mlp_width: int or `None`: 4 times the width.
        patch: (frames, height, width) of a cube.
        positions: "sinusoid" (of the flat token number; no weight), "sine_cosine_3d" (V-JEPA's
            equal split; no weight), "learned" (a row for each token) or "space_time" (learned
            rows of places and of times, added).
        class_token: bool, a learned token before the others.
        output: "map" or "class" (the class token alone).
        qkv_bias: "all", "query_value" or "none", see `keras_vssl.layers.Attention`.
        attention: "joint" (every token sees all) or "divided" (TimeSformer: first the same place
            at all times, then all places of the same time).
        final_norm: bool, layer normalisation after the blocks. VideoMAE's fine-tuned networks
            have it after the pooling instead.
        drop_path: float, of the last block; it rises linearly from 0 at the first.
        epsilon: float, of layer normalisation.
        kernel_initializer: Keras initializer of the blocks, its name or its configuration.
        clip_shape: `(T, H, W, 3)`, all fixed.
        clip: see `VideoBackbone`; frames, resize and size are those of `clip_shape`, the stride
            is 4, unless it says otherwise.
        mean, std, dtype: see `VideoBackbone`.

    Attributes:
        grid: (T', H', W'), tokens along each axis.

    Raises:
        ValueError: cubes do not fill the clip, or an argument is not among its choices.

    Example:

    ```python
    backbone = keras_vssl.backbones.VideoViT.from_preset("video_vit_small")
    backbone(np.zeros((1, 16, 224, 224, 3), "uint8")).shape  # (1, 8, 14, 14, 384)
    ```

    Reference:
        - [Tong et al. NeurIPS 2022](https://arxiv.org/abs/2203.12602) (VideoMAE)
        - [Bertasius et al. ICML 2021](https://arxiv.org/abs/2102.05095) (TimeSformer)
    """

    def __init__(
        self,
        width=768,
        depth=12,
        heads=12,
        mlp_width=None,
        patch=(2, 16, 16),
        positions="sinusoid",
        class_token=False,
        output="map",
        qkv_bias="query_value",
        attention="joint",
        final_norm=True,
        drop_path=0.0,
        epsilon=1e-6,
        kernel_initializer="glorot_uniform",
        clip_shape=(16, 224, 224, 3),
        clip=None,
        dtype=None,
        **kwargs,
    ):
        _choice("positions", positions, POSITIONS)
        _choice("attention", attention, ("joint", "divided"))
        _choice("output", output, ("map", "class"))
        if output == "class" and not class_token:
            raise ValueError('Expected class_token=True with output="class", received False.')
        clip_shape, patch = tuple(clip_shape), tuple(int(size) for size in patch)
        if len(clip_shape) != 4 or None in clip_shape:
            raise ValueError(
                f"Expected a fixed clip_shape (T, H, W, 3), because positions belong to it, "
                f"received {clip_shape}."
            )
        grid = grid_of(clip_shape[:3], patch)
        initializer = initializer_config(kernel_initializer, "glorot_uniform")
        inputs = keras.Input(clip_shape, name="clip")
        x = TubeletEmbedding(width, patch, name="patch_embed", dtype=dtype)(inputs)
        if class_token:
            x = ClassToken(name="class_token", dtype=dtype)(x)
        x = _positions(positions, grid, width, class_token, dtype)(x)
        endpoints = {"embedded": x}
        for index, rate in enumerate(np.linspace(0.0, drop_path, depth).tolist()):
            make = TransformerBlock
            options = {}
            if attention == "divided":
                make = DividedBlock
                options = {"grid": grid, "class_token": class_token, "zero_time": index > 0}
            block = make(
                width,
                heads,
                mlp_width,
                qkv_bias,
                epsilon,
                drop_path=rate,
                kernel_initializer=initializer,
                name=f"block{index + 1}",
                dtype=dtype,
                **options,
            )
            endpoints[f"block{index + 1}"] = x = block(x)
        if final_norm:
            norm = layers.LayerNormalization(epsilon=epsilon, name="norm", dtype=dtype)
            endpoints["norm"] = x = norm(x)
        shape, first = (grid, int(class_token)) if output == "map" else ((1, 1, 1), 0)
        endpoints["map"] = TokenMap(shape, first, name="map", dtype=dtype)(x)

        frames, height, side = clip_shape[:3]
        size = height if height == side else [height, side]
        expected = {"frames": frames, "stride": 4, "resize": min(height, side), "size": size}
        clip = {**expected, **(clip or {})}
        super().__init__(inputs, endpoints, width, clip=clip, dtype=dtype, **kwargs)
        self.width, self.depth, self.heads = int(width), int(depth), int(heads)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.patch, self.grid, self.positions = patch, grid, positions
        self.class_token, self.output_kind = bool(class_token), output
        self.qkv_bias, self.attention = qkv_bias, attention
        self.final_norm, self.drop_path = bool(final_norm), float(drop_path)
        self.epsilon, self.kernel_initializer = float(epsilon), initializer
        self.clip_shape = clip_shape

    def embed_tokens(self, clips):
        """Embedded tokens with positions `[B, N, width]` of clips `[B, T, H, W, 3]`."""
        x = self.get_layer("patch_embed")(self.prepare(clips))
        if self.class_token:
            x = self.get_layer("class_token")(x)
        return self.get_layer("positions")(x)

    def encode_tokens(self, tokens, training=None):
        """The blocks and the final normalisation on some of the tokens.

        Args:
            tokens: `[B, M, width]`, from `embed_tokens`, in any order and number.
            training: bool.

        Returns:
            `[B, M, width]`.

        Raises:
            ValueError: with divided attention, which takes the whole grid.
        """
        if self.attention != "joint":
            raise ValueError(
                'Expected a VideoViT with attention="joint" to encode some of its tokens, received '
                f"attention={self.attention!r}."
            )
        for index in range(self.depth):
            tokens = self.get_layer(f"block{index + 1}")(tokens, training=training)
        return self.get_layer("norm")(tokens) if self.final_norm else tokens

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "patch": list(self.patch),
            "positions": self.positions,
            "class_token": self.class_token,
            "output": self.output_kind,
            "qkv_bias": self.qkv_bias,
            "attention": self.attention,
            "final_norm": self.final_norm,
            "drop_path": self.drop_path,
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class DividedBlock(TransformerBlock):
    """Attention over time at each place, then over space at each time, then the perceptron.

    A class token takes no part in the first. In the second, each time slot has a copy of it; the
    copies' outputs are averaged (Bertasius et al. ICML 2021, Sec. 3, and official code).

    Args:
        grid: (time, height, width) in tokens.
        class_token: bool, the first token is a class token.
        zero_time: bool, start from a zero `time_fc`, so that the block is of space alone.
        *args, **kwargs: as for `TransformerBlock`.
    """

    def __init__(self, *args, grid, class_token=True, zero_time=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.grid, self.class_token = tuple(int(n) for n in grid), bool(class_token)
        self.zero_time = bool(zero_time)
        attention = self.attention.get_config()
        self.time_norm = self.make_norm("time_norm")
        self.time_attention = Attention.from_config({**attention, "name": "time_attention"})
        zeros = {"kernel_initializer": "zeros"} if self.zero_time else {}
        self.time_fc = self.make_dense(self.width, "time_fc", **zeros)

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (self.time_norm, self.time_attention, self.time_fc):
            layer.build((None, None, self.width))

    def call(self, x, key_mask=None, training=None):
        if key_mask is not None:
            raise ValueError("Expected no key_mask: divided attention takes the whole grid.")
        time, places = self.grid[0], self.grid[1] * self.grid[2]
        width, first = self.width, int(self.class_token)
        token, x = x[:, :first], x[:, first:]  # [B, 0 or 1, D], [B, T S, D]

        y = ops.transpose(ops.reshape(x, (-1, time, places, width)), (0, 2, 1, 3))
        y = ops.reshape(y, (-1, time, width))  # [B S, T, D]
        y = self.drop(self.time_attention(self.time_norm(y)), training=training)
        y = ops.reshape(self.time_fc(y), (-1, places, time, width))
        x = x + ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, time * places, width))

        y = ops.reshape(x, (-1, places, width))  # [B T, S, D]
        if first:
            y = ops.concatenate([ops.repeat(token, time, axis=0), y], axis=1)
        y = self.drop(self.attention(self.norm1(y)), training=training)
        x = x + ops.reshape(y[:, first:], (-1, time * places, width))
        if first:
            copies = ops.reshape(y[:, 0], (-1, time, width))
            x = ops.concatenate([token + ops.mean(copies, axis=1, keepdims=True), x], axis=1)
        return self.feed_forward(x, training=training)

    def get_config(self):
        return {
            **super().get_config(),
            "grid": list(self.grid),
            "class_token": self.class_token,
            "zero_time": self.zero_time,
        }


def _positions(kind, grid, width, class_token, dtype):
    if kind in ("sinusoid", "sine_cosine_3d"):
        return FixedPositions(
            kind, grid, width, class_token=class_token, name="positions", dtype=dtype
        )
    times = grid[0] if kind == "space_time" else None
    return LearnedPositions(times, class_token, name="positions", dtype=dtype)


def _choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"Expected {name} to be one of {choices}, received {value!r}.")
