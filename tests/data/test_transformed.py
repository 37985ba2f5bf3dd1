"""Videos that share a draw: TEC's plans, and the groups of a batch that they are made for."""

import pathlib

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.pipeline import Prefetcher
from keras_vssl.data.samplers import Clips, Spatial, plan_rng
from keras_vssl.data.samples import Batches, Samples
from keras_vssl.data.transformed import ORDERS, TransformedClips, order_label
from tests.clips import write_clip

SPATIAL = Spatial(None, 16, "random_resized", (0.3, 1.0), flip=0.5)
LENGTHS = (12, 30, 19, 14, 40, 33, 25, 8)


class Info:
    width, height, fps = 64, 48, 25.0

    def __init__(self, frames):
        self.frames = frames


def made(first, second, epoch, **options):
    """The plans of two videos of so many frames under one draw, and the draw."""
    sampler = TransformedClips(spatial=SPATIAL, **options)
    infos = [Info(first), Info(second)]
    common = sampler.common(infos, plan_rng(0, epoch, 5))
    return [sampler.plan(info, plan_rng(0, epoch, i), common) for i, info in enumerate(infos)]


def transformation(plan):
    """What two clips say: steps of both, the same throughout, and second start less first."""
    steps = []
    for view in plan.views:
        (step,) = set(np.diff(view.frames).tolist())
        steps.append(step)
    starts = [int(view.frames.min()) for view in plan.views]
    return (*steps, starts[1] - starts[0])


def test_extents_are_overlapping_ordered_or_unordered():
    name = [ORDERS[order_label(*pair)] for pair in (
        ((0, 16), (16, 32)), ((16, 32), (0, 16)), ((0, 16), (15, 31)), ((0, 16), (0, 16)),
    )]  # fmt: skip
    assert name == ["ordered", "unordered", "overlapping", "overlapping"]


def test_swapping_the_clips_swaps_ordered_and_unordered():
    rng = np.random.default_rng(0)
    swap, seen = {0: 0, 1: 2, 2: 1}, set()
    for _ in range(300):
        starts, lengths = rng.integers(0, 60, 2), rng.integers(1, 40, 2)
        first, second = ((s, s + n) for s, n in zip(starts, lengths))
        label = order_label(first, second)
        assert order_label(second, first) == swap[label]
        seen.add(label)
    assert seen == {0, 1, 2}


def test_a_clip_at_twice_the_speed_spans_31_frames():
    sampler = TransformedClips(spatial=SPATIAL)
    twice, once = sampler.extents((0, 1, 0, 0, 0, 20))
    assert twice == (0, 31) and once == (20, 36)
    assert ORDERS[order_label(twice, once)] == "overlapping"
    # A reversed clip has the extent that it has forwards.
    assert sampler.extents((0, 1, 0, 1, 1, 20)) == (twice, once)
    assert sampler.extents((0, 1, 0, 0, 0, -20)) == ((20, 51), (0, 16))


def test_matched_pairs_share_the_transformation_and_nothing_spatial():
    speeds, directions, orders, starts = set(), set(), set(), set()
    for epoch in range(200):
        one, two = made(180, 130, epoch)
        assert transformation(one) == transformation(two)
        assert (one.target == two.target).all() and one.target.dtype == np.int32
        pair, ka, kb, da, db, shift, order = one.target.tolist()
        assert transformation(one) == (
            2**ka * (-1 if da else 1), 2**kb * (-1 if db else 1), shift
        )  # fmt: skip
        extents = [(v.frames.min(), v.frames.max() + 1) for v in one.views]
        assert order == order_label(*extents) and 0 <= pair < 2**24
        assert len({v.box for v in (*one.views, *two.views)}) == 4
        for plan, total in ((one, 180), (two, 130)):
            assert all(v.frames.min() >= 0 and v.frames.max() < total for v in plan.views)
        speeds |= {ka, kb}
        directions.add((da, db))
        orders.add(order)
        starts.add(min(v.frames.min() for v in one.views) - min(v.frames.min() for v in two.views))
    assert speeds == {0, 1, 2, 3} and len(directions) == 4 and orders == {0, 1, 2}
    assert len(starts) > 50, "each video has a start of its own"


@pytest.mark.parametrize("total, most", [(8, 0), (16, 0), (31, 0), (32, 1), (64, 2), (1000, 3)])
def test_speeds_are_those_that_the_shorter_video_allows(total, most):
    for pair in ((total, 1000), (1000, total)):
        drawn = {k for e in range(60) for k in made(*pair, e)[0].target[1:3].tolist()}
        assert drawn == set(range(most + 1))


def test_a_video_shorter_than_a_clip_is_repeated():
    for epoch in range(20):
        short, long = made(10, 100, epoch)
        assert short.target[1:6].tolist()[:2] == [0, 0] and short.target[5] == 0
        frames = np.sort(short.views[0].frames) if short.target[3] else short.views[0].frames
        assert set(frames.tolist()) == set(range(10)) and len(frames) == 16


def test_no_clip_is_cut_to_fit():
    sampler = TransformedClips(spatial=SPATIAL)
    far = (7, 0, 0, 0, 0, 60)
    assert sampler.fits(Info(76), far) and not sampler.fits(Info(75), far)
    with pytest.raises(ValueError, match="draw the pair's `common` for both"):
        sampler.plan(Info(75), plan_rng(0, 0, 0), far)


def test_a_video_by_itself_has_a_draw_of_its_own():
    plan = TransformedClips(spatial=SPATIAL).plan(Info(60), plan_rng(0, 0, 0))
    assert plan.target.shape == (7,) and len(plan.views) == 2


# Groups of a batch


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("lengths")
    for i, frames in enumerate(LENGTHS):
        write_clip(root / f"{i}.mp4", frames=frames, seed=i)
    return kv.data.Videos.from_folder(root).probe()


SAMPLER = TransformedClips(4, 2, SPATIAL)


def test_neighbours_are_a_group_and_batches_without_groups_are_what_they_were():
    plain, paired = Batches(9, 5, 3), Batches(9, 5, 3, group=2)
    rows = plain.rows(4, 0)
    assert np.array_equal(rows, paired.rows(4, 0))
    assert [(row, len(group)) for row, group in plain.groups(4, 0)] == [(r, 0) for r in rows]
    groups = paired.groups(4, 0)
    assert [row for row, _ in groups] == rows.tolist()
    want = [rows[:2], rows[:2], rows[2:4], rows[2:4], rows[4:]]
    assert all(np.array_equal(group, w) for (_, group), w in zip(groups, want))


def equal(one, two):
    return all(np.array_equal(one[0][name], two[0][name]) for name in one[0]) and np.array_equal(
        one[1], two[1]
    )


def test_every_way_to_read_gives_the_same_pairs(videos):
    samples = Samples(videos, SAMPLER, seed=3)
    whole = list(Prefetcher(samples, Batches(8, 4, 3, group=2), 0, 0, last_epoch=3))
    for _, y in whole:
        assert (y[0::2] == y[1::2]).all() and len(set(y[:, 0].tolist())) == 2
    assert len({tuple(y[0, 1:6]) for _, y in whole}) > 1
    # Resumed in the middle of an epoch.
    rest = list(Prefetcher(samples, Batches(8, 4, 3, group=2), 1, 1, last_epoch=3))
    assert len(whole) == 6 and all(equal(a, b) for a, b in zip(whole[3:], rest, strict=True))
    sequence = kv.data.BatchSequence(samples, 4)
    assert all(equal(sequence[i], whole[i]) for i in range(2))
    dataset = list(kv.data.tf_dataset(samples, 4).as_numpy_iterator())
    assert all(equal(a, b) for a, b in zip(dataset, whole))


def test_without_groups_a_sample_is_that_of_before(videos):
    samples = Samples(videos, Clips(4, spatial=SPATIAL), seed=3)
    for row in range(3):
        rng = plan_rng(3, 2, videos.keys[row])
        want = samples.sampler.plan(videos.infos[row], rng)
        assert np.array_equal(samples.plan(row, 2).views[0].frames, want.views[0].frames)


def test_who_takes_the_place_of_a_broken_video_follows_its_pairs_draw(tmp_path, videos, capsys):
    for i, frames in enumerate(LENGTHS):
        write_clip(tmp_path / f"{i}.mp4", frames=frames, seed=i)
    copy = kv.data.Videos.from_folder(tmp_path).probe()
    path = pathlib.Path(copy.paths[4])
    path.write_bytes(path.read_bytes()[:300])
    samples, group = Samples(copy, SAMPLER, seed=0), np.array([4, 5])
    taken = set()
    for epoch in range(30):
        broken, whole = samples(4, epoch, group), samples(5, epoch, group)
        assert np.array_equal(broken[1], whole[1])
        row = int(broken[0]["index"])
        assert row not in (4, 5) and SAMPLER.fits(copy.infos[row], tuple(broken[1][:6].tolist()))
        taken.add(row)
    assert len(taken) > 2 and list(samples.skipped) == [4]
    assert capsys.readouterr().err.count("Left out") == 1


def test_with_nobody_left_the_neighbour_takes_its_place(tmp_path):
    for i in range(2):
        write_clip(tmp_path / f"{i}.mp4", frames=20, seed=i)
    two = kv.data.Videos.from_folder(tmp_path).probe()
    path = pathlib.Path(two.paths[0])
    path.write_bytes(path.read_bytes()[:300])
    data, _ = Samples(two, SAMPLER, seed=0)(0, 0, np.array([0, 1]))
    assert data["index"] == 1


def test_without_a_speed_there_is_no_clip():
    with pytest.raises(ValueError, match="at least one speed"):
        TransformedClips(speeds=0)
