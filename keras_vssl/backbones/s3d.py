"""S3D and S3D-G: Inception over clips with separable convolutions, and with gates."""

import functools

import keras
from keras import layers, ops

from keras_vssl.backbones.inception import CHANNELS, VideoInception, plain_unit
from keras_vssl.backbones.residual import check_choice

# TF-slim's and, up to the truncation, CoCLR's.
_NORMAL = {"class_name": "TruncatedNormal", "config": {"stddev": 0.01}}
_GATES = (None, *[name for name in CHANNELS if name not in ("conv_1a", "conv_2b")])


@keras.saving.register_keras_serializable(package="keras_vssl")
class S3D(VideoInception):
    """I3D whose 3x3x3 kernels became 1x3x3, then 3x1x1; with `gating` it is S3D-G.

    A gate multiplies each channel by `sigmoid(W m + b)`, m the mean of the map over time and
    space. A clip of T x H x W gives a map of T/8 x H/32 x W/32 of 1024 channels. The published
    networks agree in that and differ in the rest:

    | form | stem | `gating` | `padding` | `pool_padding` | `epsilon` |
    |---|---|---|---|---|---|
    | CoCLR | separable 7 | `None` or `"mixed_3b"` | `"symmetric"` | | 1e-5 |
    | torchvision, Kinetics (Min) | separable 7 | `None` | `"symmetric"` | | 1e-3 |
    | MIL-NCE | space to depth, or full 3 | `"conv_2c"` | `"symmetric"` | `"even"` | 1e-5 |
    | MMV | space to depth, or full 7 | `"conv_2c"` | `"same"` | | 1e-5 |
    | TF-slim | full 3 | `"conv_2c"` | `"same"` | | 1e-3 |
    | SpeedNet | full, stride 1 in time | `"conv_2c"` | `"same"` | | |

    Endpoints: `space_to_depth` (where it is), `conv_1a`, `pool_2a`, `conv_2b`, `conv_2c`,
    `gate_2c` (where it is), `pool_3a`, `mixed_3b`, `mixed_3c`, `pool_4a`, `mixed_4b` to
    `mixed_4f`, `pool_5a`, `mixed_5b`, `mixed_5c`, `embedding` (where it is).

    Args:
        width: int, channels of the first convolution; all others are scaled with it.
        channels: dict of endpoint to channels (an int; six for a block: branch 0, branch 1's two,
            branch 2's two, branch 3), where they are not the scaled ones. `None`: none.
        stem: `"separable"` (1x7x7, then t x 1 x 1), `"full"` (t x 7 x 7), or `"space_to_depth"`:
            cells of 2x2x2 pixels become channels and a full 2x4x4 convolution of stride 1 follows.
            Frames, height and width have to be even then.
        stem_kernel: odd int, t; of no effect with `"space_to_depth"`.
        stem_stride: int, the stem's stride in time (CoCLR's `slow` and SpeedNet: 1).
        gating: the first endpoint whose units are gated, `"conv_2c"` or one of the blocks, or
            `None`. In a block the four outputs of the branches are.
        temporal_norm: bool. False: the 3x1x1 convolutions have a bias and no batch normalisation,
            as in TF-slim's public code.
        padding: of strided convolutions and of poolings. `"same"`: as TensorFlow, by the input's
            size. `"even"`: as TensorFlow pads even sizes, whatever the size. `"symmetric"`: as
            many zeros before as behind, none for the 2x2x2 pooling, so T is at least 8.
        pool_padding: the same for poolings alone, or `None` for `padding`.
        pool_stride: int, stride in time of the poolings 4a and 5a (SpeedNet: 1).
        embedding_dim: int or `None`. The output is then a linear map of the global average,
            `[B, 1, 1, 1, embedding_dim]`: MIL-NCE's joint space of videos and texts.
        epsilon: float, of batch normalisation.
        momentum: float, of batch normalisation's running statistics.
        kernel_initializer: Keras initializer, its name or its configuration. Default: truncated
            normal of deviation 0.01.
        clip_shape: `(T, H, W, C)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: an unknown `stem`, `gating`, `padding` or endpoint of `channels`; a size that
            is odd with `"space_to_depth"`.

    Example:

    ```python
    backbone = keras_vssl.backbones.S3D.from_preset("s3d_coclr")
    backbone(np.zeros((1, 32, 128, 128, 3), "float32")).shape  # (1, 4, 4, 4, 1024)
    ```

    Reference:
        - [Xie et al. ECCV 2018](https://arxiv.org/abs/1712.04851)
        - [Han et al. NeurIPS 2020](https://arxiv.org/abs/2010.09709) (CoCLR),
          [Miech et al. CVPR 2020](https://arxiv.org/abs/1912.06430) (MIL-NCE),
          [Alayrac et al. NeurIPS 2020](https://arxiv.org/abs/2006.16228) (MMV)
    """

    def __init__(
        self,
        width=64,
        channels=None,
        stem="separable",
        stem_kernel=7,
        stem_stride=2,
        gating=None,
        temporal_norm=True,
        padding="symmetric",
        pool_padding=None,
        pool_stride=2,
        embedding_dim=None,
        epsilon=1e-5,
        momentum=0.9,
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        dtype=None,
        **kwargs,
    ):
        check_choice("stem", stem, "separable", "full", "space_to_depth")
        check_choice("gating", gating, *_GATES)
        gated = _GATES[_GATES.index(gating) :] if gating else ()
        plain = functools.partial(plain_unit, dtype=dtype)
        separable = functools.partial(_separable_unit, temporal_norm=temporal_norm, dtype=dtype)

        def unit(x, channels, size, **options):
            return (plain if size == 1 else separable)(x, channels, size, **options)

        def first(x, channels, **layers):
            stride, name = (stem_stride, 2, 2), "conv_1a"
            if stem == "space_to_depth":
                x = SpaceToDepth(name="space_to_depth", dtype=dtype)(x)
                y = plain(x, channels, (2, 4, 4), name=name, **layers)
                return {"space_to_depth": x, name: y}
            if stem == "full":
                kernel = (stem_kernel, 7, 7)
                return {name: plain(x, channels, kernel, stride=stride, name=name, **layers)}
            kernel = (stem_kernel, 7)
            return {name: separable(x, channels, kernel, stride=stride, name=name, **layers)}

        super().__init__(
            stem=first,
            unit=unit,
            gate=gated.__contains__,
            width=width,
            channels=channels,
            padding=padding,
            pool_padding=pool_padding,
            pool_stride=pool_stride,
            embedding_dim=embedding_dim,
            epsilon=epsilon,
            momentum=momentum,
            kernel_initializer=kernel_initializer,
            default_initializer=_NORMAL,
            clip_shape=clip_shape,
            dtype=dtype,
            **kwargs,
        )
        self.stem = stem
        self.stem_kernel = int(stem_kernel)
        self.stem_stride = int(stem_stride)
        self.gating = gating
        self.temporal_norm = bool(temporal_norm)
        self.embedding_dim = embedding_dim

    def get_config(self):
        return {
            **super().get_config(),
            "stem": self.stem,
            "stem_kernel": self.stem_kernel,
            "stem_stride": self.stem_stride,
            "gating": self.gating,
            "temporal_norm": self.temporal_norm,
            "embedding_dim": self.embedding_dim,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class SpaceToDepth(keras.layers.Layer):
    """Cells of 2 x 2 x 2 pixels as channels: `[B, T, H, W, C]` to `[B, T/2, H/2, W/2, 8C]`.

    Channel `((t * 2 + h) * 2 + w) * C + c` is channel c of the pixel at (t, h, w) in its cell.

    Raises:
        ValueError: T, H or W is odd.
    """

    def call(self, inputs):
        self.compute_output_shape(inputs.shape)
        batch, frames, height, width, channels = ops.shape(inputs)
        sizes = (frames // 2, height // 2, width // 2)
        cells = ops.reshape(inputs, (batch, sizes[0], 2, sizes[1], 2, sizes[2], 2, channels))
        cells = ops.transpose(cells, (0, 1, 3, 5, 2, 4, 6, 7))
        return ops.reshape(cells, (batch, *sizes, 8 * channels))

    def compute_output_shape(self, input_shape):
        sizes = tuple(input_shape[1:4])
        if any(size is not None and size % 2 for size in sizes):
            raise ValueError(
                f"Space to depth takes an even number of frames, rows and columns, but received "
                f"{sizes}; crop or pad the clip."
            )
        halves = (None if size is None else size // 2 for size in sizes)
        return (input_shape[0], *halves, 8 * input_shape[4])


def _separable_unit(x, channels, size, *, conv, norm, dtype, name, temporal_norm, stride=(1, 1, 1)):
    """relu(bn(temporal(relu(bn(spatial(x)))))), `size` an int or `(T, space)`."""
    taps, size = (size, size) if isinstance(size, int) else size
    x = conv(x, channels, (1, size, size), (1, *stride[1:]), name=f"{name}_spatial")
    x = norm(name=f"{name}_spatial_bn")(x)
    x = layers.ReLU(name=f"{name}_spatial_relu", dtype=dtype)(x)
    kernel, stride = (taps, 1, 1), (stride[0], 1, 1)
    if temporal_norm:
        x = conv(x, channels, kernel, stride, name=f"{name}_temporal")
        x = norm(name=f"{name}_bn")(x)
    else:
        x = conv(x, channels, kernel, stride, name=f"{name}_temporal", use_bias=True)
    return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)
