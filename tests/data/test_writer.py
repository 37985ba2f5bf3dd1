"""Written videos are whole or absent, and sound on another clock keeps its pitch and its place."""

import os

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.stretch import Stretcher
from keras_vssl.data.writer import VideoWriter, check_target, sound_rate
from tests.clips import moving_square

RATE = 16000


def tone(seconds, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def reader_of(samples):
    """`read` for a `Stretcher`: silence outside of `samples`."""

    def read(start, duration):
        first, count = round(start * RATE), round(duration * RATE)
        result = np.zeros(count, np.float32)
        here = np.arange(count) + first
        inside = (here >= 0) & (here < len(samples))
        result[inside] = samples[here[inside]]
        return result

    return read


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_a_written_video_reads_back(tmp_path, ending):
    path, video = str(tmp_path / f"video{ending}"), moving_square(20, 66, 49)
    with VideoWriter(path, 25.0, video.shape[1:3], rate=RATE) as writer:
        for image in video:
            writer.frame(image)
            writer.sound(tone(1.0)[:640])
    with kv.data.VideoReader(path) as reader:
        frames = np.stack(reader.frames(range(20)))
        sound = reader.audio(0.1, 0.5, RATE)
        assert reader.info.frames == 20 and abs(reader.info.fps - 25) < 0.01
    # The odd last row is left out.
    assert frames.shape == (20, 48, 66, 3)
    assert np.abs(frames.astype(int) - video[:, :48]).mean() < 4
    assert 0.2 < np.abs(sound).mean() < 0.4
    assert os.listdir(tmp_path) == [os.path.basename(path)]


def test_a_frame_of_another_size_is_resized(tmp_path):
    path = str(tmp_path / "video.mp4")
    with VideoWriter(path, 25.0, (48, 64)) as writer:
        writer.frame(np.full((48, 64, 3), 200, np.uint8))
        writer.frame(np.full((100, 90, 3), 200, np.uint8))
    with kv.data.VideoReader(path) as reader:
        assert all(np.abs(f.astype(int) - 200).max() < 5 for f in reader.frames([0, 1]))


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="midway"):
        with VideoWriter(str(path), 25.0, (48, 64), rate=RATE) as writer:
            writer.frame(np.zeros((48, 64, 3), np.uint8))
            raise RuntimeError("midway")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["video.mp4"]


def test_names_that_say_no_format_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.mp4.*received .*a\.gif"):
        check_target(str(tmp_path / "a.gif"))
    with pytest.raises(ValueError, match="is a folder"):
        check_target(str(tmp_path))
    with pytest.raises(ValueError, match="2 x 2"):
        VideoWriter(str(tmp_path / "a.mp4"), 25.0, (1, 64))


def test_the_rate_of_the_sound_is_one_that_aac_has():
    assert [sound_rate(r) for r in (8000, 11000, 44100, 192000)] == [8000, 11025, 44100, 96000]


def test_at_its_own_speed_the_sound_is_unchanged():
    samples = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    made = Stretcher(reader_of(samples), lambda s: s, RATE, block=0.2).take(RATE)
    assert np.abs(made - samples).max() < 1e-6


@pytest.mark.parametrize("speed", [1.3, 2.0, 5.0])
def test_faster_sound_keeps_its_pitch(speed):
    made = Stretcher(reader_of(tone(6.0)), lambda s: speed * s, RATE).take(RATE)
    spectrum = np.abs(np.fft.rfft(made))
    assert (
        abs(int(spectrum.argmax()) - 440) <= 2
    )  # bins of 1 Hz; plain resampling gives 440 x speed
    # Grains that did not fit would cancel: the loudness of the tone stays.
    assert np.std(made[1000:]) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


def test_sound_stays_in_step_on_a_clock_that_changes():
    samples = np.zeros(8 * RATE, np.float32)
    for second in (1.0, 3.0, 6.5):
        samples[round(second * RATE) :][:800] = tone(0.05, 1000.0)

    def clock(s):  # speed 1 for a second, then 3
        return np.where(s < 1.5, s, 1.5 + 3 * (s - 1.5))

    stretcher = Stretcher(reader_of(samples), clock, RATE, block=1.0)
    made = np.concatenate([stretcher.take(n) for n in (1, 999, 0, 20000, 30000)])
    loud = np.flatnonzero(np.abs(made) > 0.1) / RATE
    for expected in (1.0, 1.5 + 1.5 / 3, 1.5 + 5.0 / 3):
        nearest = loud[np.abs(loud - expected).argmin()]
        assert abs(nearest - expected) < 0.03, (expected, nearest)
    gaps = np.flatnonzero(np.diff(loud) > 0.1)
    assert len(gaps) == 2, "three bursts, no more"
