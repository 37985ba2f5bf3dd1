"""Random access gives the very frames that decoding from the start gives."""

import fractions
import json
import random

import av
import numpy as np
import pytest

from keras_vssl.data.reader import VideoReader
from keras_vssl.data.scan import index_packets
from tests.data.encoded import (
    STREAMS,
    assert_random_is_sequential,
    decode_plainly,
    number_of,
    write,
)


@pytest.mark.parametrize("name", STREAMS)
def test_random_access_equals_sequential(made, name):
    assert_random_is_sequential(made(name))


def test_frames_are_the_numbered_ones(made):
    with VideoReader(made("closed_gop.mp4")) as reader:
        order = [119, 0, 60, 60, 14, 15, 16]
        assert [number_of(frame) for frame in reader.frames(order)] == order


@pytest.mark.parametrize("cut", [188 * 30, 188 * 45])
def test_stream_that_begins_between_key_frames(made, tmp_path, cut):
    with open(made("open_gop.ts"), "rb") as file:
        data = file.read()
    path = tmp_path / "cut.ts"
    path.write_bytes(data[cut:])
    assert_random_is_sequential(str(path))


def test_time_stamps_that_start_again(made, tmp_path):
    with open(made("closed_gop.ts"), "rb") as file:
        data = file.read()
    path = tmp_path / "twice.ts"
    path.write_bytes(data + data)
    assert_random_is_sequential(str(path))
    with VideoReader(path) as reader:
        assert reader.info.frames == 240
        assert np.all(np.diff(reader.timestamps) >= 0)


def test_packed_pictures(made, tmp_path):
    """DivX packs a P and a B picture into one packet and then stores an empty one."""
    path = str(tmp_path / "packed.avi")
    with av.open(made("mpeg4.avi")) as source, av.open(path, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stored = [(bytes(p), p.is_keyframe) for p in source.demux(video=0) if p.size]
        kinds = [data[data.index(b"\0\0\1\xb6") + 4] >> 6 for data, _ in stored]
        packets = []
        for i, (data, is_key) in enumerate(stored):
            if kinds[i] == 2 and kinds[i - 1] != 2:
                packets[-1] = packets[-1][0] + data, packets[-1][1]
            elif kinds[i] == 2:
                packets.append((data, False))
            if kinds[i] == 2 and (i + 1 == len(stored) or kinds[i + 1] != 2):
                packets.append((b"\x00\x00\x01\xb6\x50\x7f", False))
            if kinds[i] != 2:
                packets.append((data, is_key))
        for at, (data, is_key) in enumerate(packets):
            packet = av.Packet(data)
            packet.pts = packet.dts = at
            packet.time_base, packet.stream = fractions.Fraction(1, 25), stream
            packet.is_keyframe = is_key
            target.mux(packet)
    assert_random_is_sequential(path)


def test_pictures_that_are_never_shown(made, tmp_path):
    """VP8 stores reference pictures that are not for showing as packets of their own."""
    path = str(tmp_path / "hidden.webm")
    with av.open(made("vp8.webm")) as source, av.open(path, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            data = bytearray(packet)
            if number % 20 == 11:
                data[0] &= ~0x10  # the bit that says "show"
            copy = av.Packet(bytes(data))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            target.mux(copy)
    assert len(decode_plainly(path)) == 114
    assert_random_is_sequential(path)


@pytest.mark.parametrize(
    "packets",
    [
        [(0, 9, True), (2, 9, False), (1, 9, True)],  # stored before a key, shown after it
        [(0, 9, True), (1, 9, False), (1, 9, False)],  # one time stamp twice
        [(0, 9, True), (None, 9, False)],
        [(0, 9, False), (1, 9, True)],  # begins in the middle
        [(1, 9, True), (0, 9, False)],  # the decoder drops what is shown before the first key
    ],
)
def test_doubtful_time_stamps_do_not_number_frames(packets):
    assert index_packets([(*p, False, True) for p in packets]) is None
    sound = [(0, 9, True, False, True), (2, 8, False, False, True), (1, 7, False, False, True)]
    pts, sizes, keys = index_packets(sound)
    assert (pts.tolist(), sizes.tolist(), keys.tolist()) == ([0, 1, 2], [9, 7, 8], [[0, 0]])
    for flag in (False, True):
        hidden = index_packets([(-1, 9, True, True, True), *sound[1:], (3, 9, True, flag, True)])
        assert hidden[0].tolist() == [1, 2] + [3] * (not flag)
        assert hidden[2].tolist() == [[-1, 0], [3, 2]]


def test_frame_size_may_change(tmp_path):
    small = write(tmp_path / "a.h264", times=range(20))
    large = write(tmp_path / "b.h264", times=range(20), size=(128, 96))
    path = tmp_path / "both.h264"
    path.write_bytes(open(small, "rb").read() + open(large, "rb").read())
    assert_random_is_sequential(str(path))
    with VideoReader(path) as reader:
        assert [f.shape for f in reader.frames([19, 20])] == [(64, 96, 3), (96, 128, 3)]


def test_variable_frame_rate_by_time_stamps(tmp_path):
    times = [0, 1, 2, 10, 11, 30, 31, 32, 33, 90]
    path = write(tmp_path / "vfr.mkv", times=times)
    with VideoReader(path) as reader:
        assert reader.info.frames == len(times)
        np.testing.assert_allclose(reader.timestamps, np.array(times) / 25, atol=2e-3)
        assert [number_of(f) for f in reader.frames([9, 3, 5])] == [9, 3, 5]


@pytest.mark.parametrize(
    ("turn", "filters"),
    [(90, ["cclock"]), (180, ["cclock", "cclock"]), (-90, ["clock"])],
)
def test_rotation_is_that_of_ffmpeg(tmp_path, turn, filters):
    path = write(tmp_path / "turned.mp4", times=range(5), turn=turn)
    graph = av.filter.Graph()
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        frame = frame.reformat(format="rgb24")
        nodes = [
            graph.add_buffer(width=96, height=64, format=frame.format, time_base=frame.time_base)
        ]
        nodes += [graph.add("transpose", direction) for direction in filters]
        nodes.append(graph.add("buffersink"))
        graph.link_nodes(*nodes).configure()
        graph.push(frame)
        truth = graph.pull().to_ndarray(format="rgb24")
    with VideoReader(path) as reader:
        shown = reader.frames([0])[0]
        assert (reader.info.height, reader.info.width) == shown.shape[:2]
        assert abs(reader.info.rotation) == abs(turn)
    assert np.array_equal(shown, truth)


def test_threads_do_not_change_frames(made):
    path = made("open_gop.mkv")
    with VideoReader(path) as one, VideoReader(path, threads=2) as two:
        for a, b in zip(one.frames(range(120)), two.frames(range(120)), strict=True):
            assert np.array_equal(a, b)


def torture_files():
    """Names known without the folder, so that each is a test of its own."""
    return [
        *("animated.gif", "av1.mkv", "avi_header_mismatch.avi", "duplicate_pts.mkv"),
        *("edit_list.mp4", "elementary.h264", "fps_120.mp4", "gray.mp4", "hevc_10bit.mp4"),
        *("interlaced_mpeg2.mpg", "late_start.mkv", "long_gop_30s.mp4", "mjpeg.avi"),
        *("mpeg1.mpg", "mpeg4_part2.avi", "negative_start.mkv", "odd_131x97.webm"),
        *("odd_131x97_444.mp4", "open_gop_bframes.mp4", "real_unordered.mov"),
        *("real_video_270.mov", "rotate180.mp4", "rotate90.mp4", "single_frame.mp4"),
        *("six_streams.mp4", "size_change.ts", "tiny_16x16.mp4", "vfr.mp4", "vp9_opus.webm"),
    ]


@pytest.mark.parametrize("name", torture_files())
def test_torture_random_access_equals_sequential(shared, name):
    expected = json.loads((shared / "data/torture/expected.json").read_text())[name]
    assert_random_is_sequential(str(shared / "data/torture" / name), turn=expected["rotation"])


@pytest.mark.parametrize(
    "folder", ["av", "captions", "actions", "tennis", "yoga", "faces", "short"]
)
def test_real_clips_random_access_equals_sequential(shared, folder):
    paths = sorted((shared / "data" / folder).rglob("*.mp4"))
    for path in random.Random(0).sample(paths, 2):
        assert_random_is_sequential(str(path))
