"""The speediness curve, its plan, and the video that is rendered from it."""

import os
import tracemalloc
import types

import keras
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.writer import VideoWriter
from keras_vssl.downstream import plan_speed, speed_up, speediness
from keras_vssl.downstream.speedup import (
    fit_speed,
    natural_rates,
    positions,
    render,
    thinned,
)

RATE = 16000


class Ruler(keras.layers.Layer):
    """Says "normal" of a clip whose brightness changes by at most `limit` a frame."""

    def __init__(self, limit, frames=8, size=(8, 8)):
        super().__init__()
        self.limit = limit
        self.sampler = types.SimpleNamespace(
            frames=frames, spatial=types.SimpleNamespace(shape=size)
        )
        self.built = True

    def call(self, clips, training=None):
        light = keras.ops.mean(keras.ops.cast(clips, "float32"), axis=(3, 4, 5))
        changes = keras.ops.abs(light[:, :, 1:] - light[:, :, :-1])
        return 20.0 * (self.limit - keras.ops.max(changes, axis=2))


def write(path, light, sound=None, fps=25.0):
    """Grey frames `[n]`, a beat of sound wherever `sound` `[n]` is True."""
    rate = None if sound is None else RATE
    with VideoWriter(str(path), fps, (32, 32), rate, quality=4) as writer:
        for i, value in enumerate(light):
            writer.frame(np.full((32, 32, 3), value, np.uint8))
            if sound is not None:
                t = np.arange(round(RATE / fps)) / RATE
                writer.sound(0.5 * sound[i] * np.sin(2 * np.pi * 1000 * t))
    return str(path)


def two_paces(count=240):
    """Brightness that changes by 2 a frame in the first half, by 6 in the second."""
    there_and_back = [np.abs((pace * np.arange(count // 2) + 90) % 180 - 90) for pace in (2, 6)]
    return np.concatenate(there_and_back) + 60


@pytest.fixture(scope="module")
def paces(tmp_path_factory):
    beats = np.zeros(240, bool)
    beats[[30, 90, 150, 210]] = True
    return write(tmp_path_factory.mktemp("paces") / "in.mp4", two_paces(), beats)


# The plan


def dense(values, rate, alpha, beta):
    count = len(values)
    steps = np.diff(np.eye(count), axis=0)
    matrix = np.eye(count) + alpha * steps.T @ steps + beta / count
    return np.linalg.solve(matrix, values + beta * rate)


VALUES = 3 + 3 * np.random.default_rng(0).random(50)


@pytest.mark.parametrize("alpha, beta", [(0.5, 0.1), (10.0, 3.0), (300.0, 50.0)])
def test_the_plan_is_the_dense_solution(alpha, beta):
    plan = plan_speed(VALUES, 4.0, alpha, beta)
    assert plan.min() > 1  # no bound is active
    assert np.abs(plan - dense(VALUES, 4.0, alpha, beta)).max() < 1e-6


def test_without_weights_the_plan_is_the_curve():
    assert np.abs(plan_speed(VALUES, 2.0, 0.0, 0.0) - VALUES).max() < 1e-12


@pytest.mark.parametrize("alpha, beta", [(0.0, 1.0), (40.0, 0.0), (1e4, 1e4), (7.0, np.inf)])
def test_a_constant_curve_of_the_wanted_rate_stays(alpha, beta):
    assert np.abs(plan_speed(np.full(30, 2.5), 2.5, alpha, beta) - 2.5).max() < 1e-9


def test_large_weights_are_hard_constraints():
    assert plan_speed(VALUES, 3.5, 20.0, 1e8).mean() == pytest.approx(3.5, abs=1e-5)
    assert plan_speed(VALUES, 3.5, 20.0).mean() == pytest.approx(3.5, abs=1e-9)
    assert np.ptp(plan_speed(VALUES, 3.5, 1e8, 1.0)) < 1e-4


def test_speeds_at_a_bound_are_held_and_the_rest_makes_up_for_them():
    values = np.concatenate([np.ones(20), np.full(20, 4.0)])
    plan = plan_speed(values, 2.0, 0.0)
    assert plan[:20].tolist() == [1.0] * 20 and np.allclose(plan[20:], 3.0)
    plan = plan_speed(values, 2.0, 30.0, most=2.6)
    assert plan.min() == 1.0 and plan.max() == 2.6 and plan.mean() == pytest.approx(2.0, abs=1e-9)
    # Held entries satisfy the conditions of a minimum: moving one off its bound costs.
    plan = plan_speed(values, 1.4, 5.0, 2.0)
    gradient = 2 * (plan - values) + 4.0 * (plan.mean() - 1.4)
    gradient[1:] += 10.0 * np.diff(plan)
    gradient[:-1] -= 10.0 * np.diff(plan)
    assert np.abs(gradient[plan > 1]).max() < 1e-9 and gradient[plan == 1].min() > -1e-9


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ((VALUES, 0.5), "rate of 1 or more"),
        ((VALUES, np.nan), "rate of 1 or more"),
        ((VALUES, 2.0, -1.0), "alpha and beta"),
        ((np.array([1.0, np.nan]), 2.0), "finite values"),
        ((np.zeros((2, 2)), 2.0), "finite values"),
        ((VALUES, 2.0, 1.0, 1.0, 1.5), "most to be at least"),
    ],
)
def test_wrong_arguments_of_the_plan_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan_speed(*arguments)


def test_a_moment_may_be_played_at_the_largest_rate_that_looks_normal():
    rates = [1.0, 1.5, 2.25, 3.0]
    for j in range(4):
        fires = np.where(np.arange(4)[:, None] <= j, 0.9, 0.1) * np.ones((4, 5))
        assert natural_rates(fires, rates).tolist() == [rates[j]] * 5
    assert natural_rates(np.full((4, 5), 0.2), rates).tolist() == [1.0] * 5


def test_speed_2_shows_every_second_frame():
    assert positions(np.full(11, 2.0)).tolist() == [0, 2, 4, 6, 8, 10]
    assert thinned(11, 2.5).tolist() == [0, 3, 5, 8, 10]


@pytest.mark.parametrize("rate", [1.0, 1.3, 2.0, 6.0])
def test_the_wanted_length_is_hit(rate):
    speed = fit_speed(np.repeat(VALUES, 8), rate)
    assert abs(len(positions(speed)) - 400 / rate) <= 1
    assert speed.min() >= 1


# The curve


def test_the_curve_finds_what_looks_normal(paces):
    """A change of 7 a frame is normal: up to rate 3 in the first half, 1 in the second."""
    curve = speediness(Ruler(7.0), paces, step=1, rates=(1.0, 1.5, 2.0, 3.0, 4.0))
    values = curve.values
    assert len(values) == len(curve.seconds) == 240 and curve.normal.shape == (5, 240)
    assert np.allclose(values[20:95], 3.0)
    assert np.allclose(values[140:], 1.0)


def test_rates_with_fewer_frames_than_a_window_are_left_out(paces, tmp_path):
    short = write(tmp_path / "short.mp4", two_paces(16))
    assert speediness(Ruler(7.0), short).rates.tolist() == [1.0, 1.25, 1.5625, 1.953125]
    with pytest.raises(ValueError, match="at least 17 frames.*has 16"):
        speediness(Ruler(7.0, frames=17), short)
    with pytest.raises(ValueError, match="increasing rates"):
        speediness(Ruler(7.0), short, rates=(2.0, 1.0))
    with pytest.raises(ValueError, match="threshold"):
        speediness(Ruler(7.0), short, threshold=1.0)


def test_a_task_goes_in_as_it_is(paces):
    """The ends of the curve are what the task says of the first and of the last window."""
    keras.utils.set_random_seed(0)
    backbone = kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1))
    task = kv.tasks.SpeedNet(backbone, frames=8, size=16)
    task.classify.kernel.assign(30.0 * task.classify.kernel)  # so that clips differ
    curve = speediness(task, paces, rates=(1.0, 2.0), batch_size=4)
    for end, numbers in ((0, range(8)), (-1, range(232, 240))):
        view = kv.data.View(np.array(numbers), (0, 0, 1, 1), (16, 16))
        clip = kv.data.read_plan(paces, kv.data.Plan((view,)))["clips"]
        logit = float(keras.ops.convert_to_numpy(task(clip[None]))[0, 0])
        assert curve.normal[0, end] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
    assert np.ptp(curve.normal[0]) > 1e-2


# The video


def test_the_video_is_as_short_as_wanted_and_slower_where_it_has_to_be(paces, tmp_path):
    target = str(tmp_path / "out.mp4")
    stages = []
    curve, speed, places = speed_up(
        Ruler(7.0), paces, target, 2.0, smooth=0.2, step=2,
        progress=lambda stage, done, total: stages.append((stage, done, total)),
    )  # fmt: skip
    assert speed[20:100].min() > 1.5 * speed[150:].max()
    with kv.data.VideoReader(target) as reader:
        assert reader.info.frames == len(places) and abs(len(places) - 120) <= 1
        frames = np.stack(reader.frames(range(len(places))))
        assert reader.info.duration == pytest.approx(len(places) / 25, abs=0.07)
        sound = reader.audio(0.0, len(places) / 25, RATE)
    # The nearest frames of the source, and no others.
    shown = np.floor(places + 0.5).astype(int)
    assert np.abs(frames.mean((1, 2, 3)) - two_paces()[shown]).max() < 3
    # The beats are heard when their frames are seen.
    loud = np.flatnonzero(np.abs(sound) > 0.2) / RATE
    for beat in (30, 90, 150, 210):
        expected = np.interp(beat + 0.5, places, np.arange(len(places))) / 25
        assert np.abs(loud - expected).min() < 0.03, beat
    assert {stage for stage, _, _ in stages} == {"look", "write"}
    assert stages[-1] == ("write", len(places), len(places))
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_real_sound_and_an_uneven_clock(shared, tmp_path):
    """A clip whose frames are not equally long; the result is, and its sound is as long."""
    source, target = str(shared / "data/av/long_jump.mp4"), str(tmp_path / "out.mkv")
    with kv.data.VideoReader(source) as reader:
        info = reader.info
        speed = 1 + np.linspace(0, 20, info.frames)
        places = render(source, target, speed)
        last = np.interp(places[-1], np.arange(info.frames), reader.timestamps)
    with kv.data.VideoReader(target) as reader:
        made = reader.info
        sound = reader.audio(0, len(places) / info.fps, 16000)
    assert made.frames == len(places) and (made.height, made.width) == (info.height, info.width)
    assert made.fps == pytest.approx(info.fps, rel=0.01) and made.audio_rate == info.audio_rate
    assert np.abs(sound).mean() > 1e-3 and last < info.duration


def test_a_failure_leaves_nothing(paces, tmp_path):
    target = tmp_path / "out.mp4"

    def stop(stage, done, total):
        if stage == "write" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        speed_up(Ruler(7.0), paces, str(target), 2.0, step=8, progress=stop)
    assert os.listdir(tmp_path) == []
    for arguments, sentence in (
        ((paces, str(tmp_path / "out.gif"), 2.0), "to end in"),
        ((paces, paces, 2.0), "another file"),
        ((paces, str(target), 0.9), "rate of 1 or more"),
    ):
        with pytest.raises(ValueError, match=sentence):
            speed_up(Ruler(7.0), *arguments)
    with pytest.raises(ValueError, match="a speed for each of 240"):
        render(paces, str(target), np.ones(10))
    assert os.listdir(tmp_path) == []


def test_memory_does_not_grow_with_the_video(tmp_path):
    """The peak of what Python and NumPy hold; 900 more frames are 2.8 MB of pixels."""

    def peak(count):
        source = write(tmp_path / f"{count}.mp4", two_paces(count), np.zeros(count, bool))
        tracemalloc.start()
        speed_up(ruler, source, str(tmp_path / "out.mp4"), 2.0, step=16, rates=(1.0, 2.0))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    ruler = Ruler(7.0)
    peak(100)  # what is imported and compiled once
    assert peak(1200) - peak(300) < 1e6
