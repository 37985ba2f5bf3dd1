"""Computes of a folder of videos once what samplers draw by, and keeps it.

What is kept already is not computed again: run it again after adding videos or an interruption.
`keras-vssl pretrain` does this by itself, with the method's settings, where a method needs it.
"""

import time

from keras_vssl.cli import inputs, options
from keras_vssl.cli.inputs import say

# Of keras_vssl.data.mining, which --help does not have to import.
METHODS = ("auto", "farneback", "difference")
EXAMPLES = """\
examples:
  keras-vssl mine clips/ --kind motion
  keras-vssl mine clips/ --kind motion --method difference --grid 8 --cache motion/ --workers 8
  keras-vssl mine clips/ --kind tracks --option length=20 --option tracker=kcf

kinds:
  motion  how much each part of each frame moves (farneback needs OpenCV: keras-vssl[flow])
  tracks  where moving patches go, in shares of the frame (arguments: keras_vssl.data.TrackMiner)

Videos that can't be read are named and left out.
"""


def _motion(args):
    from keras_vssl.data.mining import MotionProfile

    return MotionProfile(args.cache, args.method, args.grid)


def _tracks(args):
    from keras_vssl.data.tracking import TrackCache

    return TrackCache(args.cache, **dict(args.option))


# Kind -> function of the arguments that makes the `VideoCache` to fill.
KINDS = {"motion": _motion, "tracks": _tracks}


def configure(parser):
    parser.add_argument("folder", metavar="FOLDER", help="a folder of videos, or a CSV")
    parser.add_argument("--kind", choices=tuple(KINDS), default="motion", help="what (motion)")
    parser.add_argument(
        "--cache",
        metavar="DIR",
        help="where it is kept ($KERAS_VSSL_CACHE/KIND, else ~/.cache/keras_vssl/KIND)",
    )
    parser.add_argument("--workers", type=options.positive, help="threads (default: cores)")
    group = parser.add_argument_group("motion")
    group.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="optical flow, or differences of frames; auto: flow where OpenCV is installed",
    )
    group.add_argument(
        "--grid", type=options.positive, default=16, help="cells along a frame's sides (16)"
    )
    parser.add_argument_group("tracks").add_argument(
        "--option",
        metavar="NAME=VALUE",
        type=options.assignment,
        action="append",
        default=[],
        help="an argument of TrackMiner: tracker, length, every, threshold, ... (repeatable)",
    )


def run(args):
    fill_folder(KINDS[args.kind](args), args, f"have their {args.kind}")


def fill_folder(cache, args, words):
    """Fills a cache for the videos of a folder and says how many are in it.

    Args:
        cache: `keras_vssl.data.cache.VideoCache`.
        args: namespace with `folder` and `workers`.
        words: str, what the videos of the last line do: "have their flow".

    Raises:
        ValueError: no video can be read, or a package is not installed.
    """
    cache.require()  # says what is not installed before anything is read
    videos = inputs.read_videos(args.folder)
    kept, left_out = videos.probe(workers=args.workers, progress=inputs.on_terminal()).usable()
    failed = [(row["path"], row["reason"]) for row in left_out]
    todo = [path for path in kept.paths if not cache.has(path)]
    began = time.perf_counter()
    failed += _fill(cache, todo, args.workers)
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
        f"{good} of {len(videos)} videos {words} in {cache.folder} "
        f"({computed} computed in {seconds:.1f} s)"
    )


def prepare(sampler, videos, workers):
    """Fills the caches that a sampler draws by, where they lack videos; says so.

    Args:
        sampler: `Sampler`. videos: `Videos`, readable ones. workers: int, threads.

    Returns:
        (`Videos` without those that failed, list of {"path", "reason"} of the latter).

    Raises:
        ValueError: a package is not installed.
    """
    failed = {}
    for cache in sampler.mined:
        usable = [p for p, i in zip(videos.paths, videos.infos) if sampler.too_short(i) is None]
        todo = [path for path in usable if path not in failed and not cache.has(path)]
        if todo:
            say(f"computing the {cache.kind} of {len(todo)} videos, kept in {cache.folder}")
            failed.update(_fill(cache, todo, max(workers, 1)))
    rows = [row for row, path in enumerate(videos.paths) if path in failed]
    left_out = [
        {"path": videos.relative_path(row), "reason": failed[videos.paths[row]]} for row in rows
    ]
    return (videos[[path not in failed for path in videos.paths]] if rows else videos), left_out


def _fill(cache, paths, workers):
    from tqdm import tqdm

    with tqdm(total=len(paths), desc=cache.kind, unit="video", leave=False, disable=None) as bar:
        return cache.write_all(paths, workers, progress=lambda done, _: bar.update(done - bar.n))
