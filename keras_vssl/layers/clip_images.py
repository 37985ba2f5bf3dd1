"""A short clip as one image: differences of its frames side by side or summed, a dynamic image."""

import keras
from keras import ops


class ClipImage(keras.layers.Layer):
    """Base class: a clip `[..., T, H, W, 3]` in, a clip of one frame out, `[..., 1, H, W, C]`.

    What doesn't move is 0. Computes in float32 whatever the policy, because differences of bfloat16
    lose most of their digits; the output has the policy's compute dtype. uint8 is scaled to [0, 1].

    Call arguments:
        clips: uint8, or float in any scale, `[..., T, H, W, 3]` with T of 2 or more.

    Raises:
        ValueError: no clip of colour, or a single frame.

    Reference:
        Fernando, Bilen, Gavves, Gould. Self-supervised video representation learning with
        odd-one-out networks. CVPR 2017.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.built = True

    def image(self, x):
        """Float32 frames `[..., T, H, W, 3]` as one image `[..., H, W, C]`."""
        raise NotImplementedError

    def channels(self, frames):
        """The number of channels C of the image of so many frames."""
        return 3

    def call(self, clips):
        clips = ops.convert_to_tensor(clips)
        self._check(clips.shape)
        x = ops.cast(clips, "float32")
        if keras.backend.standardize_dtype(clips.dtype) == "uint8":
            x = x / 255.0
        return ops.cast(ops.expand_dims(self.image(x), -4), self.compute_dtype)

    def _check(self, shape):
        if len(shape) < 4 or shape[-1] != 3 or not shape[-4] or shape[-4] < 2:
            raise ValueError(
                f"Expected clips [..., T, H, W, 3] of two frames or more, received the shape "
                f"{tuple(shape)}."
            )

    def compute_output_shape(self, input_shape):
        self._check(input_shape)
        return (*input_shape[:-4], 1, *input_shape[-3:-1], self.channels(input_shape[-4]))


@keras.saving.register_keras_serializable(package="keras_vssl")
class StackOfDifferences(ClipImage):
    """The differences `x[t+1] - x[t]` side by side as channels, 3 (T - 1) of them: 15 of 6 frames.

    The earliest difference comes first. Their sum is the last frame minus the first.

    Args:
        grayscale: bool, one channel a difference, of the luma (ITU-R BT.601): T - 1 channels. Two
            public code bases that follow the paper differ in this.
    """

    def __init__(self, grayscale=False, **kwargs):
        super().__init__(**kwargs)
        self.grayscale = bool(grayscale)

    def channels(self, frames):
        return (frames - 1) * (1 if self.grayscale else 3)

    def image(self, x):
        if self.grayscale:
            x = 0.299 * x[..., :1] + 0.587 * x[..., 1:2] + 0.114 * x[..., 2:]
        frames = ops.unstack(x, x.shape[-4], axis=-4)
        return ops.concatenate([b - a for a, b in zip(frames, frames[1:])], axis=-1)

    def get_config(self):
        return {**super().get_config(), "grayscale": self.grayscale}


class _WeightedSum(ClipImage):
    """A sum of the frames with weights that depend on their place alone."""

    def coefficients(self, frames):
        """A float for each frame; together they are 0."""
        raise NotImplementedError

    def image(self, x):
        frames = ops.unstack(x, x.shape[-4], axis=-4)
        return sum(c * frame for c, frame in zip(self.coefficients(len(frames)), frames))


@keras.saving.register_keras_serializable(package="keras_vssl")
class SumOfDifferences(_WeightedSum):
    """The differences of neighbouring frames, weighted by their place and summed: 3 channels.

    `sum_{t=1}^{T-1} w_t (x[t+1] - x[t])`. Equal weights leave the last frame minus the first,
    whatever the order in between. The paper's weights are unverified. The project's, `w_t = t`,
    leave `(T - 1) x[T] - x[1] - ... - x[T-1]`, which tells the last frame from the others and these
    not from one another; squares, `(1, 4, 9, 16, 25)`, tell all.

    Args:
        weights: T - 1 floats, or None: 1, 2, ..., T - 1.
    """

    def __init__(self, weights=None, **kwargs):
        super().__init__(**kwargs)
        self.weights_in_time = None if weights is None else [float(w) for w in weights]

    def coefficients(self, frames):
        w = self.weights_in_time or [float(t) for t in range(1, frames)]
        if len(w) != frames - 1:
            raise ValueError(
                f"Expected {frames - 1} weights for {frames} frames, received {len(w)}."
            )
        return [before - after for before, after in zip([0.0, *w], [*w, 0.0])]

    def get_config(self):
        return {**super().get_config(), "weights": self.weights_in_time}


@keras.saving.register_keras_serializable(package="keras_vssl")
class DynamicImage(_WeightedSum):
    """Approximate rank pooling: `sum_t (2 t - T - 1) x[t]`, t from 1: 3 channels.

    For 6 frames the coefficients are -5, -3, -1, 1, 3, 5.

    Reference:
        Bilen, Fernando, Gavves, Vedaldi, Gould. Dynamic image networks for action recognition.
        CVPR 2016, the first-order approximation.
    """

    def coefficients(self, frames):
        return [2.0 * t - frames - 1.0 for t in range(1, frames + 1)]
