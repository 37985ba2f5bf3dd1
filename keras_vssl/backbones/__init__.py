"""Networks that turn clips into feature maps; each architecture is one file."""

import importlib

from keras_vssl import lazy

_MODULES = {
    "VideoBackbone": "backbone",
    "AudioBackbone": "audio_backbone",
    "AudioVGG": "audio_vgg",
    "AudioViT": "audio_vit",
    "C3D": "c3d",
    "R3D": "r3d",
    "MC3": "r3d",
    "R2Plus1D": "r3d",
    "SlowResNet": "slow",
    "VideoViT": "video_vit",
    "AlexNetBN": "alexnet",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)


def register():
    """Imports every architecture, so that Keras can rebuild any of them from a preset."""
    for module in sorted(set(_MODULES.values())):
        importlib.import_module(f"keras_vssl.backbones.{module}")
