"""`keras-vssl bench` compares methods, goes on where it was stopped, and refuses what can't be."""

import csv
import json

import pytest

from keras_vssl.cli import main
from tests.clips import write_folder

FAST = "--steps 2 --seeds 0 --protocol retrieval,linear --views 1 --batch-size 4".split()
FAST += "--frames 4 --size 32 --precision float32 --workers 1".split()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of clips and a bench of one method on it."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_VSSL_CACHE", str(folder / "cache"))
        write_folder(folder / "clips", classes=2, each=5, frames=24)
        argv = ["bench", str(folder / "clips"), "--out", str(folder / "out"), *FAST]
        assert main([*argv, "--methods", "cvrl"]) == 0
        yield folder


def test_a_bench_leaves_results_a_picture_and_a_page(place):
    out = place / "out"
    results = json.loads((out / "results.json").read_text())
    rows = results["rows"]
    assert {row["method"] for row in rows} >= {"cvrl", "random", "floor_thumbnail"}
    protocols = {row["protocol"] for row in rows if row["method"] == "cvrl"}
    assert protocols == {"retrieval", "linear", "pretext", "cost"}
    assert all(row["steps"] == 2 for row in rows if row["method"] == "cvrl")
    cost = {row["metric"]: row["value"] for row in rows if row["protocol"] == "cost"}
    assert cost["peak_mib"] > 100 and cost["milliseconds_per_step"] > 0
    (own,) = [row for row in rows if row["protocol"] == "pretext"]
    assert own["metric"] == "contrast_accuracy" and 0 < own["chance"] < 1
    with open(out / "results.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert "<svg" in (out / "league.svg").read_text()
    page = (out / "report.html").read_text()
    assert "The league table" in page and "CVRL" in page and "2 steps a method" in page


def test_a_bench_is_resumed_with_the_same_settings_alone(place, capsys):
    argv = ["bench", str(place / "clips"), "--out", str(place / "out"), "--methods", "cvrl"]
    assert main([*argv, *FAST]) == 2
    assert "--resume it" in capsys.readouterr().err
    other = ["3" if word == "2" else word for word in FAST]
    assert main([*argv, *other, "--resume"]) == 2
    assert "steps that the bench began with" in capsys.readouterr().err
    entry = place / "out" / "entries" / "cvrl-0" / "entry.json"
    before = entry.stat().st_mtime_ns
    assert main([*argv, *FAST, "--resume"]) == 0
    assert entry.stat().st_mtime_ns == before, "what is measured is not measured again"
    assert "CVRL" in capsys.readouterr().out
    entry.unlink()  # as if it had been stopped between training and evaluation
    assert main([*argv, *FAST, "--resume"]) == 0 and entry.exists()


def test_bad_input_is_one_sentence(place, tmp_path, capsys):
    clips = str(place / "clips")
    assert main(["bench", clips, "--steps", "3", "--minutes", "1"]) == 2
    assert "leave one out" in capsys.readouterr().err
    assert main(["bench", str(place / "clips" / "class_0"), "--out", str(tmp_path / "x")]) == 2
    assert "at least two classes" in capsys.readouterr().err
    assert main(["bench", clips, "--backbone", "r3d_nan", "--out", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()


def test_a_method_that_cannot_be_trained_is_named_and_the_others_stay(place, capsys):
    """The clips have no sound, so AVTS has nothing to learn from."""
    out = place / "silent"
    argv = ["bench", str(place / "clips"), "--out", str(out), "--methods", "cvrl,avts", *FAST]
    # CVRL is known from the other bench.
    import shutil

    shutil.copytree(place / "out", out)
    assert main([*argv, "--resume"]) == 0
    said = capsys.readouterr()
    assert "avts, seed 0 is not in the table" in said.err and "CVRL" in said.out
    assert json.loads((out / "results.json").read_text())["notes"]
