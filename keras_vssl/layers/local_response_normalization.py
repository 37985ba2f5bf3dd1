"""Local response normalisation across channels."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each channel by a power of the energy of the channels around it.

    `y_c = x_c / (k + alpha / size * sum_{|d| <= size // 2} x_{c+d}^2) ^ beta`, zeros beyond the
    first and the last channel (Krizhevsky et al. NeurIPS 2012, Sec. 3.3). `alpha` is divided by
    the window's size, as Caffe and PyTorch do and TensorFlow's operation does not.

    Squares of Caffe's activations (pixels are 0 to 255) leave float16's range, so the energy is
    computed in float32 whatever the precision.

    Args:
        size: int, odd, channels of the window.
        alpha, beta, k: floats of the formula. Default: Caffe's.

    Call arguments:
        inputs: `[..., C]`.

    Raises:
        ValueError: the window has no middle.
    """

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=1.0, **kwargs):
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(f"Expected a window of an odd number of channels, received {size}.")
        self.size = int(size)
        self.alpha, self.beta, self.k = float(alpha), float(beta), float(k)

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        reach, channels = self.size // 2, inputs.shape[-1]
        edges = [(0, 0)] * (len(inputs.shape) - 1) + [(reach, reach)]
        squares = ops.pad(ops.square(x), edges)
        energy = squares[..., :channels]
        for shift in range(1, self.size):
            energy = energy + squares[..., shift : shift + channels]
        scale = ops.power(self.k + self.alpha / self.size * energy, -self.beta)
        return ops.cast(x * scale, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
        }
