"""RSPNet keeps what its card says and learns relative speed on the motion world."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vssl as kv
from keras_vssl.data.samplers import Spatial, plan_rng
from keras_vssl.tasks.pretext.rspnet import BothSpeeds, at_speeds, discrimination_and_ranking
from tests import backends, contract


class Info:
    frames, fps, width, height = 100, 25.0, 48, 48


def tiny(**options):
    return kv.tasks.RSPNet(contract.nano(), **{"dim": 8, "queue_size": 12, "size": 16, **options})


def embeddings(count=5, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, 3, 2, 8)).astype("float32")
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_runs_are_consecutive_frames_from_starts_and_with_crops_of_their_own():
    sampler = BothSpeeds(spatial=Spatial(None, 16, "random_resized", (0.4, 1.0), flip=0.5))
    seen = set()
    for epoch in range(60):
        query, key = sampler.plan(Info, plan_rng(0, epoch, 0)).views
        for view in (query, key):
            assert (np.diff(view.frames) == 1).all() and len(view.frames) == 32
            assert 0 <= view.frames[0] <= 68
        assert query.box != key.box
        seen.add(int(query.frames[0] - key.frames[0]))
    assert len(seen) > 20 and sampler.shape == (2, 32, 16, 16, 3)

    class Short(Info):
        frames = 20

    frames = sampler.plan(Short, plan_rng(0, 0, 0)).views[0].frames
    assert frames.tolist() == [*range(20), *range(12)]
    with pytest.raises(ValueError, match="speed of 2 or more"):
        BothSpeeds(speed=1)


def test_a_run_is_shown_slow_or_fast():
    runs = ops.reshape(ops.arange(3 * 8), (3, 8, 1, 1, 1))
    got = backends.to_numpy(at_speeds(runs, ops.convert_to_tensor([True, False, True]), 2))
    assert got[..., 0, 0, 0].tolist() == [[0, 1, 2, 3], [8, 10, 12, 14], [16, 17, 18, 19]]


@pytest.mark.parametrize("count", [1, 2, 7, 10])
def test_exactly_half_of_the_queries_rounded_down_are_at_normal_speed(count):
    task = tiny()
    draws = np.stack([backends.to_numpy(task.normal(count)) for _ in range(40)])
    assert (draws.sum(axis=1) == count // 2).all()
    if count > 2:  # and which of them is random
        assert len({tuple(draw) for draw in draws}) > 10
        assert draws.any(axis=0).all() and not draws.all(axis=0).any()


def test_the_keys_are_one_clip_at_both_speeds():
    """k and k' differ by the speed alone, and k has the query's."""
    task = tiny(frames=4, jitter=0.0, grayscale=0.0)
    # Not a ramp: its fast clip is a multiple of its slow one, and a unit vector sees no factor.
    greys = np.array([10, 240, 30, 90, 250, 0, 60, 180], "uint8")
    clips = np.broadcast_to(greys[None, None, :, None, None, None], (6, 2, 8, 16, 16, 3))
    query, same, other = np.moveaxis(backends.to_numpy(task(clips, training=False)), 1, 0)
    assert np.allclose(query, same, atol=1e-5), "query and key show the same run at one speed"
    assert np.abs(same - other).max(axis=(1, 2)).min() > 1e-4
    # In evaluation every second query is at normal speed: its k is the other one's k'.
    assert np.allclose(same[1::2], other[::2], atol=1e-5)


def test_the_hinge_is_0_from_a_lead_of_014_on():
    def ranking(lead):
        x = np.zeros((1, 3, 2, 8), "float32")
        x[0, 0, 1, 0] = 1.0
        x[0, 1, 1, 0], x[0, 2, 1, 0] = 0.5 + lead, 0.5
        _, hinge = discrimination_and_ranking(x, np.zeros((1, 8), "float32"))
        return float(backends.to_numpy(hinge)[0])

    assert abs(ranking(0.1401)) < 1e-6
    assert np.isclose(ranking(0.07), 1.0, atol=1e-4) and np.isclose(ranking(0.0), 2.0)
    assert np.isclose(ranking(-0.07), 3.0, atol=1e-4)


def test_the_queue_gets_the_keys_of_the_other_speed():
    task, y = tiny(), embeddings()
    task.compute_loss(y_pred=y, training=True)
    keys = backends.to_numpy(task.queue.keys())[:5]
    assert np.allclose(keys, y[:, 2, 0], atol=1e-6)
    task.compute_loss(y_pred=y, training=False)
    assert backends.to_numpy(task.queue.valid()).sum() == 5, "evaluation adds nothing"


def test_the_loss_is_the_weighted_sum_and_keys_get_no_gradient():
    y = embeddings()

    def loss(**options):
        task = tiny(**options)
        task.queue.enqueue(embeddings(12, 9)[:, 0, 0])
        return task

    both = float(backends.to_numpy(loss().compute_loss(y_pred=y, training=False)))
    parts = [
        float(backends.to_numpy(loss(**{name: 0.0}).compute_loss(y_pred=y, training=False)))
        for name in ("appearance", "motion")
    ]
    assert min(parts) > 0 and np.isclose(both, sum(parts), rtol=1e-5)
    task = loss()
    _, (gradient,) = backends.value_and_grad(
        lambda y: task.compute_loss(y_pred=y, training=False), y
    )
    assert np.abs(gradient[:, 0]).max() > 0 and not gradient[:, 1:].any()


def test_it_learns_relative_speed_on_held_out_videos(moving_world, still_world):
    """The share of queries nearer to the key of their speed, on videos of other groups.

    Measured, of 180: 0.93 after 4 epochs on what moves, 0.42 where nothing does (0.5 by chance).
    """

    def trained(videos):
        keras.utils.set_random_seed(0)
        task = kv.tasks.RSPNet(
            contract.Shallow(16, clip=contract.CLIP), dim=16, queue_size=64, momentum=0.9,
            frames=8, speed=4, size=32, area=(0.8, 1.0), jitter=0.0, grayscale=0.0, appearance=0.0,
        )  # fmt: skip
        task.compile(keras.optimizers.Adam(3e-3))
        train = kv.data.Samples(videos.train, task.sampler, target=None, cache_bytes=2**30)
        task.fit(kv.data.BatchSequence(train, 20), epochs=4, verbose=0)
        test = kv.data.Samples(videos.test, task.sampler, seed=1, cache_bytes=2**30)
        rows = [(row, epoch) for epoch in range(3) for row in range(len(test))]
        clips = np.stack([test(row, epoch)[0]["clips"] for row, epoch in rows])
        y = backends.to_numpy(task(clips, training=True))[:, :, 1]
        return np.mean(np.sum(y[:, 0] * (y[:, 1] - y[:, 2]), axis=-1) > 0)

    moving, still = trained(moving_world), trained(still_world)
    assert moving > 0.75, (moving, still)
    assert still < 0.62, (moving, still)
