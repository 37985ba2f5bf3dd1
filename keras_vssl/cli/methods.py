"""What the command line knows of each method. Imports no framework.

A method needs no argument but the folder: on a GPU it takes the paper's network, elsewhere a nano
network that learns something in minutes.
"""

import dataclasses

from keras_vssl.cli import inputs

FLAGS = ("frames", "stride", "size", "resize", "short", "clips", "gap")


@dataclasses.dataclass(frozen=True)
class Method:
    """One method's defaults.

    Args:
        about: str, a line for --help.
        paper, nano: dicts for a GPU and for a CPU alone: `backbone` and `batch_size`; what else
            is there are arguments of the task.
        flags: names out of `FLAGS` that the method has.
        optimizer: str, the default of --optimizer.
        gap: float or None, frames between clips as a share of a clip's.
    """

    about: str
    paper: dict
    nano: dict
    flags: tuple = ("frames", "stride", "size")
    optimizer: str = "adamw"
    gap: float | None = None


METHODS = {
    "vcop": Method(
        "clip order prediction: in which order were these clips?",
        {"backbone": "r2plus1d_18", "batch_size": 8},
        {"backbone": "r3d_nano", "batch_size": 32},
        FLAGS,
        gap=0.5,
    ),
    "cvrl": Method(
        "contrastive: which two clips are of one video?",
        {"backbone": "slow_r50_cvrl", "batch_size": 32},
        {
            "backbone": "slow_nano_dense",
            "batch_size": 32,
            "widths": [256, 64],
            "asymmetric": False,
            # A nano network learns nothing in minutes under the paper's.
            "strength": 0.25,
        },
    ),
    "modist": Method(
        "motion distillation: which motion belongs to this clip?",
        {"backbone": "slow_r50_dense", "batch_size": 32, "queue_size": 16384},
        {
            "backbone": "slow_nano_dense",
            "batch_size": 32,
            "beta_inverse": 2,
            "widths": [256, 64],
            "momentum": 0.98,
            "queue_size": 64,
            "motion_frames": 8,
            "motion_stride": 1,
            "jitter": 0.3,
            "grayscale": 0.0,
            "blur": 0.0,
            "strength": 0.1,
        },
    ),
    "videomae": Method(
        "masked autoencoding: what is behind the mask?",
        {"backbone": "video_vit_base", "batch_size": 32},
        {"backbone": "video_vit_nano", "batch_size": 32, "decoder_depth": 2, "ratio": 0.75},
    ),
    "avts": Method(
        "audio-visual synchronisation: is this the sound of this moment? (videos with sound)",
        {"backbone": "mc3_18", "batch_size": 32, "frames": 25, "size": 224},
        {"backbone": "mc3_nano", "batch_size": 32, "audio_backbone": "audio_vgg_nano"},
        flags=("frames", "size"),
        optimizer="paper",
    ),
    "speednet": Method(
        "speediness: is this clip at normal speed or sped up? (see keras-vssl speedup)",
        {"backbone": "s3dg_speednet", "batch_size": 16},
        {"backbone": "slow_nano_dense", "batch_size": 32, "sizes": [36, 72]},
        flags=("frames", "size"),
    ),
    "shuffle_and_learn": Method(
        "shuffle and learn: does the middle one of these three frames lie between the others?",
        {"backbone": "caffenet_bn_shuffle_learn", "batch_size": 128},
        {
            "backbone": "caffenet_nano",
            "batch_size": 32,
            "tau_max": 6,
            "tau_min": 3,
            "negatives": 0.5,
            # The paper's linear classifier can't compare frames.
            "hidden": 128,
        },
        flags=("size", "resize"),
    ),
    "opn": Method(
        "order prediction network: in which order were these frames?",
        {"backbone": "caffenet_opn", "batch_size": 64},
        {
            "backbone": "caffenet_nano",
            "batch_size": 32,
            "resize": [60, 80],
            "margin": 12,
            "jitter": 3,
        },
        flags=("size",),
    ),
    "odd_one_out": Method(
        "odd one out: which of these clips has its frames in a wrong order?",
        {"backbone": "odd_one_out", "batch_size": 64},
        {"backbone": "odd_one_out_nano", "batch_size": 32, "flip": 0.0},
        flags=("frames", "stride", "size", "resize"),
    ),
    "ultrasound_order": Method(
        "ultrasound: in which order were these frames, and how were they warped?",
        {"backbone": "tsn_resnet_50", "batch_size": 32},
        {
            "backbone": "caffenet_nano",
            "batch_size": 32,
            "rotation": 20.0,
            "shear": 0.0,
            "translation": 0.05,
        },
        flags=("size",),
    ),
    "time_equivariant": Method(
        "time equivariance: how was time transformed between these clips?",
        {"backbone": "r3d_18", "batch_size": 128},
        {
            "backbone": "r3d_nano",
            "batch_size": 16,
            "speeds": 3,
            "hidden": 128,
            "dim": 32,
            "classifier": 64,
            "shift_bin": 4,
            # What is alike in both clips is learnt first, and then nothing else in minutes.
            "term_weights": [1.0, 0.1, 1.0, 1.0, 1.0],
            "area": [0.9, 1.0],
            "flip": 0.0,
            "jitter": 0.0,
            "grayscale": 0.0,
        },
        flags=("frames", "size"),
    ),
    "tracking_triplet": Method(
        "tracked patches: which two patches show the same moving thing?",
        {"backbone": "caffenet_tracking", "batch_size": 50},
        {"backbone": "caffenet_nano", "batch_size": 32, "tracks": {"length": 20, "every": 5}},
        flags=("size",),
    ),
    "playback_speed": Method(
        "playback speed: sort clips by speed, backwards being negative",
        {"backbone": "r2plus1d_10_tgn", "batch_size": 8},
        {"backbone": "r3d_nano", "batch_size": 32},
        flags=("frames", "size", "resize", "short", "clips"),
    ),
    "playback_speed_classify": Method(
        "playback speed: how fast, and forwards or backwards, is this clip played?",
        {"backbone": "r2plus1d_10_tgn", "batch_size": 8},
        {"backbone": "r3d_nano", "batch_size": 32},
        flags=("frames", "size", "resize", "short", "clips"),
    ),
    "pace": Method(
        "pace: at which of four strides is this clip played?",
        {"backbone": "r2plus1d_18", "batch_size": 30},
        {
            "backbone": "r3d_nano",
            "batch_size": 16,
            # In short videos the jump back to the start would tell the pace.
            "short": "skip",
            "jitter": 0.2,
            "strength": 0.25,
        },
        flags=("frames", "size", "resize", "short"),
    ),
    "prp": Method(
        "playback rate: at which step is this clip played, and what lies between its frames?",
        {"backbone": "c3d_vcop", "batch_size": 8},
        {"backbone": "r3d_nano", "batch_size": 16, "steps": [1, 2, 4], "classification": 1.0},
        flags=("frames", "size", "resize", "short"),
    ),
    "ctp": Method(
        "catch the patch: where do the patches that were pasted onto this clip go?",
        {"backbone": "r3d_18", "batch_size": 32},
        {
            "backbone": "r3d_nano",
            "batch_size": 32,
            "hidden": 128,
            "sides": [10, 12, 16, 20],
            "strides": [1, 2],
        },
        flags=("frames", "size"),
    ),
    "rspnet": Method(
        "relative speed: which of two clips is played as fast as a third?",
        {"backbone": "r3d_18", "batch_size": 64},
        {
            "backbone": "r3d_nano",
            "batch_size": 16,
            "dim": 32,
            "momentum": 0.95,
            "queue_size": 64,
            "jitter": 0.0,
            "grayscale": 0.0,
        },
        flags=("frames", "size"),
    ),
}
NAMES = tuple(METHODS)


def overview():
    """A line a method, for --help."""
    width = max(map(len, METHODS))
    return "methods:\n" + "".join(f"  {name:<{width}} {m.about}\n" for name, m in METHODS.items())


def settings(args, is_cpu_only):
    """The method's defaults with what the arguments say instead.

    Args:
        args: namespace; `None` is unsaid.
        is_cpu_only: bool, whether the nano defaults apply.

    Returns:
        (dict with "backbone" and "batch_size", dict of the task's arguments), the latter without
        the clip's geometry where nothing says it.
    """
    method = METHODS[args.method]
    found = dict(method.nano if is_cpu_only else method.paper)
    run = {name: found.pop(name) for name in ("backbone", "batch_size")}
    for name in run:
        run[name] = getattr(args, name) or run[name]
    said = {name: getattr(args, name) for name in method.flags}
    found.update({name: value for name, value in said.items() if value is not None})
    found.update(args.option)
    return run, found


def build(name, preset, arguments, policy):
    """The task around the backbone of a preset.

    Args:
        name: str, the method. preset: str, the backbone's.
        arguments: dict of the task's arguments; clips are those that the backbone was made for
            where it says nothing else.
        policy: str, the dtype policy.

    Raises:
        ValueError: an argument that the task does not have, or that it refuses.
    """
    import inspect

    from keras_vssl import tasks

    method, arguments = METHODS[name], dict(arguments)
    task = getattr(tasks, tasks.METHODS[name])
    known = [p for p in inspect.signature(task).parameters if p not in ("backbone", "kwargs")]
    if isinstance(arguments.get("motion"), str):
        arguments["motion"] = _layer("motion", arguments["motion"])
    geometry = {part: arguments.get(part) for part in ("frames", "stride", "size", "resize")}
    if unknown := sorted(set(arguments) - set(known) - set(geometry)):
        raise ValueError(
            f"Expected --option with an argument of {task.__name__}, received {unknown[0]}; choose "
            f"among {', '.join(known)}."
        )
    backbone = inputs.load_backbone(preset, policy, geometry)
    for part in geometry:
        # A transformer's clip is its backbone's, and no argument of the task.
        if part in method.flags and part in known:
            arguments.setdefault(part, backbone.clip[part])
        elif part not in known:
            arguments.pop(part, None)
    if method.gap is not None:
        arguments.setdefault("gap", round(method.gap * arguments["frames"]))
    return task(backbone, **arguments)


def check(args):
    """Refuses what the method has no use for.

    Raises:
        ValueError: a flag of another method, or a clip count or a crop that can't be.
    """
    method = METHODS[args.method]
    for name in FLAGS:
        if getattr(args, name) is not None and name not in method.flags:
            takers = ", ".join(n for n, m in METHODS.items() if name in m.flags)
            raise ValueError(
                f"Expected --{name} with {takers} only, received it with {args.method}; leave it "
                f"out."
            )
    if args.clips is not None and not 2 <= args.clips <= 6:
        raise ValueError(f"Expected --clips from 2 to 6, received {args.clips}.")
    if args.resize is not None:
        if len(args.resize) > 2:
            raise ValueError(f"Expected --resize with one or two numbers, received {args.resize}.")
        args.resize = args.resize[0] if len(args.resize) == 1 else tuple(args.resize)
        if args.size is not None:
            from keras_vssl.data.plans import Spatial

            Spatial(args.resize, args.size)


def _layer(option, name):
    from keras_vssl.layers import motion

    found = getattr(motion, name, None)
    if name.startswith("_") or getattr(found, "source", None) != "flow":
        raise ValueError(
            f"Expected --option {option}=FlowEdges or FlowChannels (frame differences are the "
            f"default), received {name}."
        )
    return found()
