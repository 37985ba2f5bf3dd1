"""`keras-vssl prepare` fills a folder once, goes on, and says what is left out."""

import json

import pytest

from benchmarks import prepare as benchmark
from keras_vssl.cli import main
from tests.clips import write_folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two good clips and an empty one."""
    root = tmp_path_factory.mktemp("prepare")
    write_folder(root / "clips", each=1, frames=6, width=96, height=64)
    (root / "clips/class_0/empty.mp4").write_bytes(b"")
    return root / "clips"


def test_it_prepares_goes_on_and_names_what_is_left_out(clips, tmp_path, capfd):
    command = ["prepare", str(clips), str(tmp_path / "new"), "--short-side", "32", "--jobs", "2"]
    assert main(command) == 2, "one is left out"
    out, err = capfd.readouterr()
    assert "2 of 3 videos are prepared" in out and "2 written" in out
    assert "left out: class_0/empty.mp4: the file is empty" in err
    record = json.loads((tmp_path / "new/prepared.json").read_text())
    assert record["failed"] == {"class_0/empty.mp4": "the file is empty"}
    assert [row["width"] for row in record["videos"].values()] == [48, 48]

    assert main(command) == 2 and "0 written" in capfd.readouterr().out
    assert main([*command, "--interval", "4"]) == 2
    err = capfd.readouterr().err.strip()
    assert "was prepared with interval 12; use the same settings" in err and "--overwrite" in err
    assert len(err.splitlines()) == 1
    assert main([*command, "--interval", "4", "--overwrite"]) == 2
    assert "2 written" in capfd.readouterr().out


def test_flow_is_kept_beside(clips, tmp_path, capfd):
    pytest.importorskip("cv2")
    from keras_vssl.data import FlowCache, Videos

    good = str(clips / "class_1")
    assert main(["prepare", good, str(tmp_path / "new")]) == 0
    assert main(["prepare", good, str(tmp_path / "new"), "--flow"]) == 0
    assert "0 written" in capfd.readouterr().out.splitlines()[-1], "flow alone was computed"
    cache = FlowCache(str(tmp_path / "new/flow"))
    assert all(cache.has(path) for path in Videos.from_folder(tmp_path / "new").paths)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["none", "new"], "no folder"),
        (["clips", "clips/new"], "apart from the videos"),
        (["clips", "new", "--short-side", "33"], "even short_side"),
        (["clips", "new", "--flow", "raft"], "invalid choice"),
        (["bad", "new"], "none of 1 can be prepared"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(clips, tmp_path, capfd, arguments, sentence):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/empty.mp4").write_bytes(b"")
    folders = {"clips": clips, "clips/new": clips / "new"}
    paths = [str(folders.get(name, tmp_path / name)) for name in arguments[:2]]
    assert main(["prepare", *paths, *arguments[2:]]) == 2
    err = capfd.readouterr().err
    assert sentence in err and "Traceback" not in err


def test_the_methods_are_those_of_the_library():
    from keras_vssl.cli.prepare import METHODS
    from keras_vssl.data import flow

    assert METHODS == tuple(flow.METHODS)


def test_the_benchmark_finds_prepared_clips_faster(tmp_path, capfd):
    out = tmp_path / "result.json"
    assert benchmark.main(["--smoke", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["video"]["key_frames"] == 2
    assert found["ratio"]["median"] > 1.2 and found["rounds"] >= 3
