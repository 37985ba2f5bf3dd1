"""Random changes of waveforms and spectrograms, drawn for each sample, while training only."""

import keras
from keras import ops


class _Random(keras.layers.Layer):
    """A float32 layer with its own generator that does nothing outside training.

    float32 whatever the policy: bfloat16 would bury a waveform in noise.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        return self.change(inputs) if training else inputs

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_vssl")
class VolumeJitter(_Random):
    """Multiplies each waveform by a random gain, `1 + amount * (2 b - 1)`, b ~ Beta(c, c).

    Args:
        amount: float in [0, 1], the largest relative change.
        concentration: float, c. 1 is a uniform gain in [1 - amount, 1 + amount] (CrissCross 0.2,
            GDT 0.1); 10 with an amount of 0.5 is AudioMAE's Beta(10, 10) + 0.5.
        seed: int or `None`.

    Call arguments:
        waveform: float `[..., n]`.
    """

    def __init__(self, amount=0.1, concentration=1.0, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if not 0 <= amount <= 1 or concentration <= 0:
            raise ValueError(
                f"Expected `amount` in [0, 1] and a positive `concentration`, but received "
                f"{amount} and {concentration}."
            )
        self.amount = float(amount)
        self.concentration = float(concentration)

    def change(self, waveform):
        shape = (*ops.shape(waveform)[:-1], 1)
        if self.concentration == 1:
            draw = keras.random.uniform(shape, seed=self.generator)
        else:
            c = self.concentration
            draw = keras.random.beta(shape, c, c, seed=self.generator)
        return waveform * (1.0 + self.amount * (2.0 * draw - 1.0))

    def get_config(self):
        return {
            **super().get_config(),
            "amount": self.amount,
            "concentration": self.concentration,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class RandomRoll(_Random):
    """Rolls each sample along one axis; what leaves at one end enters at the other.

    Args:
        most: int, the largest shift to either side; `None` for any (AudioMAE means to roll
            waveforms so, but its code draws from the length of the wrong axis, which is 1; AST
            rolls spectrograms by up to 10 frames).
        axis: -1 or -2: the samples of a waveform `[B, n]`, or the frames of a spectrogram
            `[B, T, F]`.
        seed: int or `None`.

    Call arguments:
        inputs: float `[..., n]` or `[..., n, F]`.
    """

    def __init__(self, most=None, axis=-1, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if axis not in (-1, -2) or (most is not None and most < 1):
            raise ValueError(
                f"Expected `axis` -1 or -2 and `most` of at least 1 or None, but received {axis} "
                f"and {most}."
            )
        self.most = most
        self.axis = axis

    def change(self, inputs):
        size = inputs.shape[self.axis]
        single = [1] * -self.axis
        shape = (*ops.shape(inputs)[: self.axis], *single)
        low, high = (0, size) if self.most is None else (-self.most, self.most + 1)
        shift = keras.random.randint(shape, low, high, seed=self.generator)
        places = ops.reshape(ops.arange(size, dtype="int32"), [size, *single[1:]])
        index = (places - ops.cast(shift, "int32")) % size
        index = ops.broadcast_to(index, ops.shape(inputs))
        return ops.take_along_axis(inputs, index, axis=self.axis)

    def get_config(self):
        return {**super().get_config(), "most": self.most, "axis": self.axis}


@keras.saving.register_keras_serializable(package="keras_vssl")
class UniformNoise(_Random):
    """Adds noise from [0, a) to each sample, where a is drawn from [0, amount).

    Args:
        amount: float > 0, the largest noise. AST adds up to 0.1 to the normalised spectrograms of
            Speech Commands.
        seed: int or `None`.

    Call arguments:
        inputs: float `[B, ...]`.
    """

    def __init__(self, amount=0.1, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if amount <= 0:
            raise ValueError(f"Expected a positive `amount`, but received {amount}.")
        self.amount = float(amount)

    def change(self, inputs):
        shape = ops.shape(inputs)
        single = (shape[0], *[1] * (len(shape) - 1))
        most = self.amount * keras.random.uniform(single, seed=self.generator)
        return inputs + most * keras.random.uniform(shape, seed=self.generator)

    def get_config(self):
        return {**super().get_config(), "amount": self.amount}


@keras.saving.register_keras_serializable(package="keras_vssl")
class WaveformMixup(_Random):
    """Mixes some waveforms, and their labels, with the sample before them in the batch.

    `l x + (1 - l) x'` with l ~ Beta(c, c), the labels alike. AST and AudioMAE draw the other
    sample from the whole data set; in shuffled batches the neighbour is as good.

    Args:
        probability: float in [0, 1], that a sample is mixed.
        concentration: float, c.
        seed: int or `None`.

    Call arguments:
        inputs: `(waveforms, labels)`, floats `[B, n]` and `[B, classes]`.

    Reference:
        Gong et al. Interspeech 2021 (https://arxiv.org/abs/2104.01778), Sec. 3.1 and official code.
    """

    def __init__(self, probability=0.5, concentration=10.0, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        if not 0 <= probability <= 1 or concentration <= 0:
            raise ValueError(
                f"Expected `probability` in [0, 1] and a positive `concentration`, but received "
                f"{probability} and {concentration}."
            )
        self.probability = float(probability)
        self.concentration = float(concentration)

    def change(self, inputs):
        shape, c = (ops.shape(inputs[0])[0], 1), self.concentration
        mixed = keras.random.uniform(shape, seed=self.generator) < self.probability
        own = ops.where(mixed, keras.random.beta(shape, c, c, seed=self.generator), 1.0)
        return tuple(own * x + (1.0 - own) * ops.roll(x, 1, axis=0) for x in inputs)

    def get_config(self):
        return {
            **super().get_config(),
            "probability": self.probability,
            "concentration": self.concentration,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class SpectrogramMasks(_Random):
    """Hides random stretches of time and of frequency, drawn for each spectrogram.

    Args:
        frequency: `(count, width)`: how many stretches of bands, each 0 to `width - 1` wide.
        time: `(count, width)`, of frames.
        fill: `"zero"`, or `"mean"`: the mean of the spectrogram before masking.
        layout: `"time_frequency"` or `"frequency_time"`, the last two axes.
        seed: int or `None`.

    Call arguments:
        spectrogram: float `[..., T, F]` (or `[..., F, T]`).

    Example:

    ```python
    # CrissCross, Sec. 4: two masks of each kind, filled with the mean.
    layer = SpectrogramMasks((2, 10), (2, 20), fill="mean", layout="frequency_time")
    ```

    Reference:
        [Park et al. Interspeech 2019](https://arxiv.org/abs/1904.08779), Sec. 2, without the warp.
    """

    def __init__(
        self,
        frequency=(1, 24),
        time=(1, 96),
        fill="zero",
        layout="time_frequency",
        seed=None,
        **kwargs,
    ):
        super().__init__(seed, **kwargs)
        for name, (count, width) in (("frequency", frequency), ("time", time)):
            if count < 0 or width < 1:
                raise ValueError(
                    f"`{name}` takes (count >= 0, width >= 1), but received {(count, width)}."
                )
        if fill not in ("zero", "mean") or layout not in ("time_frequency", "frequency_time"):
            raise ValueError(
                f"`fill` is 'zero' or 'mean' and `layout` 'time_frequency' or 'frequency_time', "
                f"but received {fill!r} and {layout!r}."
            )
        self.frequency = tuple(int(v) for v in frequency)
        self.time = tuple(int(v) for v in time)
        self.fill = fill
        self.layout = layout

    def change(self, spectrogram):
        rows, columns = self.time, self.frequency
        if self.layout == "frequency_time":
            rows, columns = columns, rows
        fill = 0.0
        if self.fill == "mean":
            fill = ops.mean(spectrogram, axis=(-2, -1), keepdims=True)
        batch = ops.shape(spectrogram)[:-2]
        hidden = ops.logical_or(
            ops.expand_dims(self._hidden(batch, spectrogram.shape[-2], *rows), -1),
            ops.expand_dims(self._hidden(batch, spectrogram.shape[-1], *columns), -2),
        )
        return ops.where(hidden, fill, spectrogram)

    def _hidden(self, batch, size, count, width):
        """bool `[*batch, size]`: under one of `count` stretches."""
        shape = (*batch, 1, count)
        width = min(width, size + 1)
        drawn = keras.random.randint(shape, 0, width, seed=self.generator)
        room = ops.cast(size - drawn + 1, "float32")
        first = keras.random.uniform(shape, seed=self.generator) * room
        first = ops.minimum(ops.cast(first, "int32"), size - ops.cast(drawn, "int32"))
        places = ops.expand_dims(ops.arange(size, dtype="int32"), -1)
        inside = ops.logical_and(places >= first, places < first + ops.cast(drawn, "int32"))
        return ops.any(inside, axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "frequency": list(self.frequency),
            "time": list(self.time),
            "fill": self.fill,
            "layout": self.layout,
        }
