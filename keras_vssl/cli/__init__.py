"""The command line: `keras-vssl COMMAND ...`.

Nothing but the standard library is imported until a command is chosen, so that `--help` is
instant and bad arguments are answered before a framework loads.
"""

from keras_vssl.cli.entry import COMMANDS, main

__all__ = ["COMMANDS", "main"]
