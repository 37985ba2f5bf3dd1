"""`keras-vssl flow` computes what is missing and names what can't be read."""

import os
import shutil
import sys

import pytest

from keras_vssl.cli import main
from tests.clips import write_clip, write_folder


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Four good clips and an empty one; the metadata cache in a folder of the test's own."""
    pytest.importorskip("cv2")
    monkeypatch.setenv("KERAS_VSSL_CACHE", str(tmp_path / "cache"))
    write_folder(tmp_path / "clips", each=2, frames=5)
    (tmp_path / "clips" / "class_0" / "empty.mp4").write_bytes(b"")
    return tmp_path


def kept(folder):
    return [os.path.join(f, name) for f, _, names in os.walk(folder) for name in names]


def test_it_computes_what_is_missing_and_names_what_can_not_be_read(world, capfd):
    command = ["flow", str(world / "clips"), "--cache", str(world / "flow"), "--workers", "2"]
    assert main(command) == 0
    out, err = capfd.readouterr()
    assert "4 of 5 videos" in out and "4 computed" in out
    assert "class_0/empty.mp4: the file is empty" in err
    files = kept(world / "flow")
    assert len(files) == 4
    times = [os.stat(file).st_mtime_ns for file in files]

    write_clip(f"{world}/clips/class_1/new.mp4", frames=5, seed=9)
    os.remove(files.pop(0))
    assert main(command) == 0
    assert "5 of 6 videos" in (out := capfd.readouterr().out) and "2 computed" in out
    assert [os.stat(file).st_mtime_ns for file in files] == times[1:], (
        "these were not written again"
    )
    assert main(command) == 0
    assert "0 computed" in capfd.readouterr().out


def test_the_default_place_is_where_samplers_look(world):
    from keras_vssl.data import FlowCache, Videos

    assert main(["flow", str(world / "clips"), "--method", "farneback", "--size", "32"]) == 0
    cache = FlowCache(method="farneback", short_side=32)
    videos = Videos.from_folder(world / "clips").probe(progress=False).usable()[0]
    assert len(videos) == 4 and all(cache.has(path) for path in videos.paths)
    assert not any(FlowCache().has(path) for path in videos.paths)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["none"], "no folder"),
        (["clips", "--method", "raft"], "invalid choice"),
        (["clips", "--size", "4"], "16 pixels"),
        (["bad"], "none of 1 can be read"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(world, capfd, arguments, sentence):
    (world / "bad").mkdir()
    shutil.copy(world / "clips" / "class_0" / "empty.mp4", world / "bad" / "empty.mp4")
    assert main(["flow", str(world / arguments[0]), *arguments[1:]]) == 2
    err = capfd.readouterr().err
    assert sentence in err and "Traceback" not in err


def test_without_opencv_it_says_what_to_install(world, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main(["flow", str(world / "clips")]) == 2
    assert "pip install keras-vssl[flow]" in capfd.readouterr().err


def test_the_methods_are_those_of_the_library():
    from keras_vssl.cli.flow import METHODS
    from keras_vssl.data import flow

    assert METHODS == tuple(flow.METHODS)
