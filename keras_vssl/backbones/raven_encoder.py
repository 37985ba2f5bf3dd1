"""RAVEn's encoders of lips and of voices."""

import keras
from keras import layers, ops

from keras_vssl.backbones.base import Backbone
from keras_vssl.layers.relative_attention import EPSILON, RelativeBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class RAVEnEncoder(Backbone):
    """A front end of frames, and a transformer with relative positions behind it.

    RAVEn has two of them, one on grey clips of mouths and one on raw sound, both of 25 features a
    second. Features are mapped to the transformer's width and multiplied by its root; positions are
    never added, the attention knows offsets alone.

    | | width | heads | mlp_width | depth | drop_path |
    |---|---|---|---|---|---|
    | Base | 512 | 8 | 2048 | 12 | 0 |
    | Large | 1024 | 16 | 4096 | 24 | 0.1 |

    The input is what the front end takes; or a dict of `"inputs"`, the same, and `"valid"`
    `[B, T]`, nonzero for the frames that are no padding: nothing attends to the others. The output
    is `[B, T, width]`. Batch normalisation, in the front end and before every perceptron, counts
    padded frames in training.

    Endpoints: `frame_features` `[B, T, C]`, `embed`, `block1`, `block2` and so on, `features` (after the
    last normalisation).

    Args:
        frame_network: a `LipResNet` with `pooled=True`, a `WaveResNet`, or its configuration.
        width, heads, mlp_width, drop_path: see `RelativeBlock`.
        depth: int, blocks.
        dtype: dtype or dtype policy of the transformer.

    Raises:
        ValueError: the front end's output is no sequence, or the heads don't divide the width.

    Example:

    ```python
    encoder = keras_vssl.backbones.RAVEnEncoder.from_preset("raven_audio_base")
    encoder(np.zeros((1, 16000), "float32")).shape  # 1 s at 16 kHz: (1, 25, 512)
    ```

    Reference:
        - [Haliassos et al. ICLR 2023](https://arxiv.org/abs/2212.06246)
        - [Haliassos et al. ICASSP 2024](https://arxiv.org/abs/2404.02098) (BRAVEn)
    """

    def __init__(
        self,
        frame_network,
        width=512,
        heads=8,
        mlp_width=None,
        depth=12,
        drop_path=0.0,
        dtype=None,
        **kwargs,
    ):
        if isinstance(frame_network, dict):
            frame_network = keras.saving.deserialize_keras_object(frame_network)
        shape = frame_network.output.shape
        if len(shape) != 3 and not (len(shape) == 4 and shape[2] == 1):
            raise ValueError(
                f"Expected a front end with an output [B, T, C] or [B, T, 1, C], received one of "
                f"{tuple(shape)}; a LipResNet needs pooled=True."
            )
        inputs = {
            "inputs": keras.Input(frame_network.input.shape[1:], name="inputs"),
            "valid": keras.Input((None,), name="valid", dtype="int32"),
        }
        x = frame_network(inputs["inputs"])
        x = layers.Reshape((-1, shape[-1]), name="frame_features", dtype=dtype)(x)
        endpoints = {"frame_features": x}
        x = layers.Dense(width, name="embed", dtype=dtype)(x)
        x = layers.Rescaling(float(width) ** 0.5, name="scaled", dtype=dtype)(x)
        endpoints["embed"] = x
        for index in range(1, depth + 1):
            block = RelativeBlock(
                width,
                heads,
                mlp_width,
                drop_path=drop_path,
                name=f"block{index}",
                dtype=dtype,
            )
            endpoints[f"block{index}"] = x = block(x, valid=inputs["valid"])
        norm = layers.LayerNormalization(epsilon=EPSILON, name="norm", dtype=dtype)
        endpoints["features"] = norm(x)
        super().__init__(inputs, endpoints, width, dtype=dtype, **kwargs)
        # The mask may be left out; `prepare` makes one.
        self.input_spec = None
        self.frame_network = frame_network
        self.width, self.heads, self.depth = int(width), int(heads), int(depth)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.drop_path = float(drop_path)

    def prepare(self, inputs):
        """The front end's input, prepared as it does, and a mask: everything unless it is given."""
        valid = None
        if isinstance(inputs, dict):
            if "inputs" not in inputs:
                raise ValueError(
                    f'RAVEnEncoder takes a clip or a waveform, or a dict of "inputs" and "valid", '
                    f"but received one of {sorted(inputs)}."
                )
            inputs, valid = inputs["inputs"], inputs.get("valid")
        x = self.frame_network.prepare(inputs)
        if valid is None:
            # One for every frame; a waveform has a frame for each hop of samples.
            hop = getattr(self.frame_network, "hop", 1)
            first = x[(slice(None), slice(None), *[0] * (len(x.shape) - 2))]
            valid = ops.ones_like(first[:, hop - 1 :: hop], dtype="int32")
        return {"inputs": x, "valid": ops.cast(valid, "int32")}

    @property
    def example_shapes(self):
        """One usual input, without its mask: a dict of name to shape."""
        return {"inputs": self.frame_network.example_shape}

    def get_config(self):
        return {
            **super().get_config(),
            "frame_network": keras.saving.serialize_keras_object(self.frame_network),
            "width": self.width,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "depth": self.depth,
            "drop_path": self.drop_path,
        }
