"""Everything at Once: one transformer for the tokens of any of text, clips and sound."""

import itertools

import keras
from keras import layers, ops

from keras_vssl.backbones.base import Backbone
from keras_vssl.layers.transformer import TransformerBlock

MODALITIES = ("text", "video", "audio")
PAIRS = tuple(itertools.combinations(MODALITIES, 2))


@keras.saving.register_keras_serializable(package="keras_vssl")
class GatedUnit(layers.Layer):
    """`u * sigmoid(W2 u + b2)` of `u = W1 x + b1` (Miech et al. 2018), along the last axis."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = int(units)
        self.linear = layers.Dense(self.units, name="linear", dtype=self.dtype_policy)
        self.gate = layers.Dense(
            self.units, activation="sigmoid", name="gate", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.linear.build(input_shape)
        self.gate.build((*input_shape[:-1], self.units))
        self.built = True

    def call(self, x):
        x = self.linear(x)
        return x * self.gate(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor((*x.shape[:-1], self.units), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="keras_vssl")
class AbsentToken(layers.Layer):
    """One learned token in the first place of a sample that has none.

    Args:
        width: int.

    Call arguments:
        x: `[B, N, width]`. mask: `[B, N]`, 0 where there is no token.

    Returns:
        The tokens, and bool `[B, N]`, True for those that count: at least one a sample.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = int(width)
        self.token = self.add_weight(
            name="token",
            shape=(self.width,),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )
        self.built = True

    def call(self, x, mask):
        there = ops.not_equal(mask, 0)
        absent = ops.logical_not(ops.any(there, axis=1, keepdims=True))
        first = ops.equal(ops.arange(ops.shape(x)[1]), 0)[None]
        replaced = ops.logical_and(absent, first)
        x = ops.where(replaced[..., None], ops.cast(self.token, x.dtype), x)
        return x, ops.logical_or(there, replaced)

    def compute_output_spec(self, x, mask):
        return (
            keras.KerasTensor(x.shape, dtype=self.compute_dtype),
            keras.KerasTensor(x.shape[:2], dtype="bool"),
        )

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="keras_vssl")
class MaskedMean(layers.Layer):
    """The mean of the tokens `[B, N, C]` that a bool mask `[B, N]` keeps, `[B, C]`."""

    def call(self, x, mask):
        weights = ops.cast(mask, "float32")[..., None]
        total = ops.sum(ops.cast(x, "float32") * weights, axis=1)
        return ops.cast(total / ops.maximum(ops.sum(weights, axis=1), 1.0), x.dtype)

    def compute_output_spec(self, x, mask):
        return keras.KerasTensor((x.shape[0], x.shape[2]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="keras_vssl")
class TokenFusion(Backbone):
    """Embeds text, clips, sound, and each pair of them, by the same transformer blocks.

    The tokens of a modality are projected (a gated unit, layer normalisation); whatever
    modalities are given are concatenated and pass the blocks, without positions and without a mark
    of their modality; the mean of a modality's tokens is projected. The embedding of a pair is the
    mean of its two L2-normalised projections: their tokens have seen each other. A sample without
    any token of a modality has one learned token in its place.

    The input is a dict of `"text"`, `"video"`, `"audio"` `[B, N, C]` (tokens of features that
    other networks made: word vectors, 2-D and 3-D features, `DAVEnet`'s map) and `"text_mask"` and
    so on `[B, N]`, 0 where there is no token. The output is `[B, 6, output]`: text, video,
    audio, text and video, text and audio, video and audio; compare by cosine similarity.

    Endpoints: `text`, `video`, `audio`, `text_video`, `text_audio`, `video_audio` `[B, output]`;
    `embeddings`, the output.

    Args:
        text, video, audio: ints, channels of each modality's tokens.
        width: int, of the transformer. depth, heads: int. mlp_width: int or `None`: `width`.
        output: int, channels of an embedding.
        epsilon: float, of layer normalisation.
        dtype: see `Backbone`.

    Example:

    ```python
    fusion = keras_vssl.backbones.TokenFusion.from_preset("fusion_everything_at_once")
    tokens = {"text": words, "video": features, "audio": heard}     # each [B, N, C]
    fusion({**tokens, "text_mask": a, "video_mask": b, "audio_mask": c}).shape  # (B, 6, 6144)
    ```

    Reference:
        [Shvetsova et al. CVPR 2022](https://arxiv.org/abs/2112.04446), Sec. 3 and official code.
    """

    def __init__(
        self,
        text=300,
        video=4096,
        audio=4096,
        width=4096,
        depth=1,
        heads=64,
        mlp_width=None,
        output=6144,
        epsilon=1e-6,
        dtype=None,
        **kwargs,
    ):
        channels = {"text": int(text), "video": int(video), "audio": int(audio)}
        inputs = {}
        for name, count in channels.items():
            inputs[name] = keras.Input((None, count), name=name)
            inputs[f"{name}_mask"] = keras.Input((None,), name=f"{name}_mask")
        absent = AbsentToken(width, name="absent", dtype=dtype)
        mean = MaskedMean(name="mean", dtype=dtype)
        mlp_width = width if mlp_width is None else int(mlp_width)
        blocks = [
            TransformerBlock(
                width, heads, mlp_width, epsilon=epsilon, name=f"block{index + 1}", dtype=dtype
            )
            for index in range(depth)
        ]
        tokens, project = {}, {}
        for name in MODALITIES:
            unit = GatedUnit(width, name=f"{name}_tokens", dtype=dtype)
            norm = layers.LayerNormalization(epsilon=epsilon, name=f"{name}_norm", dtype=dtype)
            tokens[name] = absent(norm(unit(inputs[name])), inputs[f"{name}_mask"])
            project[name] = GatedUnit(output, name=f"{name}_projection", dtype=dtype)

        def fuse(names):
            x = ops.concatenate([tokens[name][0] for name in names], axis=1)
            mask = ops.concatenate([tokens[name][1] for name in names], axis=1)
            for block in blocks:
                x = block(x, key_mask=mask)
            found = []
            for name in names:  # a mask of its own instead of a slice: lengths may vary
                own = [tokens[n][1] if n == name else ops.zeros_like(tokens[n][1]) for n in names]
                found.append(project[name](mean(x, ops.concatenate(own, axis=1))))
            return found

        endpoints = {name: fuse((name,))[0] for name in MODALITIES}
        for names in PAIRS:
            one, other = (ops.normalize(ops.cast(e, "float32"), axis=-1) for e in fuse(names))
            endpoints["_".join(names)] = (one + other) / 2
        rows = [ops.cast(row, "float32") for row in endpoints.values()]
        endpoints["embeddings"] = ops.stack(rows, axis=1)
        super().__init__(inputs, endpoints, output, dtype=dtype, **kwargs)
        self.channels, self.width, self.depth = channels, int(width), int(depth)
        self.heads, self.mlp_width = int(heads), mlp_width
        self.output_width, self.epsilon = int(output), float(epsilon)

    @property
    def example_shapes(self):
        """One example of 12 tokens of clips and of sound, and 20 words: 8 s of HowTo100M."""
        counts = {"text": 20, "video": 12, "audio": 12}
        shapes = {}
        for name, count in counts.items():
            shapes[name] = (count, self.channels[name])
            shapes[f"{name}_mask"] = (count,)
        return shapes

    def prepare(self, inputs):
        """The inputs that the graph takes, with masks of numbers.

        Raises:
            ValueError: one of them is missing.
        """
        wanted = [name for m in MODALITIES for name in (m, f"{m}_mask")]
        if not isinstance(inputs, dict) or not set(wanted) <= set(inputs):
            found = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                f"TokenFusion takes a dict of {', '.join(wanted)}, but received {found}; give a "
                "modality that is missing one token and a mask of 0."
            )
        return {
            name: ops.cast(inputs[name], "float32") if name.endswith("_mask") else inputs[name]
            for name in wanted
        }

    def get_config(self):
        return {
            **super().get_config(),
            **self.channels,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "output": self.output_width,
            "epsilon": self.epsilon,
        }
