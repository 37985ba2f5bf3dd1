"""Whether the methods of order, oddness, speed and tracking learn their own task where things move.

`python -m benchmarks.pretexts` writes a motion world at the textured level and its control, the same
videos each showing one frame throughout, trains every method on both with `keras-vssl bench`, and
keeps each method's own metric on held-out videos in benchmarks/results/pretexts_textured.json and in
docs/pretexts.md. It can be stopped and started again. `--table` only writes the page from the results.
"""

import argparse
import json
import pathlib
import sys

from benchmarks.league import METHODS, ROOT, bench

RESULTS = ROOT / "benchmarks" / "results" / "pretexts_textured.json"
PAGE = ROOT / "docs" / "pretexts.md"
# The contrastive and masked neighbours of the league have tests of their own.
PRETEXTS = [name for name in METHODS.split(",") if name not in ("cvrl", "modist", "videomae")]
WORLDS = ("moving", "still")


def main(argv=None):
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pretexts", description=__doc__)
    parser.add_argument("--methods", default=",".join(PRETEXTS))
    parser.add_argument("--steps", type=int, default=400, help="default 400")
    parser.add_argument("--batch-size", type=int, default=32, help="videos, 32")
    parser.add_argument("--videos", type=int, default=600, help="of a world, default 600")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "runs" / "pretexts")
    parser.add_argument("--table", action="store_true", help="only write the page")
    arguments = parser.parse_args(argv)
    if not arguments.table:
        write_worlds(arguments.work, arguments.videos)
        for world in WORLDS:
            bench(
                arguments.work / world, arguments.methods, arguments.seeds,
                arguments.work / f"{world}-bench", steps=arguments.steps,
                batch_size=arguments.batch_size, jobs=2, cache_gb=3, protocol="retrieval", views=1,
            )  # fmt: skip
        keep(arguments)
    write_page()


def write_worlds(work, count):
    """A moving world, 48 frames of 64 x 64, and its control; each whole or absent."""
    import keras_vssl as kv
    from tests.tasks import worlds

    moving, still = (work / world for world in WORLDS)
    if moving.is_dir():
        videos = kv.data.Videos.from_folder(moving)
    else:
        videos = worlds.moving(moving, videos=count, frames=48, size=64, level="textured")
    if not (still / "splits.csv").is_file():  # written last
        worlds.still(videos, still)


def keep(arguments):
    """Both benches' own metrics, without the paths of the machine that they ran on."""
    from keras_vssl.files import write_json_atomic

    kept, settings = [], {}
    for world in WORLDS:
        held = json.loads((arguments.work / f"{world}-bench" / "results.json").read_text())
        settings[world] = {**held["bench"], "notes": held["notes"]}
        settings[world]["settings"].pop("folder")
        rows = (row for row in held["rows"] if row["protocol"] in ("pretext", "cost"))
        kept += [{"world": world, **row} for row in rows]
    command = (
        f"python -m benchmarks.pretexts --steps {arguments.steps} --batch-size "
        f"{arguments.batch_size} --videos {arguments.videos} --seeds {arguments.seeds}"
    )
    write_json_atomic(RESULTS, {"command": command, "benches": settings, "rows": kept})


def write_page():
    """docs/pretexts.md, from the results."""
    from keras_vssl.files import write_atomic
    from keras_vssl.report import league, tables

    held = json.loads(RESULTS.read_text())
    found = {
        world: {
            (line["method"], line["backbone"]): line
            for line in league.league([row for row in held["rows"] if row["world"] == world])
        }
        for world in WORLDS
    }
    bench = held["benches"]["moving"]
    text = [
        "# What the pretexts learn where things move",
        "",
        f"Each method's own metric, in percent, on held-out videos of the motion world's textured level "
        f"after {bench['budget']} of {bench['batch_size']} videos, beside the same on its control: the "
        f"same videos, each showing one of its frames throughout. A method that beats chance there "
        f"reads an artefact. From [benchmarks/results/{RESULTS.name}](../benchmarks/results/"
        f"{RESULTS.name}): `{held['command']}`.",
        "",
        "| method | backbone | metric | chance | moving | still |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for (method, backbone), line in found["moving"].items():
        if line["pretext"] is None:  # random weights
            continue
        metric, chance = line["pretext"]
        cells = [
            tables.method_name(method),
            backbone,
            metric.replace("_", " "),
            f"{100 * chance:.1f}",
        ]
        for world in WORLDS:
            measured = found[world].get((method, backbone), {"cells": {}})["cells"]
            cells.append(tables.cell_text(measured.get(("pretext", metric))))
        text.append(f"| {' | '.join(cells)} |")
    for world in WORLDS:
        text += [f"\nIn the {world} world, {note}." for note in held["benches"][world]["notes"]]
    write_atomic(PAGE, "\n".join(text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
