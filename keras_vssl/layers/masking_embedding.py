"""A learned vector in the place of masked steps."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class MaskEmbedding(keras.layers.Layer):
    """Replaces the masked steps of a sequence by one learned vector.

    Args:
        initializer: Keras initializer of the vector. Default: uniform in [0, 1), fairseq's.

    Call arguments:
        x: `[B, T, C]`.
        masked: `[B, T]`, nonzero for the steps to replace.

    Returns:
        `[B, T, C]`.
    """

    def __init__(self, initializer=None, **kwargs):
        super().__init__(**kwargs)
        if initializer is None:
            initializer = keras.initializers.RandomUniform(0.0, 1.0)
        self.initializer = keras.initializers.get(initializer)

    def build(self, x_shape, masked_shape=None):
        self.embedding = self.add_weight(
            name="embedding", shape=(x_shape[-1],), initializer=self.initializer
        )
        self.built = True

    def call(self, x, masked):
        return ops.where(ops.not_equal(masked, 0)[:, :, None], ops.cast(self.embedding, x.dtype), x)

    def compute_output_spec(self, x, masked):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "initializer": initializer}
