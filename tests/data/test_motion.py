"""Clips and their motion are read from the same times, with the published offsets."""

import numpy as np
import pytest

from keras_vssl.data import Spatial, plan_rng
from keras_vssl.data.frame_index import VideoInfo
from keras_vssl.data.motion import VisualMotionClips


def info(frames, fps=25.0):
    return VideoInfo("v.mp4", "yes", frames, 64, 48, fps, frames / fps)


def plans(frames, fps=25.0, count=100, **kwargs):
    spatial = Spatial(None, 32, "random_resized", flip=0.5)
    made = VisualMotionClips(spatial=spatial, motion_spatial=spatial, **kwargs)
    return [made.plan(info(frames, fps), plan_rng(0, e, 1)) for e in range(count)]


@pytest.mark.parametrize("fps", [15.0, 25.0, 60.0])
def test_query_and_key_start_half_a_second_to_ten_seconds_apart(fps):
    gaps = []
    for plan in plans(int(40 * fps), fps):
        query, key = (v.frames[0] for v in plan.views)
        assert [m.frames[0] for m in plan.groups["motion"]] == [query, key], "of the same time"
        gaps.append((key - query) / fps)
    assert np.abs(gaps).min() >= 0.5 and np.abs(gaps).max() <= 10.0
    assert np.abs(gaps).max() > 9 and 20 < np.sum(np.array(gaps) > 0) < 80


def test_in_short_videos_they_are_as_far_apart_as_there_is_room():
    span = 54  # 64 frames of 30 a second, at 25
    for plan in plans(span + 5):
        assert abs(plan.views[0].frames[0] - plan.views[1].frames[0]) == 5
    for plan in plans(20):
        assert [v.frames[0] for v in plan.views] == [0, 0] and plan.views[0].frames[-1] == 19


def test_rgb_and_motion_cover_the_same_stretch_by_the_published_rule():
    plan = plans(200, 30.0, 1, offset=(0.0, 0.0))[0]
    start = plan.views[0].frames[0]
    want = np.linspace(start, start + 63, 8).astype(int)
    assert (plan.views[0].frames == want).all()
    pairs = plan.groups["motion"][0].frames.reshape(16, 2)
    assert (pairs[:, 0] == np.linspace(start, start + 63, 16).astype(int)).all()
    assert (pairs[:, 1] == pairs[:, 0] + 1).all()


def test_motion_pairs_are_neighbours_also_at_the_end_of_a_video():
    for plan in plans(20):
        pairs = plan.groups["motion"][0].frames.reshape(16, 2)
        assert (pairs[:, 1] - pairs[:, 0] == 1).all() and pairs.max() == 19
    assert (plans(1, count=1)[0].groups["motion"][0].frames == 0).all()


def test_all_four_clips_have_crops_and_flips_of_their_own():
    made = plans(200, count=60)
    for plan in made:
        assert len({v.box for v in (*plan.views, *plan.groups["motion"])}) == 4
    flips = np.array([[v.flip for v in (*p.views, *p.groups["motion"])] for p in made])
    assert len({tuple(row) for row in flips}) > 10


def test_bad_offsets_are_one_sentence():
    with pytest.raises(ValueError, match="least, most"):
        VisualMotionClips(offset=(2.0, 1.0))
