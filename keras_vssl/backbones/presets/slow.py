"""Residual bottleneck networks that keep time."""

from keras_vssl.backbones.presets.shared import IMAGENET, NANO, SLOWFAST

_SLOW_8X8 = {"clip": {"frames": 8, "stride": 8, "resize": 256, "size": 224}, **SLOWFAST}
_CVRL = {
    "stem_kernel": 5,
    "stem_stride": 2,
    "zero_init_last": False,
    "padding": "same",
    # Keras' default; the official code passes its name alone.
    "kernel_initializer": {"class_name": "VarianceScaling", "config": {}},
    "clip": {"frames": 16, "stride": 2, "resize": 256, "size": 224},
}
# Every second block of a stage looks at three frames (mmaction2's `inflate`, PySlowFast's table).
_I3D_KERNELS = [[3, 3, 3], [3, 1, 3, 1], [3, 1, 3, 1, 3, 1], [1, 3, 1]]
_NANO_SLOW = {"blocks": [1, 1, 1, 1], **NANO}

ARCHITECTURES = {
    "slow_r50": {
        "class_name": "SlowResNet",
        "config": {**_SLOW_8X8},
        "description": "SlowOnly R50, PySlowFast's slow pathway (31.6M parameters).",
    },
    "slow_r101": {
        "class_name": "SlowResNet",
        "config": {"blocks": [3, 4, 23, 3], **_SLOW_8X8},
        "description": "SlowOnly R101 (59.5M parameters).",
    },
    "slow_r152": {
        "class_name": "SlowResNet",
        "config": {"blocks": [3, 8, 36, 3], **_SLOW_8X8},
        "description": "SlowOnly R152 (82.0M parameters).",
    },
    "slow_r50_dense": {
        "class_name": "SlowResNet",
        "config": {
            "stem_kernel": 5,
            "stem_stride": 2,
            **_SLOW_8X8,
            "clip": {**_SLOW_8X8["clip"], "frames": 32},
        },
        "description": "The backbone of MoDist and MaCLR: R50 with a 5x7x7 stem (31.7M parameters).",
    },
    "i3d_r50": {
        "class_name": "SlowResNet",
        "config": {
            "stem_kernel": 5,
            "stem_stride": 2,
            "temporal_kernels": _I3D_KERNELS,
            "stem_pool_stride": 2,
            "stage_pool": 2,
            "zero_init_last": False,
            "clip": {"frames": 32, "stride": 2, "resize": 256, "size": 224},
            **IMAGENET,
        },
        "description": "I3D on ResNet-50, mmaction2's form (27.2M parameters).",
    },
    "i3d_r50_pyslowfast": {
        "class_name": "SlowResNet",
        "config": {
            "stem_kernel": 5,
            "temporal_kernels": _I3D_KERNELS,
            "stage_pool": 2,
            **_SLOW_8X8,
        },
        "description": "I3D on ResNet-50, PySlowFast's form: 8 frames (27.2M parameters).",
    },
    "slow_r50_cvrl": {
        "class_name": "SlowResNet",
        "config": {**_CVRL},
        "description": "CVRL's R3D-50: 5x7x7 stem, TensorFlow's padding (31.7M parameters).",
    },
    "slow_r152_2x_cvrl": {
        "class_name": "SlowResNet",
        "config": {"blocks": [3, 8, 36, 3], "width": 128, **_CVRL},
        "description": "CVRL's R3D-152 of twice the width (327.7M parameters).",
    },
    "slow_nano": {
        "class_name": "SlowResNet",
        "config": {**_NANO_SLOW},
        "description": "SlowOnly of four blocks and a quarter of the width, for 8x48x48 clips.",
    },
    "slow_nano_dense": {
        "class_name": "SlowResNet",
        "config": {"stem_kernel": 5, "stem_stride": 2, **_NANO_SLOW},
        "description": "The dense-stem form of slow_nano, and the faster one: 4 time steps.",
    },
}
