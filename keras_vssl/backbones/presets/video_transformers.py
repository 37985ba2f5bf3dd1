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

_TRUNCATED = {"class_name": "TruncatedNormal", "config": {"stddev": 0.02}}
_JEPA = {
    "positions": "sine_cosine_3d",
    "qkv_bias": "all",
    "kernel_initializer": _TRUNCATED,
    **IMAGENET,
}
_JEPA_2 = {**_JEPA, "positions": "rotary", "clip_shape": [16, 256, 256, 3]}
_LARGE = {"width": 1024, "depth": 24, "heads": 16}
_HUGE = {"width": 1280, "depth": 32, "heads": 16}
_GIANT = {"width": 1408, "depth": 40, "heads": 22, "mlp_width": 6144}
# Pixels in [-1, 1].
_VIVIT = {
    "activation": "gelu_tanh",
    "clip_shape": [32, 224, 224, 3],
    "clip": {"stride": 2},
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
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
    "vjepa_large": {
        "class_name": "VideoViT",
        "config": {**_JEPA, **_LARGE},
        "description": "V-JEPA's ViT-L on 16x224x224 (303.9M parameters).",
    },
    "vjepa_huge": {
        "class_name": "VideoViT",
        "config": {**_JEPA, **_HUGE},
        "description": "V-JEPA's ViT-H on 16x224x224 (631.6M parameters).",
    },
    "vjepa_huge_384": {
        "class_name": "VideoViT",
        "config": {**_JEPA, **_HUGE, "clip_shape": [16, 384, 384, 3]},
        "description": "V-JEPA's ViT-H on 16x384x384 (631.6M parameters).",
    },
    "vjepa2_large": {
        "class_name": "VideoViT",
        "config": {**_JEPA_2, **_LARGE},
        "description": "V-JEPA 2's ViT-L on 16x256x256, rotary positions (303.9M parameters).",
    },
    "vjepa2_huge": {
        "class_name": "VideoViT",
        "config": {**_JEPA_2, **_HUGE},
        "description": "V-JEPA 2's ViT-H on 16x256x256, rotary positions (631.6M parameters).",
    },
    "vjepa2_giant": {
        "class_name": "VideoViT",
        "config": {**_JEPA_2, **_GIANT},
        "description": "V-JEPA 2's ViT-g on 16x256x256, rotary positions (1012.2M parameters).",
    },
    "vjepa2_giant_384": {
        "class_name": "VideoViT",
        "config": {**_JEPA_2, **_GIANT, "clip_shape": [16, 384, 384, 3]},
        "description": "V-JEPA 2's ViT-g on 16x384x384, rotary positions (1012.2M parameters).",
    },
    **{
        f"vatt_{name}": {
            "class_name": "VideoViT",
            "config": {
                **size,
                "patch": [4, 16, 16],
                "positions": "axes",
                "class_token": True,
                "output": "class",
                "qkv_bias": "all",
                "clip_shape": [32, 224, 224, 3],
                "clip": {"stride": 2},
                "mean": [0.5] * 3,
                "std": [0.5] * 3,
            },
            "description": f"VATT's video transformer, {letter}, 32 frames.",
        }
        for name, letter, size in (
            ("base", "Base", {}),
            ("medium", "Medium", {"width": 1024, "heads": 16}),
            ("large", "Large", {"width": 1024, "depth": 24, "heads": 16}),
        )
    },
    "vivit_base": {
        "class_name": "VideoViT",
        "config": {
            **_VIVIT,
            "positions": "learned",
            "class_token": True,
            "output": "class",
            "qkv_bias": "all",
        },
        "description": "ViViT-B/16x2, 32 frames, joint attention (88.6M parameters).",
    },
    "vivit_base_factorised": {
        "class_name": "FactorisedViT",
        "config": {**_VIVIT},
        "description": "ViViT-B/16x2, 32 frames, factorised encoder (114.8M parameters).",
    },
    "vivit_large_factorised": {
        "class_name": "FactorisedViT",
        "config": {**_VIVIT, **_LARGE, "time_depth": 24},
        "description": "ViViT-L/16x2, 32 frames, factorised encoder (606.4M parameters).",
    },
    "timesformer_base_space": {
        "class_name": "FactorisedViT",
        "config": {
            "time_depth": 0,
            "patch": [1, 16, 16],
            "kernel_initializer": _TRUNCATED,
            "clip_shape": [8, 224, 224, 3],
            "clip": {"stride": 32},
            **SLOWFAST,
        },
        "description": "TimeSformer-B, 8 frames, space alone (85.8M parameters).",
    },
    "timesformer_base_joint": {
        "class_name": "VideoViT",
        "config": {**_TIMESFORMER, "attention": "joint", **SLOWFAST},
        "description": "TimeSformer-B, 8 frames, joint attention (85.8M parameters).",
    },
    "timesformer_base": {
        "class_name": "VideoViT",
        "config": {**_TIMESFORMER, **SLOWFAST},
        "description": "TimeSformer-B, 8 frames, divided attention (121.3M parameters).",
    },
}
