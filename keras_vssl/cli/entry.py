"""Chooses the command, and turns what goes wrong into one sentence and an exit status."""

import argparse
import difflib
import importlib
import os
import sys

# Each command is the module keras_vssl.cli.NAME with `configure(parser)` and `run(args)`.
COMMANDS = {
    "demo": "write small synthetic videos, pre-train on them, evaluate, report: minutes, no data",
    "probe": "what is in a folder of videos and what can't be read",
    "prepare": "transcode a folder of videos once, so that random clips of it are read fast",
    "flow": "compute the optical flow of a folder of videos once, for methods that learn from it",
    "mine": "compute once where and when the videos of a folder move, for methods that ask",
    "pretrain": "learn a representation from a folder of videos without labels",
    "evaluate": "retrieval, k-NN, linear probe and fine-tuning of a representation",
    "bench": "train several methods under one budget and compare them: the league table",
    "finetune": "train a classifier from a preset on labelled videos",
    "transfer": "fine-tune a frame network on still images: PASCAL VOC, MPII",
    "embed": "one vector a video, as an .npz file",
    "retrieve": "the most similar videos of a folder to one video",
    "speedup": "a shorter video, faster where that looks natural",
    "presets": "list the presets, or show one",
    "convert": "a published checkpoint file into a preset",
    "upload": "publish a preset folder on the Hugging Face hub",
    "report": "write a run folder's report.html again",
    "doctor": "versions, backend, devices, decoder: what works on this machine",
}

EXAMPLES = """\
examples:
  keras-vssl demo --quick
  keras-vssl probe clips/
  keras-vssl pretrain vcop clips/ --backbone r2plus1d_18 --out run/
  keras-vssl evaluate run/ clips/ --protocol knn,linear --out evaluation/
  keras-vssl finetune run/ clips/ --out classifier/

`keras-vssl COMMAND --help` says what a command takes.
Exit status: 0 done, 1 unexpected error, 2 bad input (one sentence says what), 130 interrupted.
"""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv=None):
    """Runs the command line.

    Args:
        argv: list of str, the arguments; None takes `sys.argv[1:]`.

    Returns:
        The exit status: 0 done, 1 an error of the library's own, 2 bad input, 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv)
    except SystemExit as stop:  # argparse: --help, --version, a bad argument
        return stop.code if isinstance(stop.code, int) else 2


def _dispatch(argv):
    parser = Parser(
        prog="keras-vssl",
        description="Learn from video without labels.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_overview() + "\n" + EXAMPLES,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    if not argv or argv[0].startswith("-"):
        args = parser.parse_args(argv)
        if args.version:
            from keras_vssl import __version__

            print(__version__)
            return 0
        parser.print_help()
        return 0
    name = argv[0]
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "the commands are " + ", ".join(COMMANDS)
        parser.error(f"there is no command {name!r}; {hint}")
    module = importlib.import_module(f"keras_vssl.cli.{name}")
    command = Parser(
        prog=f"keras-vssl {name}",
        description=module.__doc__.strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=getattr(module, "EXAMPLES", None),
    )
    module.configure(command)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = command.parse_args(argv[1:])
    args.command = name
    return _guarded(module.run, args)


def _guarded(run, args):
    try:
        return run(args) or 0
    except KeyboardInterrupt:
        out = getattr(args, "out", None)
        resumable = out and hasattr(args, "resume")
        hint = f"; go on with the same command and --resume (state in {out})" if resumable else ""
        print(f"\nkeras-vssl: interrupted{hint}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `keras-vssl probe clips/ | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if args.debug:
            raise
        if is_bad_input(error):
            print(f"keras-vssl: {sentence(error)}", file=sys.stderr)
            return 2
        print(
            f"keras-vssl: unexpected {type(error).__name__}: {sentence(error)} "
            "(--debug shows where)",
            file=sys.stderr,
        )
        return 1


def is_bad_input(error):
    """Whether an error is about what the user gave: a value, a file, a video, a preset."""
    if isinstance(error, (ValueError, OSError)):
        return True
    reader = sys.modules.get("keras_vssl.data.reader")
    return reader is not None and isinstance(error, reader.ReadError)


def sentence(error):
    """An error's message on one line."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split()) or type(error).__name__


def _overview():
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "commands:\n" + "\n".join(lines) + "\n"
