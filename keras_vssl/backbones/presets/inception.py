"""Inception networks over clips."""

from keras_vssl.backbones.presets.shared import IMAGENET, KINETICS, NANO, PYTORCH_DEFAULT

# Pixels in [-1, 1].
_SIGNED = {"mean": 0.5, "std": 0.5}
_I3D = {"clip": {"frames": 64, "stride": 1, "resize": 256, "size": 224}, **_SIGNED}
# The released network saw 32 frames of 200 x 200 at 10 fps, videos have 25 to 30.
_HOWTO100M = {
    "stem": "space_to_depth",
    "gating": "conv_2c",
    "pool_padding": "even",
    "kernel_initializer": PYTORCH_DEFAULT,
    "clip": {"frames": 32, "stride": 3, "resize": 224, "size": 200},
}
_MMV = {
    "stem": "space_to_depth",
    "gating": "conv_2c",
    "padding": "same",
    "clip": {"frames": 32, "stride": 2, "resize": 224, "size": 224},
}
_COCLR = {"clip": {"frames": 32, "stride": 1, "resize": 128, "size": 128}, **IMAGENET}
_SLIM = {
    "stem": "full",
    "stem_kernel": 3,
    "gating": "conv_2c",
    "padding": "same",
    "epsilon": 1e-3,
    "momentum": 0.999,
    "clip": {"frames": 64, "stride": 1, "resize": 256, "size": 224},
    **_SIGNED,
}

ARCHITECTURES = {
    "i3d_rgb": {
        "class_name": "I3D",
        "config": {**_I3D},
        "description": "I3D on RGB clips, Inception-v1 inflated (12.3M parameters).",
    },
    "i3d_flow": {
        "class_name": "I3D",
        "config": {"clip_shape": [None, None, None, 2], **_I3D},
        "description": "I3D on optical flow of two channels (12.3M parameters).",
    },
    "i3d_nano": {
        "class_name": "I3D",
        "config": {**NANO},
        "description": "I3D at a quarter of its width for 8x48x48 clips on a CPU (0.8M parameters).",
    },
    "s3d_coclr": {
        "class_name": "S3D",
        "config": {**_COCLR},
        "description": "S3D without gates, CoCLR's network for RGB and flow (7.9M parameters).",
    },
    "s3dg_coclr": {
        "class_name": "S3D",
        "config": {"gating": "mixed_3b", **_COCLR},
        "description": "CoCLR's S3D-G, gated in the blocks alone (9.1M parameters).",
    },
    "s3d_kinetics": {
        "class_name": "S3D",
        "config": {
            "epsilon": 1e-3,
            "momentum": 0.999,
            "kernel_initializer": PYTORCH_DEFAULT,
            "clip": {"frames": 128, "stride": 1, "resize": [256, 256], "size": 224},
            **KINETICS,
        },
        "description": "S3D as torchvision trains it on Kinetics-400 (7.9M parameters).",
    },
    "s3dg_howto100m": {
        "class_name": "S3D",
        "config": {**_HOWTO100M},
        "description": "MIL-NCE's S3D-G on cells of 2x2x2 pixels (9.1M parameters).",
    },
    "s3dg_mmv": {
        "class_name": "S3D",
        "config": {**_MMV},
        "description": "MMV's S3D-G on cells of 2x2x2 pixels (9.1M parameters).",
    },
    "s3dg": {
        "class_name": "S3D",
        "config": {**_SLIM},
        "description": "S3D-G with a full 3x7x7 stem, separable units normalised twice (9.1M "
        "parameters).",
    },
    "s3dg_speednet": {
        "class_name": "S3D",
        "config": {
            **_SLIM,
            "stem_stride": 1,
            "pool_stride": 1,
            "clip": {"frames": 64, "stride": 1, "resize": 256, "size": 224},
        },
        "description": "SpeedNet's S3D-G, which keeps every time step (9.1M parameters).",
    },
    "s3d_nano": {
        "class_name": "S3D",
        "config": {**NANO},
        "description": "S3D at a quarter of its width for 8x48x48 clips on a CPU (0.5M "
        "parameters).",
    },
    "s3dg_nano": {
        "class_name": "S3D",
        "config": {"gating": "conv_2c", "padding": "same", **NANO},
        "description": "S3D-G at a quarter of its width for 8x48x48 clips on a CPU (0.6M "
        "parameters).",
    },
}
