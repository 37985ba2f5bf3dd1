"""Trains a classifier from a preset on labelled videos, and tests it.

Tested on the split test (10 clips a video, averaged). The run's preset is a VideoClassifier.
"""

import sys

from keras_vssl.cli import inputs, options, session
from keras_vssl.run import RunFolder

EXAMPLES = """\
examples:
  keras-vssl finetune run/ clips/ --out classifier/
  keras-vssl finetune run/ clips/ --freeze --epochs 50 --out probe/      # only the last layer
  keras-vssl finetune r3d_nano clips/ --out scratch/                     # from random weights
"""


def configure(parser):
    parser.add_argument("preset", metavar="PRESET", help="a run folder or a preset")
    options.add_videos(parser)
    options.add_out(parser, resume=True)
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=options.positive, default=30, help="default 30")
    group.add_argument("--batch-size", type=options.positive, default=8, help="default 8")
    group.add_argument("--learning-rate", type=options.fraction, help="default 0.001 (0.1 frozen)")
    group.add_argument("--dropout", type=float, default=0.0, help="before the last layer (0)")
    group.add_argument("--freeze", action="store_true", help="train only the last layer")
    group.add_argument("--flip", action="store_true", help="mirror half of the training clips")
    options.add_geometry(parser)
    options.add_runtime(parser)


def run(args):
    inputs.check_preset(args.preset, architectures=True)
    videos = inputs.read_videos(args.folder)
    if not 0 <= args.dropout < 1:
        raise ValueError(f"Expected --dropout from 0 to below 1, received {args.dropout}.")
    labels = {label for label in videos.labels if label is not None}
    if len(labels) < 2:
        raise ValueError(
            f"Expected videos of at least two classes, but {args.folder} has {len(labels)}; put "
            "them into class folders or give a CSV with a column label."
        )
    if not {"train", "test"} <= set(videos.splits):
        videos = videos.split_by_group(test=0.3, seed=args.seed)
        inputs.say(f"no splits: {len(videos.test)} of {len(videos)} videos set apart for the test")
    videos.probe(workers=args.workers or None, progress=inputs.on_terminal())
    folder = RunFolder(args.out, resume=args.resume, overwrite=args.overwrite)
    value = _finetune(args, videos, folder)
    print(f"test top-1 {100 * value:.1f} %")
    print(folder.file("report.html"))


def _finetune(args, videos, folder):
    picked = session.start(args)
    from keras_vssl import report
    from keras_vssl.downstream import VideoClassifier

    clip = {"frames": args.frames, "stride": args.stride, "size": args.size}
    backbone = inputs.load_backbone(args.preset, picked["precision"], clip)
    classifier = VideoClassifier(
        backbone,
        class_names=videos.class_names,
        dropout=args.dropout,
        freeze=args.freeze,
        flip=0.5 if args.flip else 0.0,
        learning_rate=args.learning_rate,
    )
    method = "linear probe" if args.freeze else "finetune"
    folder.write_config(
        command="finetune",
        arguments={k: v for k, v in vars(args).items() if k not in ("debug", "command")},
        method=method,
        backbone=type(backbone).__name__,
        dataset=videos.name,
        clip=classifier.clip,
        chance={"accuracy": 1 / len(videos.class_names)},
        paper=classifier.recipe.compare(args.epochs, len(videos.train)),
        **picked,
    )
    classifier.fit(
        videos.train,
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        out=folder.path,
        resume=args.resume,
        callbacks=folder.callbacks(),
        workers=max(args.workers, 1),
        cache_bytes=2**30,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    value, unread = _test(args, classifier, videos, folder)
    folder.write_skipped([*classifier.skipped, *unread], len(videos))
    classifier.record = {
        "method": method,
        "backbone": type(backbone).__name__,
        "data": {"name": videos.name, "videos": len(videos.train)},
        "recipe": {"epochs": args.epochs, "batch_size": args.batch_size, "seed": args.seed},
        "metrics": folder.read("results.json")["rows"],
    }
    classifier.save_to_preset(folder.preset)
    report.write(folder.path)
    return value


def _test(args, classifier, videos, folder):
    import numpy as np

    from keras_vssl.downstream import Evaluation
    from keras_vssl.metrics import confusion_matrix

    test, unread = videos.test.usable()
    test, _ = classifier.labelled(test)
    scores, rows = classifier.predict(test, return_rows=True, progress=inputs.on_terminal())
    wanted, predicted = test.class_ids[rows], scores.argmax(axis=1)
    value = float((wanted == predicted).mean())
    names = np.array(videos.class_names, dtype=str)
    evaluation = Evaluation()
    evaluation.add(
        {
            "method": "supervised" if _untrained(args.preset) else "pretrained",
            "backbone": type(classifier.backbone).__name__,
            "dataset": videos.name,
            "protocol": "linear" if args.freeze else "finetune",
            "metric": "top1",
            "value": value,
            "seed": args.seed,
            "frames": classifier.clip["frames"],
            "stride": classifier.clip["stride"],
            "crop": classifier.clip["size"],
            "views": 10,
            "videos_readable": len(rows),
            "videos_test": len(rows),
            "labels_used": True,
            "epochs": args.epochs,
        }
    )
    evaluation.artefacts = {
        "paths": np.array([test.paths[i] for i in rows]),
        "labels": names[wanted],
        "class_names": names,
        "true": names[wanted],
        "predicted": names[predicted],
        "predicted_by": np.array(evaluation.rows[0]["protocol"]),
        "confusion": confusion_matrix(wanted, predicted, len(names)),
    }
    evaluation.save(folder.path)
    return value, unread


def _untrained(preset):
    from keras_vssl.backbones.presets import ARCHITECTURES

    return preset in ARCHITECTURES
