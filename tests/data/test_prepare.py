"""A prepared data set means what its source meant, and every file of it is whole and verified."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.reader import ReadError, VideoReader
from keras_vssl.data.transcode import transcode
from keras_vssl.data.writer import VideoWriter
from tests.clips import write_clip
from tests.data.encoded import assert_random_is_sequential, decode_plainly, number_of, write

UNEVEN = np.cumsum([1, 1, 3, 1, 2, 5] * 8).tolist()  # in 1/25 s


@pytest.fixture(scope="module")
def world(tmp_path_factory, beeps):
    """(source, target, report): long groups of pictures, turned, of uneven times, with sound."""
    root = tmp_path_factory.mktemp("prepare")
    for label in ("still", "moving"):
        (root / "source" / label).mkdir(parents=True)
    one_key = {"preset": "veryfast", "x264-params": "keyint=999:bframes=3"}
    write(root / "source/still/turned.mov", options=one_key, times=range(30), turn=90)
    write(root / "source/still/uneven.mkv", options=one_key, times=UNEVEN)
    shutil.copy(beeps["mkv"], root / "source/moving/beeps.mkv")
    (root / "source/moving/text.mp4").write_text("not a video")
    (root / "source/words.csv").write_text("path,word\nstill/turned.mov,turn\n")
    report = kv.data.prepare(root / "source", root / "target", interval=4, quality=2, jobs=2)
    return root / "source", root / "target", report


def test_paths_labels_and_tables_are_those_of_the_source(world):
    source, target, report = world
    assert (report["videos"], report["written"], report["damaged"]) == (3, 3, [])
    assert [row["path"] for row in report["failed"]] == ["moving/text.mp4"]
    assert "Invalid data" in report["failed"][0]["reason"]
    before, left_out = kv.data.Videos.from_folder(source).usable()
    after = kv.data.Videos.from_folder(target)
    assert after.relative_paths == before.relative_paths and len(left_out) == 1
    assert after.labels.tolist() == before.labels.tolist()
    assert after.keys.tolist() == before.keys.tolist(), "samplers draw the same clips"
    assert (target / "words.csv").read_text() == (source / "words.csv").read_text()
    record = json.loads((target / "prepared.json").read_text())
    assert record["complete"] and set(record["videos"]) == set(after.relative_paths)
    assert record["settings"]["interval"] == 4 and record["versions"][0]["av"]
    assert not [name for name in os.listdir(target) if name.startswith(".")]


@pytest.mark.parametrize("name", ["still/turned.mov", "still/uneven.mkv", "moving/beeps.mkv"])
def test_frames_keep_their_numbers_times_and_place_and_are_read_at_random(world, name):
    source, target, _ = world
    with VideoReader(source / name) as old, VideoReader(target / name) as new:
        assert new.info.frames == old.info.frames and new.info.rotation == 0
        assert np.abs(new.timestamps - old.timestamps).max() < 1e-3
        frames = new.frames(range(new.info.frames))
        errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(old.frames(range(20)), frames)]
        assert max(errors) < 6, "upright, and the same picture"
        if name != "still/turned.mov":
            assert [number_of(frame) for frame in frames] == list(range(len(frames)))
        keys = [*new._index.keys[:, 1], new.info.frames]
        assert keys[0] == 0 and max(np.diff(keys)) <= 4
    assert_random_is_sequential(target / name)


def test_sound_stays_in_step(world):
    source, target, _ = world
    with VideoReader(source / "moving/beeps.mkv") as old:
        meant = old.audio(0.0, 5.0, 16000)
    with VideoReader(target / "moving/beeps.mkv") as new:
        assert new.info.audio_rate == 44100
        got = new.audio(0.0, 5.0, 16000)
    loud = np.flatnonzero(np.abs(got) > 0.1) / 16000
    assert abs(loud[0] - 2.0) < 0.01 and abs(loud[-1] - 3.0) < 0.01
    assert np.corrcoef(got, meant)[0, 1] > 0.99  # 500 Hz: 0.1 ms too late is 0.95


def test_what_is_done_stays_and_what_changed_is_done_again(world, tmp_path):
    source, target, _ = world
    shutil.copytree(source, tmp_path / "source")
    shutil.copytree(target, tmp_path / "target", copy_function=shutil.copy)  # with new times
    args, settings = (tmp_path / "source", tmp_path / "target"), {"interval": 4, "quality": 2}
    assert kv.data.prepare(*args, **settings)["written"] == 0, "the content decides"
    write_clip(f"{args[0]}/still/turned.mov", frames=5)
    with open(args[1] / "still/uneven.mkv", "ab") as file:
        file.write(b"x")
    assert kv.data.prepare(*args, **settings)["written"] == 2
    with VideoReader(args[1] / "still/turned.mov") as reader:
        assert reader.info.frames == 5
    (args[0] / "still/turned.mov").write_bytes(b"")
    report = kv.data.prepare(*args, **settings)
    assert report["videos"] == 2 and not (args[1] / "still/turned.mov").exists()

    with pytest.raises(ValueError, match="was prepared with interval 4, quality 2; use the same"):
        kv.data.prepare(*args)
    write_clip(f"{tmp_path}/other/still/new.mp4", frames=5)
    with pytest.raises(ValueError, match="2 others were prepared there"):
        kv.data.prepare(tmp_path / "other", args[1], **settings)
    assert kv.data.prepare(tmp_path / "other", args[1], overwrite=True)["videos"] == 1
    assert kv.data.Videos.from_folder(args[1]).relative_paths == ["still/new.mp4"]


def test_folders_that_are_not_to_be_filled_are_refused(world, tmp_path):
    source, _, _ = world
    (tmp_path / "mine.txt").write_text("keep")
    for target, sentence in {
        source: "apart from the videos",
        source / "prepared": "apart from the videos",
        source.parent: "apart from the videos",
        source / "words.csv": "apart from the videos",
        tmp_path: "holds files and no prepared.json",
        tmp_path / "mine.txt": "is a file",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            kv.data.prepare(source, target, overwrite=True)
    for setting in ({"short_side": 33}, {"interval": 0}, {"quality": 0}, {"jobs": 0}):
        with pytest.raises(ValueError, match="^Expected"):
            kv.data.prepare(source, tmp_path / "new", **setting)
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_killed_it_goes_on(tmp_path):
    for i in range(6):
        write_clip(f"{tmp_path}/source/clip_{i}.mp4", frames=40, seed=i)
    code = (
        "import os, signal, sys, keras_vssl as kv\n"
        "def progress(done, total):\n"
        "    if done == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "kv.data.prepare(*sys.argv[1:], jobs=1, progress=progress)\n"
    )
    folders = [str(tmp_path / "source"), str(tmp_path / "target")]
    done = subprocess.run([sys.executable, "-c", code, *folders])
    assert done.returncode == -signal.SIGKILL
    record = json.loads((tmp_path / "target/prepared.json").read_text())
    assert not record["complete"] and 1 <= len(record["videos"]) < 6
    seen = [name for name in os.listdir(folders[1]) if name.endswith(".mp4")]
    assert all(len(decode_plainly(tmp_path / "target" / name)) == 40 for name in seen)
    times = {name: os.stat(tmp_path / "target" / name).st_mtime_ns for name in record["videos"]}
    report = kv.data.prepare(*folders, jobs=1)
    assert report["videos"] == 6 and report["written"] == 6 - len(times)
    assert times == {name: os.stat(tmp_path / "target" / name).st_mtime_ns for name in times}
    assert sorted(os.listdir(folders[1])) == [
        *(f"clip_{i}.mp4" for i in range(6)), "prepared.json"
    ]  # fmt: skip


def test_one_that_crashes_or_hangs_the_decoder_is_named(tmp_path, monkeypatch):
    for name in ("a", "crash", "hang", "b"):
        write_clip(f"{tmp_path}/source/{name}.mp4", frames=5)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(
        "import os, signal, time\n"
        "from keras_vssl.data import media\n"
        "class Media(media.Media):\n"
        "    def list_packets(self):\n"
        "        if self.path.endswith('hang.mp4'): time.sleep(60)\n"
        "        if self.path.endswith('crash.mp4'): os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return super().list_packets()\n"
        "media.Media = Media\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    report = kv.data.prepare(tmp_path / "source", tmp_path / "target", jobs=1, timeout=2.0)
    assert report["videos"] == 2
    assert {row["path"]: row["reason"] for row in report["failed"]} == {
        "crash.mp4": "the decoder crashed (SIGSEGV)",
        "hang.mp4": "timed out after 2 s",
    }


def test_manifests_and_official_layouts_name_the_same_videos(tmp_path):
    label, rows = "ApplyEyeMakeup", []
    for group in (1, 2, 8):
        name = f"{label}/v_{label}_g{group:02d}_c01.avi"
        write_clip(f"{tmp_path}/source/{name}", frames=5, seed=group)
        rows.append((f"../source/{name}", label, f"g{group}", "test" if group == 1 else "train"))
    (tmp_path / "source" / label / f"v_{label}_g09_c01.avi").write_text("not a video")
    rows.append((f"../source/{label}/v_{label}_g09_c01.avi", label, "g9", "train"))
    lists = tmp_path / "source/ucfTrainTestlist"
    lists.mkdir()
    (lists / "testlist01.txt").write_text(rows[0][0][10:] + "\n")
    (lists / "trainlist01.txt").write_text("".join(f"{row[0][10:]} 1\n" for row in rows[1:3]))
    (tmp_path / "lists").mkdir()
    with open(tmp_path / "lists/mine.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "group", "split"), *rows])

    kv.data.prepare(tmp_path / "source", tmp_path / "ucf", jobs=1)
    old, new = (
        kv.data.Videos.from_ucf101(folder, folder / "ucfTrainTestlist", strict=True)
        for folder in (tmp_path / "source", tmp_path / "ucf")
    )
    kv.data.prepare(tmp_path / "lists/mine.csv", tmp_path / "listed", jobs=1)
    listed = kv.data.Videos.from_csv(tmp_path / "lists/mine.csv")[:3]
    found = kv.data.Videos.from_csv(tmp_path / "listed/mine.csv")
    for before, after in ((old, new), (listed, found)):
        for column in ("labels", "groups", "splits"):
            assert getattr(after, column).tolist() == getattr(before, column).tolist()
        assert list(map(os.path.basename, after.paths)) == list(map(os.path.basename, before.paths))
        assert all(info.frames == 5 for info in after.probe(progress=False).infos)
    assert all(path.startswith(str(tmp_path / "listed")) for path in found.paths)


def _skipped(number, image, seconds):
    return None if number == 5 else (image, seconds)


def _late(number, image, seconds):
    return image, seconds + 0.03 * (number >= 5)


def _swapped(number, image, seconds):
    return (image[::-1] if number == 5 else image), seconds


@pytest.mark.parametrize(
    "fault, reason",
    [(_skipped, "11 frames instead of 12"), (_late, "frame 5 is shown 0.030 s"), (_swapped, "frame 5 is .* dB")],
)  # fmt: skip
def test_what_is_not_what_was_meant_is_refused(tmp_path, monkeypatch, fault, reason):
    path = write_clip(f"{tmp_path}/clip.mp4", frames=12)
    settings = dict(short_side=32, interval=4, quality=3, sound=True, psnr=25.0)
    good = transcode(path, str(tmp_path / "good.mp4"), **settings)
    assert (good["height"], good["width"], good["frames"]) == (32, 42, 12)
    assert good["lowest_psnr"] > 30

    honest, written = VideoWriter.frame, []

    def frame(self, image, seconds=None):
        written.append(seconds)
        changed = fault(len(written) - 1, image, seconds)
        if changed:
            honest(self, *changed)

    monkeypatch.setattr(VideoWriter, "frame", frame)
    with pytest.raises(ReadError, match=reason):
        transcode(path, str(tmp_path / "bad.mp4"), **settings)


TORTURE = (
    "odd_131x97.webm", "odd_131x97_444.mp4", "rotate90.mp4", "vfr.mp4", "size_change.ts",
    "duplicate_pts.mkv", "elementary.h264", "animated.gif", "avi_header_mismatch.avi",
    "edit_list.mp4", "real_video_270.mov", "real_unordered.mov", "single_frame.mp4",
    "tiny_16x16.mp4", "fps_1.mp4", "corrupted_middle.mp4", "truncated_60pct.mp4",
    "audio_only.mp4", "random_bytes.mp4", "text_named.mp4", "truncated_no_index.mp4",
    "zero_bytes.mp4", "name with spaces – été 视频.mp4",
)  # fmt: skip


def test_torture_files_are_prepared_or_named(shared, tmp_path):
    expected = json.loads((shared / "data/torture/expected.json").read_text())
    (tmp_path / "source").mkdir()
    for name in TORTURE:
        shutil.copy(shared / "data/torture" / name, tmp_path / "source" / name)
    os.mkfifo(tmp_path / "source/pipe.mp4")
    report = kv.data.prepare(tmp_path / "source", tmp_path / "target", short_side=96, jobs=2)
    named = {"no": "failed", "no video": "failed", "partly": "damaged"}
    for kind in ("failed", "damaged"):
        wanted = {name for name in TORTURE if named.get(expected[name]["decodable"]) == kind}
        wanted |= {"pipe.mp4"} if kind == "failed" else set()
        assert {row["path"] for row in report[kind]} == wanted
        assert all(row["reason"] for row in report[kind])
    for path in kv.data.Videos.from_folder(tmp_path / "target").paths:
        facts = expected[os.path.basename(path)]
        with VideoReader(path) as reader:
            info = reader.info
            if facts["decodable"] == "yes":
                assert info.frames == facts["frames"], path
            assert len(reader.frames(range(info.frames))) == info.frames > 0
        scale = min(96 / min(facts["height"], facts["width"]), 1.0)
        for side in ("height", "width"):
            got, exact = getattr(info, side), facts[side] * scale
            assert got % 2 == 0 and exact - 2 < got < exact + 1.001, path
        assert (info.audio_rate is None) == (facts["audio_rate"] is None), path
    for name in ("rotate90.mp4", "odd_131x97.webm", "elementary.h264"):
        assert_random_is_sequential(tmp_path / "target" / name)
