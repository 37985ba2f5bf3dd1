"""Callbacks: what happens between steps and epochs."""

import importlib

_NAMES = {
    "Checkpoint": "checkpoint",
    "Collapse": "collapse",
    "Finite": "finite",
    "KNNCallback": "knn",
    "Throughput": "throughput",
}

__all__ = [*_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"keras_vssl.callbacks.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.callbacks' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
