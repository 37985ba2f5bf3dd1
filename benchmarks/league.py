"""The league table in README.md: all pretext methods and their neighbours on the real clips.

`python -m benchmarks.league` runs `keras-vssl bench` on the tennis strokes with equal budgets and three
seeds (the actions' clips are too short for half of the methods), and can be stopped and started again.
Its results go into benchmarks/results/league_tennis.json, the picture into league_tennis.svg beside
it, the table into README.md. `--table` only writes the last two again from the first.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "league_tennis.json"
PICTURE = RESULTS.with_suffix(".svg")
MARKS = "<!-- league: begin -->", "<!-- league: end -->"
METHODS = (
    "shuffle_and_learn,opn,odd_one_out,ultrasound_order,vcop,speednet,playback_speed,pace,rspnet,"
    "tracking_triplet,time_equivariant,cvrl,modist,videomae"
)
# One step sees 32 videos: the 158 training clips are seen some twenty times.
SETTINGS = {
    "steps": 120, "batch_size": 32, "jobs": 2, "cache_gb": 3,
    "protocol": "retrieval,linear,finetune", "views": 2, "finetune_epochs": 4,
}  # fmt: skip


def main(argv=None):
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.league", description=__doc__)
    shared = os.environ.get("KERAS_VSSL_SHARED", ROOT.parent / "shared")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(shared) / "data")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "runs" / "league")
    parser.add_argument("--table", action="store_true", help="only write the picture and the table")
    arguments = parser.parse_args(argv)
    if not arguments.table:
        folder = arguments.data / "tennis"
        bench(folder, arguments.methods, arguments.seeds, arguments.work, **SETTINGS)
        keep(arguments.work, arguments.seeds)
    write_readme()


def bench(folder, methods, seeds, out, **settings):
    """`keras-vssl bench` in a process of its own; goes on where it was stopped."""
    command = [sys.executable, "-m", "keras_vssl.cli", "bench", folder, "--out", out, "--resume"]
    command += ["--methods", methods, "--seeds", seeds]
    for name, value in settings.items():
        command += [f"--{name.replace('_', '-')}", value]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True)


def keep(work, seeds):
    """Copies a bench's results, without the paths of the machine that it ran on."""
    from keras_vssl.files import write_json_atomic

    found = json.loads((work / "results.json").read_text())
    found["bench"]["settings"].pop("folder")
    command = f"python -m benchmarks.league --seeds {seeds}"
    write_json_atomic(RESULTS, {"command": command, **found})


def write_readme():
    """The picture, and the table between README.md's marks."""
    from keras_vssl.files import write_atomic
    from keras_vssl.report import league, sections

    held = json.loads(RESULTS.read_text())
    found = league.league(held["rows"])
    title = sections.title({"bench": held["bench"], "config": {}})
    write_atomic(PICTURE, league.picture(found, title))
    picture = f"![{title}]({PICTURE.relative_to(ROOT)})"
    notes = "".join(f"\n{note}.\n" for note in held["notes"])
    text = (ROOT / "README.md").read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    body = f"{picture}\n\n{league.as_markdown(found)}{notes}"
    write_atomic(ROOT / "README.md", f"{before}{MARKS[0]}\n{body}{MARKS[1]}{after}")


if __name__ == "__main__":
    sys.exit(main())
