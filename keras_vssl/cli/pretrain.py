"""Learns a representation from a folder of videos without labels.

Writes a run folder: preset/ (loads with from_preset), log.csv, checkpoints/ (for --resume),
skipped.json, report.html. Labels, where the folder has any, are used by --knn alone.
"""

import json
import os
import sys

from keras_vssl.cli import inputs, methods, mine, options, session
from keras_vssl.run import RunFolder

EXAMPLES = (
    methods.overview()
    + """
examples:
  keras-vssl pretrain cvrl clips/
  keras-vssl pretrain vcop clips/ --backbone r2plus1d_18 --out run/
  keras-vssl pretrain vcop clips/ --epochs 100 --knn --out run/
  keras-vssl pretrain vcop clips/ --out run/ --resume
  keras-vssl flow clips/ && keras-vssl pretrain modist clips/ --option motion=FlowEdges

Without --backbone: the paper's network on a GPU, a nano network of 48-pixel clips on a CPU.
VCOP reads 3 clips with half a clip between them (--clips, --frames, --gap).
"""
)


def configure(parser):
    names = ", ".join(methods.NAMES)
    parser.add_argument("method", choices=methods.NAMES, metavar="METHOD", help=f"one of: {names}")
    options.add_videos(parser)
    parser.add_argument(
        "--backbone",
        metavar="PRESET",
        help="an architecture (keras-vssl presets) or a preset to go on from (default: the "
        "paper's on a GPU, a nano network on a CPU)",
    )
    options.add_out(parser, resume=True, derived="runs/METHOD-FOLDER")
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=options.positive, default=20, help="default 20")
    group.add_argument(
        "--batch-size", type=options.positive, help="videos (default 32; 8 for vcop on a GPU)"
    )
    group.add_argument(
        "--optimizer",
        choices=("adamw", "paper"),
        help="AdamW with cosine decay, which learns fast on small sets, or the paper's optimizer "
        "with its schedule over this run (default adamw; paper for avts)",
    )
    group.add_argument("--learning-rate", type=options.fraction, help="of AdamW (default 0.001)")
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
    group.add_argument(
        "--option",
        type=options.assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of the method's class, such as temperature=0.2; may be repeated",
    )
    clip = parser.add_argument_group("clips (default: what the backbone was made for)")
    clip.add_argument("--frames", type=options.positive, help="frames a clip")
    clip.add_argument("--stride", type=options.positive, help="source frames from one to the next")
    clip.add_argument("--size", type=options.positive, help="crop in pixels")
    clip.add_argument("--clips", type=options.positive, help="vcop: clips to order (default 3)")
    clip.add_argument("--gap", type=options.natural, help="vcop: frames between clips")
    clip.add_argument(
        "--resize",
        type=options.positive,
        nargs="+",
        metavar="PIXELS",
        help="vcop: frame to crop from, height and width, or the shorter side",
    )
    clip.add_argument(
        "--short", choices=options.SHORT, help="vcop: videos shorter than a sample (default skip)"
    )
    options.add_runtime(parser)


def run(args):
    methods.check(args)
    args.option = dict(args.option)
    args.optimizer = args.optimizer or methods.METHODS[args.method].optimizer
    if args.backbone:
        inputs.check_preset(args.backbone, architectures=True)
    everything = inputs.read_videos(args.folder)
    args.out = args.out or os.path.join("runs", f"{args.method}-{everything.name}")
    RunFolder.check(args.out, args.resume, args.overwrite)
    videos = inputs.training_part(everything, args.split)
    kept, unreadable = inputs.readable(videos, args.workers)
    if len(videos) < len(everything):
        inputs.say(
            f"the split train: {len(videos)} of {len(everything)} videos (--split all takes all)"
        )
    _, folder = pretrain(args, kept, unreadable, len(videos))
    inputs.say(f"preset: {folder.preset}")
    print(folder.file("report.html"))


def pretrain(args, videos, skipped, total):
    """Trains and writes the run folder; `demo` calls it with arguments of its own.

    Returns:
        (the task, the `RunFolder`).
    """
    picked = session.start(args)
    from keras_vssl import report
    from keras_vssl.precision import is_cpu_only

    chosen, arguments = methods.settings(args, is_cpu_only())
    task = methods.build(args.method, chosen["backbone"], arguments, picked["precision"])
    videos, unmined = mine.prepare(task.sampler, videos, args.workers)
    videos, refused = inputs.usable(videos, task, _advice(args.method, task.sampler))
    skipped = [*skipped, *unmined, *refused]
    batch_size = min(chosen["batch_size"], len(videos))
    compile_task(task, args, args.epochs * max(1, len(videos) // batch_size), batch_size)
    clip = _clip(task.sampler)
    choices = {name: value for name, value in arguments.items() if name not in clip}
    folder = RunFolder(args.out, resume=args.resume, overwrite=args.overwrite)
    _same_run(folder, method=args.method, backbone=chosen["backbone"], clip=clip, options=choices)
    folder.write_config(
        command="pretrain",
        arguments={k: v for k, v in vars(args).items() if k not in ("debug", "command")},
        method=args.method,
        backbone=chosen["backbone"],
        dataset=videos.name,
        clip=clip,
        options=choices,
        chance=task.chance(batch_size),
        paper=task.recipe.compare(args.epochs, len(videos)),
        **picked,
    )
    folder.write_skipped(skipped, total)
    history = task.fit(
        videos,
        epochs=args.epochs,
        batch_size=batch_size,
        seed=args.seed,
        out=folder.path,
        resume=args.resume,
        callbacks=[*_knn(args, videos), *folder.callbacks()],
        workers=max(args.workers, 1),
        cache_bytes=int(args.cache_gb * 2**30),
        verbose=1 if sys.stdout.isatty() else 2,
    )
    folder.write_skipped([*skipped, *task.skipped], total)
    task.record = record(args, task, chosen["backbone"], videos, batch_size, picked, history)
    task.save_to_preset(folder.preset)
    if hasattr(task, "reconstruct"):
        _draw(task, videos, args.seed, folder)
    report.write(folder.path)
    return task, folder


def record(args, task, backbone, videos, batch_size, picked, history):
    """What the model card says of a run."""
    from keras_vssl.run import versions

    losses = history.history.get("loss")
    sampler = task.sampler
    return {
        "method": type(task).__name__,
        "backbone": backbone,
        "data": {"name": videos.name, "videos": len(videos)},
        "recipe": {
            "epochs": args.epochs,
            "batch_size": batch_size,
            "optimizer": args.optimizer,
            "learning_rate": args.learning_rate or (1e-3 if args.optimizer == "adamw" else None),
            "seed": args.seed,
            "precision": picked["precision"],
            "clips": f"{sampler.views} of {sampler.frames} frames, {sampler.shape[2]} x "
            f"{sampler.shape[3]} pixels",
            "final_loss": float(losses[-1]) if losses else None,
            "length": task.recipe.compare(args.epochs, len(videos)),
        },
        "versions": versions(),
        "citation": getattr(task, "citation", None),
    }


def compile_task(task, args, steps, batch_size):
    """Compiles for a run of so many steps: with the paper's optimizer, or with AdamW."""
    import keras

    if args.optimizer == "adamw":
        rate = keras.optimizers.schedules.CosineDecay(args.learning_rate or 1e-3, steps)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-2)
        task.default_compile(steps=steps, batch_size=batch_size, optimizer=optimizer)
    else:
        task.default_compile(steps=steps, batch_size=batch_size)
        if args.learning_rate:
            if task.has_schedule:
                raise ValueError(
                    f"Expected --learning-rate with --optimizer adamw, because {args.method}'s own "
                    f"has a schedule; leave one of them out."
                )
            task.optimizer.learning_rate = args.learning_rate


def _clip(sampler):
    """The clips' geometry, as the run's files say it."""
    names = ("frames", "stride", "gap", "clips")
    clip = {name: getattr(sampler, name) for name in names if hasattr(sampler, name)}
    spatial = sampler.spatial
    return json.loads(json.dumps({**clip, "size": spatial.size, "resize": spatial.resize}))


def _advice(method, sampler):
    if method != "vcop":
        return None
    return inputs.fitting(sampler.clips, sampler.frames, sampler.gap, sampler.stride)


def _draw(task, videos, seed, folder):
    """What a masked method makes of the first videos, as a picture in the run's folder."""
    import numpy as np

    from keras_vssl.data.samples import Samples
    from keras_vssl.files import write_atomic
    from keras_vssl.report import pictures

    samples = Samples(videos, task.sampler, seed, target=None)
    clips = np.stack([samples(row)[0]["clips"][0] for row in range(min(4, len(videos)))])
    write_atomic(folder.file("reconstruction.png"), pictures.reconstruction(task, clips))


def _same_run(folder, **now):
    """A resumed run keeps its clips and options; seed and batch size the checkpoint checks itself."""
    before = (folder.read("config.json") or {}) if folder.resumed else {}
    for name, value in json.loads(json.dumps(now)).items():
        if name in before and before[name] != value:
            raise ValueError(
                f"Expected to resume with the {name} the run began with, {before[name]}, received "
                f"{value}; use the same arguments or another --out."
            )


def _knn(args, videos):
    if not args.knn:
        return []
    from keras_vssl.callbacks.knn import KNNCallback

    split = videos.split_by_group(test=0.3, seed=args.seed)
    every = max(1, args.epochs // 20)
    return [KNNCallback(split.train, split.test, every=every, workers=max(args.workers, 1))]
