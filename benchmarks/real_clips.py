"""The table in README.md: the methods on real clips, beside their floors and baselines.

`python -m benchmarks.real_clips` trains and evaluates everything, seed by seed, and can be stopped and
started again; what it measures takes the place of the same rows in the committed results. `--table` only
rewrites README.md's table from them.
"""

import argparse
import dataclasses
import inspect
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "real_clips.json"
MARKS = "<!-- real clips: begin -->", "<!-- real clips: end -->"

# One recipe for all sets; only the stride differs, so that a clip covers the action.
BACKBONE = "r3d_nano"
SHIPPED = "vcop_r3d_nano"
FRAMES, SIZE, RESIZE = 8, 48, (48, 64)
STRIDES = {"actions": 1, "tennis": 2, "faces": 3}
RATE, BATCH = 1e-3, 32
# The rate of convolutional networks; transformers have the classifier's own (AdamW).
FINETUNE = {"epochs": 15, "batch_size": 16, "rate": 1e-2}


@dataclasses.dataclass(frozen=True)
class Method:
    """How one method is pre-trained here.

    Args:
        task: str, the class.
        epochs: dict of data set to int.
        options: dict, the task's arguments beside the clip.
        backbone: str, the preset it begins with.
        title: str, in the table.
        gap: dict of data set to int, VCOP's.
    """

    task: str
    epochs: dict
    options: dict = dataclasses.field(default_factory=dict)
    backbone: str = BACKBONE
    title: str = ""
    gap: int | None = None

    @property
    def architecture(self):
        return BACKBONE if self.backbone == SHIPPED else self.backbone


METHODS = {
    # From the shipped preset: on a few hundred clips VCOP from random weights is still at chance
    # after as many steps.
    "vcop": Method(
        "VCOP",
        {"actions": 20, "tennis": 40},
        {"resize": RESIZE},
        SHIPPED,
        "**VCOP, motion world, then these clips, no labels**",
        gap=2,
    ),
    "cvrl": Method(
        "CVRL",
        {"actions": 30, "tennis": 60},
        {"widths": (256, 64), "asymmetric": False, "strength": 0.25},
        title="**CVRL, these clips, no labels**",
    ),
    "modist": Method(
        "MoDist",
        {"actions": 30, "tennis": 60},
        {
            "beta_inverse": 2,
            "widths": (256, 64),
            "momentum": 0.98,
            # Far fewer than the videos: a video's own keys must not be among its negatives.
            "queue_size": 64,
            "motion_frames": 8,
            "fps": 25.0,
            "offset": (0.1, 2.0),
            "jitter": 0.3,
            "grayscale": 0.0,
            "blur": 0.0,
            "strength": 0.1,
        },
        title="**MoDist (frame differences), these clips, no labels**",
    ),
    "videomae": Method(
        "VideoMAE",
        {"actions": 30, "tennis": 60},
        {"decoder_depth": 2, "ratio": 0.75},
        "video_vit_nano",
        "**VideoMAE, these clips, no labels**",
    ),
    "avts": Method(
        "AVTS",
        {"faces": 60},
        {"audio_backbone": "audio_vgg_nano"},
        "mc3_nano",
        "**AVTS, these clips and their sound, no labels**",
    ),
}


def make(kv, method, name):
    """The task for one data set."""
    setting = METHODS[method]
    clip = {"frames": FRAMES, "stride": STRIDES[name], "resize": RESIZE, "size": SIZE}
    backbone = kv.backbones.VideoBackbone.from_preset(setting.backbone, clip=clip)
    task = getattr(kv.tasks, setting.task)
    known = inspect.signature(task).parameters  # a transformer's clip is its backbone's
    clip = {"frames": FRAMES, "stride": STRIDES[name], "size": SIZE, "gap": setting.gap}
    clip["motion_stride"] = STRIDES[name]
    arguments = {k: v for k, v in clip.items() if k in known and v is not None}
    return task(backbone, **{**arguments, **setting.options})


def run(method, name, data, seed, work):
    """Pre-trains and evaluates one seed; returns its rows."""
    folder = work / f"{method}-{name}-{seed}"
    if (folder / "results.json").is_file():
        return json.loads((folder / "results.json").read_text())["rows"]
    import keras

    import keras_vssl as kv
    from keras_vssl.precision import choose

    precision, _ = choose("auto")
    keras.config.set_dtype_policy(precision)
    videos = kv.data.Videos.from_folder(data / name)
    keras.utils.set_random_seed(seed)
    task = make(kv, method, name)
    epochs = METHODS[method].epochs[name]
    train = task.prepare(videos.train)
    steps = epochs * max(1, len(train) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    task.default_compile(optimizer=keras.optimizers.AdamW(rate, 1e-2))
    history = task.fit(
        train,
        epochs=epochs,
        batch_size=BATCH,
        seed=seed,
        out=str(folder),
        resume=True,
        cache_bytes=3 * 2**30,
        verbose=2,
    )
    task.save_to_preset(folder / "preset")
    backbone = METHODS[method].architecture
    first = next(
        m for m, s in METHODS.items() if s.architecture == backbone and name in s.epochs
    )  # measures the baselines of all with this network
    evaluation = measure(kv, task.backbone, videos, seed, name, method, backbone, method == first)
    for row in evaluation.rows:
        if row["method"] == method:
            row["seed"] = seed  # each seed is a pre-training of its own
            row["pretrain_epochs"] = epochs
    if method == "vcop":
        # The shipped preset, which has seen a synthetic world and no real clip.
        shipped = kv.backbones.VideoBackbone.from_preset(SHIPPED, clip=task.backbone.clip)
        rows = measure(kv, shipped, videos, seed, name, "vcop_motion_world", backbone, False).rows
        evaluation.rows += rows
    common = {k: evaluation.rows[0][k] for k in ("backbone", "dataset", "frames", "versions")}
    found = {f"train_{k}": v[-1] for k, v in history.history.items() if k in PRETEXT}
    held_out = task.evaluate(videos.test, batch_size=BATCH, verbose=0, return_dict=True)
    found |= {f"test_{k}": v for k, v in held_out.items() if k in PRETEXT}
    for metric, value in found.items():
        evaluation.rows.append(
            {
                **common,
                "method": method,
                "protocol": "pretext",
                "metric": metric,
                "value": float(value),
                "seed": seed,
                "labels_used": False,
            }
        )
    evaluation.save(folder)
    return evaluation.rows


# What a method logs of its pretext: name, in words, and what guessing gives in a batch of 32.
PRETEXT = {
    "accuracy": ("order accuracy", 1 / 6),
    "contrast_accuracy": ("its own second clip found among 32", 1 / 32),
    "vm_accuracy": ("its own motion nearer than 64 others'", 1 / 65),
    "order_accuracy": ("its own sound nearer than another", 0.5),
    "sync_accuracy": ("pairs told in sync or not", 0.5),
    "explained_variance": ("variance of the hidden pixels explained", 0.0),
}


def measure(kv, backbone, videos, seed, name, method, backbone_name, baselines):
    """Every protocol on one backbone."""
    return kv.downstream.evaluate(
        backbone,
        videos.train,
        videos.test,
        protocols=("retrieval", "knn", "linear", "finetune"),
        seeds=(seed,),
        baselines=baselines,
        method=method,
        dataset=name,
        backbone_name=backbone_name,
        finetune_epochs=FINETUNE["epochs"],
        finetune_batch_size=FINETUNE["batch_size"],
        learning_rate=None if backbone_name.startswith("video_vit") else FINETUNE["rate"],
        batch_size=32,
        cache_bytes=3 * 2**30,
    )


COLUMNS = [
    ("retrieval", "top1", "retrieval top-1"),
    ("retrieval", "top5", "top-5"),
    ("linear", "top1", "linear probe"),
    ("finetune", "top1", "fine-tune"),
]
BASELINES = {
    "floor_thumbnail": "floor: 8x8 mean frame, nearest neighbour",
    "floor_difference": "floor: 8x8 frame difference, nearest neighbour",
    "random": "random initialisation",
    "supervised": "supervised from scratch",
    "vcop_motion_world": "VCOP, motion world alone (`vcop_r3d_nano`)",
}


def table(rows):
    """The README's table as Markdown."""
    from keras_vssl.downstream.results import summary

    found = summary(rows)
    titles = {**BASELINES, **{name: method.title for name, method in METHODS.items()}}
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        here = [s for s in found if s["dataset"] == dataset]
        lines += [
            f"**{dataset}**",
            "",
            "| | " + " | ".join(title for _, _, title in COLUMNS) + " |",
            "| --- |" + " --- |" * len(COLUMNS),
        ]
        backbones = list(dict.fromkeys(s["backbone"] for s in here))
        for method, title in titles.items():
            # A floor knows no network, and came with the baselines of each.
            for backbone in backbones[: 1 if method.startswith("floor") else None]:
                cells = [_cell(here, method, backbone, *column[:2]) for column in COLUMNS]
                if any(cells):
                    other = backbone != BACKBONE and not method.startswith("floor")
                    name = f"{title} ({backbone})" if other else title
                    lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines += ["", *_pretext(here), ""]
    return "\n".join(lines)


def _cell(found, method, backbone, protocol, metric):
    key = (method, backbone, protocol, metric)
    columns = ("method", "backbone", "protocol", "metric")
    s = next((s for s in found if tuple(s[c] for c in columns) == key), None)
    if s is None:
        return ""
    spread = "" if s["spread"] is None else f" ± {100 * s['spread']:.1f}"
    return f"{100 * s['mean']:.1f}{spread}"


def _pretext(found):
    """A sentence of how well each method does its own task on test videos."""
    parts = []
    for s in found:
        metric = s["metric"].removeprefix("test_")
        if s["protocol"] == "pretext" and s["metric"].startswith("test_") and metric in PRETEXT:
            words, chance = PRETEXT[metric]
            task = METHODS[s["method"]].task
            value, floor = (f"{100 * v:.1f} %" for v in (s["mean"], chance))
            parts.append(f"{task}: {words}, {value} (chance {floor})")
    return [f"The pretext on test videos. {'; '.join(parts)}."] if parts else []


def write_readme(rows):
    """Puts the table between README.md's marks."""
    from keras_vssl.files import write_atomic

    text = (ROOT / "README.md").read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    write_atomic(ROOT / "README.md", f"{before}{MARKS[0]}\n{table(rows)}{MARKS[1]}{after}")


def main(argv=None):
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_clips", description=__doc__)
    shared = os.environ.get("KERAS_VSSL_SHARED", ROOT.parent / "shared")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(shared) / "data")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--sets", default=",".join(STRIDES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "runs" / "real_clips")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args(argv)
    wanted = [
        (method, name, seed)
        for seed in arguments.seeds.split(",")
        for method in arguments.methods.split(",")
        for name in arguments.sets.split(",")
        if name in METHODS[method].epochs
    ]
    if len(wanted) == 1 and not arguments.table:
        method, name, seed = wanted[0]
        keep(run(method, name, arguments.data, int(seed), arguments.work))
    elif not arguments.table:
        for method, name, seed in wanted:  # a process each: Keras keeps what it has compiled
            which = ["--methods", method, "--sets", name, "--seeds", seed]
            where = ["--data", arguments.data, "--work", arguments.work]
            command = [sys.executable, "-m", "benchmarks.real_clips", *which, *where]
            subprocess.run(command, cwd=ROOT, check=True)
    rows = json.loads(RESULTS.read_text())["rows"]
    write_readme(rows)
    print(table(rows))


def keep(rows):
    """Puts rows into the committed results, in place of those of the same name."""
    from keras_vssl.files import write_json_atomic

    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else []
    names = ("dataset", "backbone", "method", "protocol", "metric", "seed")
    merged = {tuple(row.get(name) for name in names): row for row in [*known, *rows]}
    order = list(STRIDES)
    rows = sorted(merged.values(), key=lambda row: order.index(row["dataset"]))
    settings = {
        "methods": {name: dataclasses.asdict(method) for name, method in METHODS.items()},
        "strides": STRIDES,
        "frames": FRAMES,
        "resize": RESIZE,
        "size": SIZE,
        "learning_rate": RATE,
        "batch_size": BATCH,
        "finetune": FINETUNE,
    }
    write_json_atomic(
        RESULTS, {"command": "python -m benchmarks.real_clips", "settings": settings, "rows": rows}
    )


if __name__ == "__main__":
    sys.exit(main())
