"""Bad files and bad requests get a clear error in time, and cost neither memory nor files."""

import gc
import os
import time

import av
import numpy as np
import pytest

from keras_vssl.data import reader as reader_module
from keras_vssl.data.frame_index import IndexCache
from keras_vssl.data.reader import ReadError, VideoReader, read_plan
from keras_vssl.data.samplers import AudioSpan, Plan, View
from tests.data.encoded import assert_random_is_sequential, number_of, write


def test_files_that_are_none_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    (tmp_path / "list.mp4").write_text(
        "#EXTM3U\n#EXTINF:1,\nhttp://192.0.2.1/a.ts\n#EXT-X-ENDLIST\n"
    )
    start = time.monotonic()
    for name, reason in {
        "pipe.mp4": "not a regular file",
        "empty.mp4": "empty",
        "text.mp4": "Invalid data",
        "list.mp4": "nvalid|refused|no ",
        "absent.mp4": "no such file",
        ".": "directory",
    }.items():
        with pytest.raises(ReadError, match=reason) as caught:
            VideoReader(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path))
    assert time.monotonic() - start < 2


def test_frames_the_video_does_not_have(made):
    with VideoReader(made("closed_gop.mp4")) as reader:
        for i in (120, -1):
            with pytest.raises(ReadError, match=f"from 0 to 119, received {i}"):
                reader.frames([0, i])
        assert number_of(reader.frames([1])[0]) == 1


def test_announced_frame_count_is_not_believed(made, tmp_path):
    data = bytearray(open(made("mpeg4.avi"), "rb").read())
    count = (120).to_bytes(4, "little")
    main = data.index(b"avih") + 8 + 16
    stream = data.index(b"strh") + 8 + 32
    assert data[main : main + 4] == count and data[stream : stream + 4] == count
    data[main : main + 4] = data[stream : stream + 4] = (10**6).to_bytes(4, "little")
    path = tmp_path / "boaster.avi"
    path.write_bytes(data)
    assert_random_is_sequential(str(path))


def test_damage_costs_the_damaged_frames_only(made, tmp_path):
    with av.open(made("closed_gop.mp4")) as container:
        packets = [(p.pts, p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(open(made("closed_gop.mp4"), "rb").read())
    _, at, size = sorted(packets)[50]
    data[at : at + size] = b"\xff" * size
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert [number_of(f) for f in reader.frames([3, 100])] == [3, 100]
        with pytest.raises(ReadError, match="frame 50 of 120 does not decode"):
            reader.frames([3, 50, 100])
        assert number_of(reader.frames([110])[0]) == 110
        info = reader.verify()
    assert info.decodable == "partly" and info.error
    assert 45 <= info.frames <= 50


def test_truncated_file_gives_what_it_has(made, tmp_path):
    data = open(made("open_gop.mkv"), "rb").read()
    path = tmp_path / "short.mkv"
    path.write_bytes(data[: len(data) * 6 // 10])
    with VideoReader(path) as reader:
        frames = reader.verify().frames
        assert 40 < frames < 110
        assert [number_of(f) for f in reader.frames(range(frames))] == list(range(frames))


def test_time_is_limited(tmp_path):
    path = write(tmp_path / "long.h264", times=range(80), size=(320, 240))
    start = time.monotonic()
    with pytest.raises(ReadError, match=r"timed out after 0\.002 s"):
        VideoReader(path, timeout=0.002)
    assert time.monotonic() - start < 1


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_and_files_stay_flat(beeps, made):
    paths = [beeps["mp4"], made("closed_gop.mp4"), made("no_time_stamps.h264")]
    plan = Plan((View(np.arange(2, 10), (0, 0, 1, 1), (32, 32)),), audio=(AudioSpan(1, 0.2, 8000),))

    def read(times):
        for i in range(times):
            read_plan(paths[i % len(paths)], plan)
            if i % 10:
                continue
            with pytest.raises(ReadError):
                read_plan(paths[i % len(paths)], Plan((View([500], (0, 0, 1, 1), (8, 8)),)))

    read(60)
    before, files = resident_bytes(), len(os.listdir("/proc/self/fd"))
    read(600)
    assert resident_bytes() - before < 60e6
    assert len(os.listdir("/proc/self/fd")) == files


def test_memory_does_not_wait_for_the_garbage_collector(made, monkeypatch):
    monkeypatch.setattr(reader_module, "_INDICES", IndexCache(frames=0))  # scan every time
    paths = [made("closed_gop.mp4"), made("no_time_stamps.h264")]
    gc.collect()
    gc.disable()
    try:
        for path in paths * 10:
            with VideoReader(path) as reader:
                reader.frames([3, 40])
        assert gc.collect() < 20  # a cycle a reader would be 20 and more
    finally:
        gc.enable()
