"""Says how good a representation is: retrieval, k-NN, linear probe, fine-tuning.

Beside it: random weights of the same network, training from scratch ("supervised"), and floors that
learn nothing. Without --out the results go into RUN when it is a run folder, else into evaluation/.
"""

import os

from keras_vssl.cli import inputs, options, session
from keras_vssl.run import RunFolder

EXAMPLES = """\
examples:
  keras-vssl evaluate run/ clips/ --protocol retrieval,knn,linear
  keras-vssl evaluate run/ clips/ --protocol knn,linear,finetune,retrieval --seeds 0,1,2 --out eval/
  keras-vssl evaluate r3d_nano clips/ --protocol knn          # random weights

The splits train and test of a splits.csv are used; without them 30 % are set apart by groups.
"""


def configure(parser):
    parser.add_argument("model", metavar="RUN_OR_PRESET", help="a run folder or a preset")
    options.add_videos(parser)
    parser.add_argument(
        "--protocol",
        type=options.choices(options.PROTOCOLS),
        default=["retrieval", "knn", "linear"],
        help="some of retrieval,knn,linear,finetune (default: all but finetune, which trains)",
    )
    parser.add_argument("--out", metavar="RUN", help="a folder for results.json, report.html")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results")
    parser.add_argument(
        "--seeds", default=None, metavar="0,1,2", help="seeds of baselines and heads"
    )
    parser.add_argument(
        "--no-baselines", dest="baselines", action="store_false", help="leave baselines out"
    )
    group = parser.add_argument_group("protocols")
    group.add_argument("--views", type=options.positive, default=10, help="clips a video, 10")
    group.add_argument("--k", type=options.positive, default=10, help="neighbours of knn, 10")
    group.add_argument("--batch-size", type=options.positive, default=8, help="clips a step, 8")
    group.add_argument("--finetune-epochs", type=options.positive, default=30, help="default 30")
    group.add_argument("--learning-rate", type=options.fraction, help="of finetune (0.001)")
    options.add_geometry(parser)
    options.add_runtime(parser)


def run(args):
    inputs.check_preset(args.model, architectures=True)
    seeds = parse_seeds(args.seeds, args.seed)
    videos = inputs.read_videos(args.folder)
    if len(videos) < 2:
        raise ValueError(f"Expected at least two videos in {args.folder}, found {len(videos)}.")
    folder, source = _folder(args)
    picked = session.start(args)
    clip = {"frames": args.frames, "stride": args.stride, "size": args.size}
    backbone = inputs.load_backbone(args.model, picked["precision"], clip)
    before = source.read("config.json") or {} if source else {}
    method = before.get("method") or _method(args.model)
    if not (before and source.path == folder.path):
        folder.write_config(
            command="evaluate",
            model=args.model,
            method=method,
            dataset=videos.name,
            clip=backbone.clip,
            **{k: before[k] for k in ("backbone", "paper") if k in before},
            **picked,
        )
    folder.update_config(evaluated={"dataset": videos.name, "clip": backbone.clip, **picked})
    evaluation = evaluate(args, backbone, videos, folder, method, seeds, before.get("backbone"))
    if source:
        remember(source, evaluation.rows)
    print(evaluation.table())
    print(folder.file("report.html"))


def evaluate(args, backbone, videos, folder, method, seeds, name=None):
    """Runs the protocols, writes results and the report; `demo` calls it too."""
    from keras_vssl import report
    from keras_vssl.downstream import evaluate as measure

    evaluation = measure(
        backbone,
        videos,
        protocols=tuple(args.protocol),
        seeds=seeds,
        baselines=args.baselines,
        method=method,
        dataset=videos.name,
        backbone_name=name or _backbone_name(args, backbone),
        finetune_epochs=args.finetune_epochs,
        learning_rate=args.learning_rate,
        clips=args.views,
        k=args.k,
        batch_size=args.batch_size,
        workers=max(args.workers, 1),
        out=folder.path,
    )
    evaluation.save(folder.path)
    report.write(folder.path)
    return evaluation


def remember(folder, rows):
    """Adds the results to the record of a run's preset, for its model card."""
    from keras_vssl.files import write_json_atomic

    record = folder.read(os.path.join("preset", "record.json"))
    if record is not None:
        write_json_atomic(os.path.join(folder.preset, "record.json"), {**record, "metrics": rows})


def parse_seeds(text, default):
    """ "0,1,2" as a tuple of int."""
    if text is None:
        return (default,)
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        raise ValueError(f"Expected --seeds as whole numbers like 0,1,2, received {text!r}.")
    return seeds


def _folder(args):
    """(the folder to write to, the run that is evaluated or None)."""
    is_run = os.path.isdir(os.path.join(args.model, "preset"))
    source = RunFolder(args.model, resume=True) if is_run else None
    if args.out is None and source is not None:
        if os.path.exists(source.file("results.json")) and not args.overwrite:
            raise ValueError(
                f"{args.model} already holds results; choose an --out, or --overwrite them."
            )
        return source, source
    out = args.out or "evaluation"
    return RunFolder(out, overwrite=args.overwrite), source


def _method(model):
    from keras_vssl import hub
    from keras_vssl.backbones.presets import ARCHITECTURES

    if model in ARCHITECTURES:
        return "untrained"
    return (hub.describe(hub.resolve(model))["method"] or "pretrained").lower()


def _backbone_name(args, backbone):
    from keras_vssl.backbones.presets import ARCHITECTURES

    return args.model if args.model in ARCHITECTURES else type(backbone).__name__
