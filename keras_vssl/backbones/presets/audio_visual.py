"""The transformers of audio-visual methods."""

from keras_vssl.backbones.presets.shared import IMAGENET

_SWIN_BASE = {"width": 128, "depths": [2, 2, 18, 2], "heads": [4, 8, 16, 32]}
_SWIN_LARGE = {"width": 192, "depths": [2, 2, 18, 2], "heads": [6, 12, 24, 48]}
_SWIN_192 = {"window": 12, "clip_shape": [None, 192, 192, 3]}
_XKD = {"qkv_bias": "none", "epsilon": 1e-5}

ARCHITECTURES = {
    "xkd_video": {
        "class_name": "VideoViT",
        "config": {
            "patch": [4, 16, 16],
            "positions": "learned",
            "class_token": True,
            "clip_shape": [32, 112, 112, 3],
            # 4 s at 8 frames a second, of video at 30.
            "clip": {"stride": 4},
            **_XKD,
            **IMAGENET,
        },
        "description": "XKD's ViT-B on 32x112x112, a class token before 392 cubes (87.7M parameters).",
    },
    "xkd_audio": {
        "class_name": "AudioViT",
        "config": {
            "frames": 448,
            "bands": 80,
            "patch": [16, 4],
            "positions": "learned",
            "frequency_major": True,
            "front_end": "xkd",
            "sound": {"seconds": 4.0},
            **_XKD,
        },
        "description": "XKD's ViT-B on 4 s of sound, a class token before 560 patches (85.5M parameters).",
    },
    "mavil_video": {
        "class_name": "VideoViT",
        "config": {
            "positions": "learned",
            "class_token": True,
            "qkv_bias": "all",
            "final_norm": False,
            "clip_shape": [8, 224, 224, 3],
            # 2 frames a second, of video at 30.
            "clip": {"stride": 15},
            **IMAGENET,
        },
        "description": "MAViL's ViT-B on 8x224x224 (4 s), a class token before 784 cubes (86.8M parameters).",
    },
    "mavil_audio": {
        "class_name": "AudioViT",
        "config": {"final_norm": False, "sound": {"seconds": 10.0}},
        "description": "MAViL's ViT-B on 10 s of sound, a class token before 512 patches (85.6M parameters).",
    },
    "swin_v2_tiny": {
        "class_name": "SwinV2",
        "config": {**IMAGENET},
        "description": "Swin V2-T on frames of 256x256, windows of 8 (27.6M parameters).",
    },
    "swin_v2_small": {
        "class_name": "SwinV2",
        "config": {"depths": [2, 2, 18, 2], **IMAGENET},
        "description": "Swin V2-S on frames of 256x256, windows of 8 (49.0M parameters).",
    },
    "swin_v2_base": {
        "class_name": "SwinV2",
        "config": {**_SWIN_BASE, **IMAGENET},
        "description": "Swin V2-B on frames of 256x256, windows of 8 (86.9M parameters).",
    },
    "swin_v2_base_192": {
        "class_name": "SwinV2",
        "config": {**_SWIN_BASE, **_SWIN_192, **IMAGENET},
        "description": "Swin V2-B on frames of 192x192, windows of 12 (86.9M parameters).",
    },
    "swin_v2_large_192": {
        "class_name": "SwinV2",
        "config": {**_SWIN_LARGE, **_SWIN_192, **IMAGENET},
        "description": "Swin V2-L on frames of 192x192, windows of 12 (195.2M parameters).",
    },
    "swin_v2_nano": {
        "class_name": "SwinV2",
        "config": {
            "width": 16,
            "depths": [1, 1, 2],
            "heads": [1, 2, 4],
            "window": 4,
            "clip_shape": [None, 64, 64, 3],
            **IMAGENET,
        },
        "description": "A Swin V2 on frames of 64x64 for a CPU (0.14M parameters).",
    },
    "lavish_vit_base": {
        "class_name": "LavishViT",
        "config": {"classes": 29},
        "description": "LAVISH (AVE) on a frozen ViT-B, 10 segments of 1 s; 4.6M are trained (90.5M parameters).",
    },
    "lavish_vit_large": {
        "class_name": "LavishViT",
        "config": {"width": 1024, "depth": 24, "heads": 16, "classes": 29},
        "description": "LAVISH (AVE) on a frozen ViT-L, 10 segments of 1 s; 14.5M are trained (318.0M parameters).",
    },
    "lavish_swin_v2_large": {
        "class_name": "LavishSwin",
        "config": {"classes": 29},
        "description": "LAVISH (AVE) on a frozen Swin V2-L, 10 segments of 1 s; 10.0M are trained (205.4M parameters).",
    },
}
