"""From a folder to a report through the commands, on eight tiny videos."""

import csv
import json
import os

import numpy as np
import pytest

from keras_vssl.cli import main
from tests.clips import write_folder

GEOMETRY = "--frames 4 --gap 1 --size 32 --resize 32 40".split()
TRAIN = ["--backbone", "r3d_nano", *GEOMETRY, "--batch-size", "4", "--precision", "float32"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with clips, one damaged file, and a run of one epoch."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_VSSL_CACHE", str(folder / "cache"))
        clips = write_folder(folder / "clips", classes=2, each=4)
        (folder / "clips" / "class_0" / "broken.mp4").write_bytes(b"")
        argv = ["pretrain", "vcop", clips, "--out", str(folder / "run"), "--epochs", "1"]
        assert main([*argv, *TRAIN, "--knn"]) == 0
        yield folder


def test_pretraining_leaves_a_whole_run_folder(place):
    run = place / "run"
    assert {"config.json", "log.csv", "checkpoints", "preset", "report.html", "report.json"} <= set(
        os.listdir(run)
    )
    config = json.loads((run / "config.json").read_text())
    assert config["precision"] == "float32" and config["versions"]["keras"]
    assert "of the paper's" in config["paper"]
    counts = json.loads((run / "report.json").read_text())
    assert counts["videos_found"] == 9 and counts["videos_read"] == 8
    (skipped,) = json.loads((run / "skipped.json").read_text())
    assert skipped == {"path": "class_0/broken.mp4", "reason": "the file is empty"}
    row = read_log(run)[0]
    assert row["epoch"] == "1" and 0 < float(row["loss"]) < 10 and 0 <= float(row["knn_top1"]) <= 1
    assert json.loads((run / "preset" / "record.json").read_text())["method"] == "VCOP"


def test_a_run_is_resumed_and_never_mixed(place, capfd):
    argv = ["pretrain", "vcop", str(place / "clips"), "--out", str(place / "run"), *TRAIN]
    assert main([*argv, "--epochs", "2"]) == 2
    assert "already holds a run" in capfd.readouterr().err
    other = [word.replace("4", "3") if word == "4" else word for word in argv]
    assert main([*other, "--epochs", "2", "--resume"]) == 2
    assert "Expected to resume" in capfd.readouterr().err
    assert main([*argv, "--epochs", "2", "--resume"]) == 0
    assert [row["epoch"] for row in read_log(place / "run")] == ["1", "2"]


def test_evaluation_goes_into_the_run_and_its_report(place, capfd):
    argv = ["evaluate", str(place / "run"), str(place / "clips"), "--protocol", "knn,retrieval"]
    assert main([*argv, "--views", "2", "--precision", "float32"]) == 0
    out = capfd.readouterr().out
    assert "VCOP" in out and "Random weights" in out and "Floor" in out
    results = json.loads((place / "run" / "results.json").read_text())
    assert {row["method"] for row in results["rows"]} >= {"vcop", "random", "floor_thumbnail"}
    text = (place / "run" / "report.html").read_text()
    for heading in ("How good", "Training", "Nearest neighbours", "What was skipped"):
        assert heading in text
    record = json.loads((place / "run" / "preset" / "record.json").read_text())
    assert record["metrics"] == results["rows"]
    assert main(argv) == 2  # results are there and are not replaced unasked
    assert "--overwrite" in capfd.readouterr().err


def test_embedding_writes_vectors_and_clip_times(place, capfd):
    out = place / "emb.npz"
    argv = ["embed", str(place / "run"), str(place / "clips"), "--out", str(out), "--clips", "3"]
    assert main([*argv, "--precision", "float32"]) == 0
    with np.load(out) as held:
        assert held["embeddings"].shape == (8, 128) and held["times"].shape == (8, 3, 2)
        assert np.allclose(held["times"][0], [[0, 0.12], [0.24, 0.36], [0.48, 0.6]])
        assert os.path.basename(str(held["paths"][0])) == "clip_0.mp4"
    assert "broken.mp4: the file is empty" in capfd.readouterr().err


def test_retrieval_prints_neighbours_and_draws_them(place, capfd):
    query = str(place / "clips" / "class_0" / "clip_0.mp4")
    picture = place / "neighbours.png"
    argv = ["retrieve", str(place / "run"), query, str(place / "clips"), "-k", "3"]
    assert main([*argv, "--picture", str(picture), "--precision", "float32"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("1  ") and "class_" in lines[0]
    assert "class_0/clip_0.mp4" not in "".join(lines)  # a video is not its own neighbour
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_finetuning_gives_a_classifier_that_loads(place, capfd):
    argv = [
        "finetune",
        str(place / "run"),
        str(place / "clips"),
        "--out",
        str(place / "classifier"),
    ]
    assert main([*argv, "--epochs", "1", "--precision", "float32"]) == 0
    assert "test top-1" in capfd.readouterr().out
    from keras_vssl.downstream import VideoClassifier

    classifier = VideoClassifier.from_preset(str(place / "classifier"))
    assert classifier.class_names == ("class_0", "class_1")
    assert "Confusion" in (place / "classifier" / "report.html").read_text()


def read_log(run):
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))
