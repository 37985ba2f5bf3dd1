"""Transformers over clips."""

from keras_vssl.backbones.presets.shared import IMAGENET, SLOWFAST

_TIMESFORMER = {
    "patch": [1, 16, 16],
    "positions": "space_time",
    "class_token": True,
    "output": "class",
    "qkv_bias": "all",
    "attention": "divided",
    "kernel_initializer": {"class_name": "TruncatedNormal", "config": {"stddev": 0.02}},
    "clip_shape": [8, 224, 224, 3],
    "clip": {"stride": 32},
}

ARCHITECTURES = {
    "video_vit_tiny": {
        "class_name": "VideoViT",
        "config": {"width": 192, "heads": 3, **IMAGENET},
        "description": "ViT-Ti on 16x224x224, VideoMAE's form (5.6M parameters).",
    },
    "video_vit_small": {
        "class_name": "VideoViT",
        "config": {"width": 384, "heads": 6, **IMAGENET},
        "description": "ViT-S on 16x224x224, VideoMAE's form (21.9M parameters).",
    },
    "video_vit_base": {
        "class_name": "VideoViT",
        "config": {**IMAGENET},
        "description": "ViT-B on 16x224x224, VideoMAE's form (86.2M parameters).",
    },
    "video_vit_large": {
        "class_name": "VideoViT",
        "config": {"width": 1024, "depth": 24, "heads": 16, **IMAGENET},
        "description": "ViT-L on 16x224x224, VideoMAE's form (303.9M parameters).",
    },
    "video_vit_huge": {
        "class_name": "VideoViT",
        "config": {"width": 1280, "depth": 32, "heads": 16, **IMAGENET},
        "description": "ViT-H on 16x224x224, VideoMAE's form (631.6M parameters).",
    },
    "video_vit_giant": {
        "class_name": "VideoViT",
        "config": {
            "width": 1408,
            "depth": 40,
            "heads": 16,
            "mlp_width": 6144,
            "patch": [2, 14, 14],
            **IMAGENET,
        },
        "description": "ViT-g with patches of 14, VideoMAE V2's largest (1011.6M parameters).",
    },
    "video_vit_nano": {
        "class_name": "VideoViT",
        "config": {
            "width": 96,
            "depth": 4,
            "heads": 3,
            "patch": [2, 8, 8],
            "clip_shape": [8, 48, 48, 3],
            "clip": {"stride": 1},
            **IMAGENET,
        },
        "description": "A ViT for 8x48x48 clips on a CPU (0.48M parameters).",
    },
    "timesformer_base": {
        "class_name": "VideoViT",
        "config": {**_TIMESFORMER, **SLOWFAST},
        "description": "TimeSformer-B, 8 frames, divided attention (121.3M parameters).",
    },
}
