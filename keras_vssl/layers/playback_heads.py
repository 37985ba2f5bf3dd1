"""The heads of playback-rate perception: which rate, and the frames at twice that rate."""

import math

import keras
from keras import layers, ops

from keras_vssl.layers.convolution import Conv3D
from keras_vssl.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class UpConvolution(layers.Layer):
    """A transposed 3-D convolution whose stride is its kernel: each place becomes a block.

    No two blocks overlap, so it is one matrix product, on every back end.

    Args:
        filters: int. strides: 3 ints, the block (T, H, W).

    Call arguments:
        x: `[B, T, H, W, C]`.

    Returns:
        `[B, T * t, H * h, W * w, filters]`.
    """

    def __init__(self, filters, strides, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides = int(filters), tuple(int(n) for n in strides)

    def build(self, input_shape):
        # Columns are (t, h, w, filter).
        shape = (input_shape[-1], math.prod(self.strides) * self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        self.built = True

    def call(self, x):
        (t, h, w), (_, frames, height, width, _) = self.strides, x.shape
        blocks = ops.matmul(x, ops.cast(self.kernel, x.dtype))
        blocks = ops.reshape(blocks, (-1, height, width, t, h, w * self.filters))
        blocks = ops.transpose(blocks, (0, 3, 1, 4, 2, 5))
        shape = (-1, frames * t, height * h, width * w, self.filters)
        return ops.reshape(blocks, shape) + ops.cast(self.bias, x.dtype)

    def compute_output_shape(self, input_shape):
        sides = (n and n * s for n, s in zip(input_shape[1:4], self.strides))
        return (input_shape[0], *sides, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "strides": list(self.strides)}


@keras.saving.register_keras_serializable(package="keras_vssl")
class PlaybackHeads(layers.Layer):
    """Classifies a clip's playback rate and rebuilds its frames at a finer one.

    Each head begins with a 3x3x3 convolution of its own. The one averages over the map and
    classifies. The other has four stages, each a transposed convolution, which keeps the channels,
    and a 3x3x3 convolution to D/2, D/4, D/8 and at last 3 channels. After every 3x3x3 convolution
    come batch normalisation and ReLU, after the last one too: pixels are 0 or more.

    Args:
        classes: int, playback rates.
        strides: 3 ints for each stage, its enlargement of time, height and width.
        epsilon: float, of batch normalisation.

    Call arguments:
        features: `[B, T, H, W, D]`.

    Returns:
        dict: "logits" float32 `[B, classes]`, "reconstruction" float32 `[B, T', H', W', 3]`.

    Reference:
        Yao, Liu, Luo, Zhou, Ye. CVPR 2020, and its official code.
    """

    def __init__(self, classes, strides=((2, 2, 2),) * 4, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.epsilon = int(classes), float(epsilon)
        self.strides = tuple(tuple(int(n) for n in stage) for stage in strides)
        # Logits in float32: the softmax of a bfloat16 head loses the loss's last digits.
        self.classify = layers.Dense(self.classes, name="classify", dtype="float32")

    def build(self, input_shape):
        width, policy = input_shape[-1], self.dtype_policy
        fewer = [max(1, width // 2**i) for i in range(1, len(self.strides))]

        def unit(name, before, after):
            conv = Conv3D(after, 3, padding="same", name=f"{name}_conv", dtype=policy)
            norm = BatchNormalization(epsilon=self.epsilon, name=f"{name}_norm", dtype=policy)
            conv.build((None, None, None, None, before))
            norm.build((None, None, None, None, after))
            return [conv, norm]

        self.classify_unit = unit("classify", width, width)
        self.rebuild_unit = unit("rebuild", width, width)
        self.ups, self.units = [], []
        for i, (before, after) in enumerate(zip([width, *fewer], [*fewer, 3]), start=1):
            self.ups.append(UpConvolution(before, self.strides[i - 1], name=f"up{i}", dtype=policy))
            self.ups[-1].build((None, None, None, None, before))
            self.units.append(unit(f"up{i}", before, after))
        self.classify.build((None, width))
        self.built = True

    def call(self, features, training=None):
        def through(unit, x):
            conv, norm = unit
            return ops.relu(norm(conv(x), training=training))

        seen = ops.cast(through(self.classify_unit, features), "float32")
        x = through(self.rebuild_unit, features)
        for up, unit in zip(self.ups, self.units):
            x = through(unit, up(x))
        logits = self.classify(ops.mean(seen, axis=(1, 2, 3)))
        return {"logits": logits, "reconstruction": ops.cast(x, "float32")}

    def get_config(self):
        strides = [list(stage) for stage in self.strides]
        config = {"classes": self.classes, "strides": strides, "epsilon": self.epsilon}
        return {**super().get_config(), **config}


def enlargement(small, large, stages=4):
    """The `strides` of `PlaybackHeads` that make one shape of another.

    Args:
        small: (T, H, W) of the feature map. large: (T, H, W) of the frames.
        stages: int.

    Returns:
        3 ints for each stage.

    Raises:
        ValueError: a side is no power of two times that of the map.
    """
    factors = []
    for before, after in zip(small, large):
        doublings = round(math.log2(after / before))
        if before * 2**doublings != after:
            raise ValueError(
                f"Expected target frames whose sides are powers of two times those of the feature "
                f"map {tuple(small)}, received {tuple(large)}; change frames or size."
            )
        factors.append([2 ** ((doublings + stages - 1 - i) // stages) for i in range(stages)])
    return tuple(zip(*factors))
