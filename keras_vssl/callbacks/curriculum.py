"""A curriculum: a number that depends on the epoch, where the training step can read it."""

import keras


def stage_value(stages, epoch, epochs, of):
    """The value of the stage that an epoch belongs to.

    Stages count in epochs of a run of `of` epochs. A run of another length goes through them at
    the same shares of its length: its epoch e counts as epoch `e * of / epochs`.

    Args:
        stages: ((first epoch, value), ...), from epoch 0 on, in order.
        epoch: int, from 0. epochs: int, of the whole run. of: int.
    """
    return [value for first, value in stages if first * epochs <= epoch * of][-1]


class Curriculum(keras.callbacks.Callback):
    """Writes a variable of the model at the beginning of each epoch.

    The value depends on the epoch alone, so a resumed run has the stages of one that was never
    stopped, as long as it is given the same `epochs`.

    Args:
        name: str, the model's attribute that holds the variable.
        stages, epochs, of: see `stage_value`.

    Raises:
        ValueError: the stages don't begin at epoch 0 or are out of order.

    Example:

    ```python
    Curriculum("hard_share", ((0, 0.0), (50, 0.25)), epochs=9, of=90)  # 0.25 from epoch 5 on
    ```
    """

    def __init__(self, name, stages, epochs, of):
        super().__init__()
        firsts = [first for first, _ in stages]
        if not firsts or firsts[0] != 0 or firsts != sorted(set(firsts)):
            raise ValueError(
                f"Expected stages (first epoch, value) from epoch 0 on, in order, received {stages}."
            )
        self.name, self.stages, self.epochs, self.of = name, stages, epochs, of

    def on_epoch_begin(self, epoch, logs=None):
        value = stage_value(self.stages, epoch, self.epochs, self.of)
        getattr(self.model, self.name).assign(value)
