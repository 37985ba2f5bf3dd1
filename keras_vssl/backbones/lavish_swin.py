"""LAVISH on a frozen Swin Transformer V2."""

import keras
from keras import ops

from keras_vssl.backbones.lavish import (
    LavishBackbone,
    adapter_options,
    classify,
    pair_inputs,
    pictures,
    segments,
)
from keras_vssl.backbones.swin import SwinLayers
from keras_vssl.layers.adapters import AdaptedBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class LavishSwin(LavishBackbone):
    """A frozen Swin V2 on one frame and one spectrogram a second, with adapters between both.

    As `LavishViT`, on pictures of one size, in four stages. The streams' features are the means
    of their tokens, the clips' first (`LavishViT`: class tokens, the sound's first).

    Endpoints: `clip_tokens` and `audio_tokens`, embedded, `[B T, N, width]`; `feature` `[B, T,
    16 width]`; with `classes` `probabilities` `[B, T, classes]`.

    Args:
        width, depths, heads, window, patch, mlp_ratio, epsilon: see `SwinV2`.
        adapter, audio_adapter, classes, hidden: see `LavishViT`.
        clip_shape: `(T, H, W, 3)`, a frame a segment.
        sound_shape: (rows, columns), time and bands of a segment's spectrogram, as large as the
            frames: that of `LogMelSpectrogram.from_name("lavish-swin", rate=...)`.
        mean, std, dtype: see `VideoBackbone`.

    Call arguments:
        inputs: dict of "clips" `[B, T, H, W, 3]` and "audio" `[B, T, rows, columns]`.

    Raises:
        ValueError: frames and spectrograms differ in size.

    Example:

    ```python
    backbone = keras_vssl.backbones.LavishSwin.from_preset("lavish_swin_v2_large")
    clips = np.zeros((1, 10, 192, 192, 3), "uint8")
    sound = np.zeros((1, 10, 192, 192), "float32")
    backbone({"clips": clips, "audio": sound}).shape  # (1, 10, 29)
    ```

    Reference:
        [Lin et al. CVPR 2023](https://arxiv.org/abs/2212.07983), Sec. 3 and 4.
    """

    def __init__(
        self,
        width=192,
        depths=(2, 2, 18, 2),
        heads=(6, 12, 24, 48),
        window=12,
        patch=4,
        mlp_ratio=4.0,
        adapter=None,
        audio_adapter=None,
        classes=None,
        hidden=512,
        epsilon=1e-5,
        clip_shape=(10, 192, 192, 3),
        sound_shape=(192, 192),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        dtype=None,
        **kwargs,
    ):
        clip_shape, sound_shape = segments(clip_shape, sound_shape)
        if clip_shape[1:3] != sound_shape:
            raise ValueError(
                f"Expected frames and spectrograms of one size, because both pass the same "
                f"windows, received {clip_shape[1:3]} and {sound_shape}."
            )
        inputs = pair_inputs(clip_shape, sound_shape)
        parts = SwinLayers(
            width, depths, heads, window, sound_shape, None, patch, mlp_ratio, 0.0, epsilon, dtype
        )
        clip, sound = (
            parts.embed_norm(parts.embed(pictures(inputs[name], patch)))
            for name in ("clips", "audio")
        )
        endpoints = {"clip_tokens": clip, "audio_tokens": sound}
        options = adapter_options(adapter, audio_adapter)
        adapted = []
        for blocks, merge, _ in parts.stages:
            for block in blocks:
                name = f"adapted{len(adapted) + 1}"
                adapted.append(AdaptedBlock(block, *options, name=name, dtype=dtype))
                clip, sound = adapted[-1](clip, sound)
            if merge is not None:
                clip, sound = merge(clip), merge(sound)
        means = [ops.mean(ops.cast(parts.norm(x), "float32"), axis=1) for x in (clip, sound)]
        feature = ops.concatenate(means, axis=-1)
        dim = classify(feature, endpoints, clip_shape[0], classes, hidden)
        frozen = parts.all()
        super().__init__(
            inputs,
            endpoints,
            dim,
            frozen,
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
        self.width, self.depths, self.heads = int(width), tuple(depths), tuple(heads)
        self.window, self.patch, self.mlp_ratio = int(window), int(patch), float(mlp_ratio)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "depths": list(self.depths),
            "heads": list(self.heads),
            "window": self.window,
            "patch": self.patch,
            "mlp_ratio": self.mlp_ratio,
        }
