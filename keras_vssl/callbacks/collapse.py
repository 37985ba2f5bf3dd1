"""Names a collapsed embedding when it happens."""

import sys

import keras

LEAST_STD = 0.05


class Collapse(keras.callbacks.Callback):
    """Warns once when the logged `feature_std` says that all videos get one embedding.

    Args:
        least: float, the `feature_std` of an epoch below which the embedding has collapsed
            (`keras_vssl.metrics.feature_std`: about 1 when spread out, 0 when constant).

    Attributes:
        collapsed_at: int or None, the epoch (from 0) at which it was found.
    """

    def __init__(self, least=LEAST_STD):
        super().__init__()
        self.least = least
        self.collapsed_at = None

    def on_epoch_end(self, epoch, logs=None):
        std = (logs or {}).get("feature_std")
        if std is None or self.collapsed_at is not None or not float(std) < self.least:
            return
        self.collapsed_at = epoch
        print(
            f"The embedding has collapsed: after epoch {epoch + 1} its feature_std is "
            f"{float(std):.3f} (about 1 when spread out), so all videos look alike; use a smaller "
            "learning rate, a larger batch, or stronger augmentation.",
            file=sys.stderr,
        )
