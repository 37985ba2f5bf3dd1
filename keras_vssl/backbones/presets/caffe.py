"""Networks of Caffe."""

from keras_vssl.backbones.presets.shared import KAIMING_FAN_OUT


def _minus(blue, green, red):
    """Pixels of 0 to 255 minus a mean that its source gives as B, G, R."""
    return {"mean": [red / 255, green / 255, blue / 255], "std": [1 / 255] * 3}


# Caffe's ImageNet mean, which shuffle-tuple's prototxt has too.
_IMAGENET = _minus(103.939, 116.779, 123.68)

_NANO = {
    "channels": [24, 64, 96, 96, 64],
    "dense": [128],
    "dense_shape": [1, 1],
    "batch_normalization": True,
    "normalized_from": 1,
    "lrn": False,
    "kernel_initializer": KAIMING_FAN_OUT,
    "clip": {"frames": 8, "resize": [48, 64], "size": 48},
}


def _of_differences(config):
    """O3N's encoder: a CaffeNet on five stacked differences of six frames."""
    network = {
        "module": "keras_vssl.backbones.caffenet",
        "class_name": "CaffeNet",
        "config": {**config, "clip_shape": [None, None, None, 15]},
        "registered_name": "keras_vssl>CaffeNet",
    }
    return {"network": network, "frames": 6}


ARCHITECTURES = {
    "caffenet": {
        "class_name": "CaffeNet",
        "config": {**_IMAGENET},
        "description": "CaffeNet up to fc7, Caffe's AlexNet (56.9M parameters).",
    },
    "caffenet_bn_shuffle_learn": {
        "class_name": "CaffeNet",
        "config": {
            "batch_normalization": True,
            "affine": False,
            # The whole frame, its aspect ignored.
            "clip": {"resize": [227, 227]},
            **_IMAGENET,
        },
        "description": "Shuffle and Learn's CaffeNet, batch-normalised (56.9M parameters).",
    },
    "caffenet_opn": {
        "class_name": "CaffeNet",
        "config": {
            "dense": [1024],
            "dense_shape": [2, 2],
            "batch_normalization": True,
            "conv_bias": 0.0,
            # Patches of UCF101's frames at their own size, which is 240 x 320.
            "clip": {"resize": 240, "size": 80},
            **_minus(96.5, 96.5, 96.5),
        },
        "description": "OPN's CaffeNet for patches of 80x80, up to fc6 (3.4M parameters).",
    },
    "caffenet_tracking": {
        "class_name": "CaffeNet",
        "config": {
            "dense": [4096, 1024],
            "dropout": 0.0,
            "clip": {"resize": [227, 227]},
            # The channels' averages of the released mean image.
            **_minus(96.64, 102.75, 107.99),
        },
        "description": "CaffeNet of tracked patches, 1024 outputs (44.3M parameters).",
    },
    "caffenet_odd_one_out": {
        "class_name": "CaffeNet",
        "config": {
            "dense": [128],
            "batch_normalization": True,
            "normalized_from": 1,
            # Five differences of six frames, side by side as channels.
            "clip_shape": [None, None, None, 15],
            "clip": {"size": 224},
        },
        "description": "O3N's network on stacked differences, sizes unverified (3.7M parameters).",
    },
    "caffenet_nano": {
        "class_name": "CaffeNet",
        "config": {**_NANO},
        "description": "CaffeNet at a quarter of its width for 48x48 frames (0.16M parameters).",
    },
    "odd_one_out": {
        "class_name": "ClipImageNet",
        "config": _of_differences(
            {
                "dense": [128],
                "batch_normalization": True,
                "normalized_from": 1,
                "clip": {"size": 224},
            }
        ),
        "description": "O3N's encoder, six frames as stacked differences (3.7M parameters).",
    },
    "odd_one_out_nano": {
        "class_name": "ClipImageNet",
        "config": _of_differences(_NANO),
        "description": "O3N's encoder at a quarter of its width for 48x48 frames.",
    },
}
