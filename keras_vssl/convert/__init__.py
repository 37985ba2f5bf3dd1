"""Published checkpoints as presets; each source is one file."""

import importlib

_MODULES = {
    "convert": "conversion",
    "Converted": "conversion",
    "ConvertError": "mapping",
    "read_state_dict": "checkpoint",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_vssl.convert.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.convert' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
