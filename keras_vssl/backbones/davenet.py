"""ResDAVEnet: convolutions along time over all bands of a spectrogram at once."""

import keras
from keras import layers, ops

from keras_vssl.backbones.audio_backbone import AudioBackbone


@keras.saving.register_keras_serializable(package="keras_vssl")
class DAVEnet(AudioBackbone):
    """A residual network of one dimension, as Everything at Once hears.

    A convolution spans all bands of one frame; stages of residual blocks of kernels along time
    follow, each of which halves time. The output is the map `[B, T / 64, 1, C]` of six stages.

    Endpoints: `stem`, `layer1` and so on, `[B, t, C]`; `map`, the output.

    Args:
        widths: ints, channels of the stem and of each stage.
        blocks: ints, blocks of each stage.
        kernel: odd int, frames that a block's convolutions span.
        bands: int, of the spectrogram.
        epsilon: float, of batch normalisation.
        front_end, sound, dtype: see `AudioBackbone`.

    Raises:
        ValueError: there are not as many `blocks` as stages.

    Example:

    ```python
    backbone = keras_vssl.backbones.DAVEnet.from_preset("davenet_everything_at_once")
    backbone(np.zeros((1, 1024, 40), "float32")).shape  # (1, 16, 1, 4096)
    ```

    Reference:
        - [Harwath et al. ICLR 2020](https://arxiv.org/abs/1911.09602) (ResDAVEnet)
        - [Shvetsova et al. CVPR 2022](https://arxiv.org/abs/2112.04446) (Everything at Once)
    """

    def __init__(
        self,
        widths=(128, 128, 256, 512, 1024, 2048, 4096),
        blocks=(2, 2, 1, 1, 1, 1),
        kernel=9,
        bands=40,
        epsilon=1e-5,
        front_end=None,
        sound=None,
        dtype=None,
        **kwargs,
    ):
        if len(widths) != len(blocks) + 1:
            raise ValueError(
                f"Expected a width for the stem and one for each of {len(blocks)} stages, received "
                f"{tuple(widths)}."
            )

        def conv(x, channels, size, stride, name):
            if size > 1:
                pad = layers.ZeroPadding1D(size // 2, name=f"{name}_pad", dtype=dtype)
                x = pad(x)
            return layers.Conv1D(channels, size, stride, use_bias=False, name=name, dtype=dtype)(x)

        def norm(x, name):
            return layers.BatchNormalization(momentum=0.9, epsilon=epsilon, name=name, dtype=dtype)(
                x
            )

        def relu(x, name):
            return layers.ReLU(name=name, dtype=dtype)(x)

        inputs = keras.Input((None, bands), name="spectrogram")
        x = relu(norm(conv(inputs, widths[0], 1, 1, "stem"), "stem_bn"), "stem_relu")
        endpoints = {"stem": x}
        for stage, (width, count) in enumerate(zip(widths[1:], blocks), start=1):
            for block in range(count):
                name, stride = f"layer{stage}_{block}", 1 if block else 2
                y = norm(conv(x, width, kernel, stride, f"{name}_conv1"), f"{name}_bn1")
                y = conv(relu(y, f"{name}_relu1"), width, kernel, 1, f"{name}_conv2")
                y = norm(y, f"{name}_bn2")
                if stride > 1 or x.shape[-1] != width:
                    x = conv(x, width, 1, stride, f"{name}_shortcut")
                    x = norm(x, f"{name}_shortcut_bn")
                y = layers.Add(name=f"{name}_add", dtype=dtype)([x, y])
                x = relu(y, f"{name}_relu2")
            endpoints[f"layer{stage}"] = x
        endpoints["map"] = ops.expand_dims(x, 2)
        super().__init__(
            inputs, endpoints, x.shape[-1], front_end=front_end, sound=sound, dtype=dtype, **kwargs
        )
        self.widths, self.blocks = tuple(map(int, widths)), tuple(map(int, blocks))
        self.kernel, self.bands, self.epsilon = int(kernel), int(bands), float(epsilon)

    def get_config(self):
        return {
            **super().get_config(),
            "widths": list(self.widths),
            "blocks": list(self.blocks),
            "kernel": self.kernel,
            "bands": self.bands,
            "epsilon": self.epsilon,
        }
