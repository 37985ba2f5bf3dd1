"""The videos of a folder that are most similar to one video."""

import os

from keras_vssl.cli import embed, inputs, options, session

EXAMPLES = """\
examples:
  keras-vssl retrieve run/ query.mp4 clips/ -k 5
  keras-vssl retrieve run/ query.mp4 clips/ --picture neighbours.png
"""


def configure(parser):
    parser.add_argument("preset", metavar="PRESET", help="a run folder or a preset")
    parser.add_argument("query", metavar="QUERY", help="a video file")
    options.add_videos(parser)
    parser.add_argument("-k", type=options.positive, default=5, help="neighbours (default 5)")
    parser.add_argument("--picture", metavar="FILE", help="a picture of query and neighbours")
    parser.add_argument("--clips", type=options.positive, default=10, help="a video (default 10)")
    parser.add_argument("--batch-size", type=options.positive, default=8, help="default 8")
    options.add_geometry(parser)
    options.add_runtime(parser, seed=False)


def run(args):
    inputs.check_preset(args.preset, architectures=True)
    if args.picture and not args.picture.lower().endswith((".png", ".jpg", ".jpeg")):
        raise ValueError(f"Expected --picture to end in .png or .jpg, received {args.picture}.")
    if os.path.isdir(args.query) or not os.path.exists(args.query):
        raise ValueError(f"Expected a video file as QUERY, but there is no file {args.query}.")
    query = embed.read([args.query])
    query, bad = query.usable()
    if bad:
        raise ValueError(f"{args.query} can't be read: {bad[0]['reason']}")
    gallery = inputs.read_videos(args.folder)
    own = [os.path.realpath(path) == os.path.realpath(args.query) for path in gallery.paths]
    gallery, unread = embed.probed(gallery[[not same for same in own]], args.workers)
    if unread:
        inputs.say(f"{len(unread)} videos can't be read and are left out")
    if not len(gallery):
        raise ValueError(f"{args.folder} holds no other video that can be read.")
    picked = session.start(args)
    from keras_vssl.downstream import neighbours

    clip = {"frames": args.frames, "stride": args.stride, "size": args.size}
    backbone = inputs.load_backbone(args.preset, picked["precision"], clip)
    options_ = {
        "clips": args.clips,
        "pooling": "retrieval",
        "batch_size": args.batch_size,
        "workers": max(args.workers, 1),
        "return_rows": True,
    }
    target, _ = backbone.embed(query, **options_)
    vectors, rows = backbone.embed(gallery, progress=inputs.on_terminal(), **options_)
    gallery = gallery[rows]
    (found,), (values,) = neighbours(target, vectors, args.k)
    for rank, (row, value) in enumerate(zip(found, values, strict=True), 1):
        label = gallery.labels[row] or ""
        print(f"{rank}  {value:.3f}  {label}{'  ' if label else ''}{gallery.relative_path(row)}")
    if args.picture:
        _picture(args, query.paths[0], gallery, found, values)
        print(args.picture)


def _picture(args, query, gallery, found, values):
    """Middle frames in a row: the query, then its neighbours with label and similarity."""
    import io

    from PIL import Image, ImageDraw

    from keras_vssl.files import write_atomic
    from keras_vssl.report.pictures import thumbnail

    side, margin, text = 160, 8, 34
    entries = [(query, "query", os.path.basename(query))]
    for row, value in zip(found, values, strict=True):
        name = gallery.labels[row] or os.path.basename(gallery.paths[row])
        entries.append((gallery.paths[row], f"{value:.3f}", name))
    width = len(entries) * (side + margin) + margin
    sheet = Image.new("RGB", (width, side + 2 * margin + text), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (path, first, second) in enumerate(entries):
        x = margin + i * (side + margin)
        sheet.paste(Image.open(io.BytesIO(thumbnail(path, side))), (x, margin))
        draw.text((x, margin + side + 3), first, fill="black")
        draw.text((x, margin + side + 17), second[:26], fill=(90, 90, 90))
    buffer = io.BytesIO()
    kind = "PNG" if args.picture.lower().endswith(".png") else "JPEG"
    sheet.save(buffer, kind)
    write_atomic(args.picture, buffer.getvalue())
