"""Motion profiles say where and when something moves; windows and patches follow them."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_vssl.data import MotionProfile, ReadError
from keras_vssl.data.mining import SHORT_SIDE, motion_profile, moving_patch, window_weights
from tests.clips import write_clip

METHODS = ["farneback", "difference"]


def blob(frames=12, moves=(4, 9), height=96, width=128):
    """A soft bright spot in the lower right that goes left by 2 pixels in frames of `moves`."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    x, video = 96.0, []
    for t in range(frames):
        spot = np.exp(-((rows - 72) ** 2 + (columns - x) ** 2) / (2 * 8.0**2))
        video.append(np.repeat((20 + 200 * spot)[..., None], 3, axis=-1).astype(np.uint8))
        x -= 2.0 * (moves[0] <= t < moves[1])
    return np.stack(video)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(f"{tmp_path_factory.mktemp('blob')}/blob.mp4", video=blob())


@pytest.fixture(params=METHODS)
def profile(request, tmp_path):
    if request.param == "farneback":
        pytest.importorskip("cv2")
    return MotionProfile(tmp_path / "motion", request.param)


def test_a_profile_is_large_where_and_when_something_moves(profile, clip):
    profile.write(clip)
    motion = profile.read(clip)
    assert motion.shape == (11, 16, 16) and motion.dtype == np.float32 and motion.min() >= 0
    frames = motion.mean(axis=(1, 2))
    assert frames[4:9].min() > 5 * np.delete(frames, np.s_[4:9]).max()
    # The spot is around row 12 of 16, column 10 to 12.
    cells = motion[4:9].mean(axis=0)
    assert cells[9:15, 8:14].sum() > 0.7 * cells.sum()


def test_flow_is_in_pixels_of_a_short_side_of_128(tmp_path):
    pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 256, (16, 24)), np.ones((8, 8)))
    ramp = (np.arange(-12, 13) / 12.0) ** 2
    soft = np.apply_along_axis(np.convolve, 1, ground, (1 - ramp) / (1 - ramp).sum(), "same")
    for side in (64, 128, 256):
        profile = MotionProfile(tmp_path / "motion", "farneback", 8)
        scale = side / 128
        frames = []
        for t in range(3):  # 2 pixels a frame at 128, along the longer side
            x = (np.arange(round(192 * scale)) / scale - 2 * t).clip(0, 191)
            y = (np.arange(side) / scale).clip(0, 127)
            frames.append(soft[y.astype(int)][:, x.astype(int)])
        video = np.repeat(np.stack(frames)[..., None], 3, -1).astype(np.uint8)
        path = write_clip(f"{tmp_path}/{side}.mp4", video=video)
        profile.write(path)
        inner = profile.read(path)[:, 2:6, 2:6]
        assert abs(np.median(inner) - 2) < 0.5, (side, np.median(inner))
    assert SHORT_SIDE == 128


def test_colours_are_the_means_of_the_cells(profile, tmp_path):
    video = np.zeros((2, 32, 64, 3), np.uint8)
    video[1, :16, 32:] = (200, 100, 50)
    path = write_clip(f"{tmp_path}/two.mp4", video=video)
    profile.write(path)
    colours = profile.colours(path)
    assert colours.shape == (2, 16, 16, 3) and colours.dtype == np.uint8
    assert np.abs(colours[1, 1:7, 9:15].astype(int) - (200, 100, 50)).max() < 8
    assert colours[0].max() < 8 and colours[1, 9:].max() < 8


def test_a_video_of_one_frame_does_not_move(profile, tmp_path):
    path = write_clip(f"{tmp_path}/one.mp4", video=blob(1))
    profile.write(path)
    assert profile.read(path).shape == (1, 16, 16) and not profile.read(path).any()
    assert profile.colours(path).shape == (1, 16, 16, 3)


def test_content_method_and_grid_name_the_file(clip, tmp_path):
    first = MotionProfile(tmp_path, "difference")
    first.write(clip)
    assert first.has(clip) and first.has(shutil.copy(clip, tmp_path / "moved.mp4"))
    others = [{"grid": 8, "method": "difference"}, {"method": "farneback"}]
    assert not any(MotionProfile(tmp_path, **other).has(clip) for other in others)
    assert not first.has(tmp_path / "absent.mp4")


def test_auto_is_flow_where_opencv_is_installed(monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    for has, method in ((True, "farneback"), (False, "difference")):
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, has=has: (object() if has else None) if name == "cv2" else found(name),
        )
        assert MotionProfile("x").method == method
        assert MotionProfile("x").path(__file__) == MotionProfile("x", method).path(__file__)


def test_differences_need_no_opencv_and_profiles_are_read_without(clip, tmp_path):
    pytest.importorskip("cv2")
    MotionProfile(tmp_path, "farneback").write(clip)
    code = f"""
import sys
sys.modules["cv2"] = None
from keras_vssl.data.mining import MotionProfile
profile = MotionProfile({str(tmp_path)!r}, "difference")
assert profile.write_all([{clip!r}], 1) == [] and profile.read({clip!r}).any()
assert MotionProfile({str(tmp_path)!r}, "farneback").read({clip!r}).any()
try:
    MotionProfile({str(tmp_path / "new")!r}, "farneback").write_all([{clip!r}])
except ValueError as error:
    assert "pip install keras-vssl[flow]" in str(error), error
else:
    raise SystemExit("mined flow without OpenCV")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_kept_is_not_mined_again_and_failures_leave_no_file(clip, tmp_path, monkeypatch):
    profile, calls = MotionProfile(tmp_path / "motion", "difference"), []
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    failed = profile.write_all([str(bad), clip], 2, progress=lambda *done: calls.append(done))
    assert [path for path, _ in failed] == [str(bad)] and calls == [(1, 2), (2, 2)]
    names = [name for _, _, files in os.walk(profile.folder) for name in files]
    assert names == [os.path.basename(profile.path(clip))]
    monkeypatch.setattr(MotionProfile, "write", lambda *_: pytest.fail("mined again"))
    profile.write_all([clip])


def test_an_absent_or_damaged_profile_is_one_sentence(clip, tmp_path):
    profile = MotionProfile(tmp_path, "difference", 8)
    command = "keras-vssl mine on its folder .--kind motion --method difference --grid 8 --cache"
    with pytest.raises(ReadError, match=command):
        profile.read(clip)
    profile.write(clip)
    with open(profile.path(clip), "r+b") as file:
        file.truncate(100)
    with pytest.raises(ReadError, match="its motion profile is damaged .*; delete "):
        profile.read(clip)


def test_settings_that_can_not_be_are_refused():
    with pytest.raises(ValueError, match="Expected a method of auto, farneback, difference"):
        MotionProfile(method="dis")
    with pytest.raises(ValueError, match="grid of 1 to 128 cells"):
        MotionProfile(grid=0)
    with pytest.raises(ValueError, match="True, False or a dict"):
        motion_profile("flow")


def test_an_argument_stands_for_a_profile():
    assert motion_profile(False) is None and motion_profile(None) is None
    assert motion_profile({"folder": "x", "method": "difference"}).folder == "x"
    assert motion_profile(True).settings == MotionProfile().settings


@pytest.mark.parametrize("length", [2, 5, 6, 9])
def test_windows_are_weighted_by_their_mean_motion(length):
    motion = np.random.default_rng(0).uniform(0.5, 2, 20)
    weights = window_weights(motion, length)
    assert len(weights) == 21 - length + 1
    means = [motion[s : s + length - 1].mean() for s in range(len(weights))]
    assert np.allclose(weights, np.array(means) / np.sum(means))
    cells = np.repeat(motion[:, None, None], 4, axis=2)
    assert np.allclose(window_weights(cells, length), weights)


@pytest.mark.parametrize("length", [2, 5, 6, 15])
def test_windows_centre_where_something_moves(length):
    motion = np.zeros(40)
    motion[20:26] = 1.0  # the frames 20 to 26 differ
    starts = np.flatnonzero(window_weights(motion, length))
    centres = starts + (length - 1) / 2
    assert centres.min() >= 20 and centres.max() <= 26 and len(starts) >= 6


def test_windows_of_still_and_of_short_videos():
    assert np.allclose(window_weights(np.zeros(9), 4), 1 / 7)
    assert window_weights(np.ones(3), 4).tolist() == [1.0]
    assert window_weights(np.ones(3), 9).tolist() == [1.0]
    assert window_weights(np.zeros((1, 16, 16)), 2).tolist() == [1.0]
    with pytest.raises(ValueError, match="at least 2 frames"):
        window_weights(np.ones(3), 1)


@pytest.mark.parametrize("size", [0.25, 0.4, (0.5, 0.3), 1.0])
def test_the_patch_holds_the_most_motion(size):
    rng = np.random.default_rng(1)
    height, width = size if isinstance(size, tuple) else (size, size)
    for _ in range(5):
        motion = rng.gamma(0.3, size=(6, 8, 8))
        left, top, right, bottom = moving_patch(motion, (1, 4), size)
        assert np.allclose((right - left, bottom - top), (width, height))
        assert left >= 0 and top >= 0 and right <= 1 and bottom <= 1
        fine = np.kron(motion[1:4].mean(axis=0), np.ones((60, 60)))  # cells of 60 x 60 points
        table = np.pad(fine, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        h, w = round(height * 480), round(width * 480)
        sums = table[h:, w:] - table[:-h, w:] - table[h:, :-w] + table[:-h, :-w]
        y, x = round(top * 480), round(left * 480)
        assert sums[y, x] >= sums.max() * (1 - 1e-6)


def test_only_the_window_counts_for_the_patch():
    motion = np.zeros((10, 4, 4))
    motion[2, 0, 0], motion[7, 3, 2] = 1.0, 5.0
    assert moving_patch(motion, (0, 5), 0.25) == (0.0, 0.0, 0.25, 0.25)
    assert moving_patch(motion, (5, 10), 0.25) == (0.5, 0.75, 0.75, 1.0)
    assert np.allclose(moving_patch(motion, (3, 6), (0.5, 0.4)), (0.3, 0.25, 0.7, 0.75))
    for window in ((3, 3), (-1, 4), (0, 11)):
        with pytest.raises(ValueError, match="window of frames from 0 to 10"):
            moving_patch(motion, window, 0.5)
    with pytest.raises(ValueError, match="size above 0"):
        moving_patch(motion, (0, 5), 0.0)


def test_a_small_thing_is_in_the_middle_of_its_patch():
    motion = np.zeros((2, 16, 16))
    motion[:, 7, 9] = 1.0
    left, top, right, bottom = moving_patch(motion, (0, 2), 0.25)
    assert abs((left + right) / 2 - 9.5 / 16) < 0.04 and abs((top + bottom) / 2 - 7.5 / 16) < 0.04
