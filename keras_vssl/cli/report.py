"""Writes a run folder's report.html again, from the files in the folder."""

import os

EXAMPLES = """\
examples:
  keras-vssl report run/
"""


def configure(parser):
    parser.add_argument("run", metavar="RUN", help="a run folder")


def run(args):
    if not os.path.isdir(args.run):
        raise FileNotFoundError(f"There is no run folder {args.run}.")
    from keras_vssl import report

    print(report.write(args.run))
