"""TimeSformer's divided attention: over time at each place, then over the places of each time."""

import keras
from keras import ops

from keras_vssl.layers.transformer import Attention, TransformerBlock


@keras.saving.register_keras_serializable(package="keras_vssl")
class DividedBlock(TransformerBlock):
    """Attention over time at each place, then over space at each time, then the perceptron.

    A class token takes no part in the first. In the second, each time slot has a copy of it; the
    copies' outputs are averaged (Bertasius et al. ICML 2021, Sec. 3, and official code).

    Args:
        grid: (time, height, width) in tokens.
        class_token: bool, the first token is a class token.
        zero_time: bool, start from a zero `time_fc`, so that the block is of space alone.
        *args, **kwargs: as for `TransformerBlock`.
    """

    def __init__(self, *args, grid, class_token=True, zero_time=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.grid, self.class_token = tuple(int(n) for n in grid), bool(class_token)
        self.zero_time = bool(zero_time)
        attention = self.attention.get_config()
        self.time_norm = self.make_norm("time_norm")
        self.time_attention = Attention.from_config({**attention, "name": "time_attention"})
        zeros = {"kernel_initializer": "zeros"} if self.zero_time else {}
        self.time_fc = self.make_dense(self.width, "time_fc", **zeros)

    def build(self, input_shape):
        super().build(input_shape)
        for layer in (self.time_norm, self.time_attention, self.time_fc):
            layer.build((None, None, self.width))

    def call(self, x, key_mask=None, training=None):
        if key_mask is not None:
            raise ValueError("Expected no key_mask: divided attention takes the whole grid.")
        time, places = self.grid[0], self.grid[1] * self.grid[2]
        width, first = self.width, int(self.class_token)
        token, x = x[:, :first], x[:, first:]  # [B, 0 or 1, D], [B, T S, D]

        y = ops.transpose(ops.reshape(x, (-1, time, places, width)), (0, 2, 1, 3))
        y = ops.reshape(y, (-1, time, width))  # [B S, T, D]
        y = self.drop(self.time_attention(self.time_norm(y)), training=training)
        y = ops.reshape(self.time_fc(y), (-1, places, time, width))
        x = x + ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, time * places, width))

        y = ops.reshape(x, (-1, places, width))  # [B T, S, D]
        if first:
            copies = ops.reshape(ops.tile(token, (1, time, 1)), (-1, 1, width))
            y = ops.concatenate([copies, y], axis=1)
        y = self.drop(self.attention(self.norm1(y)), training=training)
        x = x + ops.reshape(y[:, first:], (-1, time * places, width))
        if first:
            copies = ops.reshape(y[:, 0], (-1, time, width))
            x = ops.concatenate([token + ops.mean(copies, axis=1, keepdims=True), x], axis=1)
        return self.feed_forward(x, training=training)

    def get_config(self):
        return {
            **super().get_config(),
            "grid": list(self.grid),
            "class_token": self.class_token,
            "zero_time": self.zero_time,
        }
