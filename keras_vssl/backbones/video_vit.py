"""Vision transformers over space-time tokens: joint attention and TimeSformer's divided one."""

import keras
import numpy as np
from keras import layers

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.layers.divided import DividedBlock
from keras_vssl.layers.patches import TokenMap, TubeletEmbedding, grid_of
from keras_vssl.layers.positions import (
    AxisPositions,
    ClassToken,
    FixedPositions,
    LearnedPositions,
    TableGrid,
)
from keras_vssl.layers.rotary import RotaryBlock
from keras_vssl.layers.transformer import TransformerBlock, gelu_tanh

POSITIONS = (
    "sinusoid",
    "sine_cosine_3d",
    "sine_cosine_3d_half",
    "rotary",
    "learned",
    "space_time",
    "axes",
)
ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": gelu_tanh}


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
    | V-JEPA 2 | "rotary" | no | "all" | "joint" |
    | TimeSformer | "space_time" | yes, the output | "all" | "divided", or "joint" |
    | ViViT (model 1; `activation="gelu_tanh"`) | "learned" | yes, the output | "all" | "joint" |
    | VATT | "axes" | yes, the output | "all" | "joint" |

    `FactorisedViT` is ViViT's factorised encoder and TimeSformer's form of space alone.

    Positions belong to the grid of tokens. `from_preset(name, clip_shape=...)` fits a preset to
    another one: fixed tables and rotations are computed for it, "learned" rows interpolated
    (linearly in time, bicubically in space), "space_time" rows repeated (nearest, as the official
    code does), the tables of "axes" interpolated by VATT's spline; the class token's row stays.

    Endpoints: `embedded` (with positions) and `block1` and so on, all `[B, N, width]` with
    the class token first if there is one; `norm` (with `final_norm`); `map`, the output.

    Args:
        width: int, channels of a token. depth: int, blocks. heads: int.
        mlp_width: int or `None`: 4 times the width.
        patch: (frames, height, width) of a cube.
        positions: "sinusoid" (of the flat token number; no weight), "sine_cosine_3d" (V-JEPA's
            equal split; no weight), "sine_cosine_3d_half" (V-JEPA's without `uniform_power`: half
            of the channels for time), "rotary" (queries and keys are rotated; no weight),
            "learned" (a row for each token), "space_time" (learned rows of places and of times,
            added) or "axes" (learned rows of times, rows and columns, added and normalised; the
            class token has none).
        class_token: bool, a learned token before the others.
        output: "map" or "class" (the class token alone).
        qkv_bias: "all", "query_value" or "none", see `keras_vssl.layers.Attention`.
        attention: "joint" (every token sees all) or "divided" (TimeSformer: first the same place
            at all times, then all places of the same time).
        final_norm: bool, layer normalisation after the blocks. VideoMAE's fine-tuned networks
            have it after the pooling instead.
        drop_path: float, of the last block; it rises linearly from 0 at the first.
        epsilon: float, of layer normalisation.
        activation: "gelu" (the exact one) or "gelu_tanh".
        kernel_initializer: Keras initializer of the blocks, its name or its configuration.
        clip_shape: `(T, H, W, 3)`, all fixed.
        clip: see `VideoBackbone`; frames, resize and size are those of `clip_shape`, the stride
            is 4, unless it says otherwise.
        mean, std, dtype: see `VideoBackbone`.

    Attributes:
        grid: (T', H', W'), tokens along each axis.

    Raises:
        ValueError: cubes do not fill the clip, an argument is not among its choices, or
            "rotary" comes with a class token or divided attention.

    Example:

    ```python
    backbone = keras_vssl.backbones.VideoViT.from_preset("video_vit_small")
    backbone(np.zeros((1, 16, 224, 224, 3), "uint8")).shape  # (1, 8, 14, 14, 384)
    ```

    Reference:
        - [Tong et al. NeurIPS 2022](https://arxiv.org/abs/2203.12602) (VideoMAE)
        - [Bertasius et al. ICML 2021](https://arxiv.org/abs/2102.05095) (TimeSformer)
        - [Arnab et al. ICCV 2021](https://arxiv.org/abs/2103.15691) (ViViT)
        - [Akbari et al. NeurIPS 2021](https://arxiv.org/abs/2104.11178) (VATT; without its dropout)
        - [Bardes et al. TMLR 2024](https://arxiv.org/abs/2404.08471) (V-JEPA),
          [Assran et al. 2025](https://arxiv.org/abs/2506.09985) (V-JEPA 2)
    """

    size_arguments = ("clip_shape",)

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
        activation="gelu",
        kernel_initializer="glorot_uniform",
        clip_shape=(16, 224, 224, 3),
        clip=None,
        dtype=None,
        **kwargs,
    ):
        _choice("positions", positions, POSITIONS)
        _choice("attention", attention, ("joint", "divided"))
        _choice("output", output, ("map", "class"))
        _choice("activation", activation, tuple(ACTIVATIONS))
        if positions == "rotary" and (class_token or attention != "joint"):
            raise ValueError(
                'Expected no class token and attention="joint" with positions="rotary", received '
                f"class_token={class_token} and attention={attention!r}."
            )
        if output == "class" and not class_token:
            raise ValueError('Expected class_token=True with output="class", received False.')
        clip_shape, patch = fixed_clip(clip_shape), tuple(int(size) for size in patch)
        grid = grid_of(clip_shape[:3], patch)
        initializer = initializer_config(kernel_initializer, "glorot_uniform")
        inputs = keras.Input(clip_shape, name="clip")
        x = TubeletEmbedding(width, patch, name="patch_embed", dtype=dtype)(inputs)
        if class_token and positions != "axes":
            x = ClassToken(name="class_token", dtype=dtype)(x)
        if positions != "rotary":
            x = _positions(positions, grid, width, class_token, dtype)(x)
        if class_token and positions == "axes":
            x = ClassToken(name="class_token", dtype=dtype)(x)
        endpoints = {"embedded": x}
        for index, rate in enumerate(np.linspace(0.0, drop_path, depth).tolist()):
            make = TransformerBlock
            options = {}
            if positions == "rotary":
                make, options = RotaryBlock, {"grid": grid}
            elif attention == "divided":
                make = DividedBlock
                options = {"grid": grid, "class_token": class_token, "zero_time": index > 0}
            block = make(
                width,
                heads,
                mlp_width,
                qkv_bias,
                epsilon,
                activation=ACTIVATIONS[activation],
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

        clip = {**expected_clip(clip_shape), **(clip or {})}
        super().__init__(inputs, endpoints, width, clip=clip, dtype=dtype, **kwargs)
        self.width, self.depth, self.heads = int(width), int(depth), int(heads)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.patch, self.grid, self.positions = patch, grid, positions
        self.class_token, self.output_kind = bool(class_token), output
        self.qkv_bias, self.attention = qkv_bias, attention
        self.final_norm, self.drop_path = bool(final_norm), float(drop_path)
        self.epsilon, self.activation = float(epsilon), activation
        self.kernel_initializer, self.clip_shape = initializer, clip_shape

    def embed_tokens(self, clips):
        """Embedded tokens with positions `[B, N, width]` of clips `[B, T, H, W, 3]`."""
        x = self.get_layer("patch_embed")(self.checked(clips))
        names = ["class_token"] if self.class_token else []
        if self.positions != "rotary":
            names.insert(0 if self.positions == "axes" else len(names), "positions")
        for name in names:
            x = self.get_layer(name)(x)
        return x

    def encode_tokens(self, tokens, training=None, index=None):
        """The blocks and the final normalisation on some of the tokens.

        Args:
            tokens: `[B, M, width]`, from `embed_tokens`, in any order and number.
            training: bool.
            index: int `[B, M]` or `None`, the tokens' places in the grid; only rotary positions
                need them, the others are in the tokens already.

        Returns:
            `[B, M, width]`.

        Raises:
            ValueError: with divided attention, which takes the whole grid; or some tokens of a
                rotary network came without their places.
        """
        if self.attention != "joint":
            raise ValueError(
                'Expected a VideoViT with attention="joint" to encode some of its tokens, received '
                f"attention={self.attention!r}."
            )
        options = {"index": index} if self.positions == "rotary" else {}
        for number in range(self.depth):
            tokens = self.get_layer(f"block{number + 1}")(tokens, training=training, **options)
        return self.get_layer("norm")(tokens) if self.final_norm else tokens

    def position_tables(self):
        """See `Backbone.position_tables`."""
        extra = int(self.class_token)
        if self.positions == "learned":
            space = self.get_layer("positions").space
            return {space.path: TableGrid(self.grid, extra, ("linear", "cubic", "cubic"))}
        if self.positions == "space_time":
            layer = self.get_layer("positions")
            return {
                layer.space.path: TableGrid(self.grid[1:], extra, "nearest"),
                layer.time.path: TableGrid(self.grid[:1], 0, "nearest"),
            }
        if self.positions == "axes":
            tables = self.get_layer("positions").tables
            return {t.path: TableGrid((n,), 0, "spline") for t, n in zip(tables, self.grid)}
        return {}

    @classmethod
    def resized_config(cls, config, **sizes):
        """See `Backbone.resized_config`: the expected clip follows `clip_shape`."""
        clip = {"stride": config["clip"]["stride"]}
        return {**config, "clip": clip, **sizes}

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
            "activation": self.activation,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


def fixed_clip(clip_shape):
    """A clip's shape as a tuple; raises a `ValueError` unless all of it is fixed."""
    clip_shape = tuple(clip_shape)
    if len(clip_shape) != 4 or None in clip_shape:
        raise ValueError(
            f"Expected a fixed clip_shape (T, H, W, 3), because positions belong to it, "
            f"received {clip_shape}."
        )
    return clip_shape


def expected_clip(clip_shape):
    """What a network of one clip shape expects, every 4th frame; see `VideoBackbone`."""
    frames, height, side = clip_shape[:3]
    size = height if height == side else [height, side]
    return {"frames": frames, "stride": 4, "resize": min(height, side), "size": size}


def _positions(kind, grid, width, class_token, dtype):
    if kind in ("sinusoid", "sine_cosine_3d", "sine_cosine_3d_half"):
        split = "time_half" if kind.endswith("_half") else "equal"
        kind = kind.removesuffix("_half")
        return FixedPositions(kind, grid, width, split, class_token, name="positions", dtype=dtype)
    if kind == "axes":
        return AxisPositions(grid, name="positions", dtype=dtype)
    times = grid[0] if kind == "space_time" else None
    return LearnedPositions(times, class_token, name="positions", dtype=dtype)


def _choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"Expected {name} to be one of {choices}, received {value!r}.")
