"""TrackingTriplet keeps its card's "Must hold" list and learns to match what was tracked."""

import keras
import numpy as np
import pytest

import keras_vssl as kv
from tests import backends, contract
from tests.clips import write_clip
from tests.textures import square_over_ground

TRACKS = {"length": 12, "least": 10, "every": 20}


def caffenet(dense=(64,)):
    return kv.backbones.CaffeNet(
        (16, 32, 32, 32, 32), dense, (1, 1), True, normalized_from=1, lrn=False, dropout=0.0,
        kernel_initializer="he_normal",
    )  # fmt: skip


def loss(task, y_pred, y=None):
    return float(backends.to_numpy(task.compute_loss(y=y, y_pred=y_pred, training=False)))


def test_embeddings_are_unit_vectors_of_1024_without_negative_entries():
    task = kv.tasks.TrackingTriplet(caffenet((32, 1024)), size=48)
    clips = np.random.default_rng(0).integers(0, 256, (3, 2, 1, 48, 48, 3), dtype=np.uint8)
    y = backends.to_numpy(task(clips))
    assert y.shape == (3, 2, 1024) and y.min() >= 0
    assert np.allclose(np.linalg.norm(y, axis=-1), 1, atol=1e-5)


def test_the_published_network_is_the_backbone():
    config = kv.backbones.presets.ARCHITECTURES["caffenet_tracking"]["config"]
    assert config["dense"][-1] == 1024 and not config.get("batch_normalization")
    assert config["dropout"] == 0.0


def test_perfect_embeddings_cost_nothing_and_equal_ones_the_margin():
    task = kv.tasks.TrackingTriplet(contract.nano(), size=16, hard_from=0.0)
    apart = np.repeat(np.eye(8, dtype="float32")[:, None], 2, axis=1)
    assert abs(loss(task, apart)) < 1e-6
    alike = np.tile(apart[:1], (8, 1, 1))
    assert np.isclose(loss(task, alike), 1.0, atol=1e-5)
    task.margin = 0.5
    assert np.isclose(loss(task, alike), 0.5, atol=1e-5)


def test_pairs_of_one_track_are_not_negatives():
    task = kv.tasks.TrackingTriplet(contract.nano(), size=16)
    y = np.abs(np.random.default_rng(0).normal(size=(4, 2, 8))).astype("float32")
    assert loss(task, y, np.full(4, 7)) == 0.0
    # Two candidates for each: the divisor stays 2 K.
    alike = np.ones((3, 2, 1), "float32")
    labels = np.array([1, 1, 2])
    # Of the first two pairs each has 2 negatives, of the third 4.
    assert np.isclose(loss(task, alike, labels), (2 / 4 + 2 / 4 + 4 / 4) / 3, atol=1e-5)


def test_negatives_are_random_first_and_half_hard_later():
    task = kv.tasks.TrackingTriplet(contract.nano(), size=16)
    assert task.stages == ((0, (0, 4)), (0.375, (2, 2)))
    assert kv.tasks.TrackingTriplet(contract.nano(), hard=0.3, hard_from=0).stages == (
        (0, (1, 2)),
    ), "shares are cut to whole numbers"
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(backends.to_numpy(task.counts.value).tolist())

    (clips,) = contract.batch(task, None, count=4)
    task.fit(clips, batch_size=4, epochs=4, verbose=0, callbacks=[Look()])
    assert seen == [[0, 4], [0, 4], [2, 2], [2, 2]]


def test_the_recipe_is_the_released_solver():
    task = kv.tasks.TrackingTriplet(caffenet(), size=48)
    assert task.recipe.steps == 400_000
    rate = task.optimizer.get_config()["optimizer"]["config"]["learning_rate"]
    assert rate["config"]["boundaries"] == [100_000, 200_000, 300_000]
    assert np.allclose(rate["config"]["values"], [1e-3, 1e-4, 1e-5, 1e-6])
    task.optimizer.build(task.trainable_variables)
    scales = dict(zip((v.path for v in task.trainable_variables), task.optimizer._scales))
    decays = dict(zip((v.path for v in task.trainable_variables), task.optimizer._decays))
    assert {s for path, s in scales.items() if path.endswith("bias")} == {2.0}
    assert {s for path, s in scales.items() if path.endswith("kernel")} == {1.0}
    assert all(decays[path] == path.endswith("kernel") for path in decays)


def test_the_grey_model_sees_no_colour():
    keras.utils.set_random_seed(0)
    task = kv.tasks.TrackingTriplet(caffenet(), size=48, grayscale=True)
    clips = np.random.default_rng(0).integers(0, 256, (2, 2, 1, 48, 48, 3), dtype=np.uint8)
    weights = np.array([0.299, 0.587, 0.114])
    grey = np.repeat((clips @ weights)[..., None], 3, axis=-1).round().astype(np.uint8)
    assert np.abs(backends.to_numpy(task(clips)) - backends.to_numpy(task(grey))).max() < 0.01
    task.grayscale = False
    assert np.abs(backends.to_numpy(task(clips)) - backends.to_numpy(task(grey))).max() > 0.02


def test_impossible_shares_are_refused():
    for options in ({"hard": 1.5}, {"hard_from": -0.1}, {"hard": 0.1, "random": 0.2}):
        with pytest.raises(ValueError, match="Expected"):
            kv.tasks.TrackingTriplet(contract.nano(), **options)


def world(folder, count=120, frames=14, size=72, side=46):
    """Squares of rough stripes that move over a still ground while the light's colour changes.

    Of what the first and the last patch of a track show the pattern is the same and the colour is
    not: an embedding has to see the one and to forget the other.
    """
    rng = np.random.default_rng(0)
    for i in range(count):
        step = rng.uniform(-0.8, 0.8, 2) + np.sign(rng.normal(size=2)) * 0.4
        room = size - side
        start = [rng.uniform(max(0, -s * frames), min(room, room - s * frames)) for s in step]
        pitch, angle = rng.uniform(0.06, 0.22), rng.uniform(0, np.pi)
        wave = pitch * np.cos(angle), pitch * np.sin(angle)
        video, _ = square_over_ground(
            frames, size, side, start, step, seed=i, fineness=0.05, wave=wave
        )
        first, last = rng.uniform(0.25, 1.0, (2, 3))
        light = first + (last - first) * np.linspace(0, 1, frames)[:, None]
        write_clip(f"{folder}/{i:03d}.mp4", video=(video * light[:, None, None]).astype(np.uint8))
    return kv.data.Videos.from_folder(folder)


class Mismatched(kv.data.BatchSequence):
    """Batches in which every second patch is of another video's track."""

    def __getitem__(self, step):
        inputs, labels = super().__getitem__(step)
        clips = inputs["clips"].copy()
        clips[:, 1] = np.roll(clips[:, 1], 1, axis=0)
        return {**inputs, "clips": clips}, labels


def test_it_learns_to_match_what_was_tracked(tmp_path, still_world):
    """From mined tracks; on tracks of held-out videos.

    Counted is the share of other tracks' patches that are farther from a track's first patch than
    its last one is (0.5 by chance). Measured: 0.76 before (a random network sees some of the
    pattern), 0.87 after; 0.64 for the control, which is trained to match patches of different
    tracks. Where nothing moves there is nothing to train on.
    """
    tracks = {"folder": str(tmp_path / "tracks"), **TRACKS}
    keras.utils.set_random_seed(0)
    task = kv.tasks.TrackingTriplet(caffenet(), tracks, margin=0.5, size=48, flip=0.0)
    videos = world(tmp_path / "videos")
    with pytest.raises(ValueError, match="keras-vssl mine FOLDER --kind tracks"):
        task.prepare(videos)
    assert kv.data.mine_tracks(videos, task.sampler.tracks) == []
    videos, left_out = videos.usable(task.sampler)
    assert len(videos) > 60 and left_out
    still = still_world[:12]
    assert kv.data.mine_tracks(still, task.sampler.tracks) == []
    assert len(still.usable(task.sampler)[0]) == 0

    split = len(videos) * 2 // 3
    test = kv.data.Samples(videos[split:], task.sampler, seed=1)
    held = np.stack([test(row)[0]["clips"] for row in range(len(test))])
    train = kv.data.Samples(videos[:split], task.sampler, cache_bytes=2**30)
    task.compile(keras.optimizers.Adam(3e-3))
    task.optimizer.build(task.trainable_variables)
    variables = task.weights + task.optimizer.variables
    start = [backends.to_numpy(v.value).copy() for v in variables]

    def share():
        first, last = np.moveaxis(backends.to_numpy(task(held)), 1, 0)
        scores = first @ last.T
        return (scores < np.diag(scores)[:, None]).sum() / (len(scores) * (len(scores) - 1))

    def trained(batches):
        for variable, value in zip(variables, start):
            variable.assign(value)
        task.fit(batches(train, 16), epochs=12, verbose=0)
        return share()

    before = share()
    control, after = trained(Mismatched), trained(kv.data.BatchSequence)
    assert after > 0.8 and after > max(before, control) + 0.04, (before, control, after)
    assert control < before + 0.05, (before, control, after)
