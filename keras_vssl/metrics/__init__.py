"""Scores of predictions, and what embeddings look like."""

import importlib

_MODULES = {
    "alignment": "embeddings",
    "confusion_matrix": "accuracy",
    "feature_std": "embeddings",
    "top_k_accuracy": "accuracy",
    "uniformity": "embeddings",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_vssl.metrics.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.metrics' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
