"""The motion world: motion names the class, single frames do not, files are what they say."""

import csv
import os

import av
import numpy as np
import pytest

from keras_vssl.data import synthetic
from keras_vssl.data.synthetic import motion, scene

CHANCE = 1 / 12


def read_csv(root, name):
    with open(os.path.join(root, name), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def decode(path):
    with av.open(path) as media:
        return np.stack([f.to_ndarray(format="rgb24") for f in media.decode(video=0)])


def nearest(train, test, train_labels, test_labels):
    """Share of test rows whose nearest train row (Euclidean) has their label."""
    train, test = (np.reshape(a, (len(a), -1)).astype(np.float32) for a in (train, test))
    distance = (train**2).sum(1) - 2 * test @ train.T
    return np.mean(train_labels[distance.argmin(1)] == test_labels)


def thumbnails(videos, side=8):
    """Mean over blocks: [..., S, S, 3] to [..., side, side, 3]."""
    block = videos.shape[-2] // side
    shape = (*videos.shape[:-3], side, block, side, block, 3)
    return videos.reshape(shape).mean((-4, -2))


def population(level, count, size, frames=40):
    """Videos of the 12 default classes, four to an appearance, and a split by appearance."""
    labels = np.random.default_rng(5).permutation(np.arange(count) % 12)
    return (
        labels,
        np.arange(count) // 4 % 3 == 0,
        (
            synthetic.world._render(
                synthetic.CLASSES[label], (9, 1, i // 4), (9, 2, i), level, frames, size, 25
            )[0]
            for i, label in enumerate(labels)
        ),
    )


@pytest.mark.parametrize("level", synthetic.LEVELS)
def test_single_frame_tells_nothing(level):
    # 1,500 videos, 500 of them queries: one standard deviation of an accuracy at chance is 1.2
    # points, so the margin of 5 points is four of them.
    labels, test, videos = population(level, 1500, 16)
    times = [0, 13, 26, 39]
    frames = np.stack([v[times] for v in videos])
    for k, time in enumerate(times):
        for name, view in (("pixels", frames[:, k]), ("thumbnail", thumbnails(frames[:, k]))):
            score = nearest(view[~test], view[test], labels[~test], labels[test])
            assert abs(score - CHANCE) < 0.05, f"{name} at frame {time}: {score:.3f}"


def test_marginals_do_not_depend_on_class_or_time():
    for name in synthetic.CLASSES:
        tracks = [motion.track(name, 40, np.random.default_rng((3, i))) for i in range(1500)]
        for state in ("x", "y", "angle", "size"):
            values = np.stack([getattr(t, state) % 1 for t in tracks])
            for time in (0, 7, 20, 39):
                # Kolmogorov distance to the uniform law; 0.05 is p = 0.001 at n = 1,500.
                ordered = np.sort(values[:, time])
                gap = np.abs(ordered - (np.arange(1500) + 0.5) / 1500).max()
                assert gap < 0.05, (name, state, time, gap)


def test_motion_tells_the_class():
    # Statistics of the mean normal flow (change in time against slope in space) and the lit area.
    labels, test, videos = population("plain", 480, 32)
    rows = []
    for video in videos:
        grey = np.abs(video.astype(np.float32) - np.median(video, (0, 1, 2))).sum(-1)
        grey /= grey.max()
        down, across = np.gradient(grey, axis=(1, 2))
        change = np.gradient(grey, axis=0)
        flow_x, flow_y = (-(change * g).sum((1, 2)) / (g * g).sum((1, 2)) for g in (across, down))
        area = np.gradient(grey.sum((1, 2))) / grey.sum((1, 2)).mean()
        rows.append(
            [flow_x.mean(), flow_y.mean(), np.abs(flow_x).mean(), np.abs(flow_y).mean()]
            + [np.median(area) * 20, np.median(flow_x[:-3] * flow_y[3:] - flow_y[:-3] * flow_x[3:])]
        )
    rows = np.array(rows) / np.std(rows, axis=0)
    score = nearest(rows[~test], rows[test], labels[~test], labels[test])
    assert score > 5 * CHANCE, score


def test_direction_of_motion_is_what_the_name_says():
    def centre_path(name):
        t = motion.track(name, 9, np.random.default_rng(0))
        return t.x[-1] - t.x[0], t.y[-1] - t.y[0], t.angle[-1] - t.angle[0], t.size[-1] - t.size[0]

    assert centre_path("move_up")[1] < 0 < centre_path("move_down")[1]
    assert centre_path("move_left")[0] < 0 < centre_path("move_right")[0]
    assert centre_path("shrink")[3] < 0 < centre_path("grow")[3]
    # The angle turns the picture clockwise: a drop that points up points right a quarter turn on.
    tip = []
    for angle in (0.0, 0.25):
        canvas = np.zeros((1, 64, 64, 3), np.float32)
        half, radius = np.full(1, 0.5), np.full(1, 0.4)
        scene._paint(canvas, "drop", np.full(3, 255.0), half, half, np.full(1, angle), radius)
        mass = canvas[0, ..., 0] > 128
        tip.append(mean_of_far(mass))
    assert tip[0][0] < -10 and abs(tip[0][1]) < 3, tip
    assert tip[1][1] > 10 and abs(tip[1][0]) < 3, tip


def mean_of_far(mass):
    """(down, right) offset from the centre of the pixels farthest from it."""
    at = np.argwhere(mass) - 31.5
    far = np.linalg.norm(at, axis=1)
    return at[far > far.max() - 2].mean(0)


def test_bounces_click_where_they_hit():
    track = motion.track("bounce", 40, np.random.default_rng(4))
    assert len(track.hits) >= 2
    at = track.hits[(track.hits > 3) & (track.hits < 36)]
    before, here, after = (np.interp(at + d, np.arange(40), track.y) for d in (-3, 0, 3))
    assert (here > before + 0.05).all() and (here > after + 0.05).all()  # down is more
    _, audio, _ = synthetic.render("bounce", seed=4)
    assert audio.dtype == np.float32 and audio.shape == (25600,) and np.abs(audio).max() <= 1


def test_written_files_are_what_the_arguments_say(tmp_path):
    calls = []
    root = synthetic.write(
        tmp_path / "w",
        videos=24,
        frames=20,
        size=48,
        fps=20,
        seed=3,
        progress=lambda *a: calls.append(a),
    )
    rows = read_csv(root, "splits.csv")
    assert calls[-1] == (24, 24) and len(rows) == 24
    for row in rows:
        assert row["path"].split("/")[0] == row["label"]
        with av.open(os.path.join(root, row["path"])) as media:
            picture, sound = media.streams.video[0], media.streams.audio[0]
            assert picture.codec_context.name == "h264" and float(picture.average_rate) == 20
            assert sound.codec_context.name == "aac" and sound.rate == 16000
            assert sound.layout.name == "mono" and (picture.width, picture.height) == (48, 48)
            images = list(media.decode(picture))
        assert len(images) == 20
        assert [i for i, f in enumerate(images) if f.key_frame] == [0, 12]


def test_files_show_what_render_returns(tmp_path):
    root = synthetic.write(tmp_path / "w", videos=12, frames=12, seed=3, level="distractors")
    row = read_csv(root, "splits.csv")[0]
    want, _, caption = synthetic.world._render(
        row["label"], (3, 1, int(row["group"][1:])), (3, 2, 0), "distractors", 12, 64, 25
    )
    error = np.abs(decode(os.path.join(root, row["path"])).astype(int) - want)
    assert error.mean() < 6  # compression and halved colour resolution
    assert read_csv(root, "captions.csv")[0] == {"path": row["path"], "caption": caption}


def test_content_does_not_depend_on_workers(tmp_path):
    roots = [
        synthetic.write(tmp_path / str(n), videos=12, frames=10, seed=1, workers=n) for n in (1, 3)
    ]
    for row in read_csv(roots[0], "splits.csv"):
        first, second = ((tmp_path / str(n) / row["path"]).read_bytes() for n in (1, 3))
        assert first == second
    for name in ("splits.csv", "captions.csv", "spec.json"):
        assert (tmp_path / "1" / name).read_text() == (tmp_path / "3" / name).read_text()


def test_groups_are_on_one_side_and_hold_several_classes(tmp_path):
    root = synthetic.write(tmp_path / "w", videos=96, frames=2, size=16)
    rows = read_csv(root, "splits.csv")
    sides, kinds = {}, {}
    for row in rows:
        sides.setdefault(row["group"], set()).add(row["split"])
        kinds.setdefault(row["group"], set()).add(row["label"])
    assert all(len(s) == 1 for s in sides.values())
    assert np.mean([len(k) > 1 for k in kinds.values()]) > 0.9
    assert sum(r["split"] == "test" for r in rows) == 24
    assert {r["label"] for r in rows} == set(synthetic.CLASSES[:12])


def test_a_finished_folder_is_kept_and_an_interrupted_one_completed(tmp_path):
    arguments = {"videos": 12, "frames": 4, "size": 16}

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.write(tmp_path / "w", progress=stop, **arguments)
    assert not (tmp_path / "w" / "splits.csv").exists()
    root = synthetic.write(tmp_path / "w", **arguments)
    files = sorted((tmp_path / "w").glob("*/*"))
    assert [f.suffix for f in files] == [".mp4"] * 12
    stamps = [f.stat().st_mtime_ns for f in files]
    assert synthetic.write(root, **arguments) == root
    assert stamps == [f.stat().st_mtime_ns for f in files]
    with pytest.raises(ValueError, match="other arguments \\(seed\\)"):
        synthetic.write(root, seed=1, **arguments)


def test_captions_say_what_is_there():
    for i, name in enumerate(synthetic.CLASSES):
        for level in synthetic.LEVELS:
            _, _, caption = synthetic.render(i, seed=i, level=level, frames=2, size=16)
            look = scene.Appearance.draw(np.random.default_rng((i, 1)))
            for part in (look.colour_name, look.shape, look.ground_name, motion.PHRASES[name]):
                assert part in caption
            assert ("patterned" in caption) == (level != "plain")
            assert ("smaller shapes" in caption) == (level == "distractors")
            assert " a orange" not in f" {caption}" and "an patterned" not in caption


def test_named_colours_are_on_screen():
    for seed in range(20):
        look = scene.Appearance.draw(np.random.default_rng((seed, 1)))
        video, _, _ = synthetic.render(0, seed=seed, frames=1)
        ground = np.median(video[0].reshape(-1, 3), axis=0)
        assert np.abs(ground - scene.GROUNDS[look.ground_name]).max() <= 13
        shown = np.abs(video[0].astype(int) - scene.COLOURS[look.colour_name]).max(-1) <= 13
        assert shown.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "hard"}, "`level` must be one of"),
        ({"videos": 5}, "`videos` must be"),
        ({"classes": 1}, "`classes` must be"),
        ({"classes": ["up"]}, "`classes` must be"),
        ({"size": 33}, "use 34"),
        ({"size": 8}, "`size` must be an integer of 16"),
        ({"frames": 0}, "`frames` must be"),
        ({"fps": 0}, "`fps` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"workers": 0}, "`workers` must be"),
    ],
)
def test_bad_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic.write(tmp_path / "w", **arguments)
    assert not (tmp_path / "w").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="absent or empty"):
        synthetic.write(tmp_path)
    assert os.listdir(tmp_path) == ["mine.txt"]
