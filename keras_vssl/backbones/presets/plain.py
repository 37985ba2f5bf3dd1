"""Plain convolutional networks."""

from keras_vssl.backbones.presets.shared import NANO

ARCHITECTURES = {
    "c3d_vcop": {
        "class_name": "C3D",
        "config": {},
        "description": "C3D with batch normalisation, as VCOP trains it (27.7M parameters).",
    },
    "c3d_tgn": {
        "class_name": "C3D",
        "config": {"temporal_groups": 4},
        "description": "VCOP's C3D, normalised by up to 4 groups of time steps (16 frames).",
    },
    "c3d_sports1m": {
        "class_name": "C3D",
        "config": {
            "batch_normalization": False,
            "dense": 4096,
            "kernel_initializer": {"class_name": "HeNormal", "config": {}},
            # Pixels in 0..255 minus the mean that mmaction2 trained with.
            "mean": [104 / 255, 117 / 255, 128 / 255],
            "std": [1 / 255, 1 / 255, 1 / 255],
        },
        "description": "The original C3D up to fc7, no batch normalisation (78.0M parameters).",
    },
    "c3d_nano": {
        "class_name": "C3D",
        "config": {**NANO},
        "description": "C3D at a quarter of its width for 8x48x48 clips on a CPU (1.7M parameters).",
    },
    "alexnet_bn_vcop": {
        "class_name": "AlexNetBN",
        "config": {},
        "description": "AlexNet with batch normalisation for single frames, VCOP's (2.5M parameters).",
    },
}
