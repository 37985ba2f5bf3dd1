"""A transformer over the samples of a waveform: VATT's audio network."""

import keras
from keras import layers

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.layers.positions import AxisPositions, ClassToken, TableGrid
from keras_vssl.layers.transformer import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class WaveViT(AudioBackbone):
    """Stretches of a waveform are embedded linearly and pass pre-norm blocks; no spectrogram.

    The tokens get learned positions, layer-normalised; a class token without a position comes
    first, and is the output, as a map `[B, 1, 1, width]`.

    Endpoints: `embedded`, `block1` and so on, `norm`, all `[B, 1 + N, width]`; `map`, the output.

    Args:
        width, depth, heads: ints. mlp_width: int or `None`: 4 times the width.
        patch: int, samples of a token.
        samples: int, of a waveform; a multiple of `patch`. `from_preset(name, samples=...)` fits a
            preset to another length, by VATT's spline.
        epsilon: float, of layer normalisation.
        sound, dtype: see `AudioBackbone`.

    Raises:
        ValueError: stretches of `patch` do not fill the waveform, or a front-end is given.

    Example:

    ```python
    backbone = keras_vssl.backbones.WaveViT.from_preset("vatt_audio_base")
    backbone(np.zeros((1, 153600), "float32")).shape  # (1, 1, 1, 768)
    ```

    Reference:
        [Akbari et al. NeurIPS 2021](https://arxiv.org/abs/2104.11178) (VATT), Sec. 3, and official
        code; without its dropout.
    """

    size_arguments = ("samples",)

    def __init__(
        self,
        width=768,
        depth=12,
        heads=12,
        mlp_width=None,
        patch=128,
        samples=153_600,
        epsilon=1e-6,
        sound=None,
        dtype=None,
        **kwargs,
    ):
        if kwargs.pop("front_end", None) is not None:
            raise ValueError("WaveViT takes samples as they are: leave `front_end` out.")
        count, rest = divmod(int(samples), int(patch))
        if rest or not count:
            raise ValueError(
                f"Expected a number of samples that stretches of {patch} fill, received {samples}."
            )
        inputs = keras.Input((int(samples),), name="waveform")
        x = layers.Reshape((count, int(patch)), name="stretches", dtype=dtype)(inputs)
        x = layers.Dense(width, name="patch_embed", dtype=dtype)(x)
        x = AxisPositions((count,), epsilon, name="positions", dtype=dtype)(x)
        x = ClassToken(name="class_token", dtype=dtype)(x)
        endpoints = {"embedded": x}
        for index in range(depth):
            name = f"block{index + 1}"
            block = TransformerBlock(
                width, heads, mlp_width, epsilon=epsilon, name=name, dtype=dtype
            )
            endpoints[name] = x = block(x)
        norm = layers.LayerNormalization(epsilon=epsilon, name="norm", dtype=dtype)
        endpoints["norm"] = x = norm(x)
        endpoints["map"] = x[:, :1, None]
        sound = {"rate": 48000, **(sound or {})}
        super().__init__(inputs, endpoints, width, sound=sound, dtype=dtype, **kwargs)
        self.width, self.depth, self.heads = int(width), int(depth), int(heads)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.patch, self.samples, self.epsilon = int(patch), int(samples), float(epsilon)

    def position_tables(self):
        """See `Backbone.position_tables`."""
        (table,) = self.get_layer("positions").tables
        return {table.path: TableGrid((self.samples // self.patch,), 0, "spline")}

    def get_config(self):
        config = {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "patch": self.patch,
            "samples": self.samples,
            "epsilon": self.epsilon,
        }
        return {name: value for name, value in config.items() if name != "front_end"}
