"""Results of an evaluation: rows, artefacts, their files and their summary."""

import io
import math
import os
import platform
import sys

import numpy as np

from keras_vssl.files import write_atomic, write_json_atomic


class Evaluation:
    """What `evaluate` found.

    Attributes:
        rows: list of dict, one a number: method, backbone, dataset, protocol, metric, value
            (0..1), seed (None where none matters), frames, stride, crop, views,
            videos_readable, labels_used (for training), versions.
        artefacts: dict of arrays. Of the model given, on test videos: `embedding` `[N, D]`, `map`
            `[N, 2]` (principal components), `paths`, `labels` ("" for none), `neighbours`
            `[N, 5]` (rows of `gallery_paths`, `gallery_labels`), `neighbour_similarity`,
            `class_names`; with labels `true`, `predicted`, `predicted_by`, `confusion`.
        notes: list of str, what a reader of the numbers has to know.
        skipped: list of {"path", "reason"}.
    """

    def __init__(self, progress=False, out=None):
        self.rows, self.artefacts, self.notes, self.skipped = [], {}, [], []
        self.progress, self.out = progress, out
        self._versions = None

    def add(self, row):
        """Adds a row, with the versions it was made by."""
        if self._versions is None:
            from keras_vssl.run import versions

            self._versions = versions()
        self.rows.append({**row, "versions": self._versions})

    def note(self, sentence):
        """Keeps a sentence for the report, and says it."""
        self.notes.append(sentence)
        print(sentence, file=sys.stderr)

    def say(self, line):
        """One line of progress."""
        if self.progress:
            print(line, file=sys.stderr, flush=True)

    def save(self, folder):
        """Writes `results.json` and `evaluation.npz` into a folder, each whole or not at all.

        Returns:
            The path of results.json.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self.artefacts)
        write_atomic(os.path.join(folder, "evaluation.npz"), buffer.getvalue())
        path = os.path.join(folder, "results.json")
        environment = {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "versions": self._versions,
        }
        write_json_atomic(
            path,
            {
                "rows": self.rows,
                "environment": environment,
                "notes": self.notes,
                "skipped": self.skipped,
            },
        )
        return path

    def save_if_asked(self):
        """Saves to `out`, so that a run that is stopped keeps what it has."""
        if self.out is not None:
            self.save(self.out)

    def table(self):
        """Mean and spread of every method and protocol, as text."""
        from keras_vssl.report.tables import as_text, protocol_table

        return as_text(protocol_table(self.rows))

    def __repr__(self):
        return f"<Evaluation: {len(self.rows)} rows, {len(self.artefacts)} artefacts>"


def summary(rows):
    """Mean and spread over seeds.

    Args:
        rows: list of dict, as `Evaluation.rows`.

    Returns:
        list of dict: method, backbone, dataset, protocol, metric, mean, spread (standard
        deviation over seeds, None for one), seeds (how many), in the order of first appearance.
    """
    columns = ("method", "backbone", "dataset", "protocol", "metric")
    groups = {}
    for row in rows:
        key = tuple(row.get(column) for column in columns)
        groups.setdefault(key, {})[row.get("seed")] = float(row["value"])
    out = []
    for key, values in groups.items():
        values = list(values.values())
        mean = sum(values) / len(values)
        spread = None
        if len(values) > 1:
            spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        line = dict(zip(columns, key, strict=True))
        out.append({**line, "mean": mean, "spread": spread, "seeds": len(values)})
    return out


def describe(clip, clips):
    """The columns that say what was shown to the network."""
    resize = clip["resize"]
    if isinstance(resize, (list, tuple)):
        resize = "x".join(str(side) for side in resize)
    return {
        "frames": clip["frames"],
        "stride": clip["stride"],
        "crop": f"resize {resize}, centre {clip['size']}",
        "views": f"{clips} clips x 1 crop",
    }


def plane(vectors):
    """The first two principal components of L2-normalised vectors, float32 `[N, 2]`.

    Signs are fixed (the largest coordinate of each is positive), so a rerun agrees.
    """
    from keras_vssl.downstream.retrieval import unit

    vectors = unit(vectors).astype(np.float64)
    centred = vectors - vectors.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    width = min(2, len(size))
    points[:, :width] = left[:, :width] * size[:width]
    largest = points[np.abs(points).argmax(axis=0), [0, 1]]
    return (points * np.where(largest < 0, -1, 1)).astype(np.float32)
