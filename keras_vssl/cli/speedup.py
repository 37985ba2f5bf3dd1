"""Speeds a video up, faster where that looks natural and slower where it would not.

A trained SpeedNet says how fast each moment may be played. Beside OUT two files are written:
OUT.speed.svg, the curve, and OUT.speed.json, its numbers. The sound keeps its pitch and stays in step; it
is mixed to one channel. Memory does not grow with the length of the video.
"""

import math
import os

from keras_vssl.cli import inputs, options, session

POINTS = 400  # of the picture's curves
EXAMPLES = """\
examples:
  keras-vssl pretrain speednet clips/ --out run/
  keras-vssl speedup dance.mp4 short.mp4 --rate 2 --preset run/
"""


def configure(parser):
    parser.add_argument("source", metavar="IN", help="a video file")
    parser.add_argument("target", metavar="OUT", help="the video to write (.mp4, .mov, .mkv)")
    parser.add_argument(
        "--preset",
        metavar="PRESET",
        help="a trained SpeedNet: a run folder, a preset folder or hf://user/name",
    )
    parser.add_argument(
        "--rate", type=options.fraction, default=2.0, help="how many times as short (default 2)"
    )
    parser.add_argument(
        "--smooth",
        type=options.fraction,
        default=0.5,
        metavar="SECONDS",
        help="over which the speed changes (default 0.5)",
    )
    parser.add_argument(
        "--threshold",
        type=options.fraction,
        default=0.5,
        help="probability from which a moment looks natural (default 0.5)",
    )
    parser.add_argument("--batch-size", type=options.positive, default=8, help="default 8")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    options.add_runtime(parser, seed=False)


def run(args):
    from keras_vssl.data.reader import VideoReader
    from keras_vssl.data.writer import check_target

    check_target(args.target)
    if not (args.rate >= 1 and math.isfinite(args.rate)):
        raise ValueError(f"Expected --rate of 1 or more, received {args.rate:g}.")
    if args.threshold >= 1:
        raise ValueError(f"Expected --threshold below 1, received {args.threshold:g}.")
    with VideoReader(args.source, timeout=120.0) as reader:
        info = reader.info
    if not info.frames:
        raise ValueError(f"Expected a video as IN, but {args.source} has none: {info.error}.")
    if os.path.exists(args.target):
        if os.path.samefile(args.source, args.target):
            raise ValueError(f"Expected OUT to be another file than IN, received {args.target}.")
        if not args.overwrite:
            raise ValueError(f"{args.target} exists; name another file, or use --overwrite.")
    preset = _resolve(args.preset)
    picked = session.start(args)
    from keras_vssl.downstream import speed_up
    from keras_vssl.files import write_atomic, write_json_atomic
    from keras_vssl.tasks import SpeedNet

    task = SpeedNet.from_preset(preset, dtype=picked["precision"])
    with _Bars() as progress:
        curve, speed, places = speed_up(
            task, args.source, args.target, args.rate, smooth=args.smooth,
            threshold=args.threshold, batch_size=args.batch_size, progress=progress,
        )  # fmt: skip
    found = {
        "source": args.source,
        "target": args.target,
        "preset": args.preset,
        "rate": args.rate,
        "frames": info.frames,
        "frames_written": len(places),
        "fps": info.fps,
        "smooth": args.smooth,
        "threshold": args.threshold,
        "rates_tried": [round(float(rate), 6) for rate in curve.rates],
        "seconds": [round(float(v), 4) for v in curve.seconds],
        "speediness": [round(float(v), 4) for v in curve.values],
        "speed": [round(float(v), 4) for v in speed],
    }
    base = os.path.splitext(args.target)[0]
    write_json_atomic(f"{base}.speed.json", found)
    write_atomic(f"{base}.speed.svg", picture(curve.seconds, curve.values, speed))
    print(
        f"{args.target}: {info.frames} frames in {len(places)}, {info.frames / len(places):.2f} "
        f"times as short, at {speed.min():.2f} to {speed.max():.2f} times the speed"
    )
    print(f"{base}.speed.svg")
    print(f"{base}.speed.json")


def picture(seconds, values, speed):
    """The curves as an SVG document: V(t), and the speed S(t) that was played."""
    from keras_vssl.report import charts
    from keras_vssl.report.style import CSS

    chosen = sorted({round(i * (len(seconds) - 1) / (POINTS - 1)) for i in range(POINTS)})
    series = {
        name: [(float(seconds[i]), float(column[i])) for i in chosen]
        for name, column in (("looks natural up to", values), ("played at", speed))
    }
    drawn = charts.lines(series, "speed", "seconds", width=760)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="1140" height="390"><style>{CSS}</style>'
    ground = '<rect width="100%" height="100%" fill="var(--card)"/>'
    return f"{head}{ground}{drawn}</svg>\n"


def _resolve(preset):
    """The folder of a trained SpeedNet.

    Raises:
        ValueError: none is named, or it is another method's.
    """
    from keras_vssl import hub

    if preset is None:
        raise ValueError(
            "Expected --preset with a trained SpeedNet, because none has been published; train one "
            "with keras-vssl pretrain speednet FOLDER --out RUN and name RUN."
        )
    inputs.check_preset(preset)
    folder = hub.resolve(preset)
    kind = hub.describe(folder)["task"]
    if kind != "SpeedNet":
        raise ValueError(
            f"Expected the preset of a trained SpeedNet, but {preset} holds "
            f"{kind or 'a backbone without a head'}; train one with keras-vssl pretrain speednet."
        )
    return folder


class _Bars:
    """A bar for looking and one for writing, on a terminal."""

    NAMES = {"look": "looking", "write": "writing"}

    def __enter__(self):
        self.stage, self.bar = None, None
        return self

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()

    def __call__(self, stage, done, total):
        from tqdm import tqdm

        if stage != self.stage:
            self.__exit__()
            self.stage = stage
            self.bar = tqdm(
                total=total, desc=self.NAMES[stage], unit="frame", leave=False, disable=None
            )
        self.bar.update(done - self.bar.n)
