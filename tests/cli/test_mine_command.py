"""`keras-vssl mine` fills a cache once; `pretrain` does so by itself where a method asks."""

import json
import os
import sys

import pytest

from keras_vssl.cli import main
from tests.clips import write_clip, write_folder


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Four good clips and an empty one; the caches in a folder of the test's own."""
    monkeypatch.setenv("KERAS_VSSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "clips", each=2, frames=20)
    (tmp_path / "clips" / "class_0" / "empty.mp4").write_bytes(b"")
    return tmp_path


def kept(folder):
    return sorted(os.path.join(f, name) for f, _, names in os.walk(folder) for name in names)


def test_it_mines_what_is_missing_and_names_what_can_not_be_read(world, capfd):
    command = ["mine", str(world / "clips"), "--kind", "motion", "--method", "difference"]
    command += ["--cache", str(world / "motion"), "--workers", "2"]
    assert main(command) == 0
    out, err = capfd.readouterr()
    assert "4 of 5 videos have their motion in" in out and "4 computed" in out
    assert "class_0/empty.mp4: the file is empty" in err
    files = kept(world / "motion")
    times = [os.stat(file).st_mtime_ns for file in files]
    os.remove(files.pop())
    write_clip(f"{world}/clips/class_1/new.mp4", frames=5, seed=9)
    assert main(command) == 0
    out = capfd.readouterr().out
    assert "5 of 6 videos" in out and "2 computed" in out
    assert [os.stat(file).st_mtime_ns for file in files] == times[:-1], "not written again"


def test_the_default_place_is_where_samplers_look(world):
    from keras_vssl.data import MotionProfile, Videos

    assert main(["mine", str(world / "clips"), "--grid", "8"]) == 0
    videos = Videos.from_folder(world / "clips").probe(progress=False).usable()[0]
    assert len(videos) == 4 and all(MotionProfile(grid=8).has(path) for path in videos.paths)
    assert not any(MotionProfile().has(path) for path in videos.paths)


def test_pretraining_mines_what_its_sampler_draws_by(world, capfd):
    options = ["--option", 'motion={"method":"difference","grid":4}', "--option", "hidden=8"]
    command = ["pretrain", "shuffle_and_learn", str(world / "clips"), "--epochs", "1", *options]
    command += ["--precision", "float32", "--out", str(world / "run"), "--batch-size", "4"]
    assert main(command) == 0
    err = capfd.readouterr().err
    assert f"computing the motion of 4 videos, kept in {world / 'cache' / 'motion'}" in err
    assert len(kept(world / "cache" / "motion" / "difference-4-v1")) == 4
    config = json.loads((world / "run" / "config.json").read_text())
    assert config["options"]["motion"] == {"method": "difference", "grid": 4}


def test_a_video_that_can_not_be_mined_is_left_out_with_its_reason(world):
    from keras_vssl.cli import mine
    from keras_vssl.data import MotionProfile, ReadError, Videos
    from keras_vssl.tasks.pretext.shuffle_and_learn import FrameTriples

    class Picky(MotionProfile):
        def write(self, video, timeout=20.0):
            if video.endswith("clip_1.mp4"):
                raise ReadError(video, "frame 7 of 20 does not decode")
            return super().write(video, timeout)

    short = write_clip(f"{world}/clips/class_1/short.mp4", frames=5)
    videos = Videos.from_folder(world / "clips").probe(progress=False).usable()[0]
    profile = Picky(world / "motion", "difference")
    left, failed = mine.prepare(FrameTriples(6, 2, motion=profile), videos, 1)
    assert len(left) == 3 and failed == [
        {"path": f"class_{c}/clip_1.mp4", "reason": "frame 7 of 20 does not decode"} for c in (0, 1)
    ]
    assert not profile.has(short), "it is too short for the sampler anyway"
    assert mine.prepare(FrameTriples(6, 2), videos, 1) == (videos, [])


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["none"], "no folder"),
        (["clips", "--kind", "sound"], "invalid choice"),
        (["clips", "--method", "dis"], "invalid choice"),
        (["clips", "--grid", "1000"], "grid of 1 to 128 cells"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(world, capfd, arguments, sentence):
    assert main(["mine", str(world / arguments[0]), *arguments[1:]]) == 2
    err = capfd.readouterr().err
    assert sentence in err and "Traceback" not in err


def test_without_opencv_it_says_what_to_install(world, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main(["mine", str(world / "clips"), "--method", "farneback"]) == 2
    assert "pip install keras-vssl[flow]" in capfd.readouterr().err


def test_the_methods_are_those_of_the_library():
    from keras_vssl.cli.mine import METHODS
    from keras_vssl.data import mining

    assert METHODS == mining.METHODS
