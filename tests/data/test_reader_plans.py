"""Plans are read in one pass, decoding what they need; sound is where it belongs."""

import numpy as np
import pytest

from keras_vssl.data import media as media_module
from keras_vssl.data import reader as reader_module
from keras_vssl.data.reader import ReadError, VideoReader, read_plan
from keras_vssl.data.samplers import AudioSpan, Plan, View
from tests.data.encoded import decode_plainly, number_of, write


def counted(monkeypatch):
    """Count frames that leave the decoder, and those converted to RGB."""
    counts = {"decoded": 0, "converted": 0}
    decode, upright = media_module.Media.decode, reader_module.upright

    def counting_decode(self, packets, errors):
        for frame in decode(self, packets, errors):
            counts["decoded"] += 1
            yield frame

    def counting_upright(*arguments):
        counts["converted"] += 1
        return upright(*arguments)

    monkeypatch.setattr(media_module.Media, "decode", counting_decode)
    monkeypatch.setattr(reader_module, "upright", counting_upright)
    return counts


def test_only_what_is_needed_is_decoded(made, monkeypatch):
    with VideoReader(made("closed_gop.mp4")) as reader:
        counts = counted(monkeypatch)
        reader.frames([62, 110, 64])  # key frames every 15: 60 to 64 and 105 to 110
        assert counts["converted"] == 3
        assert counts["decoded"] <= 5 + 6


def test_pictures_that_no_other_is_made_from_are_not_decoded_on_the_way(tmp_path, monkeypatch):
    # Three of four pictures are B, used by none.
    params = "keyint=999:bframes=3:b-adapt=0:b-pyramid=none"
    path = write(tmp_path / "b.mp4", options={"x264-params": params})
    truth = decode_plainly(path)
    with VideoReader(path) as reader:
        counts = counted(monkeypatch)
        for wanted, most in ([90, 92], 28), ([93, 94], 4), ([41], 16), ([42], 4):
            counts["decoded"] = 0
            for number, frame in zip(wanted, reader.frames(wanted), strict=True):
                assert np.array_equal(frame, truth[number])
            assert counts["decoded"] <= most


def test_views_share_one_pass(made, monkeypatch):
    path = made("one_key.mp4")
    VideoReader(path).close()  # the index is cached from here on
    counts = counted(monkeypatch)
    box, frames = (0.0, 0.0, 1.0, 1.0), np.arange(40, 56)
    plan = Plan(tuple(View(frames + shift, box, (32, 32)) for shift in (8, 0, 4)))
    clips = read_plan(path, plan)["clips"]
    assert clips.shape == (3, 16, 32, 32, 3) and clips.dtype == np.uint8
    assert counts == {"decoded": 64, "converted": 24}
    assert np.array_equal(clips[0, 0], clips[1, 8])


def test_plan_crops_resizes_and_mirrors(made):
    path = made("closed_gop.mp4")
    with VideoReader(path) as reader:
        frame = reader.frames([7])[0]
    views = (
        View(np.array([7]), (0.25, 0.5, 0.75, 1.0), (32, 48)),
        View(np.array([7]), (0.25, 0.5, 0.75, 1.0), (32, 48), flip=True),
    )
    clips = read_plan(path, Plan(views))["clips"]
    assert np.array_equal(clips[0, 0], frame[32:, 24:72])
    assert np.array_equal(clips[1, 0], clips[0, 0][:, ::-1])
    whole = read_plan(path, Plan((View(np.array([7]), (0, 0, 1, 1), (64, 96)),)))["clips"]
    assert np.array_equal(whole[0, 0], frame)
    # A box between pixels, against means of 2x2 pixels half a pixel to the right.
    box = (1 / 192, 0, 1 - 3 / 192, 1)
    half = read_plan(path, Plan((View(np.array([7]), box, (64, 94)),)))["clips"][0, 0]
    means = (frame[:, :94].astype(float) + frame[:, 1:95]) / 2
    assert np.abs(half - means).max() <= 1
    shrunk = read_plan(path, Plan((View(np.array([7]), (0, 0, 1, 1), (4, 6)),)))["clips"][0, 0]
    assert np.abs(shrunk - frame.reshape(4, 16, 6, 16, 3).mean((1, 3))).max() < 60


@pytest.mark.parametrize("ext", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_sound_is_where_it_belongs(beeps, ext, rate):
    with VideoReader(beeps[ext]) as reader:
        whole = reader.audio(0.0, 4.5, rate)
        assert whole.shape == (round(4.5 * rate),) and whole.dtype == np.float32
        t = np.arange(len(whole)) / rate
        # One channel of two carries the tone: the mean has half its amplitude.
        truth = 0.4 * np.sin(2 * np.pi * 500 * t)
        inside = (t > 2.1) & (t < 2.9)
        lag = 0.001 if ext == "ts" else 0.0005  # 500 Hz: 1 ms is a half turn
        shifts = range(-round(lag * rate), round(lag * rate) + 1)
        least = min(np.abs(np.roll(whole, s) - truth)[inside].max() for s in shifts)
        assert least < 0.06
        assert np.abs(whole[(t < 1.9) | (t > 3.1)]).max() < 0.01
        for start in (1.5, 1.95, 2.4321, 2.9):
            first = round(start * rate)
            part = reader.audio(first / rate, 0.5, rate)
            # Matroska's time stamps are rounded to 1 ms, elsewhere seeking shifts nothing.
            slack = round(0.001 * rate) + 1 if ext == "mkv" else 0
            errors = [
                np.abs(part - whole[first + s : first + s + len(part)]).max()
                for s in range(-slack, slack + 1)
            ]
            assert min(errors) < 0.05


def test_silence_where_there_is_no_sound(beeps, made):
    with VideoReader(beeps["mp4"]) as reader:
        assert np.abs(reader.audio(4.9, 2.0, 8000)[8000:]).max() == 0
        before = reader.audio(-1.0, 4.0, 8000)
        assert np.abs(before[:8000]).max() < 0.01
        assert np.argmax(np.abs(before) > 0.1) == pytest.approx(3 * 8000, abs=40)
    with VideoReader(made("one_key.mp4")) as reader:
        assert not reader.audio(0.0, 1.0, 16000).any()
        assert reader.info.audio_rate is None


def test_plan_reads_sound_beside_frames(beeps):
    spans = (AudioSpan(2.2, 0.5, 16000), AudioSpan(0.0, 0.5, 16000))
    plan = Plan((View(np.array([3, 50]), (0, 0, 1, 1), (64, 96)),), audio=spans)
    result = read_plan(beeps["mp4"], plan)
    assert [number_of(frame) for frame in result["clips"][0]] == [3, 50]
    assert result["audio"].shape == (2, 8000)
    assert result["audio"][0].std() > 0.2 and result["audio"][1].std() < 0.01


def test_torture_sound_that_starts_late(shared):
    with VideoReader(shared / "data/torture/audio_starts_late.mp4") as reader:
        sound = reader.audio(0.0, 4.0, 16000)
    assert not sound[: int(0.9 * 16000)].any()
    assert np.abs(sound[int(1.1 * 16000) :]).max() > 0.01
    with VideoReader(shared / "data/torture/audio_only.mp4") as reader:
        assert reader.audio(0.5, 1.0, 8000).any()
        with pytest.raises(ReadError, match="no video stream"):
            reader.frames([0])
