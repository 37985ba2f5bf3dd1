"""AV-HuBERT's encoder of lips and sound."""

import keras
from keras import layers, ops

from keras_vssl.backbones.audio_visual_backbone import AudioVisualBackbone
from keras_vssl.layers.conv_positions import ConvPositions
from keras_vssl.layers.masking_embedding import MaskEmbedding
from keras_vssl.layers.transformer import TransformerBlock

EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="keras_vssl")
class AVHuBERTEncoder(AudioVisualBackbone):
    """Lips and filter banks, frame by frame, fused before one transformer.

    Each stream is mapped to the transformer's width; the two are put side by side, sound first,
    normalised and mapped to that width again. A wide convolution adds positions, then pre-norm
    blocks follow.

    | | width | heads | mlp_width | depth |
    |---|---|---|---|---|
    | Base | 768 | 12 | 3072 | 12 |
    | Large | 1024 | 16 | 4096 | 24 |

    The input is a dict of

    - `"clips"`: grey mouths `[B, T, H, W, 1]`, 25 frames a second;
    - `"audio"`: `[B, T, F]`, as `keras_vssl.layers.StackedFilterbanks` makes it of sound;
    - `"valid"` (optional): `[B, T]`, nonzero for the frames that are no padding; the others are
      zero before the positions and nothing attends to them;
    - `"masked"` (optional): `[B, T]`, nonzero for the frames that a learned vector replaces;
    - `"present"` (optional): `[B, 2]`, factors of the sound's and of the clip's projected features.

    One of the first two may be left out: its projected features are zero then, as in AV-HuBERT's
    use of a single stream. The output is `[B, T, width]`.

    Endpoints: `audio_projected`, `video_projected`, `fused` `[B, T, 2 width]`, `projected`,
    `embedded` (masked, padding zero), `positions`, `block1`, `block2` and so on, `features` (after the last normalisation). Features
    for clustering are those of a block.

    Args:
        frame_network: a `LipResNet` with `pooled=True`, or its configuration.
        width, heads, mlp_width: see `TransformerBlock`.
        depth: int, blocks.
        audio_dim: int, values of a frame of sound: 26 filters of 4 steps.
        mask_audio: bool, the learned vector replaces frames of sound, before their projection (the
            last iteration of AV-HuBERT, which masks pictures by others of the clip: do that to
            the clips); else fused features.
        position_kernel, position_groups: see `ConvPositions`.
        dropout: float, of the fused features in training.
        dtype: dtype or dtype policy of all but the front end.

    Raises:
        ValueError: the front end's output is no sequence, or both streams are missing.

    Example:

    ```python
    encoder = keras_vssl.backbones.AVHuBERTEncoder.from_preset("av_hubert_base")
    clips = np.zeros((1, 25, 88, 88, 1), "uint8")
    encoder({"clips": clips, "audio": np.zeros((1, 25, 104), "float32")}).shape  # (1, 25, 768)
    encoder({"clips": clips}).shape  # lips alone: (1, 25, 768)
    ```

    Reference:
        [Shi et al. ICLR 2022](https://arxiv.org/abs/2201.02184)
    """

    def __init__(
        self,
        frame_network,
        width=768,
        heads=12,
        mlp_width=None,
        depth=12,
        audio_dim=104,
        mask_audio=False,
        position_kernel=128,
        position_groups=16,
        dropout=0.0,
        dtype=None,
        **kwargs,
    ):
        if isinstance(frame_network, dict):
            frame_network = keras.saving.deserialize_keras_object(frame_network)
        if len(frame_network.output.shape) != 3:
            raise ValueError(
                f"Expected a front end with an output [B, T, C], received one of "
                f"{tuple(frame_network.output.shape)}; a LipResNet needs pooled=True."
            )
        inputs = {
            "clips": keras.Input(frame_network.input.shape[1:], name="clips"),
            "audio": keras.Input((None, audio_dim), name="audio"),
            "valid": keras.Input((None,), name="valid", dtype="int32"),
            "masked": keras.Input((None,), name="masked", dtype="int32"),
            "present": keras.Input((2,), name="present"),
        }
        mask = MaskEmbedding(name="mask", dtype=dtype)
        sound = inputs["audio"]
        if mask_audio:
            sound = mask(sound, inputs["masked"])
        sound = layers.Dense(width, name="audio_proj", dtype=dtype)(sound)
        lips = layers.Dense(width, name="video_proj", dtype=dtype)(frame_network(inputs["clips"]))
        endpoints = {"audio_projected": sound, "video_projected": lips}
        factors = layers.Reshape((2, 1), name="factors", dtype=dtype)(inputs["present"])
        sound = layers.Multiply(name="audio_present", dtype=dtype)([sound, factors[:, :1]])
        lips = layers.Multiply(name="video_present", dtype=dtype)([lips, factors[:, 1:]])
        x = layers.Concatenate(name="fused", dtype=dtype)([sound, lips])
        endpoints["fused"] = x
        x = layers.LayerNormalization(epsilon=EPSILON, name="fused_norm", dtype=dtype)(x)
        endpoints["projected"] = x = layers.Dense(width, name="proj", dtype=dtype)(x)
        if dropout:
            x = layers.Dropout(dropout, name="dropout", dtype=dtype)(x)
        if not mask_audio:
            x = mask(x, inputs["masked"])
        valid = layers.Reshape((-1, 1), name="valid_frames", dtype=dtype)(inputs["valid"])
        x = layers.Multiply(name="embedded", dtype=dtype)([x, ops.cast(valid, x.dtype)])
        endpoints["embedded"] = x
        positions = ConvPositions(
            width, position_kernel, position_groups, name="positions", dtype=dtype
        )
        endpoints["positions"] = x = positions(x)
        key_mask = ops.not_equal(inputs["valid"], 0)
        for index in range(1, depth + 1):
            block = TransformerBlock(
                width, heads, mlp_width, epsilon=EPSILON, name=f"block{index}", dtype=dtype
            )
            endpoints[f"block{index}"] = x = block(x, key_mask=key_mask)
        norm = layers.LayerNormalization(epsilon=EPSILON, name="norm", dtype=dtype)
        endpoints["features"] = norm(x)
        super().__init__(inputs, endpoints, width, dtype=dtype, **kwargs)
        self.frame_network = frame_network
        self.width, self.heads, self.depth = int(width), int(heads), int(depth)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.audio_dim, self.mask_audio = int(audio_dim), bool(mask_audio)
        self.position_kernel, self.position_groups = int(position_kernel), int(position_groups)
        self.dropout = float(dropout)

    def prepare(self, inputs):
        """All five inputs as the graph takes them; what is left out is filled in."""
        if not isinstance(inputs, dict) or not {"clips", "audio"} & set(inputs):
            found = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                f'AVHuBERTEncoder takes a dict of "clips", "audio" or both, but received {found}.'
            )
        clips, audio = inputs.get("clips"), inputs.get("audio")
        lips = None if clips is None else self.frame_network.prepare(clips)
        steps = lips[:, :, 0, 0, :1] if audio is None else audio[:, :, :1]
        none = ops.zeros_like(steps, dtype="float32")  # [B, T, 1]
        ones = ops.ones_like(none[:, :, 0], dtype="int32")
        one, zero = ops.ones_like(none[:, 0]), none[:, 0]
        present = [zero if stream is None else one for stream in (audio, clips)]
        if lips is None:
            # The smallest picture that goes; its features count nothing.
            sizes = [size or 1 for size in self.frame_network.input.shape[2:]]
            lips = ops.tile(none[:, :, None, None], (1, 1, *sizes))
        if audio is None:
            audio = ops.tile(none, (1, 1, self.audio_dim))
        valid, masked = inputs.get("valid"), inputs.get("masked")
        factors = inputs.get("present")
        return {
            "clips": lips,
            "audio": audio,
            "valid": ones if valid is None else ops.cast(valid, "int32"),
            "masked": ops.zeros_like(ones) if masked is None else ops.cast(masked, "int32"),
            "present": ops.concatenate(present, -1) if factors is None else factors,
        }

    @property
    def example_shapes(self):
        """One usual input of both streams: a dict of name to shape."""
        clip = self.frame_network.example_shape
        return {"clips": clip, "audio": (clip[0], self.audio_dim)}

    def get_config(self):
        return {
            **super().get_config(),
            "frame_network": keras.saving.serialize_keras_object(self.frame_network),
            "width": self.width,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "depth": self.depth,
            "audio_dim": self.audio_dim,
            "mask_audio": self.mask_audio,
            "position_kernel": self.position_kernel,
            "position_groups": self.position_groups,
            "dropout": self.dropout,
        }
