"""The model card: what was run, with which data, recipe and versions, and what came of it."""

import json
import math
import os
import re

from keras_vssl.files import write_atomic
from keras_vssl.hub.errors import PresetError
from keras_vssl.hub.folder import CARD, describe, read_json, read_optional

# Stands in every generated card. A README.md without it was written by a person and is kept.
MARKER = "<!-- Written by keras_vssl from record.json; remove this line to keep your edits. -->"

# The hub's identifiers; any other licence is published as "other" with its name.
_LICENCES = {
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "gpl-3.0",
    "lgpl-3.0",
    "agpl-3.0",
    "mpl-2.0",
    "unlicense",
    "openrail",
    "cc0-1.0",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nd-4.0",
}
_FLOORS = ("random", "floor_thumbnail", "floor_difference")
_HEADINGS = {
    "random": "random weights",
    "floor_thumbnail": "8x8 thumbnails",
    "floor_difference": "frame differences",
}


def model_card(folder, record=None, name=None, licence=None):
    """The card of a preset as Markdown with the hub's YAML front matter.

    Args:
        folder: str, the preset's folder (config.json, metadata.json, provenance.json are read).
        record: dict of what was run: "method", "backbone", "data", "recipe", "metrics" (rows of
            `downstream.evaluate`), "versions", "licence", "citation", "description", each
            optional. `None` reads record.json of the folder.
        name: str, what `from_preset` takes, e.g. "hf://user/name". `None` takes the folder's name.
        licence: str, e.g. "apache-2.0"; overrides the one of the record.

    Returns:
        str, the Markdown.

    Raises:
        PresetError: a file of the preset is unreadable, or the record isn't a dict.
    """
    if record is None:
        record = read_optional(folder, "record.json")
    if not isinstance(record, dict):
        raise PresetError(f"Expected the record as a dict, got a {type(record).__name__}.")
    provenance = read_optional(folder, "provenance.json")
    about = describe(folder)
    name = name or os.path.basename(os.path.abspath(folder))
    licence = licence or record.get("licence") or about["licence"]
    method = record.get("method") or about["method"]
    sections = [
        _front_matter(about, method, licence),
        MARKER,
        f"# {name.split('/')[-1]}",
        _summary(record, about, method),
        _usage(name, about),
        _section("Results", _results(record.get("metrics"), method)),
        _section("Data", _facts(record.get("data"))),
        _section("Recipe", _facts(record.get("recipe"))),
        _section("Source of the weights", _facts(_without(provenance, "citation", "licence"))),
        _section("Versions", _facts(record.get("versions") or _versions(folder))),
        _section("Licence", _text(licence) if licence else "The author stated no licence."),
        _section("Citation", _citation(record.get("citation") or provenance.get("citation"))),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def write_card(folder, record=None, name=None, licence=None):
    """Writes `folder`/README.md unless a person wrote or edited one.

    Args:
        folder, record, name, licence: as in `model_card`.

    Returns:
        str, the text of README.md, new or kept.
    """
    path = os.path.join(folder, CARD)
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if not is_generated(text):
            return text
    text = model_card(folder, record, name, licence)
    write_atomic(path, text)
    return text


def is_generated(text):
    """Whether a card was written by `model_card` and not marked as edited since."""
    return MARKER in text


def _front_matter(about, method, licence):
    pipeline = "video-classification" if _is_classifier(about) else "feature-extraction"
    tags = ["keras", "keras_vssl", "video", "self-supervised-learning"]
    tags += [str(tag).lower() for tag in (method, about["backbone"]) if tag]
    # JSON strings are YAML strings, so no value can break out of its line.
    lines = ["library_name: keras-hub", f"pipeline_tag: {pipeline}"]
    if licence:
        identifier = str(licence).lower().replace(" ", "-")
        if identifier in _LICENCES:
            lines.append(f"license: {identifier}")
        else:
            lines += ["license: other", f"license_name: {json.dumps(_slug(licence))}"]
    lines += ["tags:", *(f"- {json.dumps(tag)}" for tag in dict.fromkeys(tags))]
    return "\n".join(["---", *lines, "---"])


def _summary(record, about, method):
    trained = f", trained with {_text(method)}" if method else ""
    size = f" ({about['parameters']:,} parameters)" if isinstance(about["parameters"], int) else ""
    lines = [f"A {_text(about['backbone'])} video backbone{size}{trained}."]
    if record.get("description") or about["description"]:
        lines.append(_text(record.get("description") or about["description"]))
    clip = about["clip"]
    if isinstance(clip, dict):
        settings = ", ".join(f"{_text(key)} {_text(value)}" for key, value in clip.items())
        lines.append(f"A clip, channels last `[B, T, H, W, 3]`, uint8 or normalised: {settings}.")
    if not record:
        lines.append("No record of a training was saved with this preset.")
    return "\n\n".join(lines)


def _usage(name, about):
    task = f"classifier = kv.downstream.VideoClassifier.from_preset({name!r}, num_classes=10)"
    if _is_classifier(about):
        task = (
            f'clf = kv.downstream.VideoClassifier.from_preset({name!r})\nclf.predict(["new.mp4"])'
        )
    return (
        "```python\nimport keras_vssl as kv\n\n"
        f"backbone = kv.backbones.{about['backbone']}.from_preset({name!r})\n"
        f'features = backbone.embed(["video.mp4"])\n{task}\n```'
    )


def _results(rows, method):
    """One line a dataset, protocol and metric; the model beside what needs no learning."""
    if not isinstance(rows, list) or not rows:
        return ""
    cells, methods = {}, []
    for row in rows:
        key = tuple(str(row.get(part, "")) for part in ("dataset", "protocol", "metric"))
        who = str(row.get("method", method or "this model"))
        if who not in methods:
            methods.append(who)
        cells.setdefault(key, {}).setdefault(who, []).append(row.get("value"))
    methods.sort(key=lambda who: (who != method, who in _FLOORS))
    header = ["Dataset", "Protocol", "Metric", *(_HEADINGS.get(who, who) for who in methods)]
    lines = [_table_line(header), _table_line(["---"] * 3 + ["---:"] * len(methods))]
    for key, values in cells.items():
        lines.append(_table_line([*key, *(_mean(values.get(who)) for who in methods)]))
    settings = _settings(rows)
    return "\n".join(lines) + (f"\n\n{settings}" if settings else "")


def _settings(rows):
    """The settings the rows agree on, and how many seeds stand behind a value."""
    parts = []
    for field in ("frames", "stride", "crop", "views", "videos_readable"):
        values = {str(row[field]) for row in rows if row.get(field) is not None}
        if len(values) == 1:
            parts.append(f"{field.replace('_', ' ')} {_text(values.pop())}")
    seeds = {row["seed"] for row in rows if row.get("seed") is not None}
    if len(seeds) > 1:
        parts.append(f"mean and standard deviation over {len(seeds)} seeds where ± stands")
    return ("Settings: " + ", ".join(parts) + ".") if parts else ""


def _mean(values):
    numbers = [value for value in values or () if isinstance(value, (int, float))]
    if not numbers:
        return ""
    mean = sum(numbers) / len(numbers)
    if len(numbers) == 1:
        return f"{mean:.3f}"
    spread = math.sqrt(sum((value - mean) ** 2 for value in numbers) / (len(numbers) - 1))
    return f"{mean:.3f} ± {spread:.3f}"


def _facts(value):
    """A dict as a list of facts, anything else as text."""
    if not value:
        return ""
    if not isinstance(value, dict):
        return _text(value)
    return "\n".join(f"- {_text(key).replace('_', ' ')}: {_text(v)}" for key, v in value.items())


def _citation(value):
    if not value:
        return ""
    text = str(value).strip().replace("```", "'''")
    return f"```bibtex\n{text}\n```" if text.startswith("@") else _text(text)


def _versions(folder):
    path = os.path.join(folder, "metadata.json")
    metadata = read_json(path) if os.path.exists(path) else {}
    return {key: value for key, value in metadata.items() if key.endswith("version")}


def _section(title, body):
    return f"## {title}\n\n{body}" if body else ""


def _table_line(cells):
    return "| " + " | ".join(_text(cell).replace("|", "\\|") for cell in cells) + " |"


def _text(value):
    """One line of plain text: a record's value can't start a heading, a tag or a new line."""
    if isinstance(value, (dict, list, tuple)):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return re.sub(r"\s+", " ", str(value)).replace("<", "&lt;").strip()


def _slug(text):
    return re.sub(r"[^a-z0-9.]+", "-", str(text).lower()).strip("-")[:80] or "other"


def _is_classifier(about):
    return "Classifier" in (about["task"] or "")


def _without(mapping, *keys):
    return {key: value for key, value in mapping.items() if key not in keys}
