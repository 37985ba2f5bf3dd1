"""Networks on lips and voices."""


def _network(name, module, config):
    """A front end as a configuration of a larger network holds it."""
    return {
        "module": f"keras_vssl.backbones.{module}",
        "class_name": name,
        "config": config,
        "registered_name": f"keras_vssl>{name}",
    }


# Grey mouths of 96 x 96 at 25 frames a second, cropped to 88; AV-HuBERT's and RAVEn's statistics.
_LIPS = {
    "clip": {"frames": 25, "resize": [96, 96], "size": 88},
    "mean": 0.421,
    "std": 0.165,
}
_POOLED = {**_LIPS, "pooled": True}
_SECOND = {"sound": {"seconds": 1.0}}
_NARROW = {"width": 16, "blocks": [1, 1, 1, 1]}
_LARGE = {"width": 1024, "heads": 16, "mlp_width": 4096, "depth": 24}
_NANO = {"width": 96, "heads": 4, "mlp_width": 192, "depth": 2}


def _lips(activation, **changes):
    config = {**_POOLED, "activation": activation, **changes}
    return {"frame_network": _network("LipResNet", "lip_resnet", config)}


def _voice(**changes):
    return {"frame_network": _network("WaveResNet", "wave_resnet", {**_SECOND, **changes})}


ARCHITECTURES = {
    "lip_resnet_18": {
        "class_name": "LipResNet",
        "config": {**_LIPS},
        "description": "ResNet-18 on each frame of lips, AV-HuBERT's (11.2M parameters).",
    },
    "lip_resnet_18_swish": {
        "class_name": "LipResNet",
        "config": {**_LIPS, "activation": "swish"},
        "description": "ResNet-18 on each frame of lips, RAVEn's (11.2M parameters).",
    },
    "lip_resnet_nano": {
        "class_name": "LipResNet",
        "config": {**_LIPS, **_NARROW},
        "description": "lip_resnet_18 at a quarter of its width, for a CPU (0.31M parameters).",
    },
    "wave_resnet_18": {
        "class_name": "WaveResNet",
        "config": {**_SECOND},
        "description": "ResNet-18 on samples, RAVEn's, 25 features a second (3.8M parameters).",
    },
    "wave_resnet_nano": {
        "class_name": "WaveResNet",
        "config": {**_NARROW, **_SECOND},
        "description": "wave_resnet_18 at a quarter of its width, for a CPU (0.11M parameters).",
    },
    "raven_video_base": {
        "class_name": "RAVEnEncoder",
        "config": {**_lips("swish")},
        "description": "RAVEn's encoder of lips, Base (52.4M parameters).",
    },
    "raven_audio_base": {
        "class_name": "RAVEnEncoder",
        "config": {**_voice()},
        "description": "RAVEn's encoder of raw sound, Base (45.1M parameters).",
    },
    "raven_video_large": {
        "class_name": "RAVEnEncoder",
        "config": {**_lips("swish"), **_LARGE, "drop_path": 0.1},
        "description": "RAVEn's encoder of lips, Large (339.3M parameters).",
    },
    "raven_audio_large": {
        "class_name": "RAVEnEncoder",
        "config": {**_voice(), **_LARGE, "drop_path": 0.1},
        "description": "RAVEn's encoder of raw sound, Large (331.9M parameters).",
    },
    "raven_audio_nano": {
        "class_name": "RAVEnEncoder",
        "config": {**_voice(**_NARROW), **_NANO},
        "description": "A small raven_audio_base for a CPU (0.29M parameters).",
    },
    "av_hubert_base": {
        "class_name": "AVHuBERTEncoder",
        "config": {**_lips("prelu"), "mask_audio": True},
        "description": "AV-HuBERT's encoder of lips and sound, Base (102.6M parameters).",
    },
    "av_hubert_large": {
        "class_name": "AVHuBERTEncoder",
        "config": {**_lips("prelu"), **_LARGE, "mask_audio": True},
        "description": "AV-HuBERT's encoder of lips and sound, Large (324.6M parameters).",
    },
    "av_hubert_nano": {
        "class_name": "AVHuBERTEncoder",
        "config": {**_lips("prelu", **_NARROW), **_NANO, "position_kernel": 32},
        "description": "A small av_hubert_base for a CPU (0.52M parameters).",
    },
}
