"""Shows the whole path without any data: makes videos, pre-trains, evaluates, reports.

The videos are a motion world: one shape moves, and only how it moves tells the classes apart, so
single frames say nothing. VCOP pre-trains a small network on them without labels; it is then compared
with random weights, training from scratch, and floors that learn nothing.
"""

import argparse
import os
import time

from keras_vssl.cli import evaluate, inputs, options, pretrain, session
from keras_vssl.run import RunFolder

LEVELS = ("plain", "textured", "distractors")
EXAMPLES = """\
examples:
  keras-vssl demo                       # about ten minutes on two cores
  keras-vssl demo --quick --level plain # a look at it all
  keras-vssl demo --minutes 30 --level plain,textured --out demo/
"""
# The levels with texture get a smaller budget: they are there to compare with, not to impress.
PROTOCOLS = ["retrieval", "knn", "linear"]
FULL = {
    "plain": {"videos": 1200, "epochs": 18},
    "textured": {"videos": 600, "epochs": 8},
    "distractors": {"videos": 600, "epochs": 8},
}
QUICK = {level: {"videos": 120, "epochs": 4} for level in LEVELS}


def configure(parser):
    options.add_out(parser, default="demo")
    parser.add_argument("--quick", action="store_true", help="few videos, short training")
    parser.add_argument(
        "--level",
        type=options.choices(LEVELS),
        default=["plain", "textured"],
        help="plain, textured, distractors, or some of them (default plain,textured)",
    )
    parser.add_argument(
        "--minutes", type=options.fraction, help="how long pre-training may take, about"
    )
    parser.add_argument("--videos", type=options.positive, help="videos to make")
    parser.add_argument("--epochs", type=options.positive, help="of pre-training")
    options.add_runtime(parser)


def run(args):
    sizes = QUICK if args.quick else FULL
    names = args.level
    # Every folder is looked at before the first level spends its minutes.
    folders = [RunFolder(args.out, overwrite=args.overwrite)]
    if len(names) > 1:
        top = folders[0]
        folders = [RunFolder(top.file(level), overwrite=args.overwrite) for level in names]
    for level, folder in zip(names, folders, strict=True):
        print(demo(args, level, folder, sizes[level]))


def demo(args, level, folder, size):
    """One level: world, training, evaluation; returns the report's path."""
    count = args.videos or size["videos"]
    began = time.perf_counter()
    root = folder.file(os.path.join("world", f"{level}_{count}_seed{args.seed}"))
    write_world(root, level, count, args)
    videos = inputs.read_videos(root)
    videos.name = f"motion world, {level}"
    inputs.say(f"{len(videos)} videos of {len(videos.class_names)} motions in {root}")

    settings = _pretraining(args, folder, root, args.epochs or size["epochs"])
    if args.minutes:
        settings.epochs = _epochs(args, settings, len(videos.train))
    kept, skipped = inputs.readable(videos.train, args.workers)
    task, folder = pretrain.pretrain(settings, kept, skipped, len(videos.train))
    measured = argparse.Namespace(
        protocol=PROTOCOLS, baselines=True, finetune_epochs=20, learning_rate=None,
        views=10, k=10, batch_size=32, workers=args.workers, model=settings.backbone,
    )  # fmt: skip
    evaluation = evaluate.evaluate(
        measured, task.backbone, videos, folder, "vcop", (args.seed,), settings.backbone
    )
    evaluate.remember(folder, evaluation.rows)
    print(evaluation.table())
    inputs.say(f"{(time.perf_counter() - began) / 60:.1f} minutes")
    return folder.file("report.html")


def write_world(root, level, count, args):
    """Writes the videos, with a bar."""
    from tqdm import tqdm

    from keras_vssl.data import synthetic

    with tqdm(total=count, desc="making videos", unit="video", leave=False, disable=None) as bar:
        synthetic.write(
            root,
            level=level,
            videos=count,
            seed=args.seed,
            workers=max(args.workers, 1),
            progress=lambda done, total: bar.update(done - bar.n),
        )


def _epochs(args, settings, count):
    """The epochs that take about --minutes, from the time of a few steps on noise."""
    session.start(args, quiet=True)
    import keras
    import numpy as np

    from keras_vssl.tasks import VCOP

    task = VCOP(
        inputs.load_backbone(settings.backbone, keras.config.dtype_policy().name),
        frames=settings.frames,
        resize=settings.size,
        size=settings.size,
    )
    shape = (settings.batch_size, *task.sampler.shape)
    clips = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    target = np.zeros(settings.batch_size, dtype=np.int64)
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        task.train_on_batch(clips, target)
        seconds.append(time.perf_counter() - began)
    steps = max(1, count // settings.batch_size)
    epochs = max(1, round(60 * args.minutes / (min(seconds[1:]) * steps)))
    inputs.say(f"{epochs} epochs take about {args.minutes:g} minutes here")
    return epochs


def _pretraining(args, folder, root, epochs):
    """The arguments of `pretrain` for the world's videos of 40 frames, 64 x 64."""
    return argparse.Namespace(
        method="vcop", folder=root, out=folder.path, backbone="r3d_nano", backend=args.backend,
        precision=args.precision, seed=args.seed, workers=args.workers, epochs=epochs,
        batch_size=32, optimizer="adamw", learning_rate=1e-3, clips=3, frames=8, gap=4, stride=1,
        size=48, resize=(48, 48), short="skip", knn=True, cache_gb=2.0, resume=False, overwrite=False,
        option={},
    )  # fmt: skip
