"""Two networks that see the same clip differently, and vote."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vssl")
class TwoStream(keras.Model):
    """Adds the scores of a network on RGB and a network on optical flow.

    The streams are trained apart, each on its own loss, and joined for testing: I3D adds logits,
    CoCLR averages class probabilities.

    Args:
        rgb: model of clips `[B, V, T, H, W, 3]` to logits `[B, classes]`: `VideoClassifier`.
        flow: the same of clips `[B, V, T, H, W, C]`.
        reduce: `"logits"` (their sum) or `"softmax"` (the mean of probabilities).

    Call arguments:
        inputs: dict with `"rgb"` and `"flow"`.

    Raises:
        ValueError: `reduce` is unknown, the streams have different classes, or an input is missing.

    Example:

    ```python
    streams = {name: convert(f"{name}_imagenet.pt").model for name in ("rgb", "flow")}
    network = keras_vssl.downstream.TwoStream(**streams)
    network({"rgb": clips, "flow": flows})   # the sum of the logits
    network.save("two_stream.keras")
    ```

    Reference:
        [Carreira and Zisserman CVPR 2017](https://arxiv.org/abs/1705.07750), Sec. 2.3
    """

    def __init__(self, rgb, flow, reduce="logits", **kwargs):
        if reduce not in ("logits", "softmax"):
            raise ValueError(f'Expected reduce "logits" or "softmax", received {reduce!r}.')
        classes = [getattr(stream, "num_classes", None) for stream in (rgb, flow)]
        if classes[0] != classes[1]:
            raise ValueError(
                f"Expected two streams of the same classes, received {classes[0]} and "
                f"{classes[1]} of them."
            )
        super().__init__(**kwargs)
        self.rgb = rgb
        self.flow = flow
        self.reduce = reduce
        self.built = True

    def build(self, input_shape=None):
        """Nothing: both streams are built when constructed."""

    def call(self, inputs, training=None):
        if not isinstance(inputs, dict) or not {"rgb", "flow"} <= set(inputs):
            raise ValueError('Expected a dict of clips with the keys "rgb" and "flow".')
        scores = [
            stream(inputs[name], training=training)
            for name, stream in (("rgb", self.rgb), ("flow", self.flow))
        ]
        if self.reduce == "logits":
            return scores[0] + scores[1]
        return (ops.softmax(scores[0], axis=-1) + ops.softmax(scores[1], axis=-1)) / 2

    def get_config(self):
        return {
            **super().get_config(),
            "rgb": keras.saving.serialize_keras_object(self.rgb),
            "flow": keras.saving.serialize_keras_object(self.flow),
            "reduce": self.reduce,
        }

    @classmethod
    def from_config(cls, config):
        streams = {
            name: keras.saving.deserialize_keras_object(config[name]) for name in ("rgb", "flow")
        }
        return cls(**{**config, **streams})
