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
}
NAMES = tuple(METHODS)


def overview():
    """A line a method, for --help."""
    return "methods:\n" + "".join(f"  {name:<9} {m.about}\n" for name, m in METHODS.items())


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
