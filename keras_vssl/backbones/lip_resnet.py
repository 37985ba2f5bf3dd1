"""ResNet-18 on every frame of a mouth's clip, behind a stem that mixes five frames."""

import keras
from keras import layers

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.backbones.presets import KAIMING_FAN_OUT
from keras_vssl.backbones.residual import check_choice, four_counts
from keras_vssl.layers.convolution import Conv3D
from keras_vssl.layers.frames import FoldFrames, UnfoldFrames
from keras_vssl.layers.normalization import BatchNormalization
from keras_vssl.layers.pooling import SymmetricMaxPooling2D

ACTIVATIONS = ("prelu", "swish", "relu")
# PyTorch's and the papers' start of every slope.
_SLOPE = 0.25


@keras.saving.register_keras_serializable(package="keras_vssl")
class LipResNet(VideoBackbone):
    """The lip-reading front end: one 3-D convolution, then a 2-D ResNet on each frame.

    The stem sees five neighbouring frames, everything behind it one, so the frame rate of the clip
    is that of the features: feature t depends on frames t - 2 to t + 2. Any number of frames from 1
    and any size of picture go; 88 x 88 is the published one, whose last map is 3 x 3. Strided
    convolutions and the pooling pad symmetrically, as PyTorch's do.

    | form | `activation` |
    |---|---|
    | AV-HuBERT | "prelu", one slope a channel; stem and both places of a block have their own |
    | RAVEn | "swish" |
    | earlier lip reading | "relu" |

    Endpoints: `stem` (after its activation), `stem_pool`, `layer1` to `layer4`, and `features`
    `[B, T, C]` where `pooled`.

    Args:
        activation: "prelu", "swish" or "relu".
        pooled: bool, the output is the mean over each frame's map `[B, T, C]`, not the map
            `[B, T, H', W', C]`.
        width: int, outputs of the stem and the first stage; doubled by each further stage.
        blocks: four ints, basic blocks of each stage.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        clip_shape: `(T, H, W, C)`, `None` for sizes that may vary. C is 1: grey pictures.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: an unknown activation, or not four counts of blocks.

    Example:

    ```python
    backbone = keras_vssl.backbones.LipResNet.from_preset("lip_resnet_18", pooled=True)
    backbone(np.zeros((1, 29, 88, 88, 1), "uint8")).shape  # (1, 29, 512)
    ```

    Reference:
        - [Shi et al. ICLR 2022](https://arxiv.org/abs/2201.02184) (AV-HuBERT)
        - [Haliassos et al. ICLR 2023](https://arxiv.org/abs/2212.06246) (RAVEn)
    """

    def __init__(
        self,
        activation="prelu",
        pooled=False,
        width=64,
        blocks=(2, 2, 2, 2),
        epsilon=1e-5,
        kernel_initializer=None,
        clip_shape=(None, None, None, 1),
        dtype=None,
        **kwargs,
    ):
        check_choice("activation", activation, *ACTIVATIONS)
        blocks = four_counts(blocks)
        initializer = initializer_config(kernel_initializer, KAIMING_FAN_OUT)
        inputs = keras.Input(tuple(clip_shape), name="clip")
        x = layers.ZeroPadding3D((2, 3, 3), name="stem_pad", dtype=dtype)(inputs)
        x = Conv3D(
            width,
            (5, 7, 7),
            (1, 2, 2),
            "valid",
            use_bias=False,
            kernel_initializer=keras.initializers.get(initializer),
            name="stem",
            dtype=dtype,
        )(x)
        x = BatchNormalization(epsilon=epsilon, name="stem_bn", dtype=dtype)(x)
        endpoints = {"stem": activate(x, activation, "stem_act", dtype)}
        x = FoldFrames(name="fold", dtype=dtype)(endpoints["stem"])
        x = SymmetricMaxPooling2D(3, 2, name="pool", dtype=dtype)(x)
        stages = {"stem_pool": x}
        stages |= residual_stages(x, 2, width, blocks, activation, epsilon, initializer, dtype)
        for name, maps in stages.items():
            # Of the clip only its first two axes are read.
            endpoints[name] = UnfoldFrames(name=name, dtype=dtype)([maps, inputs])
        if pooled:
            x = layers.GlobalAveragePooling2D(name="frame_mean", dtype=dtype)(stages["layer4"])
            endpoints["features"] = UnfoldFrames(name="features", dtype=dtype)([x, inputs])
        super().__init__(inputs, endpoints, 8 * width, dtype=dtype, **kwargs)
        self.activation, self.pooled = activation, bool(pooled)
        self.width, self.blocks = int(width), blocks
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.clip_shape = tuple(clip_shape)

    @property
    def example_shape(self):
        """One usual clip, `(T, H, W, C)`."""
        size = self.clip["size"]
        sides = [size, size] if isinstance(size, int) else size
        return (self.clip["frames"], *sides, self.clip_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "activation": self.activation,
            "pooled": self.pooled,
            "width": self.width,
            "blocks": list(self.blocks),
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "clip_shape": list(self.clip_shape),
        }


def residual_stages(x, rank, width, blocks, activation, epsilon, initializer, dtype):
    """Four stages of basic blocks over pictures (`rank` 2) or signals (`rank` 1).

    Returns:
        dict of `layer1` to `layer4` to the tensors.
    """
    convolution = {1: layers.Conv1D, 2: layers.Conv2D}[rank]
    padding = {1: layers.ZeroPadding1D, 2: layers.ZeroPadding2D}[rank]

    def conv_norm(x, channels, kernel, stride, name, norm):
        # With odd kernels and no stride, "same" is the symmetric padding, and cheaper than a copy.
        mode = "same" if stride == 1 else "valid"
        if stride != 1 and kernel != 1:
            x = padding(kernel // 2, name=f"{name}_pad", dtype=dtype)(x)
        x = convolution(
            channels,
            kernel,
            stride,
            mode,
            use_bias=False,
            kernel_initializer=keras.initializers.get(initializer),
            name=name,
            dtype=dtype,
        )(x)
        return BatchNormalization(epsilon=epsilon, name=norm, dtype=dtype)(x)

    stages = {}
    for stage, count in enumerate(blocks, start=1):
        channels = width * 2 ** (stage - 1)
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            name = f"layer{stage}_{index}"
            y = conv_norm(x, channels, 3, stride, f"{name}_conv1", f"{name}_bn1")
            y = activate(y, activation, f"{name}_act1", dtype)
            y = conv_norm(y, channels, 3, 1, f"{name}_conv2", f"{name}_bn2")
            if stride != 1 or x.shape[-1] != channels:
                x = conv_norm(x, channels, 1, stride, f"{name}_shortcut", f"{name}_shortcut_bn")
            x = layers.Add(name=f"{name}_add", dtype=dtype)([x, y])
            x = activate(x, activation, f"{name}_act2", dtype)
        stages[f"layer{stage}"] = x
    return stages


def activate(x, activation, name, dtype):
    """ "prelu" with one slope a channel, "swish" or "relu"."""
    if activation == "prelu":
        return layers.PReLU(
            alpha_initializer=keras.initializers.Constant(_SLOPE),
            shared_axes=list(range(1, len(x.shape) - 1)),
            name=name,
            dtype=dtype,
        )(x)
    return layers.Activation(activation, name=name, dtype=dtype)(x)
