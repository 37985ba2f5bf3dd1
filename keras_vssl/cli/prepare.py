"""Transcodes a data set once, so that random clips of it are read fast.

DST holds each video under its old name, small, upright and with many key frames: class folders,
splits and manifests of SRC mean the same there. Each file is read back in full before it gets its
name. Interrupted or killed, the same command goes on; what has not changed is not done again.
"""

import time

from keras_vssl.cli import options
from keras_vssl.cli.flow import METHODS
from keras_vssl.cli.inputs import say

EXAMPLES = """\
examples:
  keras-vssl prepare clips/ clips_256/
  keras-vssl prepare UCF-101/ ucf101_128/ --short-side 128 --interval 4 --jobs 16
  keras-vssl prepare clips.csv prepared/ --flow --no-sound

DST/prepared.json says what was done with which settings, of which files, and what was left out.
The files are MP4 (MPEG-4 part 2), whatever their names end in.
Exit status: 0 all are prepared; 2 some are left out and named, or bad input; 130 interrupted.
"""


def configure(parser):
    parser.add_argument("source", metavar="SRC", help="a folder of videos, or a CSV")
    parser.add_argument("target", metavar="DST", help="a new folder, or the one to go on with")
    parser.add_argument(
        "--short-side", type=options.positive, default=256, help="pixels; never enlarges (256)"
    )
    parser.add_argument(
        "--interval",
        type=options.positive,
        default=12,
        help="frames from one key frame to the next (12); fewer take more disk",
    )
    parser.add_argument(
        "--quality", type=options.positive, default=3, help="1 to 31; lower is larger (3)"
    )
    parser.add_argument(
        "--psnr",
        type=options.fraction,
        default=25.0,
        metavar="DB",
        help="leave a video out of which a frame is further from what was meant (25)",
    )
    parser.add_argument(
        "--no-sound", dest="sound", action="store_false", help="leave the sound out (else kept)"
    )
    parser.add_argument(
        "--flow",
        nargs="?",
        choices=METHODS,
        const=METHODS[0],
        help="also keep the optical flow of the prepared videos, in DST/flow (dis; needs OpenCV)",
    )
    parser.add_argument("--jobs", type=options.positive, help="videos at a time (default: cores)")
    parser.add_argument(
        "--timeout", type=options.fraction, default=20.0, help="seconds until a hang is one (20)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="begin again in a folder that was prepared"
    )


def run(args):
    from tqdm import tqdm

    from keras_vssl.data import prepare

    began = time.perf_counter()
    with tqdm(desc="preparing", unit="video", leave=False, disable=None) as bar:

        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        try:
            found = prepare(
                args.source,
                args.target,
                short_side=args.short_side,
                interval=args.interval,
                quality=args.quality,
                sound=args.sound,
                flow=args.flow,
                psnr=args.psnr,
                jobs=args.jobs,
                timeout=args.timeout,
                overwrite=args.overwrite,
                progress=progress,
            )
        except ValueError as error:
            raise ValueError(str(error).replace("overwrite it", "use --overwrite")) from None
    seconds = time.perf_counter() - began
    for row in found["damaged"]:
        say(f"damaged, prepared up to the damage: {row['path']}: {row['reason']}")
    for row in found["failed"]:
        say(f"left out: {row['path']}: {row['reason']}")
    count = found["videos"] + len(found["failed"])
    if not found["videos"]:
        raise ValueError(f"Expected videos in {args.source}, but none of {count} can be prepared.")
    print(
        f"{found['videos']} of {count} videos are prepared in {found['folder']} ({found['written']} "
        f"written in {seconds:.1f} s), {found['bytes'] / found['source_bytes']:.2f} times their "
        "size on disk"
    )
    return 2 if found["failed"] else 0
