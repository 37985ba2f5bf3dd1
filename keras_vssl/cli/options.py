"""Arguments that several commands share, with their checks."""

import argparse
import json

BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
PROTOCOLS = ("retrieval", "knn", "linear", "finetune")
SHORT = ("skip", "loop", "clamp")


def positive(text):
    """An int >= 1, for argparse."""
    return _whole(text, 1)


def natural(text):
    """An int >= 0, for argparse."""
    return _whole(text, 0)


def _whole(text, least):
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number >= {least}, received {text!r}")
    return value


def fraction(text):
    """A float > 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, received {text!r}")
    return value


def assignment(text):
    """NAME=VALUE as (name, value), for argparse; a value that is JSON is read as JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, received {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def choices(allowed):
    """A comma-separated list of names out of `allowed`, for argparse."""

    def parse(text):
        names = [name.strip() for name in text.split(",") if name.strip()]
        wrong = [name for name in names if name not in allowed]
        if wrong or not names:
            raise argparse.ArgumentTypeError(
                f"expected one or more of {','.join(allowed)}, received {text!r}"
            )
        return list(dict.fromkeys(names))

    return parse


def add_runtime(parser, seed=True):
    """--backend, --precision and --seed: what `session.start` reads."""
    group = parser.add_argument_group("how to compute")
    group.add_argument(
        "--backend",
        choices=BACKENDS,
        help="Keras' backend (default: $KERAS_BACKEND, else the first installed)",
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="auto takes mixed_bfloat16 on a GPU, float32 on a CPU",
    )
    if seed:
        group.add_argument("--seed", type=natural, default=0, help="fixes the run (default 0)")
    group.add_argument(
        "--workers", type=natural, default=2, help="decoding workers (default 2; 0: in line)"
    )


def add_out(parser, default=None, resume=False, derived=None):
    """--out, --overwrite and perhaps --resume of a run folder.

    `derived` says in words which folder the command itself picks where none is named.
    """
    group = parser.add_argument_group("where to write")
    shown = default or derived
    group.add_argument(
        "--out",
        metavar="RUN",
        default=default,
        required=shown is None,
        help="the run folder"
        + (f" (default {shown})" if shown else "")
        + ": config, log, preset, results, report.html",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="start again in a folder that holds a run"
    )
    if resume:
        group.add_argument("--resume", action="store_true", help="go on with the run in the folder")


def add_geometry(parser, size=True):
    """--frames, --stride, --size: a clip, where it differs from the backbone's own."""
    group = parser.add_argument_group("clips (default: what the backbone was made for)")
    group.add_argument("--frames", type=positive, help="frames a clip")
    group.add_argument("--stride", type=positive, help="source frames from one to the next")
    if size:
        group.add_argument("--size", type=positive, help="crop in pixels")
    return group


def add_videos(parser, name="folder", metavar="FOLDER"):
    """The positional argument that `inputs.read_videos` reads."""
    parser.add_argument(
        name,
        metavar=metavar,
        help="a folder of videos (class folders are labels; a splits.csv in it is read), "
        "or a CSV with columns path,label,group,split",
    )
