"""LAVISH: one frozen image transformer for pictures and spectrograms, joined by adapters."""

import keras
from keras import layers, ops

from keras_vssl.backbones.audio_visual_backbone import AudioVisualBackbone
from keras_vssl.backbones.backbone import VideoBackbone
from keras_vssl.layers.adapters import AdaptedBlock
from keras_vssl.layers.patches import TubeletEmbedding
from keras_vssl.layers.positions import ClassToken
from keras_vssl.layers.tokens import StretchedPositions
from keras_vssl.layers.transformer import TransformerBlock


class LavishBackbone(AudioVisualBackbone):
    """What LAVISH's networks share: segments as pictures, adapted blocks, the classifier.

    A subclass gives the frozen layers, in the order they are called, and the two streams'
    features of each segment.

    Args:
        inputs, endpoints, feature_dim, dtype: see `AudioVisualBackbone`.
        frozen: list of the layers whose weights are those of the image transformer.
        adapter, audio_adapter, classes, hidden, epsilon, clip_shape, sound_shape: see `LavishViT`.
        mean, std: 3 floats each, see `VideoBackbone`.
    """

    def __init__(
        self,
        inputs,
        endpoints,
        feature_dim,
        frozen,
        *,
        adapter,
        audio_adapter,
        classes,
        hidden,
        epsilon,
        clip_shape,
        sound_shape,
        mean,
        std,
        dtype=None,
        **kwargs,
    ):
        super().__init__(inputs, endpoints, feature_dim, dtype=dtype, **kwargs)
        self.adapter, self.audio_adapter = dict(adapter or {}), dict(audio_adapter or {})
        self.classes, self.hidden = classes, int(hidden)
        self.epsilon = float(epsilon)
        self.clip_shape, self.sound_shape = clip_shape, sound_shape
        self.mean, self.std = [float(v) for v in mean], [float(v) for v in std]
        for layer in frozen:
            layer.trainable = False

    prepare_clips = VideoBackbone.normalize

    def get_config(self):
        return {
            **super().get_config(),
            "adapter": dict(self.adapter),
            "audio_adapter": dict(self.audio_adapter),
            "classes": self.classes,
            "hidden": self.hidden,
            "epsilon": self.epsilon,
            "clip_shape": list(self.clip_shape),
            "sound_shape": list(self.sound_shape),
            "mean": list(self.mean),
            "std": list(self.std),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class LavishViT(LavishBackbone):
    """A frozen ViT on one frame and one spectrogram a second, with adapters between both.

    Every segment's frame and spectrogram (as a grey picture) pass the same blocks. Around each
    attention and each perceptron, an adapter of either stream adds what it takes from the other
    (`keras_vssl.layers.AdaptedBlock`). Only adapters and the classifier are trained.

    Endpoints: `clip_tokens` and `audio_tokens`, embedded, `[B T, N, width]` with the class token
    first; `feature`, both class tokens after the blocks, sound first, `[B, T, 2 width]`; with
    `classes` `probabilities` `[B, T, classes]`.

    Args:
        width, depth, heads: ints, of the ViT.
        mlp_width: int or `None`: 4 times the width.
        patch: int.
        positions: int or `None`, rows of the position table with the class token's; a stream of
            another length gets it stretched. Default: those of the frames.
        adapter: dict of arguments of `keras_vssl.layers.LatentAdapter`, for all adapters.
        audio_adapter: dict, what the sound's adapters have different, e.g. `{"gate": False}`.
        classes: int or `None`: the output is the feature then.
        hidden: int, of the classifier's inner layer; there is no activation after it.
        epsilon: float, of the ViT's layer normalisations.
        clip_shape: `(T, H, W, 3)`, a frame a segment.
        sound_shape: (rows, columns), time and bands of a segment's spectrogram: that of
            `LogMelSpectrogram.from_name("lavish-vit", rate=...)`.
        mean, std, dtype: see `VideoBackbone`.

    Call arguments:
        inputs: dict of "clips" `[B, T, H, W, 3]` and "audio" `[B, T, rows, columns]`.

    Example:

    ```python
    backbone = keras_vssl.backbones.LavishViT.from_preset("lavish_vit_base")
    clips = np.zeros((1, 10, 224, 224, 3), "uint8")
    sound = np.zeros((1, 10, 102, 128), "float32")
    backbone({"clips": clips, "audio": sound}).shape  # (1, 10, 29)
    ```

    Reference:
        [Lin et al. CVPR 2023](https://arxiv.org/abs/2212.07983), Sec. 3. The published code skips
        blocks before `start_tune_layers` (0 in its recipes) altogether; here all blocks run.
    """

    def __init__(
        self,
        width=768,
        depth=12,
        heads=12,
        mlp_width=None,
        patch=16,
        positions=None,
        adapter=None,
        audio_adapter=None,
        classes=None,
        hidden=512,
        epsilon=1e-6,
        clip_shape=(10, 224, 224, 3),
        sound_shape=(102, 128),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        dtype=None,
        **kwargs,
    ):
        clip_shape, sound_shape = segments(clip_shape, sound_shape)
        inputs = pair_inputs(clip_shape, sound_shape)
        embed = TubeletEmbedding(width, (1, patch, patch), name="patch_embed", dtype=dtype)
        token = ClassToken(name="class_token", dtype=dtype)
        table = StretchedPositions(
            positions or 1 + (clip_shape[1] // patch) * (clip_shape[2] // patch),
            name="positions",
            dtype=dtype,
        )
        clip, sound = (
            table(token(embed(picture)))
            for picture in (
                pictures(inputs["clips"], patch),
                pictures(inputs["audio"], patch),
            )
        )
        endpoints = {"clip_tokens": clip, "audio_tokens": sound}
        options = adapter_options(adapter, audio_adapter)
        blocks = []
        for index in range(depth):
            block = TransformerBlock(
                width, heads, mlp_width, epsilon=epsilon, name=f"block{index + 1}", dtype=dtype
            )
            adapted = AdaptedBlock(block, *options, name=f"adapted{index + 1}", dtype=dtype)
            clip, sound = adapted(clip, sound)
            blocks.append(block)
        norm = layers.LayerNormalization(epsilon=epsilon, name="norm", dtype=dtype)
        feature = ops.concatenate([norm(sound)[:, 0], norm(clip)[:, 0]], axis=-1)
        dim = classify(feature, endpoints, clip_shape[0], classes, hidden)
        super().__init__(
            inputs,
            endpoints,
            dim,
            [embed, token, table, *blocks, norm],
            adapter=adapter,
            audio_adapter=audio_adapter,
            classes=classes,
            hidden=hidden,
            epsilon=epsilon,
            clip_shape=clip_shape,
            sound_shape=sound_shape,
            mean=mean,
            std=std,
            dtype=dtype,
            **kwargs,
        )
        self.width, self.depth, self.heads = int(width), int(depth), int(heads)
        self.mlp_width = 4 * self.width if mlp_width is None else int(mlp_width)
        self.patch, self.positions = int(patch), table.count

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "mlp_width": self.mlp_width,
            "patch": self.patch,
            "positions": self.positions,
        }


def segments(clip_shape, sound_shape):
    """Both shapes as tuples, checked."""
    clip_shape, sound_shape = tuple(clip_shape), tuple(sound_shape)
    if len(clip_shape) != 4 or len(sound_shape) != 2 or None in (*clip_shape, *sound_shape):
        raise ValueError(
            f"Expected a fixed clip_shape (T, H, W, 3), a frame a segment, and a sound_shape (rows, "
            f"columns), received {clip_shape} and {sound_shape}."
        )
    return clip_shape, sound_shape


def pair_inputs(clip_shape, sound_shape):
    return {
        "clips": keras.Input(clip_shape, name="clips"),
        "audio": keras.Input((clip_shape[0], *sound_shape), name="audio"),
    }


def pictures(x, patch):
    """Frames `[B, T, H, W, 3]` or spectrograms `[B, T, H, W]` as clips `[B T, 1, H', W', 3]`.

    What is left over beyond whole patches is cut off, as a strided convolution leaves it unseen.
    """
    high, wide = (size - size % patch for size in x.shape[2:4])
    x = x[:, :, :high, :wide]
    if len(x.shape) == 4:
        x = ops.stack([x] * 3, axis=-1)
    return ops.reshape(x, (-1, 1, high, wide, 3))


def adapter_options(adapter, audio_adapter):
    """The arguments of the clips' and of the sound's adapters."""
    return dict(adapter or {}), {**(adapter or {}), **(audio_adapter or {})}


def classify(feature, endpoints, times, classes, hidden):
    """Adds `feature` and, with classes, `probabilities` to the endpoints; their width."""
    width = feature.shape[-1]
    feature = ops.reshape(ops.cast(feature, "float32"), (-1, times, width))
    endpoints["feature"] = feature
    if not classes:
        return width
    x = layers.Dense(hidden, name="head1", dtype="float32")(feature)
    x = layers.Dense(classes, name="head2", dtype="float32")(x)
    endpoints["probabilities"] = ops.softmax(x, axis=-1)
    return classes
