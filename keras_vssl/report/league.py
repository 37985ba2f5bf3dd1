"""The league table of `keras-vssl bench`: methods under one budget, as text, CSV, a picture, a page."""

import csv
import html
import io
import math

from keras_vssl.report import tables
from keras_vssl.report.charts import COLOURS, escape, number, ticks

# Columns: (protocol, metric), heading.
TRANSFER = (
    (("retrieval", "top1"), "retrieval top-1"),
    (("knn", "top1"), "k-NN"),
    (("linear", "top1"), "linear probe"),
    (("finetune", "top1"), "fine-tune"),
)
COST = (
    (("cost", "milliseconds_per_step"), "ms a step"),
    (("cost", "peak_mib"), "peak MiB"),
)
BASELINES = ("floor_thumbnail", "floor_difference", "random", "supervised")
_FIELDS = (
    "method", "backbone", "dataset", "protocol", "metric", "value", "chance", "seed", "steps",
    "batch_size", "frames", "stride", "crop", "views", "videos_train", "videos_test",
)  # fmt: skip


def league(rows):
    """Averages the rows of a bench over seeds, a line for each method and backbone.

    Args:
        rows: list of dict, as `keras_vssl.downstream.evaluate` makes them, with two protocols
            more: "pretext" (the method's own metric on held-out videos, with its "chance") and "cost".

    Returns:
        list of dict, the best mean transfer first and the baselines last: "method", "backbone",
        "cells" (dict of (protocol, metric) to (mean, spread or None, seeds)), "pretext" ((metric,
        chance) or None) and "values" (dict of (protocol, metric) to the values of the seeds).
    """
    lines = {}
    for row in rows:
        # A floor knows no network.
        backbone = None if row["method"].startswith("floor") else row["backbone"]
        line = lines.setdefault((row["method"], backbone), {"values": {}, "pretext": None})
        key = row["protocol"], row["metric"]
        line["values"].setdefault(key, {})[row.get("seed")] = float(row["value"])
        if row["protocol"] == "pretext":
            line["pretext"] = row["metric"], row["chance"]
    out = []
    for (method, backbone), line in lines.items():
        cells = {key: tables.mean(list(values.values())) for key, values in line["values"].items()}
        values = {key: list(seeds.values()) for key, seeds in line["values"].items()}
        out.append(
            {**line, "method": method, "backbone": backbone, "cells": cells, "values": values}
        )
    return sorted(out, key=_rank)


def _rank(line):
    shown = [line["cells"][key][0] for key, _ in TRANSFER if key in line["cells"]]
    group = BASELINES.index(line["method"]) + 1 if line["method"] in BASELINES else 0
    return group, -sum(shown) / max(len(shown), 1), line["method"]


def columns(found):
    """The (key, heading) that at least one line has, without the pretext."""
    return [c for c in TRANSFER + COST if any(c[0] in line["cells"] for line in found)]


def grid(found):
    """Heading and body as lists of str, for every kind of table."""
    shown = columns(found)
    head = ["method", "backbone", "own task (chance)", *(title for _, title in shown)]
    body = []
    for line in found:
        own = ""
        if line["pretext"]:
            metric, chance = line["pretext"]
            cell = tables.cell_text(line["cells"]["pretext", metric])
            own = f"{metric.replace('_', ' ')} {cell} ({100 * chance:.1f})"
        cells = [_cell(line["cells"].get(key), key) for key, _ in shown]
        body.append([tables.method_name(line["method"]), line["backbone"] or "", own, *cells])
    return head, body


def _cell(cell, key):
    if cell is None:
        return ""
    if key[0] != "cost":
        return tables.cell_text(cell)
    return f"{cell[0]:,.0f}" + ("" if cell[1] is None else f" ± {cell[1]:,.0f}")


def as_text(found):
    """For a terminal."""
    head, body = grid(found)
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
        for row in [head, *body]
    ]
    return "\n".join([lines[0], "-" * len(max(lines, key=len)), *lines[1:]])


def as_markdown(found):
    """For a README."""
    head, body = grid(found)
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]
    return "\n".join(lines) + "\n"


def as_csv(rows):
    """Every measured value, a line each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _FIELDS, "", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_html(found):
    """For the report."""
    head, body = grid(found)
    out = ['<div class="scroll"><table><thead><tr>']
    out += [f"<th>{escape(text)}</th>" for text in head]
    out.append("</tr></thead><tbody>")
    for line, row in zip(found, body):
        own = "" if line["method"] in BASELINES else ' class="own"'
        first = f"<th>{escape(row[0])}<small>{escape(row[1])}</small></th>"
        rest = "".join(f"<td>{escape(text)}</td>" for text in row[1:])
        out.append(f"<tr{own}>{first}{rest}</tr>")
    return "".join(out) + "</tbody></table></div>"


def picture(found, title):
    """The transfer columns side by side, a line for each method: a dot a seed, a bar at their mean.

    Args:
        found: what `league` returned.
        title: str.

    Returns:
        str, a self-contained SVG document on a white ground (a README shows it as it is). Dashed
        lines are the random weights of the network that most lines have, dotted ones the better floor.
    """
    shown = [c for c in TRANSFER if any(c[0] in line["cells"] for line in found)]
    if not shown:
        return ""
    names, row_height, panel, top = 190, 22, 210, 62
    width = names + len(shown) * panel + 16
    height = top + row_height * len(found) + 34
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" '
        'font-family="system-ui,Segoe UI,Roboto,Arial,sans-serif" font-size="12" fill="#17202b">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
        f'<text x="14" y="24" font-size="15" font-weight="600">{html.escape(title)}</text>'
    ]
    several = len({line["backbone"] for line in found if line["backbone"]}) > 1
    for i, line in enumerate(found):
        y = top + row_height * (i + 0.5)
        name = tables.method_name(line["method"])
        if i % 2 == 0:
            out.append(
                f'<rect x="0" y="{y - row_height / 2:.1f}" width="{width}" height="{row_height}" '
                'fill="#f4f6f9"/>'
            )
        small = f' <tspan fill="#7a8591" font-size="10">{line["backbone"]}</tspan>'
        note = small if several and line["backbone"] else ""
        out.append(f'<text x="14" y="{y + 4:.1f}">{html.escape(name)}{note}</text>')
    for p, (key, heading) in enumerate(shown):
        out.append(_panel(found, key, heading, names + p * panel + 12, panel - 30, top, row_height))
    return "".join(out) + "</svg>\n"


def _panel(found, key, heading, left, width, top, row_height):
    values = [100 * v for line in found for v in line["values"].get(key, ())]
    marks = ticks(min(0.0, *values), max(values), 4)
    low, high = marks[0], marks[-1]
    bottom = top + row_height * len(found)

    def px(value):
        return left + (value - low) / (high - low) * width

    out = [f'<text x="{left}" y="{top - 12}" font-weight="600">{heading}, %</text>']
    for mark in marks:
        out.append(
            f'<line x1="{px(mark):.1f}" x2="{px(mark):.1f}" y1="{top}" y2="{bottom}" '
            'stroke="#dfe4ea"/>'
            f'<text x="{px(mark):.1f}" y="{bottom + 16}" text-anchor="middle" fill="#5b6876" '
            f'font-size="11">{number(mark)}</text>'
        )
    for value, dash in _references(found, key):
        out.append(
            f'<line x1="{px(value):.1f}" x2="{px(value):.1f}" y1="{top}" y2="{bottom}" '
            f'stroke="#7a8591" stroke-dasharray="{dash}"/>'
        )
    for i, line in enumerate(found):
        y = top + row_height * (i + 0.5)
        colour = "#98a3af" if line["method"] in BASELINES else COLOURS[0]
        points = [100 * v for v in line["values"].get(key, ())]
        for value in points:
            out.append(
                f'<circle cx="{px(value):.1f}" cy="{y:.1f}" r="3.2" fill="{colour}" '
                f'fill-opacity=".45"><title>{number(value)}</title></circle>'
            )
        if points:
            middle = px(math.fsum(points) / len(points))
            out.append(
                f'<rect x="{middle - 1.5:.1f}" y="{y - 7:.1f}" width="3" height="14" '
                f'fill="{colour}"/>'
            )
    return "".join(out)


def _references(found, key):
    """(percent, dash) of random weights and of the better floor."""
    used = [line["backbone"] for line in found if line["method"] not in BASELINES]
    common = max(set(used), key=used.count) if used else None
    cells = {(line["method"], line["backbone"]): line["cells"].get(key) for line in found}
    random = cells.get(("random", common)) or cells.get(("supervised", common))
    floors = [cells.get((name, None)) for name in BASELINES if name.startswith("floor")]
    floors = [cell[0] for cell in floors if cell]
    out = [(100 * random[0], "5 4")] if random else []
    return out + ([(100 * max(floors), "1 3")] if floors else [])
