"""An image network on a short clip that is one image: O3N's encoder."""

import keras

from keras_vssl.backbones.backbone import VideoBackbone
from keras_vssl.layers.clip_images import DynamicImage, StackOfDifferences, SumOfDifferences

ENCODINGS = {
    "stack": StackOfDifferences,
    "sum": SumOfDifferences,
    "dynamic": DynamicImage,
}


@keras.saving.register_keras_serializable(package="keras_vssl")
class ClipImageNet(VideoBackbone):
    """Encodes a clip as one image of its differences, and runs a network on that.

    What does not move is 0 in the image, and the order of the frames is in its channels. The
    output is the network's map of one frame, `[B, 1, H', W', C]`.

    Endpoints: `image` `[B, 1, H, W, channels]`, `map`.

    Args:
        network: `VideoBackbone` on single frames of as many channels as the encoding has, or its
            serialised form: 3 for "sum" and "dynamic", 3 (T - 1) for "stack", T - 1 where grey.
        frames: int, T, frames of a clip.
        encoding: "stack" (of differences), "sum" (of weighted differences) or "dynamic" (image),
            see `keras_vssl.layers.StackOfDifferences`, `SumOfDifferences`, `DynamicImage`.
        grayscale: bool, "stack" only: differences of grey frames.
        clip, mean, std, dtype: see `VideoBackbone`. The differences forget the mean.

    Raises:
        ValueError: the network takes another number of channels.

    Example:

    ```python
    backbone = keras_vssl.backbones.ClipImageNet.from_preset("odd_one_out")
    backbone(np.zeros((1, 6, 224, 224, 3), "uint8")).shape  # (1, 1, 1, 1, 128)
    ```

    Reference:
        [Fernando et al. CVPR 2017](https://arxiv.org/abs/1611.06646), Sec. 3.2
    """

    def __init__(
        self, network, frames=6, encoding="stack", grayscale=False, clip=None, dtype=None, **kwargs
    ):
        if isinstance(network, dict):
            config = dict(network["config"])
            if dtype is not None:
                config["dtype"] = dtype
            network = keras.saving.deserialize_keras_object({**network, "config": config})
        if encoding not in ENCODINGS:
            raise ValueError(
                f"Expected an encoding among {tuple(ENCODINGS)}, received {encoding!r}."
            )
        if grayscale and encoding != "stack":
            raise ValueError('Expected grayscale=True with encoding="stack" only.')
        options = {"grayscale": True} if grayscale else {}
        layer = ENCODINGS[encoding](name="image", dtype=dtype, **options)
        height, width, channels = network.inputs[0].shape[2:]
        if channels != layer.channels(frames):
            raise ValueError(
                f"Expected a network on {layer.channels(frames)} channels, which {encoding!r} makes "
                f"of {frames} frames, received one on {channels}."
            )
        inputs = keras.Input((int(frames), height, width, 3), name="clip")
        image = layer(inputs)
        endpoints = {"image": image, "map": network(image)}
        clip = {**network.clip, **(clip or {}), "frames": int(frames)}
        super().__init__(inputs, endpoints, network.feature_dim, clip=clip, dtype=dtype, **kwargs)
        self.network, self.frames = network, int(frames)
        self.encoding, self.grayscale = encoding, bool(grayscale)

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "frames": self.frames,
            "encoding": self.encoding,
            "grayscale": self.grayscale,
        }
