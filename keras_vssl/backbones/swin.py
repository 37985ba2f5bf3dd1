"""Swin Transformer V2, frame by frame."""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.backbones.backbone import VideoBackbone
from keras_vssl.layers.frames import FoldFrames, UnfoldFrames
from keras_vssl.layers.patches import TokenMap, TubeletEmbedding, grid_of
from keras_vssl.layers.window_attention import WindowBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class SwinV2(VideoBackbone):
    """An image transformer with attention in shifted windows, on each frame of a clip by itself.

    Four stages of `keras_vssl.layers.WindowBlock`s; every second block shifts its windows by half
    a window. Between stages 2 x 2 tokens are merged and the width doubles. The output is the
    normalised map `[B, T, H / 32, W / 32, 8 width]`, whose mean is the image network's feature
    averaged over frames.

    `keras_hub.models.SwinTransformerBackbone` is the first version (windows of 7, learned position
    biases); this is the second, which LAVISH freezes.

    | form | `width` | `depths` | `heads` |
    |---|---|---|---|
    | T | 96 | 2, 2, 6, 2 | 3, 6, 12, 24 |
    | S | 96 | 2, 2, 18, 2 | 3, 6, 12, 24 |
    | B | 128 | 2, 2, 18, 2 | 4, 8, 16, 32 |
    | L | 192 | 2, 2, 18, 2 | 6, 12, 24, 48 |

    Endpoints: `layer1` to `layer4`, the stages' maps `[B, T, H', W', C]`; `map`, the output.

    Args:
        width: int, channels of the first stage.
        depths: ints, blocks of each stage. heads: ints, of each stage.
        window: int, tokens of a window along each axis; a stage whose grid is smaller has one
            window, of that grid.
        trained_windows: ints or `None`, the windows of the stages where the weights were trained
            with smaller ones (0: the stage's own), for the position bias.
        patch: int.
        mlp_ratio: float, hidden width of the perceptrons over the width.
        drop_path: float, of the last block; it grows linearly from 0 in the first.
        epsilon: float, of layer normalisation.
        clip_shape: `(T, H, W, 3)`; T may be `None`, height and width are fixed.
        clip: see `VideoBackbone`; frames (8 where T is `None`), resize and size are those of
            `clip_shape`, the stride is 4, unless it says otherwise.
        mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: a stage's grid is not a multiple of its window, or of 2 before it is merged.

    Example:

    ```python
    backbone = keras_vssl.backbones.SwinV2.from_preset("swin_v2_tiny")
    backbone(np.zeros((1, 2, 256, 256, 3), "uint8")).shape  # (1, 2, 8, 8, 768)
    ```

    Reference:
        [Liu et al. CVPR 2022](https://arxiv.org/abs/2111.09883). Counts and outputs as timm's.
    """

    def __init__(
        self,
        width=96,
        depths=(2, 2, 6, 2),
        heads=(3, 6, 12, 24),
        window=8,
        trained_windows=None,
        patch=4,
        mlp_ratio=4.0,
        drop_path=0.0,
        epsilon=1e-5,
        clip_shape=(None, 256, 256, 3),
        clip=None,
        dtype=None,
        **kwargs,
    ):
        clip_shape = tuple(clip_shape)
        if len(clip_shape) != 4 or None in clip_shape[1:]:
            raise ValueError(
                f"Expected a clip_shape (T, H, W, 3) of fixed height and width, because windows "
                f"belong to them, received {clip_shape}."
            )
        parts = SwinLayers(
            width, depths, heads, window, clip_shape[1:3], trained_windows, patch, mlp_ratio,
            drop_path, epsilon, dtype,
        )  # fmt: skip
        inputs = keras.Input(clip_shape, name="clip")
        unfold = UnfoldFrames(name="unfold", dtype=dtype)

        def as_map(x, grid):
            return unfold([TokenMap(grid, dtype=dtype)(x), inputs])

        x = FoldFrames(name="fold", dtype=dtype)(inputs)
        x = parts.embed(layers.Reshape((1, *clip_shape[1:]), name="frames", dtype=dtype)(x))
        x = parts.embed_norm(x)
        endpoints = {}
        for number, (blocks, merge, grid) in enumerate(parts.stages, start=1):
            for block in blocks:
                x = block(x)
            endpoints[f"layer{number}"] = as_map(x, grid)
            if merge is not None:
                x = merge(x)
        endpoints["map"] = as_map(parts.norm(x), grid)

        frames, height, side = clip_shape[:3]
        size = height if height == side else [height, side]
        expected = {
            "frames": frames or 8, "stride": 4, "resize": min(height, side), "size": size
        }  # fmt: skip
        clip = {**expected, **(clip or {})}
        dim = width * 2 ** (len(depths) - 1)
        super().__init__(inputs, endpoints, dim, clip=clip, dtype=dtype, **kwargs)
        self.width, self.depths, self.heads = int(width), tuple(depths), tuple(heads)
        self.window, self.trained_windows = int(window), trained_windows
        self.patch, self.mlp_ratio = int(patch), float(mlp_ratio)
        self.drop_path, self.epsilon = float(drop_path), float(epsilon)
        self.clip_shape = clip_shape

    def get_config(self):
        trained = self.trained_windows
        return {
            **super().get_config(),
            "width": self.width,
            "depths": list(self.depths),
            "heads": list(self.heads),
            "window": self.window,
            "trained_windows": None if trained is None else list(trained),
            "patch": self.patch,
            "mlp_ratio": self.mlp_ratio,
            "drop_path": self.drop_path,
            "epsilon": self.epsilon,
            "clip_shape": list(self.clip_shape),
        }


class SwinLayers:
    """The layers of a Swin V2 in their order, not yet called: see `SwinV2` for the arguments.

    Attributes:
        embed, embed_norm: the embedding of `[B, 1, H, W, 3]` and its normalisation.
        stages: list of (blocks, `PatchMerging` or `None`, grid).
        norm: the last normalisation.
    """

    def __init__(
        self,
        width,
        depths,
        heads,
        window,
        size,
        trained_windows=None,
        patch=4,
        mlp_ratio=4.0,
        drop_path=0.0,
        epsilon=1e-5,
        dtype=None,
    ):
        if len(heads) != len(depths) or (trained_windows and len(trained_windows) != len(depths)):
            raise ValueError(
                f"Expected heads and trained_windows of as many stages as depths {tuple(depths)}, "
                f"received {tuple(heads)} and {trained_windows}."
            )
        rates = iter(np.linspace(0.0, drop_path, sum(depths)).tolist())
        self.embed = TubeletEmbedding(width, (1, patch, patch), name="patch_embed", dtype=dtype)
        self.embed_norm = _norm(epsilon, "embed_norm", dtype)
        self.stages = []
        grid = grid_of(size, (patch, patch))
        for stage, (depth, count) in enumerate(zip(depths, heads)):
            trained = trained_windows[stage] if trained_windows else 0
            bias = (trained,) * 2 if trained else tuple(min(window, n) for n in grid)
            blocks = [
                WindowBlock(
                    count,
                    grid,
                    (window, window),
                    (window // 2,) * 2 if index % 2 else (0, 0),
                    mlp_ratio,
                    epsilon,
                    bias_hidden=512,
                    bias_dropout=0.0,
                    bias_window=bias,
                    qkv_bias="query_value",
                    drop_path=next(rates),
                    name=f"layer{stage + 1}_block{index + 1}",
                    dtype=dtype,
                )
                for index in range(depth)
            ]
            merge = None
            if stage < len(depths) - 1:
                merge = PatchMerging(grid, epsilon, name=f"layer{stage + 1}_merge", dtype=dtype)
            self.stages.append((blocks, merge, grid))
            if merge is not None:
                grid = tuple(n // 2 for n in grid)
        self.norm = _norm(epsilon, "norm", dtype)

    def all(self):
        """Every layer."""
        staged = [layer for blocks, merge, _ in self.stages for layer in (*blocks, merge)]
        return [self.embed, self.embed_norm, *filter(None, staged), self.norm]


@keras.saving.register_keras_serializable(package="keras_vssl")
class PatchMerging(layers.Layer):
    """Joins 2 x 2 tokens to one of twice the channels: `[B, H W, C]` to `[B, H W / 4, 2 C]`.

    A linear map without offset of the four, column by column, then layer normalisation (Swin V2;
    the first version normalises before).

    Args:
        grid: `(height, width)` of the tokens, even.
        epsilon: float, of layer normalisation.
    """

    def __init__(self, grid, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.grid, self.epsilon = tuple(int(n) for n in grid), float(epsilon)
        if any(size % 2 for size in self.grid):
            raise ValueError(f"Expected an even grid to merge 2 x 2 tokens, received {self.grid}.")

    def build(self, input_shape):
        width = input_shape[-1]
        self.reduction = layers.Dense(
            2 * width, use_bias=False, name="reduction", dtype=self.dtype_policy
        )
        self.norm = _norm(self.epsilon, "norm", self.dtype_policy)
        self.reduction.build((None, None, 4 * width))
        self.norm.build((None, None, 2 * width))
        self.built = True

    def call(self, x):
        (height, width), channels = self.grid, x.shape[-1]
        x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
        x = ops.transpose(x, (0, 1, 3, 4, 2, 5))
        x = ops.reshape(x, (-1, height * width // 4, 4 * channels))
        return self.norm(self.reduction(x))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.grid[0] * self.grid[1] // 4, 2 * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "grid": list(self.grid), "epsilon": self.epsilon}


def _norm(epsilon, name, dtype):
    return layers.LayerNormalization(epsilon=epsilon, name=name, dtype=dtype)
