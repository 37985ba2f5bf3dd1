"""Learns a representation from a folder of videos without labels.

Writes a run folder: preset/ (loads with from_preset), log.csv, checkpoints/ (for --resume),
skipped.json, report.html. Labels, where the folder has any, are used by --knn alone.
"""

import math
import sys

from keras_vssl.cli import inputs, options, session
from keras_vssl.run import RunFolder

METHODS = ("vcop",)
EXAMPLES = """\
examples:
  keras-vssl pretrain vcop clips/ --backbone r2plus1d_18 --out run/
  keras-vssl pretrain vcop clips/ --backbone r3d_nano --frames 8 --gap 4 --size 48 --out run/
  keras-vssl pretrain vcop clips/ --backbone r3d_nano --frames 8 --gap 4 --size 48 \\
      --epochs 100 --optimizer adamw --knn --out run/
  keras-vssl pretrain vcop clips/ --out run/ --resume

VCOP reads 3 clips of 16 frames with 8 frames between them: 64 frames a video (--frames, --gap).
"""


def configure(parser):
    parser.add_argument("method", choices=METHODS, metavar="METHOD", help="one of: vcop")
    options.add_videos(parser)
    parser.add_argument(
        "--backbone",
        default="r2plus1d_18",
        metavar="PRESET",
        help="an architecture (keras-vssl presets) or a preset to go on from (default r2plus1d_18)",
    )
    options.add_out(parser, resume=True)
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=options.positive, default=20, help="default 20")
    group.add_argument("--batch-size", type=options.positive, help="default: the paper's, 8")
    group.add_argument(
        "--optimizer",
        choices=("paper", "adamw"),
        default="paper",
        help="the paper's SGD at a constant rate, or AdamW with cosine decay, which learns faster "
        "on small sets",
    )
    group.add_argument("--learning-rate", type=options.fraction, help="default 0.001")
    group.add_argument(
        "--split",
        choices=("auto", "train", "all"),
        default="auto",
        help="auto: the split train where there is one, so that test videos stay unseen",
    )
    group.add_argument("--knn", action="store_true", help="k-NN accuracy during training (labels)")
    group.add_argument(
        "--cache-gb",
        type=float,
        default=1.0,
        metavar="GB",
        help="memory for decoded videos: small sets are decoded once (default 1; 0: never kept)",
    )
    clip = parser.add_argument_group("clips (default: VCOP's)")
    clip.add_argument("--clips", type=options.positive, default=3, help="to order (default 3)")
    clip.add_argument("--frames", type=options.positive, default=16, help="a clip (default 16)")
    clip.add_argument("--gap", type=options.natural, default=8, help="between clips (default 8)")
    clip.add_argument("--stride", type=options.positive, default=1, help="default 1")
    clip.add_argument("--size", type=options.positive, default=112, help="crop (default 112)")
    clip.add_argument(
        "--resize",
        type=options.positive,
        nargs="+",
        metavar="PIXELS",
        help="frame to crop from: height and width, or the shorter side "
        "(default 128 171, scaled as --size)",
    )
    clip.add_argument(
        "--short", choices=options.SHORT, default="skip", help="videos shorter than a sample"
    )
    options.add_runtime(parser)


def run(args):
    from keras_vssl.data.samplers import ConsecutiveClips, Spatial

    inputs.check_preset(args.backbone, architectures=True)
    everything = inputs.read_videos(args.folder)
    videos = inputs.training_part(everything, args.split)
    resize = frame(args)
    if not 2 <= args.clips <= 6:
        raise ValueError(f"Expected --clips from 2 to 6, received {args.clips}.")
    sampler = ConsecutiveClips(
        args.clips, args.frames, args.gap, args.stride,
        short=args.short, spatial=Spatial(resize, args.size),
    )  # fmt: skip
    advice = inputs.fitting(args.clips, args.frames, args.gap, args.stride)
    kept, skipped = inputs.usable(videos, sampler, advice, args.workers)
    folder = RunFolder(args.out, resume=args.resume, overwrite=args.overwrite)
    if len(videos) < len(everything):
        inputs.say(
            f"the split train: {len(videos)} of {len(everything)} videos (--split all takes all)"
        )
    pretrain(args, kept, skipped, folder, len(videos), resize)
    inputs.say(f"preset: {folder.preset}")
    print(folder.file("report.html"))


def pretrain(args, videos, skipped, folder, total, resize):
    """Trains and writes the run folder; `demo` calls it with arguments of its own."""
    picked = session.start(args)
    from keras_vssl import report
    from keras_vssl.tasks import VCOP

    clip = {"frames": args.frames, "stride": args.stride, "size": args.size, "resize": resize}
    backbone = inputs.load_backbone(args.backbone, picked["precision"], clip)
    task = VCOP(
        backbone, args.clips, args.frames, args.gap, args.stride,
        resize=resize, size=args.size, short=args.short,
    )  # fmt: skip
    batch_size = min(args.batch_size or task.recipe.batch_size, len(videos))
    _compile(task, args, max(1, len(videos) // batch_size))
    _same_run(folder, method=args.method, backbone=args.backbone, clip=_json(args, clip))
    folder.write_config(
        command="pretrain",
        arguments={k: v for k, v in vars(args).items() if k not in ("debug", "command")},
        method=args.method,
        backbone=args.backbone,
        dataset=videos.name,
        clip=_json(args, clip),
        chance={"accuracy": 1 / math.factorial(args.clips)},
        paper=task.recipe.compare(args.epochs, len(videos)),
        **picked,
    )
    folder.write_skipped(skipped, total)
    callbacks = [*_knn(args, videos), *folder.callbacks()]
    history = task.fit(
        videos,
        epochs=args.epochs,
        batch_size=batch_size,
        seed=args.seed,
        out=folder.path,
        resume=args.resume,
        callbacks=callbacks,
        workers=max(args.workers, 1),
        cache_bytes=int(args.cache_gb * 2**30),
        verbose=1 if sys.stdout.isatty() else 2,
    )
    folder.write_skipped([*skipped, *task.skipped], total)
    task.record = record(args, task, videos, batch_size, picked, history.history)
    task.save_to_preset(folder.preset)
    report.write(folder.path)
    return task


def record(args, task, videos, batch_size, picked, history):
    """What the model card says of a run."""
    from keras_vssl.run import versions

    return {
        "method": type(task).__name__,
        "backbone": args.backbone,
        "data": {"name": videos.name, "videos": len(videos)},
        "recipe": {
            "epochs": args.epochs,
            "batch_size": batch_size,
            "optimizer": args.optimizer,
            "learning_rate": args.learning_rate or 1e-3,
            "seed": args.seed,
            "precision": picked["precision"],
            "clips": f"{args.clips} of {args.frames} frames, gap {args.gap}, stride {args.stride}",
            "crop": args.size,
            "final_loss": float(history["loss"][-1]) if history.get("loss") else None,
            "length": task.recipe.compare(args.epochs, len(videos)),
        },
        "versions": versions(),
        "citation": getattr(task, "citation", None),
    }


def frame(args):
    """The frame to crop from, by --resize or VCOP's 128 x 171 for 112."""
    if args.resize is None:
        return tuple(inputs.scaled((128, 171), 112, args.size))
    if len(args.resize) > 2:
        raise ValueError(f"Expected --resize with one or two numbers, received {args.resize}.")
    return args.resize[0] if len(args.resize) == 1 else tuple(args.resize)


def _json(args, clip):
    resize = list(clip["resize"]) if isinstance(clip["resize"], tuple) else clip["resize"]
    return {"clips": args.clips, "gap": args.gap, **clip, "resize": resize}


def _same_run(folder, **now):
    """A resumed run must see the same clips; seed and batch size the checkpoint checks itself."""
    before = (folder.read("config.json") or {}) if folder.resumed else {}
    for name, value in now.items():
        if name in before and before[name] != value:
            raise ValueError(
                f"Expected to resume with the {name} the run began with, {before[name]}, received "
                f"{value}; use the same arguments or another --out."
            )


def _compile(task, args, steps_per_epoch):
    import keras

    if args.optimizer == "adamw":
        rate = keras.optimizers.schedules.CosineDecay(
            args.learning_rate or 1e-3, args.epochs * steps_per_epoch
        )
        optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-2)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        task.compile(optimizer, loss, metrics=["accuracy"])
    elif args.learning_rate:
        task.optimizer.learning_rate = args.learning_rate


def _knn(args, videos):
    if not args.knn:
        return []
    from keras_vssl.callbacks.knn import KNNCallback

    split = videos.split_by_group(test=0.3, seed=args.seed)
    every = max(1, args.epochs // 20)
    return [KNNCallback(split.train, split.test, every=every, workers=max(args.workers, 1))]
