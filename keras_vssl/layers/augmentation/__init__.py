"""Augmentation of clips on the device, with one draw for all frames of a clip."""

from keras_vssl import lazy

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
    "ResizeBlur": "resize_blur",
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

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
