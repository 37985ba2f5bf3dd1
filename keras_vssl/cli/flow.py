"""Computes the optical flow of a folder of videos once and keeps it, for methods that learn from it.

What is kept already is not computed again: run it again after adding videos or an interruption.
"""

import time

from keras_vssl.cli import inputs, options
from keras_vssl.cli.inputs import say

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
    from tqdm import tqdm

    from keras_vssl.data.flow import FlowCache, make_flow

    cache = FlowCache(args.cache, args.method, args.size)
    make_flow(args.method)  # says what is not installed before anything is read
    videos = inputs.read_videos(args.folder)
    kept, left_out = videos.probe(workers=args.workers, progress=inputs.on_terminal()).usable()
    failed = [(row["path"], row["reason"]) for row in left_out]
    todo = [path for path in kept.paths if not cache.has(path)]
    began = time.perf_counter()
    with tqdm(total=len(todo), desc="flow", unit="video", leave=False, disable=None) as bar:
        failed += cache.write_all(
            todo, args.workers, progress=lambda done, _: bar.update(done - bar.n)
        )
    seconds = time.perf_counter() - began
    for path, reason in failed:
        say(f"{path}: {reason}")
    good = len(videos) - len(failed)
    if not good:
        raise ValueError(
            f"Expected videos in {args.folder}, but none of {len(failed)} can be read."
        )
    computed = good - (len(kept) - len(todo))
    print(
        f"{good} of {len(videos)} videos have their flow in {cache.folder} "
        f"({computed} computed in {seconds:.1f} s)"
    )
