"""Callbacks: what happens between steps and epochs."""

from keras_vssl import lazy

_NAMES = {
    "Checkpoint": "checkpoint",
    "Collapse": "collapse",
    "Curriculum": "curriculum",
    "Finite": "finite",
    "KNNCallback": "knn",
    "Throughput": "throughput",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _NAMES)
