"""Networks on sound."""

_TEN_SECONDS = {"sound": {"seconds": 10.0}}

ARCHITECTURES = {
    "audio_vgg_avts": {
        "class_name": "AudioVGG",
        "config": {"dense": [512], "front_end": "avts", "sound": {"seconds": 1.0}},
        "description": "AVTS's audio tower (sizes unverified), 1 s of sound (10.8M parameters).",
    },
    "audio_vgg_nano": {
        "class_name": "AudioVGG",
        "config": {
            "channels": [16, 48, 96, 64, 64],
            "dense": [128],
            "front_end": "avts",
            "sound": {"seconds": 1.0},
        },
        "description": "audio_vgg_avts at a quarter of its width (0.67M parameters).",
    },
    "audio_vit_tiny": {
        "class_name": "AudioViT",
        "config": {"width": 192, "heads": 3, **_TEN_SECONDS},
        "description": "ViT-Ti on 10 s of sound, AudioMAE's form (5.5M parameters).",
    },
    "audio_vit_small": {
        "class_name": "AudioViT",
        "config": {"width": 384, "heads": 6, **_TEN_SECONDS},
        "description": "ViT-S on 10 s of sound, AudioMAE's form (21.6M parameters).",
    },
    "audio_vit_base": {
        "class_name": "AudioViT",
        "config": {**_TEN_SECONDS},
        "description": "ViT-B on 10 s of sound, AudioMAE's form (85.6M parameters).",
    },
    "audio_vit_nano": {
        "class_name": "AudioViT",
        "config": {
            "frames": 96,
            "bands": 64,
            "width": 96,
            "depth": 4,
            "heads": 3,
            "sound": {"seconds": 1.0},
        },
        "description": "A ViT on 1 s of sound for a CPU: 24 patches (0.47M parameters).",
    },
    "ast_base": {
        "class_name": "AudioViT",
        "config": {
            "stride": 10,
            "extra_tokens": 2,
            "positions": "learned",
            "frequency_major": True,
            "pooling": "tokens",
            "front_end": "ast",
            **_TEN_SECONDS,
        },
        "description": "AST on 10 s of sound, overlapping patches (86.2M parameters).",
    },
    "audio_resnet_18_crisscross": {
        "class_name": "AudioResNet",
        "config": {"front_end": "crisscross", "sound": {"seconds": 2.0}},
        "description": "ResNet-18 on sound, CrissCross's audio tower, 2 s (11.2M parameters).",
    },
    "audio_resnet_18_xdc": {
        "class_name": "AudioResNet",
        "config": {
            "channels": [32, 64, 128, 256, 512],
            "blocks": [3, 2, 2, 2, 2],
            "strides": [2, 2, 2, 2, 2],
            "stem_width": 16,
            "stem_kernel": 3,
            "stem_stride": 1,
            "stem_norm": False,
            "stem_pool": False,
            "epsilon": 1e-3,
            "spectrogram_shape": [None, 40],
            "front_end": "vmz",
            "sound": {"seconds": 1.0},
        },
        "description": "VMZ's ResNet on sound, XDC's likely tower, 1 s (11.2M parameters).",
    },
    "audio_resnet_nano": {
        "class_name": "AudioResNet",
        "config": {
            "channels": [16, 32, 64, 128],
            "blocks": [1, 1, 1, 1],
            "front_end": "crisscross",
            "sound": {"seconds": 1.0},
        },
        "description": "A 10-layer ResNet on sound at a quarter of the width (0.3M parameters).",
    },
    "audio_vgg_replai": {
        "class_name": "AudioVGG",
        "config": {
            "channels": [64, 64, 64, 128, 128, 256, 256, 512, 512],
            "kernels": [7, 3, 3, 3, 3, 3, 3, 3, 3],
            "strides": [2, 2, 1, 2, 1, 2, 1, 1, 1],
            "pools": [],
            "padding": "symmetric",
            "spectrogram_shape": [None, 80],
            "front_end": "replai",
            "sound": {"seconds": 2.0},
        },
        "description": "AVID's plain network on sound, RepLAI's tower, 2 s (4.7M parameters).",
    },
    "vatt_audio_base": {
        "class_name": "WaveViT",
        "config": {"sound": {"seconds": 3.2}},
        "description": "VATT's audio transformer, Base, 3.2 s at 48,000 Hz.",
    },
}
