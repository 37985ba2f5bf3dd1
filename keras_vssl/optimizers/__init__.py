"""Optimizers and schedules that published recipes need and Keras has not."""

from keras_vssl import lazy

_MODULES = {
    "LARS": "lars",
    "NO_DECAY": "selection",
    "ScaledOptimizer": "multipliers",
    "layer_decay": "multipliers",
    "warmup_cosine": "schedules",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
