"""Layers that several methods share."""

import importlib

_MODULES = {
    "BatchNormalization": "normalization",
    "Conv3D": "convolution",
    "MaxPooling3D": "pooling",
    "OrderHead": "heads",
    "Projector": "heads",
    "MemoryQueue": "queue",
    "MomentumEncoder": "momentum",
    "LogMelSpectrogram": "spectrogram",
    "FRONT_ENDS": "front_ends",
    "mel_filters": "filterbanks",
    "VolumeJitter": "sound_augmentation",
    "RandomRoll": "sound_augmentation",
    "SpectrogramMasks": "sound_augmentation",
    "WindowBlock": "window_attention",
    "ClipAugmentation": "augmentation",
    "ColorJitter": "augmentation",
    "Cutout": "augmentation",
    "GaussianBlur": "augmentation",
    "RandomChannel": "augmentation",
    "RandomFlip": "augmentation",
    "RandomGrayscale": "augmentation",
    "RandomResizedCrop": "augmentation",
    "Solarize": "augmentation",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_vssl.layers.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.layers' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
