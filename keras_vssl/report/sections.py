"""The parts of the page; each is empty where the run has nothing to show for it."""

import os

from keras_vssl.report import charts, league, pictures, projection, tables
from keras_vssl.report.charts import escape

QUERIES = 8
SHOWN = 5


def title(run):
    """One line that names the run."""
    config = run["config"]
    if run["bench"]:
        settings = run["bench"]
        videos = f"{settings['batch_size']} videos a step"
        return f"{settings['dataset']}: {settings['budget']} a method, {videos}"
    parts = [tables.method_name(config["method"])] if config.get("method") else []
    if config.get("backbone"):
        parts.append(str(config["backbone"]))
    name = " · ".join(parts) or "Run"
    return f"{name} on {config['dataset']}" if config.get("dataset") else name


def header(run):
    """Title and the few numbers one looks for first."""
    config, facts = run["config"], []
    table = tables.protocol_table(run["results"])
    own = [method for method in table["methods"] if method not in tables.METHODS]
    for column in table["columns"]:
        if (
            own
            and not run["bench"]
            and (own[0], *column) in table["cells"]
            and column[1] in ("top1", "accuracy")
        ):
            name = f"{tables.PROTOCOLS.get(column[0], column[0])} {tables.metric_name(column[1])}"
            mean = table["cells"][(own[0], *column)][0]
            floor = _reference(table, column)
            facts.append((f"{100 * mean:.1f} %", name + floor))
    if run["log"]:
        facts.append((f"{len(run['log'])}", "epochs"))
        if "loss" in run["log"][-1]:
            facts.append((charts.number(run["log"][-1]["loss"]), "last training loss"))
    if run["counts"]:
        facts.append((f"{run['counts']['videos_read']:,}", "videos read"))
    blocks = "".join(
        f'<div class="fact"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in facts[:7]
    )
    when = str(config.get("time", "")).replace("T", " ")[:16]
    text = "keras_vssl run" + (f", {when}" if when else "")
    return (
        f'<header><p class="eyebrow">{escape(text)}</p><h1>{escape(title(run))}</h1>'
        f'<div class="facts">{blocks}</div></header>'
    )


def table(run):
    """Methods against protocols."""
    if not run["results"]:
        return ""
    found = tables.protocol_table(run["results"])
    counts = {cell[2] for cell in found["cells"].values()}
    many = max(counts)
    text = "Percent of the test videos, higher is better; the best of each column is coloured. "
    if many > 1:
        text += f"± is the standard deviation over up to {many} seeds."
    else:
        text += "One seed, so no spread is given: small differences mean nothing."
    used = sorted({r["protocol"] for r in run["results"] if r.get("labels_used")})
    if used:
        names = ", ".join(tables.PROTOCOLS.get(name, name) for name in used)
        text += f" Labels of the training videos are used by: {names}."
    body = tables.as_html(found)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in run["notes"])
    sizes = {(r["videos_train"], r["videos_test"]) for r in run["results"] if "videos_train" in r}
    if sizes:
        train, test = max(sizes)
        text += f" {train:,} training and {test:,} test videos."
    return _section("How good the representation is", text, body + notes)


def bench(run):
    """Methods under one budget: the picture and the table."""
    found = league.league(run["results"])
    text = (
        "Percent of the held-out videos: a dot is a seed, the bar their mean; ± is the standard "
        "deviation over seeds. Dashed: random weights of the network that most methods have; "
        "dotted: the better floor, which learns nothing. A method's own task has a scale of its "
        "own: read it against its chance, in brackets."
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in run["notes"])
    picture = league.picture(found, title(run))
    return _section("The league table", text, picture + league.as_html(found) + notes)


def curves(run):
    """Training curves: a metric and its validation twin share a chart."""
    if not run["log"]:
        return ""
    names = []
    for row in run["log"]:
        names += [name for name in row if name != "epoch" and name not in names]
    chance = run["config"].get("chance") or {}
    blocks = []
    leading = dict.fromkeys(("loss", *chance, "accuracy", "knn_top1"))
    first = [name for name in leading if name in names]
    for name in first + [name for name in names if name not in first]:
        if name.startswith("val_") and name[4:] in names:
            continue
        series = {}
        for label, key in (("train", name), ("validation", f"val_{name}")):
            points = [(row["epoch"], row[key]) for row in run["log"] if key in row]
            if points:
                series[label] = points
        chart = charts.lines(series, _readable(name), chance=chance.get(name))
        if chart:
            blocks.append(f"<div>{chart}</div>")
    text = "Point at a curve to read a value."
    return _section("Training", text, f'<div class="charts">{"".join(blocks)}</div>')


def neighbours(run):
    """Queries with the videos that the representation finds most similar."""
    held = run["artefacts"]
    if "neighbours" not in held or not len(held["neighbours"]):
        return ""
    rows = _queries(held)
    found, labels = held["neighbours"], held["labels"]
    wanted = [str(held["paths"][i]) for i in rows]
    wanted += [str(held["gallery_paths"][j]) for i in rows for j in found[i][:SHOWN]]
    file = os.path.join(run["folder"], "thumbnails.npz")
    images = pictures.collect(wanted, file)
    known = any(str(label) for label in held["gallery_labels"])
    lines, right, count = [], 0, 0
    for i in rows:
        label = str(labels[i])
        figures = [_figure(images, held["paths"][i], "query", label or "query", "query")]
        for rank, j in enumerate(found[i][:SHOWN]):
            other = str(held["gallery_labels"][j])
            kind = "" if not known else "right" if other == label else "wrong"
            right, count = right + (kind == "right"), count + 1
            note = f"{held['neighbour_similarity'][i][rank]:.3f}"
            name = other or os.path.basename(str(held["gallery_paths"][j]))
            figures.append(_figure(images, held["gallery_paths"][j], kind, name, note))
        lines.append(f'<div class="row">{"".join(figures)}</div>')
    text = "Left a test video, right the five training videos nearest to it (cosine similarity). "
    if known:
        text += (
            f"One query a class, the first in the list, none picked by hand; green is the query's "
            f"class ({right} of {count})."
        )
    return _section("Nearest neighbours", text, f'<div class="neighbours">{"".join(lines)}</div>')


def reconstruction(run):
    """What a masked method filled in."""
    try:
        with open(os.path.join(run["folder"], "reconstruction.png"), "rb") as file:
            address = pictures.data_uri(file.read(), "png")
    except OSError:
        return ""
    text = (
        "Three rows a clip: its frames, what the network saw of them, and what it filled in (with "
        "each hidden patch's own mean and contrast, which it does not predict)."
    )
    body = f'<img class="wide" src="{address}" alt="clips, masked clips, reconstructions">'
    return _section("Reconstructions", text, body)


def embedding_map(run):
    """Test videos on a plane."""
    held = run["artefacts"]
    if "embedding" not in held or len(held["embedding"]) < 3:
        return ""
    rows = projection.subset(len(held["embedding"]))
    points = projection.project(held["embedding"][rows])
    labels = [str(label) for label in held["labels"][rows]]
    names = sorted({label for label in labels if label})
    number = {name: i for i, name in enumerate(names)}
    classes = [number.get(label, -1) for label in labels]
    hovers = [
        f"{label or 'no label'}: {os.path.basename(str(path))}"
        for label, path in zip(labels, held["paths"][rows], strict=True)
    ]
    text = (
        f"{len(rows):,} test videos, placed by t-SNE so that similar ones are close; the distance "
        "between far groups means nothing. Classes colour the points and did not place them."
    )
    body = charts.scatter(points, classes, names, hovers)
    return _section("Map of embeddings", text, body + charts.legend(classes, names))


def confusion(run):
    """Which class was taken for which."""
    held = run["artefacts"]
    if "confusion" not in held:
        return ""
    matrix, names = held["confusion"], [str(name) for name in held["class_names"]]
    by = tables.PROTOCOLS.get(str(held.get("predicted_by", "")), "the classifier")
    total, right = int(matrix.sum()), int(matrix.trace())
    text = (
        f"{by}: rows are the true classes, columns what was said. {right:,} of {total:,} are right."
    )
    return _section("Confusion", text, charts.heatmap(matrix.tolist(), names))


def skipped(run):
    """What was left out, by reason."""
    counts, rows = run["counts"], run["skipped"]
    if not counts and not rows:
        return ""
    if not rows:
        text = f"Nothing: all {counts['videos_found']:,} videos were read."
        return _section("What was skipped", text, "")
    reasons = {}
    for row in {row["path"]: row for row in rows}.values():
        reasons.setdefault(row["reason"], []).append(row["path"])
    total = sum(map(len, reasons.values()))
    found = f" of {counts['videos_found']:,}" if counts else ""
    blocks = []
    for reason, paths in sorted(reasons.items(), key=lambda item: -len(item[1])):
        items = "".join(f"<li>{escape(path)}</li>" for path in paths[:200])
        more = f"<li>and {len(paths) - 200} more</li>" if len(paths) > 200 else ""
        blocks.append(
            f"<details{' open' if len(reasons) == 1 and len(paths) < 8 else ''}>"
            f"<summary>{len(paths):,} × {escape(reason)}</summary>"
            f'<ul class="paths">{items}{more}</ul></details>'
        )
    return _section("What was skipped", f"{total:,}{found} videos were left out.", "".join(blocks))


def settings(run):
    """What was run."""
    config = run["config"]
    if not config:
        return ""
    known = ("method", "backbone", "model", "dataset", "backend", "precision", "reason", "machine")
    items = [(name, config[name]) for name in known if config.get(name)]
    if config.get("clip"):
        items.append(("clip", _geometry(config["clip"])))
    for name, value in (config.get("arguments") or {}).items():
        if name not in known and value not in (None, False, "", []):
            items.append((f"--{name.replace('_', '-')}", value))
    evaluated = config.get("evaluated")
    if evaluated:
        clip = _geometry(evaluated["clip"])
        items.append(("evaluated on", f"{evaluated['dataset']}, {clip}, {evaluated['precision']}"))
    versions = ", ".join(f"{k} {v}" for k, v in (config.get("versions") or {}).items())
    items.append(("versions", versions))
    body = "".join(f"<dt>{escape(k)}</dt><dd>{escape(_plain(v))}</dd>" for k, v in items if v)
    text = config.get("paper") or ""
    return _section("What was run", text, f'<dl class="keys">{body}</dl>')


def _section(name, text, body):
    intro = f"<p>{escape(text)}</p>" if text else ""
    return f"<section><h2>{escape(name)}</h2>{intro}{body}</section>"


def _figure(images, path, kind, name, note):
    jpeg = images.get(str(path))
    alt = escape(os.path.basename(str(path)))
    image = '<div class="blank"></div>'
    if jpeg:
        image = f'<img src="{pictures.data_uri(jpeg)}" alt="{alt}" title="{alt}">'
    return (
        f'<figure class="{kind}">{image}<figcaption>{escape(name)}<small>{escape(note)}</small>'
        "</figcaption></figure>"
    )


def _queries(held):
    """The first video of each class, at most QUERIES; evenly spaced ones without labels."""
    labels = [str(label) for label in held["labels"]]
    first = {}
    for i, label in enumerate(labels):
        first.setdefault(label, i)
    rows = list(first.values()) if len(first) > 1 else list(projection.subset(len(labels), QUERIES))
    if len(rows) > QUERIES:
        rows = [rows[k] for k in projection.subset(len(rows), QUERIES)]
    return rows


def _reference(table, column):
    """What random weights reach, for the number in the header."""
    cell = table["cells"].get(("random", *column)) or table["cells"].get(("supervised", *column))
    if cell is None:
        return ""
    name = "random weights" if ("random", *column) in table["cells"] else "supervised"
    return f" ({name} {100 * cell[0]:.1f})"


def _geometry(clip):
    size = clip.get("size")
    text = f"{clip.get('frames')} frames" + (f" x {clip['clips']}" if clip.get("clips") else "")
    for name in ("gap", "stride"):
        text += f", {name} {clip[name]}" if clip.get(name) is not None else ""
    resize = clip.get("resize")
    frame = "x".join(map(str, resize)) if isinstance(resize, (list, tuple)) else resize
    return f"{text}, crop {size}" + (f" of {frame}" if frame else "")


def _plain(value):
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _readable(name):
    known = {"knn_top1": "k-NN top-1", "input_wait": "share of time waiting for data"}
    return known.get(name, name.replace("_", " "))
