"""Max pooling of clips in every precision."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class MaxPooling3D(keras.layers.MaxPooling3D):
    """`keras.layers.MaxPooling3D` that also takes float16 on TensorFlow's CPU.

    TensorFlow has no such kernel there; pooling in float32 and casting back is exact.
    """

    def call(self, inputs):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if keras.config.backend() == "tensorflow" and dtype == "float16":
            return ops.cast(super().call(ops.cast(inputs, "float32")), dtype)
        return super().call(inputs)
