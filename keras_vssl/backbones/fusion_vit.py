"""Two transformers, of clips and of sound, and joint blocks over the tokens of both (MAViL)."""

import keras
from keras import layers, ops

from keras_vssl.backbones.audio_visual_backbone import AudioVisualBackbone
from keras_vssl.layers.transformer import TransformerBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class FusionViT(AudioVisualBackbone):
    """An `AudioViT` and a `VideoViT` whose tokens meet in joint transformer blocks.

    The tokens of sound, then those of the clip, each with its class token, pass the joint blocks
    as one sequence without a mark of their modality. The feature is the mean of the sound's
    patches beside that of the clip's cubes, both without class tokens: `[B, 2 width]`.

    Endpoints: `audio_tokens` and `video_tokens` of the towers `[B, N, width]`; `fusion1` and so on
    of both in succession; `pooled`; with `normalize` `features`; with `classes` `logits`.

    Args:
        audio: `AudioViT`, or its serialised form.
        video: `VideoViT` with joint attention and the output "map", or its serialised form.
        fusion: int, joint blocks: MAViL's pre-training has 2, its fine-tuned network 3.
        heads: int or `None`: those of the video network.
        mlp_width: int or `None`: 4 times the width.
        normalize: bool, layer normalisation of the feature (fine-tuned networks).
        classes: int or `None`, a linear layer at the end: the output is logits then.
        epsilon: float, of layer normalisation.
        dtype: see `AudioVisualBackbone`.

    Attributes:
        audio, video: the two backbones.

    Raises:
        ValueError: the two networks differ in width.

    Example:

    ```python
    backbone = keras_vssl.backbones.FusionViT(
        keras_vssl.backbones.AudioViT.from_preset("mavil_audio"),
        keras_vssl.backbones.VideoViT.from_preset("mavil_video"),
    )
    clips, sound = np.zeros((1, 8, 224, 224, 3), "uint8"), np.zeros((1, 160000), "float32")
    backbone({"clips": clips, "audio": sound}).shape        # (1, 1536)
    ```

    Reference:
        [Huang et al. NeurIPS 2023](https://arxiv.org/abs/2212.08071) (MAViL). Layout and names as
        in the fine-tuned network that its authors published; nothing else of its code is public.
    """

    def __init__(
        self,
        audio,
        video,
        fusion=2,
        heads=None,
        mlp_width=None,
        normalize=False,
        classes=None,
        epsilon=1e-6,
        dtype=None,
        **kwargs,
    ):
        audio, video = _network(audio, dtype), _network(video, dtype)
        if audio.width != video.width:
            raise ValueError(
                f"Expected two networks of one width, but received {audio.width} for sound and "
                f"{video.width} for clips."
            )
        width = audio.width
        heads = video.heads if heads is None else int(heads)
        inputs = {
            "clips": keras.Input(video.inputs[0].shape[1:], name="clips"),
            "audio": keras.Input(audio.inputs[0].shape[1:], name="audio"),
        }
        last = "norm" if video.final_norm else f"block{video.depth}"
        endpoints = {
            "audio_tokens": audio.endpoint("tokens")(inputs["audio"]),
            "video_tokens": video.endpoint(last)(inputs["clips"]),
        }
        x = layers.Concatenate(axis=1, name="tokens", dtype=dtype)(list(endpoints.values()))
        for index in range(fusion):
            name = f"fusion{index + 1}"
            block = TransformerBlock(
                width, heads, mlp_width, epsilon=epsilon, name=name, dtype=dtype
            )
            x = endpoints[name] = block(x)
        count = endpoints["audio_tokens"].shape[1]
        parts = x[:, audio.extra_tokens : count], x[:, count + int(video.class_token) :]
        means = [ops.mean(ops.cast(part, "float32"), axis=1) for part in parts]
        x = endpoints["pooled"] = ops.concatenate(means, axis=-1)
        if normalize:
            norm = layers.LayerNormalization(epsilon=epsilon, name="head_norm", dtype="float32")
            x = endpoints["features"] = norm(x)
        if classes:
            endpoints["logits"] = layers.Dense(classes, name="head", dtype="float32")(x)
        super().__init__(inputs, endpoints, classes or 2 * width, dtype=dtype, **kwargs)
        self.audio, self.video = audio, video
        self.fusion, self.heads = int(fusion), heads
        self.mlp_width = 4 * width if mlp_width is None else int(mlp_width)
        self.normalize = bool(normalize)
        self.classes = None if classes is None else int(classes)
        self.epsilon = float(epsilon)

    def prepare_clips(self, clips):
        return self.video.prepare(clips)

    def prepare_audio(self, audio):
        return self.audio.prepare(audio)

    def get_config(self):
        return {
            **super().get_config(),
            "audio": keras.saving.serialize_keras_object(self.audio),
            "video": keras.saving.serialize_keras_object(self.video),
            "fusion": self.fusion,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "normalize": self.normalize,
            "classes": self.classes,
            "epsilon": self.epsilon,
        }


def _network(network, dtype):
    """A backbone, rebuilt where it comes serialised; then in the precision that is asked for."""
    if not isinstance(network, dict):
        return network
    config = dict(network["config"])
    if dtype is not None:
        config["dtype"] = dtype
    return keras.saving.deserialize_keras_object({**network, "config": config})
