"""How alike features and the embeddings of clusters are: HuBERT's head."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class ClusterHead(layers.Layer):
    """A linear map, then the cosine with each cluster's embedding over a temperature, in float32.

    Args:
        classes: int, clusters (and fairseq's special symbols).
        width: int, of the embeddings.
        temperature: float.

    Returns:
        Logits `[..., classes]`, between -1 and 1 over the temperature.

    Reference:
        Hsu et al. TASLP 2021, Eq. 3 (https://arxiv.org/abs/2106.07447).
    """

    def __init__(self, classes, width=256, temperature=0.1, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.width, self.temperature = int(classes), int(width), float(temperature)
        self.proj = layers.Dense(self.width, name="proj", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.proj.build(input_shape)
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.classes, self.width),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
        )
        self.built = True

    def call(self, x):
        x = ops.cast(self.proj(x), "float32")
        table = ops.cast(self.embeddings, "float32")
        lengths = _length(x)[..., None] * _length(table)
        return ops.matmul(x, ops.transpose(table)) / ops.maximum(lengths, 1e-6) / self.temperature

    def compute_output_spec(self, x):
        return keras.KerasTensor((*x.shape[:-1], self.classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "width": self.width,
            "temperature": self.temperature,
        }


def _length(x):
    # Not 0, where the root's gradient is infinite.
    return ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=-1), 1e-30))
