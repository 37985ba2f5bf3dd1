"""Optical flow is computed once, kept small, and read back like frames."""

import os
import shutil
import sys

import numpy as np
import pytest

from keras_vssl.data import FlowCache, ReadError, Samples, Spatial, Videos, View
from keras_vssl.data.flow import make_flow
from keras_vssl.data.motion import VisualMotionClips
from tests.clips import write_clip

pytest.importorskip("cv2")
WHOLE = (0.0, 0.0, 1.0, 1.0)


def drifting(frames=6, right=2, down=-1, size=64):
    """A blurred noise ground that drifts: uint8 `[T, size, size, 3]`."""
    rng = np.random.default_rng(0)
    ground = np.fft.rfft2(rng.normal(size=(size, size)))
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    ground = np.fft.irfft2(ground * np.exp(-((radius / 0.08) ** 2)), (size, size))
    ground = np.interp(ground, (ground.min(), ground.max()), (0, 255))
    moved = [np.roll(ground, (down * t, right * t), (0, 1)) for t in range(frames)]
    return np.repeat(np.stack(moved)[..., None], 3, axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """64 x 64, 6 frames, drifting by (2, -1) pixels a frame."""
    return write_clip(f"{tmp_path_factory.mktemp('drift')}/drift.mp4", video=drifting())


def view(frames=(0, 1, 2), box=WHOLE, size=(64, 64), flip=False):
    return View(np.array(frames), box, size, flip, "flow")


def inner(flow):
    return flow[..., 16:-16, 16:-16, :].astype("float32")


@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_flow_says_where_things_go(clip, tmp_path, method):
    cache = FlowCache(tmp_path, method)
    cache.write(clip)
    flow = cache.read(clip, [view(range(5))])
    assert flow.shape == (1, 5, 64, 64, 2) and flow.dtype == np.float16
    assert np.abs(np.median(inner(flow), axis=(2, 3)) - [2, -1]).max() < 0.25


def test_a_smaller_frame_has_smaller_flow_and_a_crop_keeps_it(clip, tmp_path):
    cache = FlowCache(tmp_path, short_side=32)
    cache.write(clip)
    whole, corner = cache.read(clip, [view(), view(box=(0.25, 0.25, 0.75, 0.75))])
    for flow in (whole, corner):
        assert np.abs(np.median(inner(flow), axis=(1, 2)) - [1, -0.5]).max() < 0.2


def test_a_mirrored_clip_moves_the_other_way(clip, tmp_path):
    cache = FlowCache(tmp_path)
    cache.write(clip)
    box = (0.1, 0.2, 0.7, 0.9)
    plain, mirrored = cache.read(clip, [view(box=box), view(box=box, flip=True)])
    assert (mirrored[:, :, ::-1] == plain * np.array([-1, 1], np.float16)).all()
    assert np.median(plain[..., 0]) > 1.5 and np.median(mirrored[..., 0]) < -1.5


def test_boxes_cut_flow_as_they_cut_pixels(tmp_path, clip):
    from keras_vssl.data.reader import crop

    cache = FlowCache(tmp_path)
    cache.write(clip)
    box, size = (0.125, 0.25, 0.625, 0.75), (32, 32)
    (whole,), (part,) = (
        cache.read(clip, [view([0])])[0],
        cache.read(clip, [view([0], box, size)])[0],
    )
    ramp = np.arange(64, dtype=np.uint8)
    picture = np.stack([*np.meshgrid(ramp, ramp), np.zeros((64, 64), np.uint8)], axis=-1)
    cut = crop(picture, View(np.zeros(1), box, size))
    assert (part == whole[cut[..., 1], cut[..., 0]]).all(), "a crop without resizing is a slice"


def test_bytes_keep_flow_to_the_stated_error():
    cache = FlowCache(bound=32.0)
    flow = np.linspace(-32, 32, 20001, dtype="float32")
    error = np.abs(cache._restore(cache._quantise(flow)) - flow)
    assert (error <= np.sqrt(np.abs(flow) * 32) / 127 + 32 / 127**2 / 4 + 1e-5).all()
    assert error[np.abs(flow) < 1].max() < 0.05
    assert np.allclose(cache._restore(cache._quantise(np.array([-99.0, 0.0, 99.0]))), [-32, 0, 32])


def test_the_last_frame_has_the_flow_of_the_one_before(clip, tmp_path):
    cache = FlowCache(tmp_path)
    cache.write(clip)
    flow = cache.read(clip, [view([4, 5, 50])])[0]
    assert (flow[0] == flow[1]).all() and (flow[0] == flow[2]).all()


def test_a_video_of_one_frame_does_not_move(tmp_path):
    path = write_clip(f"{tmp_path}/one.mp4", video=drifting(1))
    cache = FlowCache(tmp_path / "flow")
    cache.write(path)
    assert not cache.read(path, [view([0])]).any()


def test_content_and_settings_name_the_file(clip, tmp_path):
    cache = FlowCache(tmp_path / "flow")
    moved = shutil.copy(clip, tmp_path / "moved.mp4")
    assert cache.path(moved) == cache.path(clip), "the same content under another name"
    assert not cache.has(clip)
    cache.write(clip)
    assert cache.has(moved)
    others = [{"method": "farneback"}, {"short_side": 64}, {"bound": 16.0}]
    assert len({FlowCache(cache.folder, **other).path(clip) for other in [{}, *others]}) == 4
    write_clip(moved, video=drifting(right=1))
    assert not cache.has(moved), "the video has changed"
    os.remove(moved)
    assert not cache.has(moved), "there is no such video any more"


def test_a_failure_leaves_no_file(clip, tmp_path):
    cut = tmp_path / "cut.mp4"
    write_clip(str(cut), video=np.concatenate([drifting(), drifting(60, 5, 3)]))
    data = bytearray(cut.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    cut.write_bytes(data)
    cache = FlowCache(tmp_path / "flow")
    assert [path for path, _ in cache.write_all([str(cut), clip])] == [str(cut)]
    assert cache.has(clip) and not cache.has(cut)
    names = [name for _, _, files in os.walk(cache.folder) for name in files]
    assert names == [os.path.basename(cache.path(clip))]


def test_what_is_kept_is_not_computed_again(clip, tmp_path, monkeypatch):
    cache = FlowCache(tmp_path)
    calls = []
    assert cache.write_all([clip, clip], 1, progress=lambda *done: calls.append(done)) == []
    assert calls == [(1, 2), (2, 2)]
    monkeypatch.setattr(FlowCache, "write", lambda *_: pytest.fail("computed again"))
    cache.write_all([clip])


def test_absent_or_damaged_flow_is_one_sentence(clip, tmp_path):
    cache = FlowCache(tmp_path)
    with pytest.raises(ReadError, match="run keras-vssl flow .*--method dis --size 128"):
        cache.read(clip, [view()])
    path = cache.write(clip)
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(ReadError, match="damaged .*delete"):
        cache.read(clip, [view()])
    with pytest.raises(ReadError):
        cache.write(tmp_path / "none.mp4")


def test_without_opencv_one_sentence_says_what_to_install(clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match=r"pip install keras-vssl\[flow\]"):
        make_flow("dis")
    with pytest.raises(ValueError, match=r"pip install keras-vssl\[flow\]"):
        FlowCache(tmp_path).write(clip)


def test_kept_flow_is_read_without_opencv(clip, tmp_path, monkeypatch):
    FlowCache(tmp_path).write(clip)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert FlowCache(tmp_path).read(clip, [view()]).any()


def test_tvl1_needs_the_contributed_modules(monkeypatch):
    import cv2

    monkeypatch.delattr(cv2, "optflow", raising=False)
    with pytest.raises(ValueError, match="opencv-contrib-python-headless"):
        make_flow("tvl1")


def test_bad_settings_are_one_sentence():
    with pytest.raises(ValueError, match="dis, farneback, tvl1"):
        FlowCache(method="raft")
    with pytest.raises(ValueError, match="16 pixels"):
        FlowCache(short_side=8)


def sampler(cache):
    spatial = Spatial(None, 32, "random_resized", flip=0.5)
    return VisualMotionClips(4, 1, 3, 1, (0.0, 0.1), 25.0, spatial, spatial, cache)


def test_samples_read_flow_where_a_plan_asks_for_it(clip, tmp_path):
    cache = FlowCache(tmp_path)
    cache.write(clip)
    videos = Videos([clip, clip])
    for cached in (0, 2**20):
        samples = Samples(videos, sampler(cache), target=None, cache_bytes=cached)
        data, _ = samples.read(0)
        assert {name: (a.shape, str(a.dtype)) for name, a in data.items() if name != "index"} == {
            name: (tuple(shape), dtype) for name, (shape, dtype) in samples.sampler.shapes.items()
        }
        plan = samples.plan(0, 0)
        assert (data["motion"] == cache.read(clip, plan.groups["motion"])).all()


def test_videos_without_flow_are_refused_with_the_remedy(clip, tmp_path):
    usable, left_out = Videos([clip]).usable(sampler(FlowCache(tmp_path)))
    assert not len(usable) and "keras-vssl flow" in left_out[0]["reason"]
