"""Transformers that see space first: ViViT's factorised encoder, TimeSformer's space alone."""

import keras
import numpy as np
from keras import layers, ops

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.backbones.video_vit import ACTIVATIONS, expected_clip, fixed_clip
from keras_vssl.layers.patches import TubeletEmbedding, grid_of
from keras_vssl.layers.positions import ClassToken, LearnedPositions, TableGrid
from keras_vssl.layers.transformer import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class FactorisedViT(VideoBackbone):
    """An image transformer in each time slot, then a transformer over the slots.

    The tokens of each slot get a class token and learned positions and pass `depth` blocks by
    themselves. The slots' class tokens, normalised, get a class token and positions of time and
    pass `time_depth` blocks, from which the class token goes out as a map `[B, 1, 1, 1, width]`.
    With `time_depth=0` all tokens are averaged over the slots before the normalisation: nothing
    orders the frames then, and a still clip gives what the image transformer gives.

    | form | `patch` | `time_depth` | `activation` |
    |---|---|---|---|
    | ViViT, factorised encoder (model 2) | 2 x 16 x 16 | 4 | "gelu_tanh" |
    | TimeSformer, space alone | 1 x 16 x 16 | 0 | "gelu" |

    Endpoints: `embedded` and `block1` and so on `[B * T', 1 + H' W', width]`, frames in the batch;
    `slots` `[B, T', width]`, the slots' normalised class tokens, and `time1` and so on
    `[B, 1 + T', width]`, where there are blocks of time; `norm`; `map`, the output.

    Args:
        width: int, channels of a token. depth: int, blocks of space. heads: int.
        time_depth: int, blocks of time, or 0.
        mlp_width: int or `None`: 4 times the width.
        patch: (frames, height, width) of a cube.
        qkv_bias, activation, drop_path, epsilon, kernel_initializer: see `VideoViT`; the drop of
            paths rises along the blocks of space and again along those of time.
        clip_shape: `(T, H, W, 3)`, all fixed. As in `VideoViT` learned rows are interpolated to
            another one; those of time stay a table of slots.
        clip, mean, std, dtype: see `VideoViT`.

    Attributes:
        grid: (T', H', W'), tokens along each axis.

    Raises:
        ValueError: cubes do not fill the clip.

    Example:

    ```python
    backbone = keras_vssl.backbones.FactorisedViT.from_preset("vivit_base_factorised")
    backbone(np.zeros((1, 32, 224, 224, 3), "uint8")).shape  # (1, 1, 1, 1, 768)
    ```

    Reference:
        - [Arnab et al. ICCV 2021](https://arxiv.org/abs/2103.15691), Sec. 3.3, Model 2
        - [Bertasius et al. ICML 2021](https://arxiv.org/abs/2102.05095), "space attention"
    """

    size_arguments = ("clip_shape",)

    def __init__(
        self,
        width=768,
        depth=12,
        heads=12,
        time_depth=4,
        mlp_width=None,
        patch=(2, 16, 16),
        qkv_bias="all",
        drop_path=0.0,
        epsilon=1e-6,
        activation="gelu",
        kernel_initializer="glorot_uniform",
        clip_shape=(32, 224, 224, 3),
        clip=None,
        dtype=None,
        **kwargs,
    ):
        clip_shape, patch = fixed_clip(clip_shape), tuple(int(size) for size in patch)
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"Expected activation to be one of {tuple(ACTIVATIONS)}, received {activation!r}."
            )
        grid = grid_of(clip_shape[:3], patch)
        initializer = initializer_config(kernel_initializer, "glorot_uniform")

        def blocks(x, count, name):
            for index, rate in enumerate(np.linspace(0.0, drop_path, count).tolist()):
                endpoints[f"{name}{index + 1}"] = x = TransformerBlock(
                    width,
                    heads,
                    mlp_width,
                    qkv_bias,
                    epsilon,
                    activation=ACTIVATIONS[activation],
                    drop_path=rate,
                    kernel_initializer=initializer,
                    name=f"{name}{index + 1}",
                    dtype=dtype,
                )(x)
            return x

        def norm(x, name):
            return layers.LayerNormalization(epsilon=epsilon, name=name, dtype=dtype)(x)

        inputs = keras.Input(clip_shape, name="clip")
        x = TubeletEmbedding(width, patch, name="patch_embed", dtype=dtype)(inputs)
        x = Slots((-1, grid[1] * grid[2], width), name="by_slot", dtype=dtype)(x)
        x = ClassToken(name="class_token", dtype=dtype)(x)
        x = LearnedPositions(name="positions", dtype=dtype)(x)
        endpoints = {"embedded": x}
        x = blocks(x, depth, "block")
        if time_depth:
            x = norm(x, "space_norm")
            x = Slots((-1, grid[0], width), first=True, name="slots", dtype=dtype)(x)
            endpoints["slots"] = x
            x = ClassToken(name="time_class_token", dtype=dtype)(x)
            x = LearnedPositions(name="time_positions", dtype=dtype)(x)
            x = blocks(x, time_depth, "time")
        else:
            shape = (-1, grid[0], 1 + grid[1] * grid[2], width)
            x = Slots(shape, mean=True, name="slots", dtype=dtype)(x)
        endpoints["norm"] = x = norm(x, "norm")
        endpoints["map"] = Slots((-1, 1, 1, 1, width), first=True, name="map", dtype=dtype)(x)

        clip = {**expected_clip(clip_shape), **(clip or {})}
        super().__init__(inputs, endpoints, width, clip=clip, dtype=dtype, **kwargs)
        self.width, self.depth, self.heads = int(width), int(depth), int(heads)
        self.time_depth = int(time_depth)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.patch, self.grid, self.qkv_bias = patch, grid, qkv_bias
        self.drop_path, self.epsilon = float(drop_path), float(epsilon)
        self.activation, self.kernel_initializer = activation, initializer
        self.clip_shape = clip_shape

    def position_tables(self):
        """See `Backbone.position_tables`."""
        tables = {self.get_layer("positions").space.path: TableGrid(self.grid[1:], 1, "cubic")}
        if self.time_depth:
            path = self.get_layer("time_positions").space.path
            tables[path] = TableGrid(self.grid[:1], 1, "linear")
        return tables

    @classmethod
    def resized_config(cls, config, **sizes):
        """See `Backbone.resized_config`: the expected clip follows `clip_shape`."""
        return {**config, "clip": {"stride": config["clip"]["stride"]}, **sizes}

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "time_depth": self.time_depth,
            "mlp_width": self.mlp_width,
            "patch": list(self.patch),
            "qkv_bias": self.qkv_bias,
            "drop_path": self.drop_path,
            "epsilon": self.epsilon,
            "activation": self.activation,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class Slots(layers.Layer):
    """Tokens reshaped between a clip's and its time slots' batches.

    Args:
        shape: ints, the new shape, -1 for the batch.
        first: bool, take the first token (a class token) of `[B, N, D]` before.
        mean: bool, average over axis 1 of the new shape.
    """

    def __init__(self, shape, first=False, mean=False, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.first, self.mean = tuple(shape), bool(first), bool(mean)
        self.built = True

    def call(self, x):
        x = ops.reshape(x[:, 0] if self.first else x, self.shape)
        return ops.mean(x, axis=1) if self.mean else x

    def compute_output_shape(self, input_shape):
        shape = self.shape[2:] if self.mean else self.shape[1:]
        return None, *shape

    def get_config(self):
        return {
            **super().get_config(),
            "shape": list(self.shape),
            "first": self.first,
            "mean": self.mean,
        }
