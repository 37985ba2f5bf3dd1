"""Puts a run's files together as one HTML page."""

import json
import os

from keras_vssl.files import write_atomic
from keras_vssl.report import sections
from keras_vssl.report.charts import escape
from keras_vssl.report.style import CSS
from keras_vssl.run import read_log


def write(run_folder):
    """Writes report.html from the files of a run folder.

    Whatever the run has left is shown: curves, the table of protocols, neighbours, confusion,
    the map of embeddings, skipped videos, settings. The videos themselves are looked at once, for
    thumbnails, which are kept in the folder.

    Args:
        run_folder: str, a folder that `pretrain`, `evaluate` or `finetune` wrote.

    Returns:
        The page's path, str.

    Raises:
        ValueError: there is nothing of a run in the folder.

    Example:

    ```python
    keras_vssl.report.write("run/")
    ```
    """
    run_folder = os.path.abspath(os.path.expanduser(os.fspath(run_folder)))
    run = read(run_folder)
    if not any(run[part] for part in ("config", "log", "results")):
        raise ValueError(
            f"Expected a run folder with config.json, log.csv or results.json, but {run_folder} "
            "has none of them."
        )
    path = os.path.join(run_folder, "report.html")
    write_atomic(path, page(run))
    return path


def read(folder):
    """A run's files as a dict: config, log, results, artefacts, skipped, folder, title."""
    import numpy as np

    artefacts = {}
    try:
        with np.load(os.path.join(folder, "evaluation.npz"), allow_pickle=False) as held:
            artefacts = {name: held[name] for name in held.files}
    except (OSError, ValueError):
        pass
    results = _json(folder, "results.json") or {}
    counts = _json(folder, "report.json") or {}
    skipped = counts.get("skipped") or _json(folder, "skipped.json") or []
    return {
        "folder": folder,
        "config": _json(folder, "config.json") or {},
        "bench": results.get("bench"),
        "log": read_log(os.path.join(folder, "log.csv")),
        "results": results.get("rows") or [],
        "notes": results.get("notes") or [],
        "artefacts": artefacts,
        "counts": counts,
        "skipped": skipped + (results.get("skipped") or []),
    }


def page(run):
    """The HTML of a run that `read` returned."""
    parts = [
        sections.bench(run) if run["bench"] else sections.table(run),
        sections.curves(run),
        sections.reconstruction(run),
        sections.neighbours(run),
        sections.embedding_map(run),
        sections.confusion(run),
        sections.skipped(run),
        sections.settings(run),
    ]
    title = sections.title(run)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><main>"
        f"{sections.header(run)}{''.join(parts)}"
        "<footer>written by keras_vssl; this file needs no network</footer>"
        "</main></body></html>\n"
    )


def _json(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
