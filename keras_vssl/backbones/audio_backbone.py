"""The contract of an audio backbone."""

from keras_vssl.backbones.base import Backbone
from keras_vssl.layers.front_ends import front_end_config
from keras_vssl.layers.spectrogram import LogMelSpectrogram

_SOUND = ("rate", "seconds")


class AudioBackbone(Backbone):
    """Base class of the networks that turn sound into a feature map.

    The input is one of

    - a waveform `[B, n]`, mono, float in [-1, 1] at `sound["rate"]` Hz, which the front-end makes
      a log-mel spectrogram of, in float32 whatever the network's precision;
    - a spectrogram `[B, T, F]`, as the front-end gives it: time first, normalised.

    The output is the last feature map `[B, T', F', C]`, time first too. Networks whose published
    form has frequency as the height of the picture turn their own kernels, never the interface.
    A network on samples declares a graph input `[n]` and no front-end; its map is `[B, T', 1, C]`.

    A subclass builds its graph on `keras.Input((T, F))`, calls `__init__` with the endpoints in
    their order (the last one is the output), and adds its own arguments to `get_config`.

    Args:
        inputs: the symbolic input, `[B, T, F]`; `[B, n]` for a network on samples.
        endpoints: dict of name to symbolic tensor, in the order of the network.
        feature_dim: int, channels of the output.
        front_end: dict of arguments of `keras_vssl.layers.LogMelSpectrogram`, the name of a
            published front-end (`keras_vssl.layers.FRONT_ENDS`), or `None`: spectrograms only, or
            a network on samples. Its `layout` is always time first here.
        sound: dict, the input that the network expects: `rate` in Hz (that of the front-end if
            there is one) and `seconds`.
        dtype: dtype or dtype policy, e.g. `"mixed_bfloat16"`.

    Attributes:
        feature_dim: int, channels of the output.
        endpoints: dict of name to symbolic tensor.
        front_end: the `LogMelSpectrogram`, or `None`.
        sound: dict of `rate` and `seconds`.

    Raises:
        ValueError: `sound` has an unknown key, or another rate than the front-end.

    Example:

    ```python
    spectrogram = keras.Input((99, 40))
    picture = keras.layers.Reshape((99, 40, 1))(spectrogram)
    map = keras.layers.Conv2D(8, 3, 2)(picture)
    backbone = AudioBackbone(spectrogram, {"conv1": map}, feature_dim=8, front_end="avts")
    waveform = np.random.uniform(-1, 1, (2, 16000)).astype("float32")
    backbone(waveform).shape                          # (2, 49, 19, 8)
    backbone(backbone.front_end(waveform)).shape      # the same
    ```
    """

    def __init__(
        self, inputs, endpoints, feature_dim, front_end=None, sound=None, dtype=None, **kwargs
    ):
        super().__init__(inputs, endpoints, feature_dim, dtype=dtype, **kwargs)
        # A waveform differs in rank from the graph's spectrogram; `prepare` checks it.
        self.input_spec = None
        if unknown := set(sound or {}) - set(_SOUND):
            raise ValueError(
                f"`sound` takes the keys {', '.join(_SOUND)}, but received {sorted(unknown)} too."
            )
        self.front_end = None
        rate = None
        if front_end is not None:
            config = {**front_end_config(front_end), "layout": "time_frequency"}
            self.front_end = LogMelSpectrogram(**config, name="front_end")
            rate = self.front_end.rate
        self.sound = {"rate": rate, "seconds": None, **(sound or {})}
        if rate is not None and self.sound["rate"] != rate:
            raise ValueError(
                f"`sound` has the rate {self.sound['rate']} Hz, but the front-end takes {rate} Hz; "
                f"give the rate in one of them."
            )

    def prepare(self, inputs):
        """A waveform `[B, n]` as a spectrogram `[B, T, F]`; everything else unchanged."""
        if len(inputs.shape) != 2 or len(self.inputs[0].shape) == 2:
            return inputs
        if self.front_end is None:
            raise ValueError(
                f"{type(self).__name__} has no front-end and takes spectrograms [B, T, F], but "
                f"received a tensor of shape {tuple(inputs.shape)}; pass `front_end` when the "
                f"backbone is made."
            )
        return self.front_end(inputs)

    def get_config(self):
        front_end = None
        if self.front_end is not None:
            front_end = front_end_config(self.front_end)
        return {**super().get_config(), "front_end": front_end, "sound": dict(self.sound)}
