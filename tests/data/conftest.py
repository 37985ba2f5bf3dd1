"""Fixtures for tests of reading."""

import numpy as np
import pytest

from tests.data.encoded import RATE, STREAMS, write


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Path of an encoded file by name in `STREAMS`, made when first asked for."""
    folder, paths = tmp_path_factory.mktemp("streams"), {}

    def make(name):
        if name not in paths:
            codec, options = STREAMS[name]
            paths[name] = write(folder / name, codec, {"preset": "veryfast", **options})
        return paths[name]

    return make


@pytest.fixture(scope="session")
def beeps(tmp_path_factory):
    """5 s; a 500 Hz tone from 2.0 s to 3.0 s, left channel alone."""
    t = np.arange(5 * RATE) / RATE
    tone = 0.8 * np.sin(2 * np.pi * 500 * t) * ((t >= 2) & (t < 3))
    sound = np.stack([tone, np.zeros_like(tone)]).astype(np.float32)
    folder = tmp_path_factory.mktemp("sound")
    return {
        ext: write(folder / f"beeps.{ext}", times=range(125), sound=sound)
        for ext in ("mp4", "mkv", "ts")
    }
