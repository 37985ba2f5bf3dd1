"""Moving patches are found, followed, kept, and read as pairs."""

import glob
import os
import sys

import numpy as np
import pytest

from keras_vssl.data import (
    BatchSequence,
    PatchPairs,
    ReadError,
    Samples,
    TrackCache,
    TrackedPatches,
    TrackMiner,
    Videos,
    make_tracker,
    mine_tracks,
    plan_rng,
    read_pairs,
)
from keras_vssl.data.keypoints import corners, displacements, homography, transfer
from keras_vssl.data.trackers import grey
from keras_vssl.data.tracking import best_box, correlation
from tests.clips import write_clip
from tests.textures import panned, square_over_ground, texture

SETTINGS = {"length": 12, "least": 10, "every": 6}


def overlap(one, other):
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return both / (areas - both)


@pytest.fixture(scope="module")
def video():
    return square_over_ground()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, video):
    """Three videos with a square that moves, and one that stands still."""
    root = tmp_path_factory.mktemp("squares")
    for seed in range(3):
        write_clip(f"{root}/moving_{seed}.mp4", video=square_over_ground(seed=seed)[0])
    write_clip(f"{root}/still.mp4", video=video[0][:1].repeat(24, axis=0))
    return str(root)


@pytest.fixture(scope="module")
def cache(folder, tmp_path_factory):
    cache = TrackCache(str(tmp_path_factory.mktemp("tracks")), **SETTINGS)
    assert mine_tracks(Videos.from_folder(folder), cache, workers=1) == []
    return cache


# Must hold 8.


@pytest.mark.parametrize("step", [(2.0, 1.0), (1.1, 0.6), (-0.4, 1.5)])
def test_the_box_lies_on_what_moves(step):
    frames, boxes = square_over_ground(4, start=(14.0, 10.0), step=step)
    miner = TrackMiner(window=60 / 96)
    box, reason = miner.propose(frames[0], frames[miner.gap])
    assert reason is None and overlap(box, boxes[0]) > 0.5


def test_a_camera_that_moves_is_no_motion_and_does_not_hide_any():
    ground = np.stack([texture(96, 96, 7)] * 8).astype(np.uint8)
    miner = TrackMiner()
    for step in (1, 3):
        box, reason = miner.propose(*panned(ground, step)[[0, 3]])
        assert box is None and reason == "still"
    assert miner.propose(ground[0], ground[3]) == (None, "still")
    frames, boxes = square_over_ground(4, side=52, start=(22.0, 20.0), step=(1.8, 1.0))
    box, reason = TrackMiner(window=52 / 93).propose(*panned(frames, 1)[[0, 3]])
    assert reason is None and overlap(box, boxes[0]) > 0.5


def test_too_many_moving_points_are_not_believed():
    """No homography explains parts that go their own ways: more than 75 % move."""
    frames = [np.zeros((96, 96, 3), np.uint8) for _ in range(2)]
    for i in range(16):
        y, x = 24 * (i // 4), 24 * (i % 4)
        piece = texture(24, 24, i)
        angle = np.pi * (i * 7 % 16) / 8
        step = tuple(int(round(4 * part)) for part in (np.sin(angle), np.cos(angle)))
        frames[0][y : y + 24, x : x + 24] = piece
        frames[1][y : y + 24, x : x + 24] = np.roll(piece, step, (0, 1))
    assert TrackMiner().propose(*frames) == (None, "moving as a whole")


def test_frames_without_texture_are_left_out():
    flat = np.full((64, 64, 3), 90, np.uint8)
    assert TrackMiner().propose(flat, flat) == (None, "without texture")


def test_points_are_followed_to_a_fraction_of_a_pixel():
    big = texture(192, 192, 3, fineness=0.08)
    frames = [grey(big[y : y + 96, x : x + 96].astype(np.uint8)) for x, y in ((20, 20), (14, 23))]
    points = corners(frames[0])
    moved, kept = displacements(*frames, points)
    assert len(points) > 50 and kept.mean() > 0.8
    off = np.abs((moved - points)[kept] - [6, -3])
    assert np.median(off) < 0.01 and off.max() < 0.6
    assert corners(np.full((40, 40), 80.0, np.float32)).shape == (0, 2)


def test_the_homography_is_that_of_the_larger_part():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 200, (100, 2))
    true = np.array([[1.02, 0.03, 4.0], [-0.02, 0.97, -3.0], [1e-4, -5e-5, 1.0]])
    moved = transfer(true, points)
    moved[:35] += rng.uniform(5, 20, (35, 2))
    assert np.abs(transfer(homography(points, moved), points[35:]) - moved[35:]).max() < 1e-6


def test_the_best_box_is_the_best_of_all():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, (60, 40), (50, 2))
    left, top, right, bottom = best_box(points, (40, 60), 15)

    def count(x, y):
        near = np.round(points)
        return ((near >= (x, y)) & (near < (x + 15, y + 15))).all(axis=1).sum()

    best = max(count(x, y) for y in range(26) for x in range(46))
    assert count(left, top) == best and (right - left, bottom - top) == (15, 15)
    # One point: every box with it is as good, and it lies in the middle of the one taken.
    assert best_box(np.array([[30.0, 20.0]]), (40, 60), 15)[:2] in ((22.0, 12.0), (23.0, 13.0))


@pytest.mark.parametrize("name, slack", [("mosse", 1.5), ("mil", 6.0)])
def test_trackers_stay_on_the_square(video, name, slack):
    if name != "mosse":
        pytest.importorskip("cv2")
    frames, boxes = video[0][:12], video[1][:12]
    found = make_tracker(name)(list(frames), tuple(map(float, boxes[0])))
    assert found.shape == (12, 4) and np.abs(found - boxes).max() < slack


def test_mosse_says_when_it_has_lost_the_target(video):
    frames = list(video[0][:6]) + [texture(96, 96, 50 + i).astype(np.uint8) for i in range(4)]
    found = make_tracker("mosse")(frames, tuple(map(float, video[1][0])))
    assert 6 <= len(found) < 10


def test_tracks_that_fail_are_left_out_with_the_reason(video):
    frames = list(video[0])

    def mined(track):
        return TrackMiner(tracker=track, **{**SETTINGS, "every": 100}).mine(frames, len(frames))

    steps = np.arange(13)[:, None]
    tracks, left_out = mined(lambda f, box: np.array(box) + steps * [1.1, 0.6, 1.1, 0.6])
    assert len(tracks) == 1 and not left_out
    assert mined(lambda f, box: np.array([box] * 5))[1] == {"lost": 1}
    away = mined(lambda f, box: np.array(box) + steps * [6.0, 0, 6.0, 0])
    assert away == ([], {"lost": 1}), "the box leaves the frame"
    elsewhere = mined(lambda f, box: np.array([box] * 12 + [(0.0, 0.0, 8.0, 8.0)]))
    assert elsewhere[0] == [] or elsewhere[1] == {}
    assert TrackMiner().mine(frames[:5], 5) == ([], {"too short": 1})


def test_correlation_of_patches(video):
    frames, boxes = video
    assert correlation(frames[0], boxes[0], frames[9], boxes[9]) > 0.9
    assert (
        abs(correlation(frames[0], boxes[0], texture(96, 96, 9).astype(np.uint8), boxes[9])) < 0.5
    )
    flat = np.full((96, 96, 3), 7, np.uint8)
    assert np.isnan(correlation(frames[0], boxes[0], flat, boxes[0]))


def test_kept_tracks_follow_the_square(cache, folder):
    found = 0
    for seed in range(3):
        tracks = cache.read(f"{folder}/moving_{seed}.mp4")
        truth = square_over_ground(seed=seed)[1]
        found += len(tracks)
        for start, boxes in tracks:
            assert boxes.shape == (13, 4) and boxes.min() >= 0 and boxes.max() <= 1
            for i in (0, -1):
                true = truth[start : start + 13][i]
                inside = np.array([max(boxes[i][j] * 96, true[j]) for j in (0, 1)])
                outside = np.array([min(boxes[i][j] * 96, true[j]) for j in (2, 3)])
                assert np.prod(outside - inside) > 0.9 * np.prod((boxes[i][2:] - boxes[i][:2]) * 96)
    assert found >= 3
    assert cache.read(f"{folder}/still.mp4") == []
    assert cache.left_out(f"{folder}/still.mp4")["still"] == 2


def test_what_is_kept_is_not_mined_again(cache, folder, monkeypatch):
    monkeypatch.setattr(TrackCache, "write", lambda *_: pytest.fail("mined again"))
    calls = []
    mine_tracks(Videos.from_folder(folder), cache, 1, progress=lambda *done: calls.append(done))
    assert calls[-1] == (4, 4)


def test_settings_name_the_folder():
    others = [{}, {"tracker": "mil"}, {"length": 29}, {"gap": 2}, {"shares": (0.2, 0.75)}]
    assert len({TrackCache("x", **settings).settings for settings in others}) == len(others)


def test_videos_without_tracks_are_refused_with_the_command(cache, folder, tmp_path):
    videos = Videos.from_folder(folder)
    usable, left_out = videos.usable(TrackedPatches(cache, 32))
    assert len(usable) == 3 and left_out[0]["path"] == "still.mp4"
    assert "2 still" in left_out[0]["reason"] and "keras-vssl mine FOLDER" in left_out[0]["reason"]
    empty = TrackCache(str(tmp_path), length=12, least=10, shares=(0.2, 0.5))
    usable, left_out = videos.usable(TrackedPatches(empty, 32))
    wanted = f"--kind tracks --cache {tmp_path} --option length=12"
    assert not len(usable) and wanted in left_out[0]["reason"]
    assert "--option shares=[0.2,0.5]" in left_out[0]["reason"]
    with pytest.raises(ReadError, match="keras-vssl mine"):
        empty.read(videos.paths[0])
    path = cache.path(videos.paths[0])
    copy = TrackCache(str(tmp_path), **SETTINGS)
    os.makedirs(os.path.dirname(copy.path(videos.paths[0])))
    with open(path, "rb") as good, open(copy.path(videos.paths[0]), "wb") as bad:
        bad.write(good.read()[:200])
    with pytest.raises(ReadError, match="damaged .*delete"):
        copy.read(videos.paths[0])


def test_a_sample_is_the_first_and_the_last_patch_of_a_track(cache, folder):
    videos = Videos.from_folder(folder)
    videos, _ = videos.usable(TrackedPatches(cache, 32))
    sampler = TrackedPatches(cache, (24, 32))
    labels, flips = {}, set()
    for epoch in range(40):
        for row, info in enumerate(videos.infos):
            plan = sampler.plan(info, plan_rng(0, epoch, row))
            first, last = plan.views
            tracks = dict(cache.read(info.path))
            boxes = tracks[int(first.frames[0])]
            assert int(last.frames[0]) == int(first.frames[0]) + 12
            assert first.box == tuple(map(float, boxes[0]))
            assert last.box == tuple(map(float, boxes[-1]))
            flips.add((first.flip, last.flip))
            labels.setdefault((row, int(first.frames[0])), set()).add(int(plan.target))
    assert len(flips) == 4, "each patch is mirrored on its own"
    assert all(len(ids) == 1 for ids in labels.values())
    assert len(set().union(*labels.values())) == len(labels), "another track, another label"
    assert all(0 <= i < 2**24 for ids in labels.values() for i in ids)
    data, target = Samples(videos, sampler).read(0)
    assert data["clips"].shape == sampler.shape == (2, 1, 24, 32, 3) and target.dtype == np.int32


def test_mining_needs_no_opencv(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    cache = TrackCache(str(tmp_path), **SETTINGS)
    cache.write(f"{folder}/moving_0.mp4")
    assert cache.read(f"{folder}/moving_0.mp4")
    with pytest.raises(ValueError, match=r"pip install keras-vssl\[flow\]"):
        mine_tracks([f"{folder}/moving_0.mp4"], TrackCache(str(tmp_path), tracker="mil"))


def test_trackers_of_the_contributed_modules_say_so(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    for name in ("TrackerKCF_create", "legacy"):
        monkeypatch.delattr(cv2, name, raising=False)
    with pytest.raises(ValueError, match="opencv-contrib-python-headless"):
        make_tracker("kcf")


def test_bad_settings_are_one_sentence():
    with pytest.raises(ValueError, match="mosse, mil, kcf, csrt"):
        TrackCache(tracker="goturn").require()
    for settings in ({"short_side": 8}, {"gap": 11}, {"shares": (0.8, 0.2)}, {"lenght": 3}):
        with pytest.raises(ValueError, match="Expected"):
            TrackCache(**settings)
    with pytest.raises(ValueError, match="TrackMiner"):
        TrackCache(tracker=make_tracker("mosse"))


def test_real_clips_give_tracks_inside_the_frame(shared, tmp_path):
    """Five clips of people who sit down: in two of them three tracks are found."""
    names = sorted(glob.glob(str(shared / "data" / "actions" / "sit" / "*.mp4")))[:5]
    cache = TrackCache(str(tmp_path), length=20, every=10)
    assert mine_tracks(names, cache, workers=2) == []
    tracks = [boxes for name in names for _, boxes in cache.read(name)]
    assert tracks and all(11 <= len(boxes) <= 21 for boxes in tracks)
    for boxes in tracks:
        size = boxes[:, 2:] - boxes[:, :2]
        assert boxes.min() >= 0 and boxes.max() <= 1 and np.ptp(size, axis=0).max() < 1e-3


# The authors' list.


@pytest.fixture
def listed(tmp_path):
    from PIL import Image

    lines = []
    for i in range(12):
        Image.fromarray(np.full((20, 30, 3), 10 * i, np.uint8)).save(tmp_path / f"a {i}.png")
        lines.append(f"a {i}.png {7_000_000_000 + i // 2}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path / "list.txt"


def test_shuffling_keeps_pairs_together(listed):
    pairs = PatchPairs(listed, size=16)
    assert read_pairs(listed)[1] == ("a 2.png", "a 3.png", 7_000_000_001)
    batches, orders = BatchSequence(pairs, 3), []
    for _ in range(2):
        seen = []
        for step in range(len(batches)):
            x, labels = batches[step]
            assert x["clips"].shape == (3, 2, 1, 16, 16, 3)
            first, second = x["clips"][..., 0, 0, 0].reshape(3, 2).T // 10
            assert (second == first + 1).all() and (first // 2 == labels).all()
            seen += first.tolist()
        orders.append(seen)
        batches.on_epoch_end()
    assert sorted(orders[0]) == sorted(orders[1]) == [0, 2, 4, 6, 8, 10]
    assert orders[0] != orders[1]


@pytest.mark.parametrize(
    "text, words",
    [
        ("a.png 1\nb.png 2\n", "line 1 .* has 1 and the next 2"),
        ("a.png 1\nb.png 1\nc.png 3\n", "received 3 lines"),
        ("a.png one\n", "whole number in line 1"),
        ("5\n", "line 1"),
        ("", "received 0 lines"),
    ],
)
def test_a_list_of_another_form_is_refused(tmp_path, text, words):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_pairs(tmp_path / "list.txt")
