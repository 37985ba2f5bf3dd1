"""Layers that several methods share."""

from keras_vssl import lazy

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

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
