"""Networks that turn clips into feature maps; each architecture is one file."""

import importlib

from keras_vssl import lazy

_MODULES = {
    "VideoBackbone": "backbone",
    "AudioBackbone": "audio_backbone",
    "AudioVisualBackbone": "audio_visual_backbone",
    "AudioResNet": "audio_resnet",
    "AudioVGG": "audio_vgg",
    "AudioViT": "audio_vit",
    "C3D": "c3d",
    "CaffeNet": "caffenet",
    "ClipImageNet": "clip_image_net",
    "R3D": "r3d",
    "MC3": "r3d",
    "R2Plus1D": "r3d",
    "SlowResNet": "slow",
    "TSMResNet": "tsm",
    "TSMResNetV2": "preactivation",
    "AudioResNetV2": "preactivation",
    "BNInception": "bn_inception",
    "FrameWise": "frame_wise",
    "Inflated": "inflation",
    "inflate": "inflation",
    "I3D": "i3d",
    "S3D": "s3d",
    "VideoViT": "video_vit",
    "FactorisedViT": "vivit",
    "AlexNetBN": "alexnet",
    "DAVEnet": "davenet",
    "TextBackbone": "text_backbone",
    "BertText": "text_backbone",
    "WordBag": "word_bag",
    "TokenFusion": "token_fusion",
    "FusionViT": "fusion_vit",
    "LavishViT": "lavish",
    "LavishSwin": "lavish_swin",
    "SwinV2": "swin",
    "LipResNet": "lip_resnet",
    "WaveResNet": "wave_resnet",
    "WaveViT": "wave_vit",
    "RAVEnEncoder": "raven_encoder",
    "AVHuBERTEncoder": "av_hubert_encoder",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)


def register():
    """Imports every architecture, so that Keras can rebuild any of them from a preset."""
    for module in sorted(set(_MODULES.values())):
        importlib.import_module(f"keras_vssl.backbones.{module}")
