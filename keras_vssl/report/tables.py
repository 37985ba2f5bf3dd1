"""Results rows grouped into a table: methods down, protocols across, seeds averaged."""

import math

from keras_vssl.report.charts import escape
from keras_vssl.tasks import METHODS as TASKS

PROTOCOLS = {
    "retrieval": "Retrieval",
    "knn": "k\u2011NN",
    "linear": "Linear probe",
    "finetune": "Fine-tuned",
    "pretext": "Pretext",
}
# Top to bottom: what needs no learning, no pre-training, the method, what used the labels.
METHODS = {
    "chance": "Chance",
    "floor_thumbnail": "Floor: 8×8 thumbnails",
    "floor_difference": "Floor: frame differences",
    "random": "Random weights",
    "supervised": "Supervised",
}
NOTES = {
    "floor_thumbnail": "nearest neighbour on tiny pictures, nothing learnt",
    "floor_difference": "nearest neighbour on frame differences, nothing learnt",
    "random": "the same network, not pre-trained",
    "supervised": "trained with the labels from scratch",
}


def method_name(method):
    """A method as the page writes it: VCOP for "vcop"."""
    if method in METHODS:
        return METHODS[method]
    return TASKS.get(method, method.replace("_", " "))


def protocol_table(rows):
    """Averages result rows over seeds.

    Args:
        rows: list of dict with "method", "protocol", "metric", "value" (0..1), "seed", as in
            results.json.

    Returns:
        dict with "columns", list of (protocol, metric); "methods", list of str; "cells", dict
        of (method, protocol, metric) to (mean, spread or None, count); "best", dict of
        (protocol, metric) to method. The spread is the standard deviation over seeds, None
        for a single one.
    """
    values = {}
    for row in rows:
        if row.get("value") is None:
            continue
        key = (row["method"], row["protocol"], row["metric"])
        values.setdefault(key, {})[row.get("seed") or 0] = float(row["value"])
    cells = {key: mean(list(seeds.values())) for key, seeds in values.items()}
    columns = sorted({key[1:] for key in cells}, key=_column_order)
    methods = sorted({key[0] for key in cells}, key=_method_order)
    best = {}
    for column in columns:
        shown = {m: cells[m, *column][0] for m in methods if (m, *column) in cells}
        if len(shown) > 1:
            best[column] = max(shown, key=shown.get)
    return {"columns": columns, "methods": methods, "cells": cells, "best": best}


def as_html(table):
    """A table as an HTML string; the best of each column is marked."""
    out = ['<div class="scroll"><table><thead><tr><th>Method</th>']
    for protocol, metric in table["columns"]:
        name = escape(PROTOCOLS.get(protocol, protocol))
        out.append(f"<th>{name}<small>{escape(metric_name(metric))}</small></th>")
    out.append("</tr></thead><tbody>")
    for method in table["methods"]:
        note = NOTES.get(method, "pre-trained without labels" if method not in METHODS else "")
        own = ' class="own"' if method not in METHODS else ""
        small = f"<small>{escape(note)}</small>" if note else ""
        out.append(f"<tr{own}><th>{escape(method_name(method))}{small}</th>")
        for column in table["columns"]:
            cell = table["cells"].get((method, *column))
            best = ' class="best"' if table["best"].get(column) == method else ""
            out.append(f"<td{best}>{cell_text(cell)}</td>")
        out.append("</tr>")
    return "".join(out) + "</tbody></table></div>"


def as_text(table):
    """A table for a terminal; `*` marks the best of each column."""
    header = ["method"] + [f"{p} {m}" for p, m in table["columns"]]
    body = []
    for method in table["methods"]:
        line = [method_name(method)]
        for column in table["columns"]:
            star = "*" if table["best"].get(column) == method else " "
            line.append(cell_text(table["cells"].get((method, *column))) + star)
        body.append(line)
    widths = [max(len(row[i]) for row in [header, *body]) for i in range(len(header))]
    lines = []
    for row in [header, *body]:
        first = row[0].ljust(widths[0])
        rest = "  ".join(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
        lines.append(f"{first}  {rest}".rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def cell_text(cell):
    """Mean and spread in percent, "–" where nothing was measured."""
    if cell is None:
        return "–"
    mean, spread, _ = cell
    return f"{100 * mean:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")


def metric_name(metric):
    """A metric as the page writes it: top-5 for "top5"."""
    return f"top-{metric[3:]}" if metric.startswith("top") and metric[3:].isdigit() else metric


def mean(values):
    """(mean, standard deviation or None for a single value, how many)."""
    average = sum(values) / len(values)
    if len(values) == 1:
        return average, None, 1
    variance = sum((value - average) ** 2 for value in values) / (len(values) - 1)
    return average, math.sqrt(variance), len(values)


def _column_order(column):
    protocol, metric = column
    names = list(PROTOCOLS)
    place = names.index(protocol) if protocol in names else len(names)
    rank = int(metric[3:]) if metric.startswith("top") and metric[3:].isdigit() else 0
    return place, protocol, rank, metric


def _method_order(method):
    names = list(METHODS)
    if method == "supervised":
        return 99, method
    return (names.index(method), method) if method in names else (50, method)
