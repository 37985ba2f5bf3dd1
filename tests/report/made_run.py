"""A run folder made by hand, as a training and an evaluation would leave it."""

import json

import numpy as np

from keras_vssl.run import Log

CLASSES = ["circle", "drop", "rise <fast>"]


def make(folder, videos=()):
    """Fills `folder`; `videos` are real files for the thumbnails (others can't be read)."""
    rng = np.random.default_rng(0)
    log = Log(str(folder / "log.csv"))
    for epoch in range(4):
        log.add(epoch, {"loss": 1.8 - epoch * 0.2, "val_loss": 1.9 - epoch * 0.1, "accuracy": 0.3})
    config = {
        "command": "pretrain",
        "method": "vcop",
        "backbone": "r3d_nano",
        "dataset": "clips",
        "clip": {"clips": 3, "frames": 8, "gap": 4, "stride": 1, "size": 48, "resize": [48, 64]},
        "chance": {"accuracy": 1 / 6},
        "paper": "This run sees 40 samples: 0.0014 % of the paper's 2,861,100.",
        "precision": "float32",
        "versions": {"keras": "3.15.1"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    rows = [row("floor_thumbnail", "knn", "top1", 0.2, None)]
    for seed, shift in ((0, -0.01), (1, 0.0), (2, 0.01)):
        rows.append(row("random", "knn", "top1", 0.3 + shift, seed))
        rows.append(row("vcop", "knn", "top1", 0.5 + shift, seed))
        rows.append(row("supervised", "finetune", "top1", 0.7 + shift, seed))
    (folder / "results.json").write_text(json.dumps({"rows": rows, "notes": ["No groups given."]}))
    skipped = [{"path": "broken.mp4", "reason": "the file is empty"}]
    counts = {"videos_found": 31, "videos_read": 30, "videos_skipped": 1, "skipped": skipped}
    (folder / "report.json").write_text(json.dumps(counts))
    count = 18
    labels = np.array([CLASSES[i % 3] for i in range(count)])
    paths = [str(video) for video in videos] + [f"gone/{i}.mp4" for i in range(count)]
    np.savez(
        folder / "evaluation.npz",
        embedding=rng.normal(size=(count, 16)).astype("float32"),
        paths=np.array(paths[:count]),
        labels=labels,
        gallery_paths=np.array(paths[:count]),
        gallery_labels=labels,
        neighbours=np.stack([(np.arange(5) + i) % count for i in range(count)]),
        neighbour_similarity=np.linspace(0.9, 0.5, 5)[None].repeat(count, 0),
        class_names=np.array(CLASSES),
        confusion=np.array([[5, 1, 0], [0, 6, 0], [2, 0, 4]]),
        predicted_by=np.array("linear"),
    )


def row(method, protocol, metric, value, seed):
    """One result, as in results.json."""
    return {
        "method": method,
        "backbone": "r3d_nano",
        "dataset": "clips",
        "protocol": protocol,
        "metric": metric,
        "value": value,
        "seed": seed,
        "videos_train": 30,
        "videos_test": 18,
        "labels_used": protocol != "retrieval",
    }
