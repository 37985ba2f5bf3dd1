"""The motion world's files: what is heard happens when it is seen."""

import numpy as np

from keras_vssl.data import synthetic
from keras_vssl.data.reader import VideoReader
from keras_vssl.data.synthetic import motion, world

RATE = 16000


def test_sound_in_files_is_in_time_and_clicks_where_a_bounce_hits(tmp_path):
    root = synthetic.write(tmp_path / "w", videos=3, classes=("bounce",), size=16, workers=1)
    for index in range(3):
        _, rendered, _ = world._render("bounce", (0, 1, 0), (0, 2, index), "plain", 40, 16, 25)
        with VideoReader(f"{root}/bounce/v{index:05d}.mp4") as reader:
            heard = reader.audio(0.0, 1.6, RATE)
        lags = np.arange(-80, 81)
        likeness = [np.dot(np.roll(rendered, lag), heard) for lag in lags]
        assert abs(lags[np.argmax(likeness)]) <= RATE // 1000, "within a millisecond"
        hits = motion.track("bounce", 40, np.random.default_rng((0, 2, index))).hits / 25
        assert len(hits) >= 3
        rough = np.abs(np.diff(heard, 2))  # the hum is smooth, the click is noise
        for hit in hits[hits < 1.55]:
            at = round(hit * RATE)
            assert rough[at : at + 160].mean() > 5 * rough[max(at - 480, 0) : at - 80].mean()
