"""Probing says what files hold; one that hangs or crashes the decoder costs itself only."""

import json
import os
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from keras_vssl.data.frame_index import VideoInfo
from keras_vssl.data.probe import probe_file, probe_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six short videos and a file that is none."""
    folder = tmp_path_factory.mktemp("probe")
    for name in ("a", "b", "c", "d", "hang", "crash"):
        with av.open(str(folder / f"{name}.mp4"), "w") as container:
            video = container.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for i in range(20):
                image = np.full((48, 64, 3), i * 10, np.uint8)
                container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(video.encode(None))
    (folder / "text.mp4").write_text("not a video")
    return folder


def test_fields(folder):
    info = probe_file(folder / "a.mp4")
    assert info == VideoInfo(
        str(folder / "a.mp4"), "yes", frames=20, width=64, height=48, fps=10.0, duration=2.0
    )
    assert VideoInfo(**json.loads(json.dumps(info.to_dict()))) == info


def test_bad_media_never_raise(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, reason in {
        folder / "text.mp4": "Invalid data found when processing input",
        folder / "absent.mp4": "no such file or directory",
        tmp_path / "pipe.mp4": "not a regular file",
        tmp_path: "not a regular file (a directory)",
    }.items():
        info = probe_file(path)
        assert (info.decodable, info.frames) == ("no", 0)
        assert reason in info.error


def test_many_in_order_with_progress(folder):
    names = ["a", "text", "b", "absent", "c", "d", "a"]
    paths, seen = [folder / f"{name}.mp4" for name in names], []
    infos = probe_files(paths, workers=2, progress=lambda *step: seen.append(step))
    assert [info.path for info in infos] == [str(path) for path in paths]
    assert [info.decodable for info in infos] == ["yes", "no", "yes", "no", "yes", "yes", "yes"]
    assert seen == [(i, 7) for i in range(1, 8)]
    assert probe_files([]) == []


def test_hang_and_crash_cost_that_file_only(folder, tmp_path, monkeypatch):
    # Stands in for a decoder's bug: the worker itself stops answering, or dies by a signal.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, time\n"
        "from keras_vssl.data import probe\n"
        "honest = probe.probe_file\n"
        "def probe_file(path, **options):\n"
        "    if path.endswith('hang.mp4'):\n"
        "        time.sleep(60)\n"
        "    if path.endswith('crash.mp4'):\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return honest(path, **options)\n"
        "probe.probe_file = probe_file\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = ["a", "hang", "b", "crash", "c", "d"]
    start = time.monotonic()
    infos = probe_files([folder / f"{name}.mp4" for name in names], workers=1, timeout=2.0)
    assert time.monotonic() - start < 20
    assert [info.decodable for info in infos] == ["yes", "no", "yes", "no", "yes", "yes"]
    assert infos[1].error == "timed out after 2 s"
    assert infos[3].error == "the decoder crashed (SIGSEGV)"


def test_worker_imports_no_framework():
    code = (
        "import sys, keras_vssl.data.probe_worker, keras_vssl.data.reader; "
        "print([m for m in ('keras', 'tensorflow', 'torch', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_probe_refuses_nonsense():
    with pytest.raises(ValueError, match="workers of 1 or more"):
        probe_files(["a.mp4"], workers=0)


def test_torture_files_are_as_expected(shared):
    folder = shared / "data/torture"
    expected = json.loads((folder / "expected.json").read_text())
    infos = probe_files([folder / name for name in expected], workers=2, decode=True)
    for info, (name, facts) in zip(infos, expected.items(), strict=True):
        if facts["decodable"] in ("no", "no video"):
            assert (info.decodable, info.frames) == ("no", 0), name
            assert info.error, name
            continue
        assert info.decodable == facts["decodable"], name
        assert facts["frames_pyav"] <= info.frames <= facts["frames"], name
        assert (info.width, info.height) == (facts["width"], facts["height"]), name
        assert info.rotation == facts["rotation"], name
        assert info.fps == pytest.approx(facts["fps"], abs=1e-3), name
        if facts["duration"] is not None:
            assert info.duration == pytest.approx(facts["duration"], abs=2e-3), name
        assert info.audio_rate == facts["audio_rate"], name
        assert info.audio_channels == facts["audio_channels"], name
        assert (info.error is None) == (facts["decodable"] == "yes"), name
