"""Trains methods under one budget on one dataset and compares them: the league table.

Every method and seed is pre-trained in a process of its own and evaluated; beside them stand random
weights of the same networks, training from scratch, and floors that learn nothing. Writes results.json,
results.csv, league.svg and report.html into OUT. A bench that was stopped goes on with --resume.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

from keras_vssl.cli import inputs, methods, options
from keras_vssl.files import write_atomic, write_json_atomic

EXAMPLES = """\
examples:
  keras-vssl bench clips/ --methods vcop,cvrl --steps 200
  keras-vssl bench clips/ --minutes 2 --seeds 0,1,2 --jobs 2
  keras-vssl bench clips/ --steps 200 --resume

Labels are needed: the splits train and test of a splits.csv are used, as in keras-vssl evaluate.
"""
# What makes two benches the same bench; the methods and seeds may grow.
SAME = (
    "folder", "backbone", "steps", "minutes", "batch_size", "optimizer", "learning_rate",
    "protocol", "views", "finetune_epochs", "frames", "stride", "size", "precision", "backend",
)  # fmt: skip
PARTS = ("bench.json", "entries", "results.json", "results.csv", "league.svg", "report.html")


def configure(parser):
    options.add_videos(parser)
    parser.add_argument(
        "--methods",
        type=options.choices(methods.NAMES),
        default=list(methods.NAMES),
        help=f"some of {','.join(methods.NAMES)} (default: all)",
    )
    parser.add_argument("--seeds", default="0,1,2", metavar="0,1,2", help="default 0,1,2")
    budget = parser.add_argument_group("the budget of each pre-training (default: 200 steps)")
    budget.add_argument("--steps", type=options.positive, help="optimizer steps")
    budget.add_argument(
        "--minutes",
        type=options.fraction,
        help="time of the steps, without reading the first batch and compiling: a few steps are "
        "timed and give the number of steps",
    )
    group = parser.add_argument_group("training")
    group.add_argument("--backbone", metavar="PRESET", help="one network for all methods that fit")
    group.add_argument("--batch-size", type=options.positive, default=32, help="videos, 32")
    group.add_argument(
        "--optimizer",
        choices=("adamw", "paper"),
        help="default: the method's own choice of pretrain, AdamW for nearly all",
    )
    group.add_argument("--learning-rate", type=options.fraction, help="of AdamW (default 0.001)")
    group.add_argument(
        "--cache-gb", type=float, default=1.0, metavar="GB", help="decoded videos kept (default 1)"
    )
    group.add_argument(
        "--jobs", type=options.positive, default=1, help="entries at a time, sharing the cores"
    )
    group = parser.add_argument_group("evaluation")
    group.add_argument(
        "--protocol",
        type=options.choices(options.PROTOCOLS),
        default=["retrieval", "linear", "finetune"],
        help="some of retrieval,knn,linear,finetune (default: all but knn)",
    )
    group.add_argument("--views", type=options.positive, default=4, help="clips a video, 4")
    group.add_argument("--finetune-epochs", type=options.positive, default=10, help="default 10")
    options.add_geometry(parser)
    options.add_out(parser, default="bench", resume=True)
    options.add_runtime(parser, seed=False)
    parser.add_argument("--entry", help=argparse.SUPPRESS)  # one entry, in this process


def run(args):
    if args.entry:
        from keras_vssl.cli import league

        return league.measure(args, args.entry)
    from keras_vssl.cli.evaluate import parse_seeds

    if args.steps and args.minutes:
        raise ValueError("Expected --steps or --minutes, received both; leave one out.")
    if not args.minutes:
        args.steps = args.steps or 200
    seeds = parse_seeds(args.seeds, 0)
    if args.backbone:
        inputs.check_preset(args.backbone, architectures=True)
    videos = inputs.read_videos(args.folder)
    if len({label for label in videos.labels if label is not None}) < 2:
        raise ValueError(
            f"Expected videos of at least two classes in {args.folder}, because methods are "
            "compared by what their features tell apart; make a folder for each class."
        )
    _claim(args)
    _run_all(args, [(name, seed) for seed in seeds for name in args.methods], "methods")
    entries = _entries(args.out, args.methods, seeds)
    failed = {n: e["failed"] for n, e in entries.items() if "failed" in e}
    if len(failed) == len(entries):
        name, reason = next(iter(failed.items()))
        raise ValueError(f"No method could be trained; {name}: {reason}")
    backbones = dict.fromkeys(e["backbone"] for e in entries.values() if "failed" not in e)
    _run_all(args, [(f"random@{name}", seed) for seed in seeds for name in backbones], "baselines")
    entries |= _entries(args.out, [f"random@{name}" for name in backbones], seeds)
    write(args.out, entries)
    return 0


def write(out, entries):
    """Puts the entries together: results.json, results.csv, league.svg, report.html; prints."""
    from keras_vssl import report
    from keras_vssl.report import league, sections

    rows, floors = [], set()
    for row in (row for entry in entries.values() for row in entry.get("rows", ())):
        if row["method"].startswith("floor"):  # came with every network's baselines
            key = row["method"], row["protocol"], row["metric"]
            if key in floors:
                continue
            floors.add(key)
        rows.append(row)
    failed = {n: e["failed"] for n, e in entries.items() if "failed" in e}
    with open(os.path.join(out, "bench.json"), encoding="utf-8") as file:
        settings = json.load(file)
    notes = [f"{name} is not in the table: {reason}" for name, reason in failed.items()]
    found = league.league(rows)
    write_json_atomic(
        os.path.join(out, "results.json"), {"bench": settings, "rows": rows, "notes": notes}
    )
    write_atomic(os.path.join(out, "results.csv"), league.as_csv(rows))
    title = sections.title({"bench": settings, "config": {}})
    write_atomic(os.path.join(out, "league.svg"), league.picture(found, title))
    report.write(out)
    for note in notes:
        inputs.say(note)
    print(league.as_text(found))
    print(os.path.join(out, "report.html"))


def _claim(args):
    """Refuses a folder that holds another bench, and writes down what this one is."""
    from keras_vssl.run import RunFolder, versions

    out = args.out = os.path.abspath(os.path.expanduser(args.out))
    path = os.path.join(out, "bench.json")
    args.folder = os.path.abspath(os.path.expanduser(args.folder))
    now = {name: getattr(args, name) for name in SAME}
    if os.path.exists(path) and not args.overwrite:
        if not args.resume:
            raise ValueError(
                f"{args.out} already holds a bench; --resume it, or --overwrite it, or choose "
                "another --out."
            )
        with open(path, encoding="utf-8") as file:
            before = json.load(file)["settings"]
        for name, value in json.loads(json.dumps(now)).items():
            if before.get(name) != value:
                raise ValueError(
                    f"Expected to resume with the {name} that the bench began with, "
                    f"{before.get(name)}, received {value}; use the same arguments or another --out."
                )
    else:
        RunFolder.check(out, overwrite=args.overwrite)
        if args.overwrite:
            _remove(out)
    os.makedirs(out, exist_ok=True)
    budget = f"{args.steps} steps" if args.steps else f"{args.minutes:g} minutes"
    write_json_atomic(
        path,
        {
            "dataset": os.path.basename(args.folder.rstrip(os.sep)),
            "budget": budget,
            "batch_size": args.batch_size,
            "settings": now,
            "jobs": args.jobs,
            "versions": versions(),
        },
    )


def _remove(out):
    import shutil

    for name in PARTS:
        path = os.path.join(out, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)


def place(out, name, seed):
    """The folder of one entry."""
    return os.path.join(out, "entries", f"{name.replace('@', '-')}-{seed}")


def _entries(out, names, seeds):
    """What is known: dict of "name, seed n" to an entry's dict."""
    found = {}
    for name in names:
        for seed in seeds:
            with open(os.path.join(place(out, name, seed), "entry.json"), encoding="utf-8") as file:
                found[f"{name}, seed {seed}"] = json.load(file)
    return found


def _run_all(args, wanted, title):
    """Measures what is not measured yet, each in a process of its own: Keras keeps what it compiled."""
    from tqdm import tqdm

    todo = [
        (name, seed)
        for name, seed in wanted
        if not os.path.isfile(os.path.join(place(args.out, name, seed), "entry.json"))
    ]
    if not todo:
        return
    jobs = min(args.jobs, len(todo))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    bar = tqdm(total=len(todo), desc=title, unit="run", disable=None)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        started = [pool.submit(_run_one, args, name, seed, threads) for name, seed in todo]
        try:
            for future in concurrent.futures.as_completed(started):
                name, seed, failed = future.result()
                bar.update()
                inputs.say(f"{name}, seed {seed}: {failed or 'done'}")
        except BaseException:
            for future in started:
                future.cancel()
            raise
    bar.close()


def _run_one(args, name, seed, threads):
    folder = place(args.out, name, seed)
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, "log.txt")
    command = [sys.executable, "-m", "keras_vssl.cli", "bench", args.folder, "--out", args.out]
    command += ["--entry", f"{name}:{seed}", *_arguments(args)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
    }
    with open(log, "ab") as file:
        done = subprocess.run(command, stdout=file, stderr=file, env=environment)
    entry = os.path.join(folder, "entry.json")
    if not os.path.isfile(entry):
        with open(log, encoding="utf-8", errors="replace") as file:
            said = [line.strip() for line in file if line.strip()]
        reason = said[-1].removeprefix("keras-vssl: ") if said else f"exit status {done.returncode}"
        if done.returncode != 2:  # a fault of ours or of the machine may pass: not an answer
            raise ValueError(
                f"{name}, seed {seed} stopped: {reason} (see {log}); --resume goes on."
            )
        write_json_atomic(entry, {"failed": reason})
        return name, seed, reason
    return name, seed, None


def _arguments(args):
    """The settings as arguments of an entry's process."""
    out = []
    for name in (*SAME[1:], "cache_gb", "workers"):
        value = getattr(args, name)
        if value is not None:
            text = ",".join(value) if isinstance(value, list) else str(value)
            out += [f"--{name.replace('_', '-')}", text]
    return out
