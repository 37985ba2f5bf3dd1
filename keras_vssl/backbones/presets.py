"""The named architectures: a class, its arguments, one line each. Imports no framework."""

# torchvision's Kinetics statistics.
_KINETICS = {"mean": [0.43216, 0.394666, 0.37645], "std": [0.22803, 0.22145, 0.216989]}
_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
# PyTorch's default for convolutions: Kaiming uniform with a = sqrt(5).
PYTORCH_DEFAULT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
}
KAIMING_FAN_OUT = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"},
}
_VCOP_R3D = {"blocks": [1, 1, 1, 1], "kernel_initializer": PYTORCH_DEFAULT}
_VCOP_R2PLUS1D = {
    **_VCOP_R3D,
    "midplanes": "conv",
    "stem_midplanes": None,
    "factored_shortcut": True,
}
# PySlowFast's and pytorchvideo's statistics.
_SLOWFAST = {"mean": [0.45] * 3, "std": [0.225] * 3}
_SLOW_8X8 = {"clip": {"frames": 8, "stride": 8, "resize": 256, "size": 224}, **_SLOWFAST}
_CVRL = {
    "stem_kernel": 5,
    "stem_stride": 2,
    "zero_init_last": False,
    "padding": "same",
    # Keras' default; the official code passes its name alone.
    "kernel_initializer": {"class_name": "VarianceScaling", "config": {}},
    "clip": {"frames": 16, "stride": 2, "resize": 256, "size": 224},
}
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
_TEN_SECONDS = {"sound": {"seconds": 10.0}}
_NANO = {"width": 16, "clip": {"frames": 8, "stride": 1, "resize": [48, 64], "size": 48}}
_NANO_SLOW = {"blocks": [1, 1, 1, 1], **_NANO}

ARCHITECTURES = {
    "c3d_vcop": {
        "class_name": "C3D",
        "config": {},
        "description": "C3D with batch normalisation, as VCOP trains it (27.7M parameters).",
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
    "r3d_18": {
        "class_name": "R3D",
        "config": {**_KINETICS},
        "description": "R3D-18, the torchvision form (33.2M parameters).",
    },
    "r3d_34": {
        "class_name": "R3D",
        "config": {"blocks": [3, 4, 6, 3], **_KINETICS},
        "description": "R3D-34, the torchvision form (63.5M parameters).",
    },
    "mc3_18": {
        "class_name": "MC3",
        "config": {**_KINETICS},
        "description": "MC3-18: 3-D convolutions in the first stage, 2-D after (11.5M parameters).",
    },
    "r2plus1d_18": {
        "class_name": "R2Plus1D",
        "config": {**_KINETICS},
        "description": "R(2+1)D-18, the torchvision form (31.3M parameters).",
    },
    "r2plus1d_34_vmz": {
        "class_name": "R2Plus1D",
        "config": {
            "blocks": [3, 4, 6, 3],
            "midplanes": "conv",
            "epsilon": 1e-3,
            "clip": {"frames": 32},
            **_KINETICS,
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
            **_IMAGENET,
        },
        "description": "R(2+1)D-34 of mmaction2, with a pool after the stem (63.6M parameters).",
    },
    "r3d_10_vcop": {
        "class_name": "R3D",
        "config": {**_VCOP_R3D},
        "description": "VCOP's R3D: one block a stage, 10 layers (14.4M parameters).",
    },
    "r2plus1d_10_vcop": {
        "class_name": "R2Plus1D",
        "config": {**_VCOP_R2PLUS1D},
        "description": "VCOP's R(2+1)D: one block a stage, 10 layers (14.4M parameters).",
    },
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
    "c3d_nano": {
        "class_name": "C3D",
        "config": {**_NANO},
        "description": "C3D at a quarter of its width for 8x48x48 clips on a CPU.",
    },
    "r3d_nano": {
        "class_name": "R3D",
        "config": {**_VCOP_R3D, **_NANO},
        "description": "VCOP's R3D at a quarter of its width for 8x48x48 clips on a CPU.",
    },
    "mc3_nano": {
        "class_name": "MC3",
        "config": {"blocks": [1, 1, 1, 1], **_NANO},
        "description": "MC3 of one block a stage and a quarter of its width, for 8x48x48 clips.",
    },
    "r2plus1d_nano": {
        "class_name": "R2Plus1D",
        "config": {**_VCOP_R2PLUS1D, **_NANO},
        "description": "VCOP's R(2+1)D at a quarter of its width for 8x48x48 clips on a CPU.",
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
    "video_vit_tiny": {
        "class_name": "VideoViT",
        "config": {"width": 192, "heads": 3, **_IMAGENET},
        "description": "ViT-Ti on 16x224x224, VideoMAE's form (5.6M parameters).",
    },
    "video_vit_small": {
        "class_name": "VideoViT",
        "config": {"width": 384, "heads": 6, **_IMAGENET},
        "description": "ViT-S on 16x224x224, VideoMAE's form (21.9M parameters).",
    },
    "video_vit_base": {
        "class_name": "VideoViT",
        "config": {**_IMAGENET},
        "description": "ViT-B on 16x224x224, VideoMAE's form (86.2M parameters).",
    },
    "video_vit_large": {
        "class_name": "VideoViT",
        "config": {"width": 1024, "depth": 24, "heads": 16, **_IMAGENET},
        "description": "ViT-L on 16x224x224, VideoMAE's form (303.9M parameters).",
    },
    "video_vit_huge": {
        "class_name": "VideoViT",
        "config": {"width": 1280, "depth": 32, "heads": 16, **_IMAGENET},
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
            **_IMAGENET,
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
            **_IMAGENET,
        },
        "description": "A ViT for 8x48x48 clips on a CPU (0.48M parameters).",
    },
    "timesformer_base": {
        "class_name": "VideoViT",
        "config": {**_TIMESFORMER, **_SLOWFAST},
        "description": "TimeSformer-B, 8 frames, divided attention (121.3M parameters).",
    },
    "alexnet_bn_vcop": {
        "class_name": "AlexNetBN",
        "config": {},
        "description": "AlexNet with batch normalisation, VCOP's network for single frames.",
    },
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
