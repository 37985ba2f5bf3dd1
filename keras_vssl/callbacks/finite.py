"""Stops a run whose loss is no longer a number, before its state is saved."""

import math

import keras


class Finite(keras.callbacks.Callback):
    """Raises as soon as the loss is NaN or infinite.

    Place it before `Checkpoint`: the last saved state is then a sound one, and `resume` with other
    settings is possible.

    Raises:
        ValueError: the loss is not finite.
    """

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            raise ValueError(
                f"Expected a finite loss, but it is {float(loss)} at step {batch + 1}; use a smaller"
                " learning rate, or float32 where a mixed precision was asked for."
            )
