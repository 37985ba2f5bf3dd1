"""The frame cache gives what reading gives, pictures and sound, and keeps to its memory."""

import dataclasses

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data import reader
from keras_vssl.data.plans import AudioSpan
from keras_vssl.data.samplers import Clips, Spatial
from keras_vssl.data.samples import Samples


@dataclasses.dataclass(frozen=True)
class Heard(Clips):
    """Random clips with two stretches of sound."""

    def plan(self, info, rng):
        starts = rng.uniform(-0.1, 1.5, size=2)
        audio = tuple(AudioSpan(start, 0.25, 16000) for start in starts)
        return dataclasses.replace(super().plan(info, rng), audio=audio)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = kv.data.synthetic.write(tmp_path_factory.mktemp("world") / "w", videos=4, classes=2)
    return kv.data.Videos.from_folder(root).probe()


def samples(videos, limit, sampler=Heard):
    clips = sampler(8, spatial=Spatial(None, 32, "random_resized", flip=0.5))
    return Samples(videos, clips, seed=3, target=None, cache_bytes=limit)


@pytest.mark.parametrize("sampler", [Clips, Heard])
def test_cached_samples_equal_those_that_are_read(videos, sampler):
    read, cached = samples(videos, 0, sampler), samples(videos, 10**9, sampler)
    for epoch in range(3):
        for row in range(len(videos)):
            (want, _), (got, _) = read(row, epoch), cached(row, epoch)
            heard = {"audio"} if sampler is Heard else set()
            assert set(want) == set(got) == {"clips", "index"} | heard
            for name in want:
                np.testing.assert_array_equal(got[name], want[name])
    if sampler is Heard:
        assert got["audio"].shape == (2, 4000) and np.abs(got["audio"]).max() > 0.01


def test_frames_are_decoded_once_though_sound_is_asked_for(videos, monkeypatch):
    cached, decoded = samples(videos, 10**9), []
    visit = reader.VideoReader.visit
    monkeypatch.setattr(
        reader.VideoReader,
        "visit",
        lambda self, indices, use: decoded.append(self.path) or visit(self, indices, use),
    )
    for epoch in range(3):
        for row in range(len(videos)):
            cached(row, epoch)
    assert sorted(decoded) == sorted(videos.paths)


def test_the_limit_is_kept_and_what_does_not_fit_is_read(videos):
    info = videos.infos[0]
    size = info.frames * info.height * info.width * 3
    cached, read = samples(videos, 2 * size + 1), samples(videos, 0)
    for row in range(len(videos)):
        np.testing.assert_array_equal(cached(row, 0)[0]["audio"], read(row, 0)[0]["audio"])
    assert len(cached._cache.videos) == 2 and cached._cache.used == 2 * size
