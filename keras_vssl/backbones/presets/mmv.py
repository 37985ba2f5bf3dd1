"""MMV's pre-activation ResNets; its S3D-G is among the Inception networks."""

# The official evaluation's clips, pixels in [0, 1].
_CLIP = {"clip": {"frames": 32, "stride": 2, "resize": 224, "size": 224}}

ARCHITECTURES = {
    "tsm_resnet_50_mmv": {
        "class_name": "TSMResNetV2",
        "config": {**_CLIP},
        "description": "MMV's pre-activation ResNet-50 with a temporal shift (23.5M parameters).",
    },
    "tsm_resnet_50_2x_mmv": {
        "class_name": "TSMResNetV2",
        "config": {"width": 128, **_CLIP},
        "description": "tsm_resnet_50_mmv at twice its width, 4096 channels (93.9M parameters).",
    },
    "audio_resnet_50_mmv": {
        "class_name": "AudioResNetV2",
        "config": {"front_end": "mmv", "sound": {"seconds": 3.2}},
        "description": "MMV's pre-activation ResNet-50 on sound, 3.2 s (23.5M parameters).",
    },
}
