"""A run's folder: what was asked, what happened, what came out.

OUT/config.json      arguments and versions
OUT/log.csv          one line an epoch (and tensorboard/ where TensorBoard is installed)
OUT/checkpoints/     the state that --resume goes on from
OUT/preset/          the result, loadable with from_preset
OUT/report.json      how many videos were read; skipped.json: which were not, and why
OUT/results.json     evaluation rows; evaluation.npz: embeddings, neighbours, confusion
OUT/report.html      all of it on one page
"""

import csv
import datetime
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import shutil

from keras_vssl.files import write_atomic, write_json_atomic

PARTS = (
    "config.json",
    "log.csv",
    "tensorboard",
    "checkpoints",
    "preset",
    "skipped.json",
    "report.json",
    "results.json",
    "evaluation.npz",
    "thumbnails.npz",
    "reconstruction.png",
    "report.html",
)
_VERSIONED = ("keras", "keras-hub", "tensorflow", "jax", "torch", "numpy", "av")


class RunFolder:
    """One folder a run, every file of it whole or absent.

    Args:
        path: str, the folder.
        resume: bool, go on with the run that is there. Starts one if none is.
        overwrite: bool, remove the parts of the run that is there and start again; other
            files in the folder are left alone.

    Raises:
        ValueError: the folder holds a run and neither `resume` nor `overwrite` is set, or
            `path` is a file.

    Example:

    ```python
    run = RunFolder("run/")
    run.write_config(command="pretrain", method="vcop", epochs=20)
    task.fit(videos, epochs=20, out=run.path, callbacks=run.callbacks())
    task.save_to_preset(run.preset)
    ```
    """

    def __init__(self, path, resume=False, overwrite=False):
        self.path = _absolute(path)
        held = self.check(path, resume, overwrite)
        self.resumed = bool(held and resume)
        if not self.resumed:
            for part in held:
                _remove(self.file(part))
        os.makedirs(self.path, exist_ok=True)
        if not os.access(self.path, os.W_OK):
            raise ValueError(f"The folder {path} can't be written to; choose another --out.")

    @staticmethod
    def check(path, resume=False, overwrite=False):
        """Refuses a folder as the constructor does, and changes nothing.

        Returns:
            list of str, the parts of a run that the folder holds.
        """
        folder = _absolute(path)
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise ValueError(f"Expected a folder for the run, but {path} is a file.")
        if os.path.exists(os.path.join(folder, "model.weights.h5")):
            raise ValueError(f"{path} is a preset, not a run folder; choose another --out.")
        held = [part for part in PARTS if os.path.exists(os.path.join(folder, part))]
        if held and not (resume or overwrite):
            raise ValueError(
                f"{path} already holds a run ({held[0]}); choose another --out, or --overwrite it"
                " (or --resume it, if it is the same training)."
            )
        return held

    def file(self, name):
        """The path of one part of the run."""
        return os.path.join(self.path, name)

    @property
    def preset(self):
        """Where the run's preset is written."""
        return self.file("preset")

    @property
    def checkpoints(self):
        """Where the run's training state is kept."""
        return self.file("checkpoints")

    def write_config(self, **fields):
        """Writes config.json: the fields as given, versions, machine and time.

        On resuming, the fields of the first start are kept under "started_with".
        """
        config = {
            **fields,
            "versions": versions(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        before = self.read("config.json")
        if self.resumed and before:
            config["started_with"] = before.get("started_with", before)
        write_json_atomic(self.file("config.json"), config)

    def update_config(self, **fields):
        """Adds to config.json what is known only later: losses, timings, what was measured."""
        write_json_atomic(self.file("config.json"), {**(self.read("config.json") or {}), **fields})

    def write_skipped(self, skipped, total):
        """Writes skipped.json and report.json.

        Args:
            skipped: list of {"path", "reason"}.
            total: int, videos that were found.
        """
        unique = {item["path"]: item["reason"] for item in skipped}
        rows = [{"path": path, "reason": reason} for path, reason in unique.items()]
        write_json_atomic(self.file("skipped.json"), rows)
        reasons = {}
        for row in rows:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
        write_json_atomic(
            self.file("report.json"),
            {
                "videos_found": int(total),
                "videos_read": int(total) - len(rows),
                "videos_skipped": len(rows),
                "reasons": reasons,
                "skipped": rows,
            },
        )

    def read(self, name):
        """The content of one of the run's JSON files, None where it is absent or not JSON."""
        try:
            with open(self.file(name), encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return None

    def callbacks(self):
        """Keras callbacks that write log.csv and, where TensorBoard is installed, its events."""
        import keras

        log = Log(self.file("log.csv"))
        callbacks = [
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs=None: log.add(epoch, logs or {})
            )
        ]
        if _has_tensorboard():
            callbacks.append(
                keras.callbacks.TensorBoard(self.file("tensorboard"), write_graph=False)
            )
        return callbacks


class Log:
    """log.csv: a line an epoch, columns "epoch" (from 1) and whatever Keras logs.

    The file is rewritten whole each epoch. An epoch that is run again after resuming takes the
    place of its old line and of all lines after it.
    """

    def __init__(self, path):
        self.path = path

    def add(self, epoch, logs):
        """Adds a line for `epoch` (from 0, as Keras counts)."""
        rows = [row for row in read_log(self.path) if row["epoch"] <= epoch]
        values = {name: float(value) for name, value in logs.items() if _is_number(value)}
        rows.append({"epoch": epoch + 1, **values})
        columns = ["epoch"]
        for row in rows:
            columns += [name for name in row if name not in columns]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{value:.8g}" for name, value in row.items()})
        write_atomic(self.path, text.getvalue())


def read_log(path):
    """The lines of a log.csv as dicts of numbers; empty where there is none."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return []
    return [
        {name: float(value) for name, value in row.items() if name and _is_number(value)}
        for row in rows
        if _is_number(row.get("epoch"))
    ]


def versions():
    """Versions of what a result depends on, as a dict of str."""
    from keras_vssl import __version__

    found = {"keras_vssl": __version__, "python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name.replace("-", "_")] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _absolute(path):
    return os.path.abspath(os.path.expanduser(os.fspath(path)))


def _has_tensorboard():
    # Keras writes the events through TensorFlow, on every backend.
    return all(importlib.util.find_spec(name) for name in ("tensorflow", "tensorboard"))


def _is_number(value):
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.remove(path)
