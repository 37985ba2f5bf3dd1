"""One vector a video, as an .npz file.

The file holds paths [N], embeddings [N, D] and times [N, clips, 2]: the first and the last
frame of every clip, in seconds from the video's first frame. Videos that can't be read are named
and left out.
"""

import io
import os

from keras_vssl.cli import inputs, options, session

EXAMPLES = """\
examples:
  keras-vssl embed run/ clips/ --out emb.npz
  keras-vssl embed hf://me/vcop_r3d_18 a.mp4 b.mp4 --per-clip --out emb.npz

  >>> held = numpy.load("emb.npz")
  >>> held["paths"], held["embeddings"], held["times"]
"""


def configure(parser):
    parser.add_argument("preset", metavar="PRESET", help="a run folder or a preset")
    parser.add_argument(
        "videos", metavar="FILES_OR_FOLDER", nargs="+", help="videos, a folder of them, or a CSV"
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="the .npz file to write")
    parser.add_argument("--clips", type=options.positive, default=10, help="a video (default 10)")
    parser.add_argument(
        "--pooling",
        choices=("average", "retrieval"),
        default="average",
        help="over time and space, or VCOP's retrieval features",
    )
    parser.add_argument("--per-clip", action="store_true", help="embeddings [N, clips, D]")
    parser.add_argument("--batch-size", type=options.positive, default=8, help="default 8")
    options.add_geometry(parser)
    options.add_runtime(parser, seed=False)


def run(args):
    inputs.check_preset(args.preset, architectures=True)
    if os.path.isdir(args.out):
        raise ValueError(f"Expected a file name for --out, but {args.out} is a folder.")
    videos, unread = probed(read(args.videos), args.workers)
    for item in unread:
        inputs.say(f"left out: {item['path']}: {item['reason']}")
    if not len(videos):
        raise ValueError(f"None of the {len(unread)} videos can be read.")
    picked = session.start(args)
    import numpy as np

    from keras_vssl.downstream.streaming import uniform_clips
    from keras_vssl.files import write_atomic

    clip = {"frames": args.frames, "stride": args.stride, "size": args.size}
    backbone = inputs.load_backbone(args.preset, picked["precision"], clip)
    vectors, rows = backbone.embed(
        videos,
        clips=args.clips,
        pooling=args.pooling,
        batch_size=args.batch_size,
        workers=max(args.workers, 1),
        progress=inputs.on_terminal(),
        per_clip=args.per_clip,
        return_rows=True,
    )
    kept = videos[rows]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        paths=np.array(kept.paths, dtype=str),
        embeddings=vectors,
        times=times(kept, uniform_clips(backbone.clip, args.clips)),
        labels=np.array([label or "" for label in kept.labels], dtype=str),
    )
    write_atomic(args.out, buffer.getvalue())
    shape = "x".join(map(str, vectors.shape))
    print(f"{args.out}: {shape} of {len(kept)} videos")


def probed(videos, workers):
    """(the videos that can be read, {"path", "reason"} of the others)."""
    return videos.probe(workers=workers or None, progress=inputs.on_terminal()).usable()


def read(sources):
    """The `Videos` of files, or of one folder or CSV."""
    from keras_vssl.data.videos import Videos

    first = os.path.expanduser(sources[0])
    if len(sources) == 1 and (os.path.isdir(first) or first.lower().endswith(".csv")):
        return inputs.read_videos(first)
    paths = []
    for source in sources:
        path = os.path.expanduser(source)
        if os.path.isdir(path):
            paths += Videos.from_folder(path).paths
        elif os.path.exists(path):
            paths.append(os.path.abspath(path))
        else:
            raise FileNotFoundError(f"There is no file or folder {source}.")
    return Videos(paths)


def times(videos, sampler):
    """First and last frame of each clip in seconds, float64 `[N, clips, 2]`."""
    import numpy as np

    from keras_vssl.data import VideoReader, plan_rng

    result = np.zeros((len(videos), sampler.views, 2))
    for row, (path, info) in enumerate(zip(videos.paths, videos.infos, strict=True)):
        views = sampler.plan(info, plan_rng(0, 0, row)).views
        with VideoReader(path) as reader:
            stamps = reader.timestamps
        for j, view in enumerate(views):
            frames = np.minimum(view.frames, len(stamps) - 1)
            result[row, j] = stamps[frames.min()], stamps[frames.max()]
    return result
