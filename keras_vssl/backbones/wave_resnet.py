"""ResNet-18 on the samples of a waveform."""

import keras
from keras import layers

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.backbones.backbone import initializer_config
from keras_vssl.backbones.lip_resnet import ACTIVATIONS, activate, residual_stages
from keras_vssl.backbones.presets import KAIMING_FAN_OUT
from keras_vssl.backbones.residual import check_choice, four_counts
from keras_vssl.layers.frames import WholeFrames
from keras_vssl.layers.normalization import BatchNormalization

# The stem's stride and the stages': samples of a step of the last map.
_STRIDE = 4 * 2 * 2 * 2


@keras.saving.register_keras_serializable(package="keras_vssl")
class WaveResNet(AudioBackbone):
    """A 1-D ResNet on raw 16 kHz samples: RAVEn's audio front end.

    A convolution of 80 samples with stride 4, four stages of basic blocks of which three halve the
    rate, and a mean over `pool` steps: with 20, one feature for 640 samples, 25 a second, as many
    as a clip of 25 frames a second has. The waveform is cut to a multiple of that first. The output
    is `[B, T, 1, C]`.

    Endpoints: `stem` (after its activation), `layer1` to `layer4` (each `[B, n, C]`), `features`.

    Args:
        activation: "swish" (RAVEn), "prelu" or "relu".
        pool: int, steps of the last stage that make a feature: 20 for 25 Hz, 10 for 50 Hz.
        width: int, outputs of the stem and the first stage; doubled by each further stage.
        blocks: four ints, basic blocks of each stage.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        samples: int, or `None` for a length that may vary.
        sound, dtype: see `AudioBackbone`. There is no front-end.

    Raises:
        ValueError: an unknown activation, or not four counts of blocks.

    Example:

    ```python
    backbone = keras_vssl.backbones.WaveResNet.from_preset("wave_resnet_18")
    backbone(np.zeros((1, 16000), "float32")).shape  # 1 s at 16 kHz: (1, 25, 1, 512)
    ```

    Reference:
        [Haliassos et al. ICLR 2023](https://arxiv.org/abs/2212.06246)
    """

    def __init__(
        self,
        activation="swish",
        pool=20,
        width=64,
        blocks=(2, 2, 2, 2),
        epsilon=1e-5,
        kernel_initializer=None,
        samples=None,
        sound=None,
        dtype=None,
        **kwargs,
    ):
        check_choice("activation", activation, *ACTIVATIONS)
        if kwargs.pop("front_end", None) is not None:
            raise ValueError("WaveResNet takes samples as they are: leave `front_end` out.")
        blocks = four_counts(blocks)
        initializer = initializer_config(kernel_initializer, KAIMING_FAN_OUT)
        inputs = keras.Input((samples,), name="waveform")
        x = WholeFrames(_STRIDE * pool, name="whole_frames", dtype=dtype)(inputs)
        x = layers.Reshape((-1, 1), name="signal", dtype=dtype)(x)
        x = layers.ZeroPadding1D(38, name="stem_pad", dtype=dtype)(x)
        x = layers.Conv1D(
            width,
            80,
            4,
            use_bias=False,
            kernel_initializer=keras.initializers.get(initializer),
            name="stem",
            dtype=dtype,
        )(x)
        x = BatchNormalization(epsilon=epsilon, name="stem_bn", dtype=dtype)(x)
        endpoints = {"stem": activate(x, activation, "stem_act", dtype)}
        endpoints |= residual_stages(
            endpoints["stem"], 1, width, blocks, activation, epsilon, initializer, dtype
        )
        x = layers.AveragePooling1D(pool, name="pool", dtype=dtype)(endpoints["layer4"])
        endpoints["features"] = layers.Reshape((-1, 1, 8 * width), name="features", dtype=dtype)(x)
        sound = {"rate": 16000, **(sound or {})}
        super().__init__(inputs, endpoints, 8 * width, sound=sound, dtype=dtype, **kwargs)
        self.activation, self.pool = activation, int(pool)
        self.width, self.blocks = int(width), blocks
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.samples = samples

    @property
    def hop(self):
        """How many samples a feature stands for."""
        return _STRIDE * self.pool

    @property
    def example_shape(self):
        """One usual waveform, `(n,)`."""
        return (int(self.sound["rate"] * (self.sound["seconds"] or 1.0)),)

    def get_config(self):
        config = {
            **super().get_config(),
            "activation": self.activation,
            "pool": self.pool,
            "width": self.width,
            "blocks": list(self.blocks),
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "samples": self.samples,
        }
        return {name: value for name, value in config.items() if name != "front_end"}
