"""Augmentation of clips on the device, with one draw for all frames of a clip."""

import importlib

_MODULES = {
    "Augmentation": "augmentation",
    "RandomAugmentation": "augmentation",
    "ClipAugmentation": "clip_augmentation",
    "ColorJitter": "color_jitter",
    "Cutout": "cutout",
    "GaussianBlur": "blur",
    "RandomChannel": "grayscale",
    "RandomFlip": "flip",
    "RandomGrayscale": "grayscale",
    "RandomResizedCrop": "crop",
    "Solarize": "solarization",
    "adjust_brightness": "color",
    "adjust_contrast": "color",
    "adjust_hue": "color",
    "adjust_saturation": "color",
    "to_grayscale": "color",
    "crop_resize": "crop",
    "gaussian_blur": "blur",
    "hflip": "flip",
    "solarize": "solarization",
    "contrastive_views": "views",
    "jittered_views": "views",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name in _MODULES:
        module = importlib.import_module(f"keras_vssl.layers.augmentation.{_MODULES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'keras_vssl.layers.augmentation' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
