"""Pace keeps what its card says and learns its pretext on the motion world."""

import keras
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.samplers import Spatial, plan_rng
from keras_vssl.tasks.pretext.pace import PacedClip, wrapped
from tests import backends, contract

SMALL = Spatial((36, 36), 32, flip=0.5)


class Info:
    frames, fps, width, height = 40, 25.0, 48, 48


def test_past_the_end_a_clip_goes_on_at_the_first_frame():
    # Frame N of N, then 1, 1 + p, ... (from 1); here from 0.
    for pace in (1, 2, 3, 4):
        got = wrapped(99, pace, 16, 100)
        assert got.tolist() == [99, *range(0, 15 * pace, pace)]
    assert wrapped(0, 4, 25, 97).tolist() == list(range(0, 97, 4))
    assert wrapped(95, 4, 4, 97).tolist() == [95, 0, 4, 8]
    # Shorter than a turn of the clip: several times around, the stride anew each time.
    assert wrapped(3, 4, 7, 6).tolist() == [3, 0, 4, 0, 4, 0, 4]
    assert wrapped(0, 3, 3, 1).tolist() == [0, 0, 0]


@pytest.mark.parametrize("short", ["loop", "skip"])
def test_the_label_is_the_stride_less_one(short):
    sampler = PacedClip(frames=8, short=short, spatial=SMALL)
    labels, starts = [], {p: set() for p in range(4)}
    for epoch in range(600):
        plan = sampler.plan(Info, plan_rng(0, epoch, 3))
        (view,) = plan.views
        steps = np.diff(view.frames)
        assert view.frames[0] < Info.frames and view.frames.max() < Info.frames
        assert set(steps[steps > 0].tolist()) <= {int(plan.target) + 1}
        assert short == "loop" or (steps > 0).all()
        labels.append(int(plan.target))
        starts[int(plan.target)].add(int(view.frames[0]))
    counts = np.bincount(labels, minlength=4)
    assert (abs(counts - 150) < 45).all(), counts  # 4 standard deviations
    most = {"loop": 39, "skip": 11}[short]  # 40 frames; 8 frames at pace 4 are 29
    assert all(max(s) > most - 4 and max(s) <= most for s in starts.values())


def test_what_the_jump_betrays_is_gone_without_it():
    """Shortcut: in short videos a clip that wraps tells its pace by that alone.

    Counted is how well the number of jumps tells the pace (0.25 by chance). Measured: 0.38 with
    "loop"; with "skip" there is no jump.
    """

    def jumps(short):
        plans = [
            PacedClip(frames=8, short=short, spatial=SMALL).plan(Info, plan_rng(0, e, 1))
            for e in range(2000)
        ]
        table = np.zeros((4, 9))
        for plan in plans:
            table[int(plan.target), (np.diff(plan.views[0].frames) < 0).sum()] += 1
        return table

    table = jumps("loop")
    assert table.max(axis=0).sum() / table.sum() > 0.34
    table = jumps("skip")
    assert table[:, 1:].sum() == 0


def test_short_videos_are_refused_only_where_clips_must_fit():
    class Short(Info):
        frames = 28

    assert "28 frames" in PacedClip(frames=8, short="skip", spatial=SMALL).refuses(Short)
    assert PacedClip(frames=8, spatial=SMALL).refuses(Short) is None
    Short.frames = 29
    assert PacedClip(frames=8, short="skip", spatial=SMALL).refuses(Short) is None
    with pytest.raises(ValueError, match="at least 2 paces"):
        PacedClip(paces=1)
    with pytest.raises(ValueError, match='"loop" or "skip"'):
        PacedClip(short="clamp")


def test_colour_is_drawn_anew_for_every_frame():
    """Shortcut: in a still clip frames differ by nothing but the draw, all of a row by one."""
    keras.utils.set_random_seed(0)
    task = kv.tasks.Pace(contract.nano(), frames=8, size=16, resize=16, jitter=0.8)
    frame = np.random.default_rng(0).integers(60, 200, (1, 1, 1, 16, 16, 3), dtype=np.uint8)
    clip = np.repeat(frame, 8, axis=2)
    changed = backends.to_numpy(task.augment(clip, training=True))[0, 0]
    means = changed.mean(axis=(1, 2))
    assert len({tuple(np.round(m, 4)) for m in means}) >= 5  # 0.8 of 8 frames changed, on average
    rest = backends.to_numpy(task.augment(clip, training=False))[0, 0]
    assert np.allclose(rest, clip[0, 0] / 255.0, atol=1e-6)
    off = kv.tasks.Pace(contract.nano(), frames=8, size=16, resize=16, jitter=0.0)
    assert np.allclose(backends.to_numpy(off.augment(clip, training=True))[0, 0], rest, atol=1e-6)


def test_the_rate_falls_tenfold_after_every_third_of_the_run():
    task = kv.tasks.Pace(contract.nano(), frames=8, size=16, resize=16)
    task.default_compile(steps=90)
    rates = [float(task.optimizer._learning_rate(step)) for step in (0, 29, 31, 59, 61, 89)]
    assert np.allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5], rtol=1e-4)


def test_it_learns_the_pace_on_held_out_videos(moving_world, still_world):
    """Accuracy over four paces on videos of other groups; what moves has speeds of its own.

    Measured: 0.47 after 20 epochs on what moves, 0.28 where nothing does (0.25 by chance).
    """

    def trained(videos):
        keras.utils.set_random_seed(0)
        task = kv.tasks.Pace(
            contract.Shallow(16, clip=contract.CLIP), frames=8, size=32, resize=(36, 36),
            short="skip", jitter=0.0,
        )  # fmt: skip
        rate = keras.optimizers.schedules.CosineDecay(5e-3, 20 * 5)
        task.compile(keras.optimizers.Adam(rate), task.loss, metrics=["accuracy"])
        task.fit(videos.train, epochs=20, batch_size=32, verbose=0, cache_bytes=2**30)
        scores = [
            task.evaluate(videos.test, batch_size=60, seed=seed, verbose=0)[1] for seed in range(2)
        ]
        return float(np.mean(scores))

    moving, still = trained(moving_world), trained(still_world)
    assert moving > 0.38 and moving > still + 0.1, (moving, still)
    assert still < 0.36, (moving, still)
