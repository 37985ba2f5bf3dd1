"""Lists the presets by name, or shows one.

Trained presets load with their weights; architectures have random weights; checkpoints are kept by
their authors and become presets through `keras-vssl convert`.
"""

import json

EXAMPLES = """\
examples:
  keras-vssl presets
  keras-vssl presets show r2plus1d_18
  keras-vssl presets list --kind checkpoint
  keras-vssl presets list --json
"""


def configure(parser):
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of show: a preset or its folder")
    parser.add_argument(
        "--kind", choices=("trained", "architecture", "checkpoint"), help="of list: these alone"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args):
    from keras_vssl import hub

    if args.action == "list":
        if args.name:
            raise ValueError(f"`presets list` takes no name; use `presets show {args.name}`.")
        rows = [row for row in hub.list_presets() if args.kind in (None, row["kind"])]
        print(json.dumps(rows, indent=2) if args.json else _table(rows))
        return
    if not args.name:
        raise ValueError("Expected a name: keras-vssl presets show NAME.")
    about = _about(args.name)
    print(json.dumps(about, indent=2) if args.json else _lines(about))


def _about(name):
    from keras_vssl import hub
    from keras_vssl.backbones.presets import ARCHITECTURES

    row = next((r for r in hub.list_presets() if r["name"] == name and r["kind"] != "trained"), {})
    if row.get("kind") == "architecture":
        load = f'keras_vssl.backbones.{row["class"]}.from_preset("{name}")'
        return {**row, "config": ARCHITECTURES[name]["config"], "load": load}
    if row:
        options = "".join(f" --set {k}={json.dumps(v)}" for k, v in row["options"].items())
        file = row["file"] or "FILE"
        load = f"keras-vssl convert {row['format']} {file} --out {name}/{options}"
        return {**row, "load": load}
    folder = hub.resolve(name)
    about = hub.describe(folder)
    task = about["task"]
    module = "downstream" if task == "VideoClassifier" else "tasks" if task else "backbones"
    return {
        "name": name,
        "kind": "trained",
        **about,
        "folder": folder,
        "load": f'keras_vssl.{module}.{task or about["backbone"]}.from_preset("{name}")',
    }


def _table(rows):
    width = max((len(row["name"]) for row in rows), default=0)
    kind = max((len(row["kind"]) for row in rows), default=0)
    return "\n".join(
        f"{row['name']:<{width}}  {row['kind']:<{kind}}  {row['description']}" for row in rows
    )


def _lines(about):
    lines = []
    for key, value in about.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k}={_short(v)}" for k, v in value.items()) or "the class's own"
        if isinstance(value, int):
            value = f"{value:,}"
        if isinstance(value, list):
            value = "; ".join(value) if all(isinstance(v, str) for v in value) else value
        if value not in (None, ""):
            lines.append(f"{key:<13} {value}")
    return "\n".join(lines)


def _short(value):
    return value.get("class_name", value) if isinstance(value, dict) else value
