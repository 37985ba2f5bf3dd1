"""The temporal shift: a part of the channels takes the next frame's values, a part the last's."""

import keras
from keras import ops

_CONVENTIONS = ("mit", "mmv")


@keras.saving.register_keras_serializable(package="keras_vssl")
class TemporalShift(keras.layers.Layer):
    """Moves some channels one frame back and some one frame on, at no cost in products.

    Of C channels, n = floor(C * fraction) are moved each way; zeros enter at the ends.

    | convention | from the next frame | from the frame before | their places |
    |---|---|---|---|
    | "mit" (official code, mmaction2) | the first n | the second n | kept |
    | "mmv" | the last n | the first n | the two change places |

    In "mmv" the output is [last n of t+1, the middle of t, first n of t-1], so that the next
    convolution sees channels in another order: weights of one convention are not the other's.

    Args:
        fraction: float in [0, 0.5], of the channels, each way. 0 changes nothing.
        convention: "mit" or "mmv".
        **kwargs: of the layer.

    Call arguments: `[B, T, H, W, C]`; the output has the same shape.

    Raises:
        ValueError: an argument is out of its range.

    Reference:
        - [Lin et al. ICCV 2019](https://arxiv.org/abs/1811.08383), Sec. 3 and 4.2
        - [Alayrac et al. NeurIPS 2020](https://arxiv.org/abs/2006.16228) (MMV), official code
    """

    def __init__(self, fraction=1 / 8, convention="mit", **kwargs):
        super().__init__(**kwargs)
        if not 0 <= fraction <= 0.5:
            raise ValueError(
                f"Expected a fraction of at most a half each way, received {fraction}."
            )
        if convention not in _CONVENTIONS:
            raise ValueError(f"Expected convention as one of {_CONVENTIONS}, got {convention!r}.")
        self.fraction, self.convention = float(fraction), convention

    def call(self, x):
        channels = x.shape[-1]
        moved = int(channels * self.fraction + 1e-9)  # 1/8 of 64 is 8 in any precision
        if not moved:
            return x
        edge = [[0, 0]] * (len(x.shape) - 2)

        def following(part):
            return ops.pad(part[:, 1:], [[0, 0], [0, 1], *edge])

        def preceding(part):
            return ops.pad(part[:, :-1], [[0, 0], [1, 0], *edge])

        if self.convention == "mit":
            parts = [
                following(x[..., :moved]),
                preceding(x[..., moved : 2 * moved]),
                x[..., 2 * moved :],
            ]
        else:
            parts = [
                following(x[..., channels - moved :]),
                x[..., moved : channels - moved],
                preceding(x[..., :moved]),
            ]
        return ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "fraction": self.fraction,
            "convention": self.convention,
        }
