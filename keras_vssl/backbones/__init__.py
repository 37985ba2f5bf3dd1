"""Networks that turn clips into feature maps; each architecture is one file."""

import importlib

_MODULES = {
    "VideoBackbone": "backbone",
    "AudioBackbone": "audio_backbone",
    "C3D": "c3d",
    "R3D": "r3d",
    "MC3": "r3d",
    "R2Plus1D": "r3d",
    "SlowResNet": "slow",
    "AlexNetBN": "alexnet",
}

__all__ = list(_MODULES)


def register():
    """Imports every architecture, so that Keras can rebuild any of them from a preset."""
    for module in sorted(set(_MODULES.values())):
        importlib.import_module(f"keras_vssl.backbones.{module}")


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_vssl.backbones.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.backbones' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
