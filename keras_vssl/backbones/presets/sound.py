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
}
