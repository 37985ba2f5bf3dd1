"""Layers that several methods share."""

import importlib

_MODULES = {
    "BatchNormalization": "normalization",
    "MaxPooling3D": "pooling",
    "OrderHead": "heads",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_vssl.layers.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.layers' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
