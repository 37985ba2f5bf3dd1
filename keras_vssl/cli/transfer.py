"""Fine-tunes a frame network from video on still images, and tests it there.

voc-classification: FOLDER is VOCdevkit/VOC2007; trained on trainval, tested on test; mean average
precision. mpii-pose: FOLDER has images/ and data.json, a person a line; a tenth of the persons is
set apart for the test; PCKh at 0.5. Of a CaffeNet, conv1 to conv5 are taken, batch normalisation is
folded into them, and all layers are rescaled; the results say which of this was done.
"""

import os
import sys

from keras_vssl.cli import inputs, options, session
from keras_vssl.run import RunFolder

TASKS = ("voc-classification", "mpii-pose")
EXAMPLES = """\
examples:
  keras-vssl transfer run/ VOCdevkit/VOC2007 --task voc-classification --out voc/
  keras-vssl transfer run/ mpii/ --task mpii-pose --epochs 50 --out pose/
  keras-vssl transfer caffenet_bn_shuffle_learn VOCdevkit/VOC2007 --task voc-classification \\
      --no-rescale --out scratch/
"""


def configure(parser):
    parser.add_argument("preset", metavar="PRESET", help="a run folder or a preset")
    parser.add_argument("folder", metavar="FOLDER", help="the images, in their official layout")
    parser.add_argument("--task", choices=TASKS, required=True)
    options.add_out(parser)
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=options.positive, default=30, help="default 30")
    group.add_argument("--batch-size", type=options.positive, default=16, help="default 16")
    group.add_argument(
        "--learning-rate", type=options.fraction, help="of Adam (default: the paper's recipe)"
    )
    group.add_argument(
        "--hidden", type=options.positive, default=4096, help="width of fc6 and fc7 (4096)"
    )
    group.add_argument("--size", type=options.positive, help="crop in pixels")
    group.add_argument("--no-fold", action="store_true", help="keep batch normalisation")
    group.add_argument("--no-rescale", action="store_true", help="leave the layers' scales")
    options.add_runtime(parser)


def run(args):
    inputs.check_preset(args.preset, architectures=True)
    train, test = _images(args)
    folder = RunFolder(args.out, overwrite=args.overwrite)
    scores = _transfer(args, train, test, folder)
    print("test " + ", ".join(f"{name} {100 * value:.1f} %" for name, value in scores.items()))
    print(folder.file("report.html"))


def _images(args):
    if args.task == "voc-classification":
        from keras_vssl.downstream.voc import VOC_CLASSES, classes_of, voc_images

        names = classes_of(args.folder) or VOC_CLASSES
        return (voc_images(args.folder, split, names) for split in ("trainval", "test"))
    import numpy as np

    from keras_vssl.downstream.poses import Poses

    table = os.path.join(args.folder, "data.json")
    if not os.path.isfile(table):
        raise FileNotFoundError(f"Expected MPII's annotations, but there is no {table}.")
    poses = Poses.from_mpii(table, os.path.join(args.folder, "images"), train=True)
    order = np.random.default_rng(args.seed).permutation(len(poses))
    apart = max(1, len(poses) // 10)
    return poses[np.sort(order[apart:])], poses[np.sort(order[:apart])]


def _transfer(args, train, test, folder):
    picked = session.start(args)
    import keras

    from keras_vssl import downstream, report

    clip = {"frames": 1, "size": args.size}
    backbone = inputs.load_backbone(args.preset, picked["precision"], clip)
    is_chain = type(backbone).__name__ == "CaffeNet"
    folded = is_chain and backbone.batch_normalization and not args.no_fold
    if is_chain:
        backbone = downstream.convolutional_part(backbone)
    if folded:
        backbone = downstream.fold_batch_normalization(backbone)
    hidden = (args.hidden, args.hidden)
    if args.task == "voc-classification":
        task = downstream.ImageClassifier(backbone, class_names=train.class_names, hidden=hidden)
        protocol = {"crops": 10}
    else:
        swaps, count = downstream.MPII_SWAPS, len(downstream.MPII_JOINTS)
        task = downstream.PoseRegressor(backbone, joints=count, swaps=swaps, hidden=hidden)
        protocol = {"threshold": 0.5, "subset": downstream.MPII_FULL}
    task.note_transfer(folded=bool(folded))
    if is_chain and not args.no_rescale and (folded or not backbone.batch_normalization):
        task.note_transfer(rescaled=downstream.rescale(task, train, seed=args.seed))
    else:
        task.note_transfer(rescaled=False)
    steps = args.epochs * max(1, len(train) // min(args.batch_size, len(train)))
    adam = keras.optimizers.Adam(args.learning_rate) if args.learning_rate else None
    task.default_compile(steps, args.batch_size, adam)
    folder.write_config(
        command="transfer",
        arguments={k: v for k, v in vars(args).items() if k not in ("debug", "command")},
        method=args.task,
        backbone=type(backbone).__name__,
        dataset=train.name,
        clip=backbone.clip,
        transfer=task.transfer,
        paper=task.recipe.compare(args.epochs, len(train)).replace("videos", "images"),
        **picked,
    )
    task.fit(
        train,
        epochs=args.epochs,
        batch_size=args.batch_size,
        seed=args.seed,
        workers=max(args.workers, 1),
        callbacks=folder.callbacks(),
        verbose=1 if sys.stdout.isatty() else 2,
    )
    scores = task.evaluate(test, **protocol)
    evaluation = downstream.Evaluation()
    for metric, value in scores.items():
        evaluation.add(
            {
                "method": "supervised" if _untrained(args.preset) else "pretrained",
                "backbone": type(backbone).__name__,
                "dataset": test.name,
                "protocol": args.task,
                "metric": metric,
                "value": value,
                "seed": args.seed,
                "images_test": len(test),
                "labels_used": True,
                "epochs": args.epochs,
                "transfer": task.transfer,
            }
        )
    done = ["not folded", "folded"][bool(folded)], ["no", "all"][bool(task.transfer["rescaled"])]
    evaluation.note(
        "Before fine-tuning, batch normalisation was {} and {} layers were rescaled by the data "
        "(Krähenbühl et al. 2016): figures with and without can't be compared.".format(*done)
    )
    evaluation.save(folder.path)
    folder.write_skipped(task.skipped, len(train))
    task.record = {
        **task.record,
        "method": args.task,
        "backbone": type(backbone).__name__,
        "data": {"name": train.name, "images": len(train)},
        "recipe": {"epochs": args.epochs, "batch_size": args.batch_size, "seed": args.seed},
        "metrics": evaluation.rows,
    }
    task.save_to_preset(folder.preset)
    report.write(folder.path)
    return scores


def _untrained(preset):
    from keras_vssl.backbones.presets import ARCHITECTURES

    return preset in ARCHITECTURES
