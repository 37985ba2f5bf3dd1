"""AlexNet with batch normalisation, for single frames."""

import keras
from keras import layers

from keras_vssl.backbones.backbone import VideoBackbone, initializer_config
from keras_vssl.backbones.presets import PYTORCH_DEFAULT
from keras_vssl.layers.normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_vssl")
class AlexNetBN(VideoBackbone):
    """Five convolutions, each with batch normalisation, over one frame.

    Takes frames `[B, H, W, 3]` instead of clips and gives a map `[B, H', W', 4 * width]`; it is
    the frame network of VCOP's re-implementation of OPN and of its frame retrieval.

    Endpoints: `conv1`, `pool1`, `conv2`, `pool2`, `conv3`, `conv4`, `conv5` (each after its
    ReLU). The frame retrieval of VCOP max-pools `conv5` once more, 3x3 with stride 2.

    Args:
        width: int, channels of the first convolution; the others have 3, 6, 4 and 4 times as
            many.
        epsilon: float, of batch normalisation.
        kernel_initializer: Keras initializer, its name or its configuration. Default: PyTorch's.
        image_shape: `(H, W, 3)`; `None` for what may vary.
        clip, mean, std, dtype: see `VideoBackbone`; a clip has one frame.

    Example:

    ```python
    backbone = keras_vssl.backbones.AlexNetBN()
    backbone(np.zeros((1, 224, 224, 3), "float32")).shape  # (1, 13, 13, 256)
    ```

    Reference:
        [Xu et al. CVPR 2019](https://openaccess.thecvf.com/content_CVPR_2019/html/Xu_Self-Supervised_Spatiotemporal_Learning_via_Video_Clip_Order_Prediction_CVPR_2019_paper.html)
    """

    def __init__(
        self,
        width=64,
        epsilon=1e-5,
        kernel_initializer=None,
        image_shape=(None, None, 3),
        dtype=None,
        clip=None,
        **kwargs,
    ):
        initializer = initializer_config(kernel_initializer, PYTORCH_DEFAULT)
        # (channels / width, kernel, stride, pooled)
        plan = (
            (1, 11, 4, True),
            (3, 5, 1, True),
            (6, 3, 1, False),
            (4, 3, 1, False),
            (4, 3, 1, False),
        )
        inputs = keras.Input(tuple(image_shape), name="frame")
        x, endpoints = inputs, {}
        for number, (times, kernel, stride, pooled) in enumerate(plan, start=1):
            if stride > 1:  # torchvision's 224-pixel AlexNet pads the first convolution by 2
                x = layers.ZeroPadding2D(2, name=f"pad{number}", dtype=dtype)(x)
            fan_in = kernel * kernel * x.shape[-1]
            x = layers.Conv2D(
                times * width,
                kernel,
                stride,
                "valid" if stride > 1 else "same",
                kernel_initializer=keras.initializers.get(initializer),
                bias_initializer=keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5),
                dtype=dtype,
                name=f"conv{number}",
            )(x)
            x = BatchNormalization(epsilon=epsilon, name=f"bn{number}", dtype=dtype)(x)
            endpoints[f"conv{number}"] = x = layers.ReLU(name=f"relu{number}", dtype=dtype)(x)
            if pooled:
                x = layers.MaxPooling2D(3, 2, name=f"pool{number}", dtype=dtype)(x)
                endpoints[f"pool{number}"] = x

        clip = {"frames": 1, "resize": [256, 256], "size": 224, **(clip or {})}
        super().__init__(
            inputs, endpoints, feature_dim=x.shape[-1], clip=clip, dtype=dtype, **kwargs
        )
        self.width = int(width)
        self.epsilon = float(epsilon)
        self.kernel_initializer = initializer
        self.image_shape = tuple(image_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "epsilon": self.epsilon,
            "kernel_initializer": dict(self.kernel_initializer),
            "image_shape": list(self.image_shape),
        }
