"""Writes presets/ and docs/backbones/ from the tables of architectures and of checkpoints.

    make catalogue                                 # all of it
    python docs/catalogue.py --check [NAME ...]    # counts again, exits with 1 where pages differ

Parameters and multiply-adds are counted, not quoted: each network is built on PyTorch's `meta`
device, which holds shapes and no numbers, and PyTorch's own counter watches one pass at the
network's standard input. So the largest network costs a second and no memory. What the counter
counts are products: convolutions, matrix products and attention; a multiply-add is one.
"""

import argparse
import importlib
import inspect
import json
import math
import os
import pathlib
import re
import shutil
import sys

os.environ["KERAS_BACKEND"] = "torch"
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tqdm import tqdm  # noqa: E402

from keras_vssl.backbones.presets import ARCHITECTURES  # noqa: E402

PRESETS, PAGES = ROOT / "presets", ROOT / "docs" / "backbones"
MARK = "<!-- Written by docs/catalogue.py; edit the tables, not this page. -->"


def count(name):
    """What is counted of an architecture: parameters, multiply-adds, shapes, its whole config."""
    import keras
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from keras_vssl import backbones

    entry = ARCHITECTURES[name]
    with keras.device("meta"), torch.no_grad():
        backbone = getattr(backbones, entry["class_name"]).from_preset(name)
        shape = standard_input(backbone)
        dtype = getattr(torch, keras.backend.standardize_dtype(backbone.inputs[0].dtype))
        shapes = shape if isinstance(shape, dict) else {"": shape}
        inputs = {
            key: torch.zeros((1, *one), dtype=dtype, device="meta") for key, one in shapes.items()
        }
        with FlopCounterMode(display=False) as counter:
            outputs = backbone(inputs if isinstance(shape, dict) else inputs[""])
    serialized = keras.saving.serialize_keras_object(backbone)
    return {
        "name": name,
        "class": entry["class_name"],
        "description": entry["description"],
        # As papers count them: without running statistics and fixed tables.
        "parameters": sum(math.prod(weight.shape) for weight in backbone.trainable_weights),
        "multiply_adds": counter.get_total_flops() // 2,
        "input": {k: list(v) for k, v in shape.items()} if shape is shapes else list(shape),
        "output": [list(leaf.shape[1:]) for leaf in keras.tree.flatten(outputs)],
        "endpoints": list(getattr(backbone, "endpoints", {})),
        "expects": expects(backbone),
        "config": serialized,
    }


def standard_input(backbone):
    """The shape of one example that the network was made for, without the batch.

    A dict of them where a network takes several inputs; theirs are fixed.
    """
    if hasattr(backbone, "example_shapes"):  # several inputs of sizes that may vary
        return dict(backbone.example_shapes)
    if isinstance(backbone.input, dict):
        return {name: tuple(tensor.shape[1:]) for name, tensor in backbone.input.items()}
    shape = list(backbone.inputs[0].shape[1:])
    if hasattr(backbone, "clip"):
        clip = backbone.clip
        sides = [clip["size"]] * 2 if isinstance(clip["size"], int) else list(clip["size"])
        usual = [clip["frames"], *sides, shape[-1]] if len(shape) == 4 else [*sides, shape[-1]]
    elif getattr(backbone, "front_end", None) is not None:
        sound = backbone.sound
        samples = int(sound["rate"] * (sound["seconds"] or 1.0))
        usual = list(backbone.front_end.compute_output_shape((1, samples))[1:])
    elif getattr(backbone, "sound", {}).get("rate"):
        sound = backbone.sound
        usual = [int(sound["rate"] * (sound["seconds"] or 1.0)), *shape[1:]]
    elif hasattr(backbone, "sound"):
        usual = [1000, 40]  # spectrograms of any length: ten seconds of the usual 100 frames
    else:
        usual = [16] * len(shape)
    return tuple(known or given for known, given in zip(shape, usual, strict=True))


def expects(backbone):
    """The input convention: what a clip or a sound has to be."""
    found = {}
    for key in ("clip", "mean", "std", "sound"):
        if hasattr(backbone, key):
            found[key] = getattr(backbone, key)
    if getattr(backbone, "grid", None) is not None:
        found["grid"] = list(backbone.grid)
    return found


def checkpoints():
    """Every published checkpoint that a converter lists, as dicts."""
    from keras_vssl.convert.conversion import FORMATS

    rows = []
    for format in FORMATS:
        module = importlib.import_module(f"keras_vssl.convert.{format}")
        for listed in getattr(module, "CHECKPOINTS", ()):
            rows.append(
                {
                    "name": listed.name,
                    "format": format,
                    "file": listed.file,
                    "where": listed.where,
                    "architecture": listed.backbone,
                    "data": listed.data,
                    "figures": list(listed.figures),
                    "options": dict(listed.options),
                    "sha256": listed.sha256,
                    "licence": listed.licence or module.LICENCE,
                    "citation": module.CITATION,
                    "note": listed.note,
                }
            )
    return rows


def number(value):
    """1234567 as "1.2M"."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{1 if value < 100 * size else 0}f}{unit}"
    return str(value)


def convention(row):
    """The input convention as lines of Markdown."""
    lines, given = [], row["expects"]
    if "clip" in given:
        clip, mean, std = given["clip"], given["mean"], given["std"]
        resize, size = clip["resize"], clip["size"]
        every = f"one in {clip['stride']}" if clip["stride"] > 1 else "consecutive"
        lines.append(
            f"- a clip `[B, T, H, W, {row['input'][-1]}]`: {clip['frames']} frames, {every}, "
            f"resized to {resize}, cropped to {size}"
        )
        lines.append(
            "- uint8 pixels are scaled to [0, 1], then `(x - mean) / std` with mean "
            f"{_floats(mean)} and std {_floats(std)}; floating point passes as it is"
        )
    if "sound" in given:
        sound = given["sound"]
        length = f"{sound['seconds']} s" if sound.get("seconds") else "any length"
        rate = f" at {sound['rate']} Hz" if sound.get("rate") else ""
        lines.append(f"- sound, mono in [-1, 1]{rate}, {length}; or what the front-end makes of it")
    if "grid" in given:
        lines.append(f"- tokens: a grid of {' x '.join(map(str, given['grid']))}")
    return lines or [f"- an array `[B, {', '.join(map(str, row['input']))}]`"]


def architecture_card(row, listed):
    """README.md of an architecture's folder."""
    kwargs = f'"{row["name"]}"'
    lines = [
        MARK,
        f"# {row['name']}",
        row["description"],
        "An architecture: its weights are random.",
        f"```python\nimport keras_vssl as kv\n\nbackbone = kv.backbones.{row['class']}"
        f".from_preset({kwargs})\n```",
        _table(
            ["", ""],
            [
                ["parameters", f"{row['parameters']:,}"],
                ["multiply-adds", f"{row['multiply_adds']:,} at one {_shape(row['input'])}"],
                ["output", ", ".join(_shape(shape) for shape in row["output"])],
            ],
        ),
        "\n".join(convention(row)),
    ]
    used = [entry for entry in listed if entry["architecture"] == row["name"]]
    if used:
        lines.append("Published checkpoints of it: " + ", ".join(f"`{e['name']}`" for e in used))
    return "\n\n".join(lines) + "\n"


def checkpoint_card(row):
    """README.md of a checkpoint's folder: where the authors keep it, and how it is converted."""
    options = "".join(f" --set {k}={json.dumps(v)}" for k, v in row["options"].items())
    facts = [
        ["file", f"`{row['file']}`" if row["file"] else "not named"],
        ["kept by its authors at", row["where"]],
        ["architecture", f"`{row['architecture']}`" if row["architecture"] else ""],
        ["trained on", row["data"]],
        ["licence", row["licence"]],
        ["SHA-256", f"`{row['sha256']}`" if row["sha256"] else "not stated by the authors"],
        ["citation", row["citation"]],
        ["note", row["note"]],
    ]
    file = row["file"] or "FILE"
    lines = [
        MARK,
        f"# {row['name']}",
        "A published checkpoint. Its weights are not here: fetch the file from its authors, under "
        "their licence, and convert it on your machine:",
        f"```\nkeras-vssl convert {row['format']} {file} --out {row['name']}/{options}\n```",
        _table(["", ""], [fact for fact in facts if fact[1]]),
    ]
    if row["figures"]:
        lines.append("Published figures:\n\n" + "\n".join(f"- {line}" for line in row["figures"]))
    return "\n\n".join(lines) + "\n"


def page(class_name, rows, listed):
    """docs/backbones/CLASS.md: the class, its presets with counts, who used it."""
    from keras_vssl import backbones

    found = getattr(backbones, class_name)
    text = inspect.getdoc(found)
    idea = re.split(r"\n(?:Endpoints|Args|Raises|Example|Reference)\b", text)[0].strip()
    reference = text.split("Reference:\n", 1)
    names = [row["name"] for row in rows]
    used = [entry for entry in listed if entry["architecture"] in names]
    parts = [
        MARK,
        f"# {class_name}",
        idea,
        "## Presets",
        _table(
            ["preset", "", "parameters", "multiply-adds", "input", "output"],
            [
                [
                    f"[`{row['name']}`](../../presets/{row['name']}/README.md)",
                    row["description"],
                    f"{row['parameters']:,}",
                    number(row["multiply_adds"]),
                    _shape(row["input"]),
                    ", ".join(_shape(shape) for shape in row["output"]),
                ]
                for row in rows
            ],
        ),
        "Parameters and multiply-adds are counted at the input shown, one example.",
        "## Input",
        "\n\n".join(
            ", ".join(f"`{name}`" for name in sharing) + ":\n\n" + lines
            for lines, sharing in _by_convention(rows).items()
        ),
        "## Endpoints",
        ", ".join(f"`{name}`" for name in rows[0]["endpoints"]) + f" (of `{names[0]}`)",
    ]
    if used:
        parts += [
            "## Published weights",
            "Converted on your machine, with `keras-vssl convert`; never shipped here.",
            _table(
                ["checkpoint", "architecture", "trained on", "published figures", "licence"],
                [
                    [
                        f"[`{entry['name']}`](../../presets/{entry['name']}/README.md)",
                        f"`{entry['architecture']}`",
                        entry["data"],
                        "; ".join(entry["figures"]),
                        entry["licence"],
                    ]
                    for entry in used
                ],
            ),
        ]
    if len(reference) > 1:
        parts += ["## Reference", inspect.cleandoc(reference[1])]
    return "\n\n".join(part for part in parts if part) + "\n"


def overview(rows, listed):
    """docs/backbones/README.md: one line an architecture, and the checkpoints without one."""
    table = _table(
        ["preset", "class", "parameters", "multiply-adds", "input"],
        [
            [
                f"[`{row['name']}`](../../presets/{row['name']}/README.md)",
                f"[{row['class']}]({row['class']}.md)",
                number(row["parameters"]),
                number(row["multiply_adds"]),
                _shape(row["input"]),
            ]
            for row in rows
        ],
    )
    return (
        f"{MARK}\n\n# Backbones\n\n{len(rows)} architectures, {len(listed)} published checkpoints "
        "that the converters read. Every number is counted by `make catalogue`; a multiply-add "
        "counts as one.\n\n"
        f"{table}\n\n## Published checkpoints\n\n"
        + _table(
            ["checkpoint", "converter", "architecture", "trained on", "licence"],
            [
                [
                    f"[`{entry['name']}`](../../presets/{entry['name']}/README.md)",
                    f"`{entry['format']}`",
                    f"`{entry['architecture']}`" if entry["architecture"] else "",
                    entry["data"],
                    entry["licence"],
                ]
                for entry in listed
            ],
        )
        + "\n"
    )


def files(rows, listed):
    """Every generated file: path to text."""
    out = {}
    index = [{k: v for k, v in row.items() if k != "config"} for row in rows]
    tables = {"architectures": index, "checkpoints": listed}
    lines = {
        key: ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in table)
        for key, table in tables.items()
    }
    # One line an entry, so that a change is read at a glance.
    out[PRESETS / "index.json"] = (
        "{\n" + ",\n".join(f' "{key}": [\n  {text}\n ]' for key, text in lines.items()) + "\n}\n"
    )
    for row in rows:
        folder = PRESETS / row["name"]
        out[folder / "config.json"] = json.dumps(row["config"], indent=1) + "\n"
        out[folder / "README.md"] = architecture_card(row, listed)
    for row in listed:
        out[PRESETS / row["name"] / "README.md"] = checkpoint_card(row)
    for name in dict.fromkeys(row["class"] for row in rows):
        ours = [row for row in rows if row["class"] == name]
        out[PAGES / f"{name}.md"] = page(name, ours, listed)
    out[PAGES / "README.md"] = overview(rows, listed)
    return out


def is_generated(folder):
    """Whether a folder of presets/ was written here: a trained one has weights or a record."""
    card = folder / "README.md"
    return card.is_file() and card.read_text().startswith(MARK)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="with --check: these alone")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args(arguments)
    if args.names and not args.check:
        parser.error("names go with --check; without it everything is written")
    if args.check and args.names:
        written = json.loads((PRESETS / "index.json").read_text())["architectures"]
        known = {row["name"]: row for row in written}
        wrong = []
        for name in args.names:
            counted = {k: v for k, v in count(name).items() if k != "config"}
            if json.loads(json.dumps(counted)) != known.get(name):
                wrong.append(name)
        print(f"{len(args.names) - len(wrong)} of {len(args.names)} as counted", *wrong)
        return 1 if wrong else 0
    rows = [count(name) for name in tqdm(ARCHITECTURES, unit="network", disable=None)]
    made = files(rows, checkpoints())
    stale = [path for path, text in made.items() if not path.is_file() or path.read_text() != text]
    kept = {path.parent for path in made}
    gone = [p for p in PRESETS.iterdir() if p.is_dir() and is_generated(p) and p not in kept]
    if args.check:
        print(*(path.relative_to(ROOT) for path in [*stale, *gone]), sep="\n")
        return 1 if stale or gone else 0
    for folder in gone:
        shutil.rmtree(folder)
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path])
    print(f"{len(stale)} files written, {len(made) - len(stale)} as they were")
    return 0


def _by_convention(rows):
    found = {}
    for row in rows:
        found.setdefault("\n".join(convention(row)), []).append(row["name"])
    return found


def _shape(shape):
    if isinstance(shape, dict):
        return ", ".join(f"{name} {_shape(part)}" for name, part in shape.items())
    return "x".join(map(str, shape))


def _floats(values):
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"


def _table(head, rows):
    def line(cells):
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


if __name__ == "__main__":
    sys.exit(main())
