"""Writes docs/performance.md from benchmarks/results/*.json: what was measured, where, and the goals.

make benchmarks                        # measures again, then writes the page
python docs/performance.py             # the page alone
python docs/performance.py --check     # exits with 1 where the page differs
"""

import argparse
import json
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
MARK = "<!-- Written by docs/performance.py from benchmarks/results; run a benchmark, edit no number. -->"


def page(results):
    """The page as Markdown; `results` are dicts as `benchmarks.compare.save` writes them."""
    lines = [
        "# Performance",
        "",
        MARK,
        "",
        "Contenders take turns in every round. A ratio is this library's time by the other's within a "
        "round, the median of all rounds with the least and the greatest: below 1, this library is "
        "faster. Times belong to the machine named, ratios less so; where its load was above its cores, "
        "other work ran beside, and times are too long. `make benchmarks` measures all of it again.",
    ]
    for one in sorted(results, key=lambda one: one["name"]):
        lines += ["", f"## {one['name']}", "", one["about"], ""]
        lines += [f"`{one['command']}`. {_machine(one)}", ""]
        if one["comparisons"]:
            lines += _table(one["comparisons"])
        if one["figures"]:
            lines += _figures(one["figures"])
        lines += [f"- {note}" for note in one["notes"]]
    return "\n".join(lines).rstrip() + "\n"


def _machine(one):
    found = one["hardware"]
    parts = [found["cpu"], f"{found['cores']} cores"]
    for key, name in (("avx512", "AVX-512"), ("amx", "AMX")):
        if key in found:
            parts.append(name if found[key] else f"no {name}")
    if found.get("load") is not None:
        parts.append(f"load {found['load']}")
    versions = ", ".join(
        f"{name} {version}" for name, version in one["versions"].items() if version
    )
    return f"{', '.join(parts)}; {versions}."


def _table(comparisons):
    lines = [
        "| what | ours | beside | theirs | ratio | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in comparisons:
        ours = _value(statistics.median(one["rounds"][one["ours"]]), one["unit"])
        for peer, ratio in one["ratios"].items():
            theirs = _value(statistics.median(one["rounds"][peer]), one["unit"])
            spread = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
            goal = _goal(ratio["median"], one.get("most"), None)
            lines.append(f"| {one['name']} | {ours} | {peer} | {theirs} | {spread} | {goal} |")
        if not one["ratios"]:
            lines.append(f"| {one['name']} | {ours} | | | | |")
    return [*lines, ""]


def _figures(figures):
    lines = ["| figure | value | goal |", "| --- | --- | --- |"]
    for one in figures:
        goal = _goal(one["value"], one.get("most"), one.get("least"))
        lines.append(f"| {one['name']} | {_value(one['value'], one['unit'])} | {goal} |")
    return [*lines, ""]


def _goal(value, most, least):
    if most is None and least is None:
        return ""
    text = f"at most {most:.4g}" if most is not None else f"at least {least:.4g}"
    is_met = value <= most if most is not None else value >= least
    return f"{text}: {'met' if is_met else '**missed**'}"


def _value(value, unit):
    if unit == "s" and value < 1:
        return f"{1000 * value:.3g} ms"
    digits = f"{value:,.3f}".rstrip("0").rstrip(".") if value < 100 else f"{value:,.0f}"
    return f"{digits} {unit}".rstrip()


def results():
    """What benchmarks of speed and memory have left; other results stay out."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    prepared = [preparation(one) for one in found if one.get("command") == PREPARE]
    return [one for one in found if "comparisons" in one] + prepared


# What benchmarks/prepare.py measures, and how it says so.
PREPARE = "python -m benchmarks.prepare"
PREPARED = {
    "ratio": "whole frames",
    "ratio_cropped": "112x112 crops",
    "ratio_cropped_half": "112x112 crops, prepared with --short-side 128",
}


def preparation(found):
    """The results of benchmarks/prepare.py in the form of the others."""
    figures = []
    for key, what in PREPARED.items():
        if key in found:
            spread = "{min:.2f} to {max:.2f}".format(**found[key])
            name = f"times faster than from the source, {what} ({spread})"
            figures.append({"name": name, "value": found[key]["median"], "unit": ""})
    for made in found.get("made", {}).values():
        name = f"prepared with a short side of {made['settings']['short_side']}: "
        size = {"name": name + "size on disk by the source's", "value": made["bytes_ratio"]}
        error = {"name": name + "PSNR", "value": made["psnr"], "unit": "dB"}
        figures += [{**size, "unit": ""}, error]
    return {
        **found,
        "name": "prepare",
        "about": "Random clips of 16 consecutive frames from a video as x264 makes it (340x256, 300 "
        "frames, two key frames) and from the same video after `keras-vssl prepare`.",
        "comparisons": [],
        "figures": figures,
        "notes": [],
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args(arguments)
    text = page(results())
    if args.check:
        return 0 if PAGE.is_file() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
