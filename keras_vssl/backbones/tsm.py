"""ResNets over single frames that a shift lets see each other: TSM, and without it TSN."""

import keras

from keras_vssl.backbones.residual import VideoResNet, conv_and_norm
from keras_vssl.backbones.slow import bottleneck
from keras_vssl.layers.temporal_shift import TemporalShift


@keras.saving.register_keras_serializable(package="keras_vssl")
class TSMResNet(VideoResNet):
    """A 2-D ResNet of bottleneck blocks on every frame, with a temporal shift in its blocks.

    Before the first convolution of a block's residual branch, 1/8 of the channels take the values
    of the next frame and 1/8 those of the frame before (`keras_vssl.layers.TemporalShift`); the
    shortcut sees the unshifted input. Without the shift it is the network of TSN: every frame by
    itself. The frames are usually one from each of 8 or 16 equal parts of the video.

    | form | `fraction` | frames |
    |---|---|---|
    | TSM (official code, mmaction2) | 1/8 | 8 or 16 segments |
    | TSN | 0 | 3 to 25 segments, scores averaged over them |

    The kernels are 1 x h x w. Output: `[B, T, H / 32, W / 32, 32 * width]`. Endpoints: `stem_conv`,
    `stem`, `stem_pool`, `layer1`, `layer2`, `layer3`, `layer4`.

    Args:
        blocks: 4 ints: (3, 4, 6, 3) is R50, (3, 4, 23, 3) R101, (3, 8, 36, 3) R152.
        width: int, channels of the stem.
        fraction: float, of the channels that are shifted, each way.
        shift_every: int or `None`: of a stage's blocks only each n-th, from the first, shifts.
            `None` is the official rule: every second where the longest stage has 23 blocks or more.
        zero_init_last: bool, start each block's last normalisation from gain zero.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: Kaiming
            normal over fan-out.
        clip_shape: `(T, H, W, 3)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`.

    Raises:
        ValueError: `blocks` are not four, or `fraction` is out of [0, 0.5].

    Example:

    ```python
    backbone = keras_vssl.backbones.TSMResNet.from_preset("tsm_resnet_50")
    backbone(np.zeros((1, 8, 224, 224, 3), "float32")).shape  # (1, 8, 7, 7, 2048)
    ```

    Reference:
        - [Lin et al. ICCV 2019](https://arxiv.org/abs/1811.08383) (TSM)
        - [Wang et al. ECCV 2016](https://arxiv.org/abs/1608.00859) (TSN)
    """

    def __init__(
        self,
        blocks=(3, 4, 6, 3),
        width=64,
        fraction=1 / 8,
        shift_every=None,
        zero_init_last=False,
        epsilon=1e-5,
        kernel_initializer=None,
        clip_shape=(None, None, None, 3),
        dtype=None,
        **kwargs,
    ):
        conv, norm = conv_and_norm("symmetric", kernel_initializer, epsilon, dtype)
        every = shift_every or (2 if max(blocks) >= 23 else 1)

        def block(x, stage, index, name):
            shift = None
            if fraction and index % every == 0:
                shift = TemporalShift(fraction, name=f"{name}_shift", dtype=dtype)
            return bottleneck(
                x,
                width * 2**stage,
                taps=1,
                stride=2 if stage and not index else 1,
                dilation=1,
                conv=conv,
                norm=norm,
                last_gain="zeros" if zero_init_last else "ones",
                dtype=dtype,
                name=name,
                before=shift,
            )

        super().__init__(
            stem=lambda x: conv(x, width, (1, 7, 7), (1, 2, 2), name="stem"),
            block=block,
            norm=norm,
            blocks=blocks,
            width=width,
            stem_pool=True,
            epsilon=epsilon,
            padding="symmetric",
            kernel_initializer=kernel_initializer,
            clip_shape=clip_shape,
            dtype=dtype,
            **kwargs,
        )
        self.fraction = float(fraction)
        self.shift_every = shift_every
        self.zero_init_last = bool(zero_init_last)

    def get_config(self):
        config = super().get_config()
        del config["stem_pool"], config["padding"]
        return {
            **config,
            "fraction": self.fraction,
            "shift_every": self.shift_every,
            "zero_init_last": self.zero_init_last,
        }
