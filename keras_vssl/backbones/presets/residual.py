"""Residual networks of basic blocks."""

from keras_vssl.backbones.presets.shared import IMAGENET, KINETICS, NANO, PYTORCH_DEFAULT

_VCOP_R3D = {"blocks": [1, 1, 1, 1], "kernel_initializer": PYTORCH_DEFAULT}
_VCOP_R2PLUS1D = {
    **_VCOP_R3D,
    "midplanes": "conv",
    "stem_midplanes": None,
    "factored_shortcut": True,
}

# 0.5 s in 8 frames: 16 a second, every other one of 30.
_AVID = {
    "midplanes": "out",
    "factored_stem": False,
    "stem_pool": True,
    "norm_after_sum": True,
    "clip": {"frames": 8, "stride": 2, "resize": 128, "size": 112},
    **IMAGENET,
}

ARCHITECTURES = {
    "r3d_18": {
        "class_name": "R3D",
        "config": {**KINETICS},
        "description": "R3D-18, the torchvision form (33.2M parameters).",
    },
    "r3d_34": {
        "class_name": "R3D",
        "config": {"blocks": [3, 4, 6, 3], **KINETICS},
        "description": "R3D-34, the torchvision form (63.5M parameters).",
    },
    "r3d_10_vcop": {
        "class_name": "R3D",
        "config": {**_VCOP_R3D},
        "description": "VCOP's R3D: one block a stage, 10 layers (14.4M parameters).",
    },
    "r3d_10_tgn": {
        "class_name": "R3D",
        "config": {**_VCOP_R3D, "temporal_groups": 4},
        "description": "VCOP's R3D, normalised by up to 4 groups of time steps (16 frames).",
    },
    "r3d_nano": {
        "class_name": "R3D",
        "config": {**_VCOP_R3D, **NANO},
        "description": "VCOP's R3D at a quarter of its width for 8x48x48 clips on a CPU.",
    },
    "mc3_18": {
        "class_name": "MC3",
        "config": {**KINETICS},
        "description": "MC3-18: 3-D convolutions in the first stage, 2-D after (11.5M parameters).",
    },
    "mc3_nano": {
        "class_name": "MC3",
        "config": {"blocks": [1, 1, 1, 1], **NANO},
        "description": "MC3 of one block a stage and a quarter of its width, for 8x48x48 clips.",
    },
    "r2plus1d_18": {
        "class_name": "R2Plus1D",
        "config": {**KINETICS},
        "description": "R(2+1)D-18, the torchvision form (31.3M parameters).",
    },
    "r2plus1d_34_vmz": {
        "class_name": "R2Plus1D",
        "config": {
            "blocks": [3, 4, 6, 3],
            "midplanes": "conv",
            "epsilon": 1e-3,
            "clip": {"frames": 32},
            **KINETICS,
        },
        "description": "R(2+1)D-34 of VMZ (IG-65M, Sports-1M, Kinetics; 63.5M parameters).",
    },
    "r2plus1d_34_mmaction2": {
        "class_name": "R2Plus1D",
        "config": {
            "blocks": [3, 4, 6, 3],
            "midplanes": "conv",
            "stem_midplanes": None,
            "stem_pool": True,
            "factored_shortcut": True,
            "shortcut_taps": 3,
            "epsilon": 1e-3,
            "inner_epsilon": 1e-5,
            "clip": {"frames": 8, "stride": 8, "resize": 256, "size": 224},
            **IMAGENET,
        },
        "description": "R(2+1)D-34 of mmaction2, with a pool after the stem (63.6M parameters).",
    },
    "r2plus1d_10_vcop": {
        "class_name": "R2Plus1D",
        "config": {**_VCOP_R2PLUS1D},
        "description": "VCOP's R(2+1)D: one block a stage, 10 layers (14.4M parameters).",
    },
    "r2plus1d_10_tgn": {
        "class_name": "R2Plus1D",
        "config": {**_VCOP_R2PLUS1D, "temporal_groups": 4},
        "description": "VCOP's R(2+1)D, normalised by up to 4 groups of time steps (16 frames).",
    },
    "r2plus1d_nano": {
        "class_name": "R2Plus1D",
        "config": {**_VCOP_R2PLUS1D, **NANO},
        "description": "VCOP's R(2+1)D at a quarter of its width for 8x48x48 clips on a CPU.",
    },
    "r2plus1d_18_xdc": {
        "class_name": "R2Plus1D",
        "config": {"midplanes": "conv", "epsilon": 1e-3, "clip": {"frames": 32}, **KINETICS},
        "description": "R(2+1)D-18 of XDC, with VMZ's middle widths (33.2M parameters).",
    },
    "r2plus1d_18_crisscross": {
        "class_name": "R2Plus1D",
        "config": {**_AVID},
        "description": "AVID's R(2+1)D-18, CrissCross's video tower (15.4M parameters).",
    },
    "r2plus1d_18_replai": {
        "class_name": "R2Plus1D",
        "config": {**_AVID},
        "description": "AVID's R(2+1)D-18, RepLAI's video tower (15.4M parameters).",
    },
    "r3d_18_slic": {
        "class_name": "R3D",
        "config": {
            "stem_kernel": 7,
            "clip": {"frames": 16, "stride": 1, "resize": 128, "size": 128},
            # Its Kinetics statistics; on UCF101 it took ImageNet's.
            "mean": [0.4345, 0.4051, 0.3775],
            "std": [0.2768, 0.2713, 0.2737],
        },
        "description": "R3D-18 of SLIC, a 7x7x7 stem without pooling (33.2M parameters).",
    },
    "r3d_18_vtdl": {
        "class_name": "R3D",
        "config": {
            "stem_kernel": 7,
            "stem_pool": True,
            "stem_pool_frames": 3,
            "clip": {"frames": 16, "stride": 4, "resize": 256, "size": 224},
            **IMAGENET,
        },
        "description": "R3D-18 of VTDL and CEP, its stem pooled over time too (33.2M parameters).",
    },
}
