"""The contract of a video backbone."""

import keras
from keras import ops

from keras_vssl.backbones.base import Backbone

# UCF101-era input: 16 consecutive frames, resized to 128 x 171, 112 x 112 crop.
DEFAULT_CLIP = {"frames": 16, "stride": 1, "resize": [128, 171], "size": 112}


class VideoBackbone(Backbone):
    """Base class of the networks that turn a clip into a feature map.

    The input is a clip `[B, T, H, W, C]`, channels last; C is 3 but for optical flow. uint8 pixels
    are scaled to [0, 1] and then normalised as `(x - mean) / std`; floating-point input is taken
    as already normalised.
    The output is the last feature map `[B, T', H', W', C]`.

    A subclass builds its graph, calls `__init__` with the endpoints in their order (the last one
    is the output unless `output` names another), and adds its own arguments to `get_config`.

    Args:
        inputs: the symbolic input.
        endpoints: dict of name to symbolic tensor, in the order of the network.
        feature_dim: int, channels of the output.
        clip: dict, the input that the network expects: `frames`, `stride` (in frames), `resize`
            (`[height, width]`, an int for the short side, or `None`) and `size` (the crop).
        mean: a float for each channel (3 for RGB), subtracted from pixels in [0, 1], or one float
            for all.
        std: the same, pixels are divided by them.
        dtype: dtype or dtype policy, e.g. `"mixed_bfloat16"`.

    Attributes:
        feature_dim: int, channels of the output.
        endpoints: dict of name to symbolic tensor.

    Example:

    ```python
    backbone = keras_vssl.backbones.R3D.from_preset("r3d_nano")
    clips = np.random.randint(0, 256, (2, 8, 48, 48, 3), dtype="uint8")
    backbone(clips).shape                    # (2, 1, 3, 3, 128)
    backbone.endpoint("layer2")(clips).shape # (2, 4, 12, 12, 32)
    ```
    """

    def __init__(
        self,
        inputs,
        endpoints,
        feature_dim,
        clip=None,
        mean=0.0,
        std=1.0,
        dtype=None,
        **kwargs,
    ):
        clip = {**DEFAULT_CLIP, **(clip or {})}
        if unknown := set(clip) - set(DEFAULT_CLIP):
            raise ValueError(
                f"`clip` takes the keys {sorted(DEFAULT_CLIP)}, but received {sorted(unknown)} too."
            )
        channels = inputs.shape[-1]
        mean, std = _per_channel("mean", mean, channels), _per_channel("std", std, channels)
        if min(std) <= 0:
            raise ValueError(f"`std` must be positive, but received {std}.")
        super().__init__(inputs, endpoints, feature_dim, dtype=dtype, **kwargs)
        self.clip = clip
        self.mean = mean
        self.std = std

    def prepare(self, inputs):
        """The same as `normalize`."""
        return self.normalize(inputs)

    def normalize(self, clips):
        """uint8 pixels as `(x / 255 - mean) / std` in float32; floating-point input unchanged."""
        dtype = keras.backend.standardize_dtype(clips.dtype)
        if dtype == "uint8":
            mean = ops.convert_to_tensor([255.0 * m for m in self.mean], "float32")
            scale = ops.convert_to_tensor([1.0 / (255.0 * s) for s in self.std], "float32")
            return (ops.cast(clips, "float32") - mean) * scale
        if "float" not in dtype:
            raise ValueError(
                f"A backbone takes uint8 pixels or normalised floating-point clips, but received "
                f"{dtype}; cast pixels to uint8."
            )
        return clips

    def standardize(self, clips):
        """Pixels in [0, 1] as `(x - mean) / std`, what a method's augmentation hands over."""
        if not any(self.mean) and set(self.std) == {1.0}:
            return clips
        mean = ops.cast(ops.convert_to_tensor(self.mean), clips.dtype)
        return (clips - mean) / ops.cast(ops.convert_to_tensor(self.std), clips.dtype)

    def get_config(self):
        clip = {
            key: list(value) if isinstance(value, (list, tuple)) else value
            for key, value in self.clip.items()
        }
        return {
            **super().get_config(),
            "clip": clip,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def embed(self, videos, clips=10, pooling="average", batch_size=8, **kwargs):
        """Features of videos: the mean over clips spread evenly over each video.

        Args:
            videos: one path (returns `[D]`), a list of paths or a `Videos` (returns `[N, D]`).
            clips: int, clips per video.
            pooling: `"average"` (global) or `"retrieval"` (max over 1x2x2, flattened; Xu et al.).
            batch_size: int, clips per forward pass.
            **kwargs: further arguments of `keras_vssl.downstream.embedding.embed`.
        """
        from keras_vssl.downstream.embedding import embed

        return embed(self, videos, clips=clips, pooling=pooling, batch_size=batch_size, **kwargs)


def initializer_config(initializer, default):
    """The configuration of a Keras initializer given by object, name, configuration or `None`.

    A configuration, not an object, so that every layer draws from an initializer of its own.
    """
    initializer = keras.initializers.get(default if initializer is None else initializer)
    return keras.initializers.serialize(initializer)


def _per_channel(name, values, channels):
    if isinstance(values, (int, float)):
        values = [values] * channels
    values = [float(value) for value in values]
    if len(values) != channels:
        raise ValueError(
            f"`{name}` takes one number for each of the clip's {channels} channels, or one for "
            f"all, but received {values}."
        )
    return values
