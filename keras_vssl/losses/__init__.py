"""Losses: pure functions of tensors, one value a sample."""

import importlib

_MODULES = {
    "cosine_regression": "regression",
    "info_nce": "contrastive",
    "margin_contrastive": "contrastive",
    "multi_positive_nce": "contrastive",
    "nt_xent": "contrastive",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_vssl.losses.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.losses' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
