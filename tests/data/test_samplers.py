"""Plans: which frames, which boxes, which targets; a function of (seed, epoch, video) alone."""

import itertools

import numpy as np
import pytest

from keras_vssl.data.samplers import (
    Clips,
    ConsecutiveClips,
    Spatial,
    View,
    linspace_starts,
    plan_rng,
)


class Info:
    def __init__(self, frames, fps=25.0, width=320, height=240):
        self.frames, self.fps, self.width, self.height = frames, fps, width, height


def frames_of(plan):
    return [view.frames.tolist() for view in plan.views]


def test_a_plan_depends_on_seed_epoch_and_video_alone():
    sampler = Clips(frames=4, count=2)
    key = (3, 5, 77)
    first = sampler.plan(Info(500), plan_rng(*key))
    sampler.plan(Info(40), plan_rng(1, 1, 1))  # another video in between changes nothing
    again = sampler.plan(Info(500), plan_rng(*key))
    assert frames_of(first) == frames_of(again)
    assert [v.box for v in first.views] == [v.box for v in again.views]
    for other in ((4, 5, 77), (3, 6, 77), (3, 5, 78)):
        assert frames_of(sampler.plan(Info(500), plan_rng(*other))) != frames_of(first)


def test_uniform_starts_follow_the_retrieval_protocol():
    assert linspace_starts(16, 16, 10).tolist() == [0] * 10
    assert linspace_starts(160, 16, 10).tolist() == [16 * i for i in range(10)]
    starts = linspace_starts(100, 16, 10)
    assert starts[0] == 0 and starts[-1] == 84 and (np.diff(starts) >= 0).all()
    plan = Clips(frames=16, count=10, mode="uniform").plan(Info(160), plan_rng(0, 0, 0))
    assert [v.frames[0] for v in plan.views] == [16 * i for i in range(10)]
    assert all((np.diff(v.frames) == 1).all() for v in plan.views)


def test_random_clips_reach_every_start_and_stay_inside():
    sampler = Clips(frames=4, stride=2)
    starts = {int(sampler.plan(Info(10), plan_rng(0, e, 0)).views[0].frames[0]) for e in range(200)}
    assert starts == {0, 1, 2, 3}  # 7 frames of span in 10


def test_a_stride_in_seconds_means_the_same_time_at_any_frame_rate():
    sampler = Clips(frames=5, stride_seconds=0.2, mode="centre")
    slow = sampler.plan(Info(100, fps=25.0), plan_rng(0, 0, 0)).views[0].frames
    fast = sampler.plan(Info(240, fps=60.0), plan_rng(0, 0, 0)).views[0].frames
    assert np.allclose(np.diff(slow) / 25.0, 0.2) and np.allclose(np.diff(fast) / 60.0, 0.2)
    tuple_sampler = ConsecutiveClips(frames=4, gap=2, stride_seconds=0.1)
    for fps in (20.0, 50.0):
        views = tuple_sampler.plan(Info(500, fps=fps), plan_rng(0, 0, 0)).views
        times = [v.frames[0] / fps for v in views]
        assert np.allclose(np.diff(times), 0.6)


def test_short_videos_follow_the_stated_rule():
    info = Info(3)
    rng = plan_rng(0, 0, 0)
    loop = Clips(frames=7, short="loop").plan(info, rng).views[0].frames
    assert loop.tolist() == [0, 1, 2, 0, 1, 2, 0]
    clamp = Clips(frames=7, short="clamp").plan(info, rng).views[0].frames
    assert clamp.tolist() == [0, 1, 2, 2, 2, 2, 2]
    assert "3 frames" in Clips(frames=7, short="skip").refuses(info)
    assert Clips(frames=7, short="loop").refuses(info) is None
    assert Clips(frames=7, short="loop").refuses(Info(0)) is not None
    with pytest.raises(ValueError, match="loop"):
        Clips(short="pad")


def test_consecutive_clips_never_overlap_and_keep_the_gap():
    sampler = ConsecutiveClips(clips=3, frames=16, gap=8)
    assert sampler.span(Info(100)) == 64
    assert sampler.refuses(Info(63)) and sampler.refuses(Info(64)) is None
    for epoch in range(50):
        views = sampler.plan(Info(100), plan_rng(0, epoch, 0)).views
        for before, after in itertools.pairwise(views):
            assert after.frames[0] - before.frames[-1] - 1 == 8
        assert 0 <= views[0].frames[0] and views[-1].frames[-1] < 100
    only = {int(sampler.plan(Info(64), plan_rng(0, e, 0)).views[0].frames[0]) for e in range(20)}
    assert only == {0}


def test_boxes_are_the_papers_crops():
    rng = plan_rng(0, 0, 0)
    ((box, flip),) = Spatial((128, 171), 112, "centre").boxes(Info(9), rng)
    assert np.allclose(box, (30 / 171, 8 / 128, 142 / 171, 120 / 128), atol=1e-9) and not flip
    found = set()
    for epoch in range(400):
        ((box, _),) = Spatial((128, 171), 112, "random").boxes(Info(9), plan_rng(0, epoch, 0))
        left, top, right, bottom = box
        assert np.isclose(right - left, 112 / 171) and np.isclose(bottom - top, 112 / 128)
        assert 0 <= left and right <= 1 + 1e-9 and 0 <= top and bottom <= 1 + 1e-9
        found.add(round(top * 128))
    assert found == set(range(17))


def test_three_crops_run_along_the_longer_side():
    wide = [box for box, _ in Spatial(256, 256, "three").boxes(Info(9), plan_rng(0, 0, 0))]
    assert np.allclose([b[0] for b in wide], [0, 0.125, 0.25]) and {b[1] for b in wide} == {0}
    tall = Spatial(256, 256, "three").boxes(Info(9, width=240, height=320), plan_rng(0, 0, 0))
    assert np.allclose([b[1] for b, _ in tall], [0, 0.125, 0.25])
    plan = Clips(frames=4, count=2, mode="uniform", spatial=Spatial(256, 256, "three")).plan(
        Info(50), plan_rng(0, 0, 0)
    )
    assert len(plan.views) == 6


def test_random_resized_crops_keep_area_and_ratio():
    spatial = Spatial(size=64, mode="random_resized", area=(0.2, 0.5), ratio=(0.75, 4 / 3))
    for epoch in range(200):
        ((box, _),) = spatial.boxes(Info(9), plan_rng(0, epoch, 0))
        width, height = (box[2] - box[0]) * 320, (box[3] - box[1]) * 240
        assert 0.2 - 1e-6 <= width * height / (320 * 240) <= 0.5 + 1e-6
        assert 0.75 - 1e-6 <= width / height <= 4 / 3 + 1e-6
        assert min(box) >= 0 and max(box) <= 1 + 1e-9


def test_flips_come_with_their_probability():
    spatial = Spatial(flip=0.3)
    flips = [spatial.boxes(Info(9), plan_rng(0, e, 0))[0][1] for e in range(1000)]
    assert 0.25 < np.mean(flips) < 0.35


def test_impossible_crops_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="resize larger or size smaller"):
        Spatial((64, 64), 112)
    with pytest.raises(ValueError, match="mode"):
        Spatial(mode="corner")


def test_views_are_plain_values():
    view = View(np.arange(2), (0, 0, 1, 1), (8, 8))
    assert view.flip is False
