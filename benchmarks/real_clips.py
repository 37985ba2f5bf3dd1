"""The table in README.md: VCOP on real clips, beside its floors and baselines.

`python -m benchmarks.real_clips` trains and evaluates everything, seed by seed, and can be stopped and
started again; `--table` only rewrites README.md's table from the committed results.
"""

import argparse
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "real_clips.json"
MARKS = "<!-- real clips: begin -->", "<!-- real clips: end -->"

# One recipe for both sets; only the stride differs, so that a clip covers the action.
BACKBONE = "r3d_nano"
SHIPPED = "vcop_r3d_nano"
FRAMES, SIZE, RESIZE = 8, 48, (48, 64)
SETS = {
    "actions": {"stride": 1, "gap": 2, "epochs": 20},
    "tennis": {"stride": 2, "gap": 2, "epochs": 40},
}
RATE, BATCH = 1e-3, 32
FINETUNE = {"epochs": 15, "batch_size": 16, "rate": 1e-2}


def run(name, data, seed, work):
    """Pre-trains and evaluates one seed; returns its rows."""
    done = work / f"{name}-{seed}" / "results.json"
    if done.is_file():
        return json.loads(done.read_text())["rows"]
    import keras

    import keras_vssl as kv
    from keras_vssl.precision import choose

    precision, _ = choose("auto")
    keras.config.set_dtype_policy(precision)
    setting = SETS[name]
    videos = kv.data.Videos.from_folder(data / name)
    keras.utils.set_random_seed(seed)
    clip = {"frames": FRAMES, "stride": setting["stride"], "resize": RESIZE, "size": SIZE}
    # From the shipped preset: on a few hundred clips VCOP from random weights is still at chance
    # after as many steps.
    backbone = kv.backbones.VideoBackbone.from_preset(SHIPPED, clip=clip)
    task = kv.tasks.VCOP(
        backbone, 3, FRAMES, setting["gap"], setting["stride"], resize=RESIZE, size=SIZE
    )
    steps = setting["epochs"] * max(1, len(videos.train) // BATCH)
    task.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(RATE, steps), 1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    folder = work / f"{name}-{seed}"
    task.fit(
        videos.train,
        epochs=setting["epochs"],
        batch_size=BATCH,
        seed=seed,
        out=str(folder),
        resume=True,
        cache_bytes=3 * 2**30,
        verbose=2,
    )
    task.save_to_preset(folder / "preset")
    evaluation = measure(kv, task.backbone, videos, seed, name, "vcop", True)
    for row in evaluation.rows:
        if row["method"] == "vcop":
            row["seed"] = seed  # each seed is a pre-training of its own
            row["pretrain_epochs"] = setting["epochs"]
    # The shipped preset, which has seen a synthetic world and no real clip.
    shipped = kv.backbones.VideoBackbone.from_preset(SHIPPED, clip=clip)
    evaluation.rows += measure(kv, shipped, videos, seed, name, "vcop_motion_world", False).rows
    common = {k: evaluation.rows[0][k] for k in ("backbone", "dataset", "frames", "versions")}
    for part in ("train", "test"):
        accuracy = task.evaluate(getattr(videos, part), batch_size=BATCH, verbose=0)[1]
        evaluation.rows.append(
            {
                **common,
                "method": "vcop",
                "protocol": "pretext",
                "metric": f"{part}_accuracy",
                "value": float(accuracy),
                "seed": seed,
                "labels_used": False,
            }
        )
    evaluation.save(folder)
    return evaluation.rows


def measure(kv, backbone, videos, seed, name, method, baselines):
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
        backbone_name=BACKBONE,
        finetune_epochs=FINETUNE["epochs"],
        finetune_batch_size=FINETUNE["batch_size"],
        learning_rate=FINETUNE["rate"],
        batch_size=32,
        cache_bytes=3 * 2**30,
    )


def table(rows):
    """The README's table as Markdown."""
    from keras_vssl.downstream.results import summary

    names = {
        "floor_thumbnail": "floor: 8x8 mean frame, nearest neighbour",
        "floor_difference": "floor: 8x8 frame difference, nearest neighbour",
        "random": "random initialisation",
        "vcop_motion_world": "VCOP, motion world alone (`vcop_r3d_nano`)",
        "vcop": "**VCOP, motion world, then these clips, no labels**",
        "supervised": "supervised from scratch",
    }
    columns = [
        ("retrieval", "top1", "retrieval top-1"),
        ("retrieval", "top5", "top-5"),
        ("linear", "top1", "linear probe"),
        ("finetune", "top1", "fine-tune"),
    ]
    found = {(s["dataset"], s["method"], s["protocol"], s["metric"]): s for s in summary(rows)}
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        lines += [
            f"**{dataset}**",
            "",
            "| | " + " | ".join(title for _, _, title in columns) + " |",
            "| --- |" + " --- |" * len(columns),
        ]
        for method, title in names.items():
            cells = []
            for protocol, metric, _ in columns:
                s = found.get((dataset, method, protocol, metric))
                if s is None:
                    cells.append("")
                elif s["spread"] is None:
                    cells.append(f"{100 * s['mean']:.1f}")
                else:
                    cells.append(f"{100 * s['mean']:.1f} ± {100 * s['spread']:.1f}")
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        pretext = found.get((dataset, "vcop", "pretext", "test_accuracy"))
        if pretext:
            lines += [
                "",
                f"Order accuracy on test videos: {100 * pretext['mean']:.1f} % (chance 16.7 %).",
            ]
        lines.append("")
    return "\n".join(lines)


def write_readme(rows):
    """Puts the table between README.md's marks."""
    from keras_vssl.files import write_atomic

    text = (ROOT / "README.md").read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    write_atomic(ROOT / "README.md", f"{before}{MARKS[0]}\n{table(rows)}{MARKS[1]}{after}")


def main(argv=None):
    """See the module's docstring."""
    from keras_vssl.files import write_json_atomic

    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_clips", description=__doc__)
    shared = os.environ.get("KERAS_VSSL_SHARED", ROOT.parent / "shared")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(shared) / "data")
    parser.add_argument("--sets", default="actions,tennis")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "runs" / "real_clips")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args(argv)
    if not arguments.table:
        rows = []
        for seed in map(int, arguments.seeds.split(",")):
            for name in arguments.sets.split(","):
                rows += run(name, arguments.data, seed, arguments.work)
        unique = {}
        for row in rows:  # floors depend on no seed and come with each
            key = tuple(row.get(k) for k in ("dataset", "method", "protocol", "metric", "seed"))
            unique[key] = row
        order = list(SETS)
        rows = sorted(unique.values(), key=lambda row: order.index(row["dataset"]))
        settings = {
            "backbone": BACKBONE,
            "start": SHIPPED,
            "sets": SETS,
            "frames": FRAMES,
            "resize": RESIZE,
            "size": SIZE,
            "learning_rate": RATE,
            "batch_size": BATCH,
            "finetune": FINETUNE,
        }
        write_json_atomic(
            RESULTS,
            {"command": "python -m benchmarks.real_clips", "settings": settings, "rows": rows},
        )
    rows = json.loads(RESULTS.read_text())["rows"]
    write_readme(rows)
    print(table(rows))


if __name__ == "__main__":
    sys.exit(main())
