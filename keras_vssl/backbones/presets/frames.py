"""Networks over single frames, alone or with a shift between them."""

from keras_vssl.backbones.presets.shared import IMAGENET, NANO

# One frame from each of so many equal parts of a video; a stride can only come near it.
_TSM = {"clip": {"frames": 8, "stride": 8, "resize": 256, "size": 224}, **IMAGENET}
_TSN = {"fraction": 0.0, "clip": {**_TSM["clip"], "frames": 3, "stride": 25}, **IMAGENET}

ARCHITECTURES = {
    "tsm_resnet_50": {
        "class_name": "TSMResNet",
        "config": {**_TSM},
        "description": "TSM on ResNet-50: frames whose channels are shifted (23.5M parameters).",
    },
    "tsm_resnet_101": {
        "class_name": "TSMResNet",
        "config": {"blocks": [3, 4, 23, 3], **_TSM},
        "description": "TSM on ResNet-101, every second block shifts (42.5M parameters).",
    },
    "tsn_resnet_50": {
        "class_name": "TSMResNet",
        "config": {**_TSN},
        "description": "TSN's ResNet-50: every frame by itself (23.5M parameters).",
    },
    "tsn_resnet_101": {
        "class_name": "TSMResNet",
        "config": {"blocks": [3, 4, 23, 3], **_TSN},
        "description": "TSN's ResNet-101: every frame by itself (42.5M parameters).",
    },
    "tsn_bn_inception": {
        "class_name": "BNInception",
        "config": {
            "clip": _TSN["clip"],
            # Pixels in 0..255 minus the mean that the published networks were trained with.
            "mean": [128 / 255, 117 / 255, 104 / 255],
            "std": [1 / 255, 1 / 255, 1 / 255],
        },
        "description": "TSN's BN-Inception: every frame by itself (10.3M parameters).",
    },
    "tsm_nano": {
        "class_name": "TSMResNet",
        "config": {"blocks": [1, 1, 1, 1], **NANO},
        "description": "TSM of four blocks and a quarter of the width, for 8x48x48 clips.",
    },
}
