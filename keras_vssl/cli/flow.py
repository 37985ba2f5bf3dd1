"""Computes the optical flow of a folder of videos once and keeps it, for methods that learn from it.

What is kept already is not computed again: run it again after adding videos or an interruption.
"""

from keras_vssl.cli import mine, options

# Of keras_vssl.data.flow, which --help does not have to import.
METHODS = ("dis", "farneback", "tvl1")
EXAMPLES = """\
examples:
  keras-vssl flow clips/
  keras-vssl flow clips/ --method farneback --size 256 --cache flow/ --workers 8

Needs OpenCV: pip install keras-vssl[flow] (tvl1: opencv-contrib-python-headless).
Videos that can't be read are named and left out.
"""


def configure(parser):
    parser.add_argument("folder", metavar="FOLDER", help="a folder of videos, or a CSV")
    parser.add_argument(
        "--method", choices=METHODS, default="dis", help="how flow is computed (dis, the fastest)"
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        help="where it is kept ($KERAS_VSSL_CACHE/flow, else ~/.cache/keras_vssl/flow)",
    )
    parser.add_argument(
        "--size", type=options.positive, default=128, help="pixels of the shorter side (128)"
    )
    parser.add_argument("--workers", type=options.positive, help="threads (default: cores)")


def run(args):
    from keras_vssl.data.flow import FlowCache

    mine.fill_folder(FlowCache(args.cache, args.method, args.size), args, "have their flow")
