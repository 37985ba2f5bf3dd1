"""AVTS keeps its card's "Must hold" list and tells sounds in time from others."""

import keras
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.callbacks.curriculum import Curriculum, stage_value
from keras_vssl.data.frame_index import VideoInfo
from keras_vssl.data.plans import Spatial, plan_rng
from keras_vssl.data.samples import Samples, stack
from keras_vssl.data.synchronized import SynchronizedClips
from keras_vssl.losses import margin_contrastive
from tests.backends import to_numpy, value_and_grad
from tests.clips import write_folder
from tests.contract import avts, batch

STAGES = ((0, 0.0), (50, 0.25))


def info(seconds, fps=25.0, rate=44100):
    return VideoInfo("v.mp4", "yes", round(seconds * fps), 64, 48, fps, seconds, 0, rate, 1)


def sampler(**kwargs):
    return SynchronizedClips(spatial=Spatial(None, 32, "multi_scale", most_distort=0), **kwargs)


def plans(clips, video, count=300):
    return [clips.plan(video, plan_rng(0, epoch, 7)) for epoch in range(count)]


# The loss (the card's lines 1 to 3)


def check_the_loss_has_the_cards_values():
    def loss(distance, same):
        first = np.zeros((1, 4), "float32")
        second = np.array([[distance, 0, 0, 0]], "float32")
        same = np.array([same], "float32")

        def function(a, b):
            return keras.ops.mean(margin_contrastive(a, b, same, 0.99))

        value, gradients = value_and_grad(function, first, second)
        assert all(np.isfinite(g).all() for g in gradients)
        return value, np.abs(gradients).max()

    assert np.isclose(loss(0.0, 1)[0], 0.0, atol=1e-6)
    assert np.isclose(loss(0.0, 0)[0], 0.9801, atol=1e-5)
    assert loss(0.99, 0) == (0.0, 0.0) and loss(1.5, 0) == (0.0, 0.0)
    assert np.isclose(loss(0.49, 0)[0], 0.25) and np.isclose(loss(0.5, 1)[0], 0.25)


# The pairs of a batch (lines 4 and 6)


def check_one_positive_and_one_negative_a_clip():
    task = avts()
    task.hard_share.assign(0.25)
    # Clip and own sound are one vector; the other sound of row i lies 0.1 (i + 1) away.
    embedding = np.zeros((4, 3, 8), "float32")
    embedding[:, 2, 0] = [0.1, 0.2, 0.3, 0.4]
    draw = np.array([0.1, 0.9, 0.3, 1.0], "float32")

    def loss(x, y, e):
        tensor = keras.ops.convert_to_tensor
        return float(task.compute_loss(x, None if y is None else tensor(y), tensor(e)))

    def want(distances, pairs):
        return np.sum((0.99 - np.array(distances)) ** 2) / pairs

    # Row 0 alone is hard; the others take the next row's other sound. Half of 8 are positive.
    assert np.isclose(loss({}, draw, embedding), want([0.1, 0.3, 0.4, 0.1], 8), atol=1e-5)
    assert np.isclose(task.trackers["hard_negatives"].result(), 0.25)
    # Sounds of the same video are never taken for another's.
    index = {"index": keras.ops.convert_to_tensor(np.array([5, 5, 1, 5], "int32"))}
    assert np.isclose(loss(index, draw, embedding), want([0.1, 0.3, 0.4, 0.3], 8), atol=1e-5)
    # In the first stage none is hard, nor without a draw.
    task.hard_share.assign(0.0)
    assert np.isclose(loss({}, draw, embedding), want([0.2, 0.3, 0.4, 0.1], 8), atol=1e-5)
    assert np.isclose(loss({}, None, embedding), want([0.2, 0.3, 0.4, 0.1], 8), atol=1e-5)
    # A single video has no easy negative: the positive is left.
    near = embedding[:1].copy()
    near[:, 1, 0] = 0.5
    assert np.isclose(loss({}, draw[:1], near), 0.25, atol=1e-5)


def check_the_curriculum_inside_fit():
    task = avts()
    inputs, _ = batch(task, 2, count=4)
    draw = np.array([0.1, 0.9, 0.3, 0.2], "float32")
    logs = task.fit(inputs, draw, epochs=9, batch_size=4, verbose=0).history
    assert np.allclose(logs["hard_negatives"], [0.0] * 5 + [0.5] * 4)
    assert {"sync_accuracy", "order_accuracy", "feature_std", "uniformity"} <= set(logs)


# Line 8


def check_the_towers_are_independent():
    task = avts()
    inputs, _ = batch(task, 2, count=3)
    tensors = {k: keras.ops.convert_to_tensor(v) for k, v in inputs.items()}
    before = to_numpy(task(tensors, training=False))
    for weight in task.backbone.trainable_weights:
        weight.assign(weight + 0.1)
    after = to_numpy(task(tensors, training=False))
    assert np.abs(after[:, 0] - before[:, 0]).max() > 1e-4
    np.testing.assert_allclose(after[:, 1:], before[:, 1:], atol=1e-6)
    for weight in task.audio_backbone.trainable_weights:
        weight.assign(weight + 0.1)
    last = to_numpy(task(tensors, training=False))
    np.testing.assert_allclose(last[:, 0], after[:, 0], atol=1e-6)
    assert np.abs(last[:, 1:] - after[:, 1:]).max() > 1e-4


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_avts(check):
    check()


# The schedule and the sampler (lines 4 and 5)


def test_stages_are_passed_through_at_the_same_shares_of_any_run():
    for epochs in (9, 90, 180):
        values = [stage_value(STAGES, e, epochs, 90) for e in range(epochs)]
        assert values == [0.0] * (5 * epochs // 9) + [0.25] * (4 * epochs // 9)
    assert [stage_value(STAGES, e, 2, 90) for e in range(2)] == [0.0, 0.0]
    for stages in ((), ((1, 0.0),), ((0, 0.0), (5, 0.1), (5, 0.2))):
        with pytest.raises(ValueError, match="from epoch 0 on, in order"):
            Curriculum("hard_share", stages, 9, 90)


def test_a_quarter_of_the_negatives_is_hard_in_the_second_stage():
    draws = np.array([p.target for p in plans(sampler(), info(10), 3000)])
    assert 0 <= draws.min() and draws.max() < 1, "a draw is never below a share of 0"
    assert abs(np.mean(draws < 0.25) - 0.25) < 0.025  # three standard deviations


@pytest.mark.parametrize("seconds", [2.5, 2.6, 3.0, 10.0])
@pytest.mark.parametrize("fps", [25.0, 29.97, 60.0])
def test_hard_negatives_are_half_a_second_apart_and_inside_the_video(seconds, fps):
    sides = set()
    video = info(seconds + 1 / fps, fps)
    for plan in plans(sampler(), video):
        own, other = plan.audio
        apart = max(other.start - (own.start + 1.0), own.start - (other.start + 1.0))
        assert apart >= 0.5 - 1e-6 and plan.target < 1
        for span in plan.audio:
            assert -1e-6 <= span.start and span.start + 1 <= video.frames / fps + 1e-6
        sides.add(other.start > own.start)
    assert sides == {True, False}


def test_where_in_the_video_a_sound_lies_says_nothing():
    starts = np.array([[a.start for a in p.audio] for p in plans(sampler(), info(3.2), 4000)])
    own, other = (np.histogram(s, 11, (0, 2.2))[0] / 4000 for s in starts.T)
    assert np.abs(own - other).max() < 0.03


def test_videos_too_short_for_a_hard_negative_have_easy_ones_only():
    for plan in plans(sampler(), info(2.4)):
        assert plan.target == 1.0 and 0 <= plan.audio[1].start <= 1.4


@pytest.mark.parametrize("fps", [10.0, 25.0, 29.97, 60.0])
def test_picture_and_sound_are_of_the_same_time(fps):
    for plan in plans(sampler(), info(4, fps), 50):
        times = plan.views[0].frames / fps
        start = plan.audio[0].start
        assert len(times) == 25 and plan.audio[0].duration == 1.0
        assert plan.views[0].frames.max() < info(4, fps).frames
        # Each frame is the one on show in the middle of its 25th of a second.
        shown = start + (np.arange(25) + 0.5) / 25
        assert (times <= shown + 1e-6).all() and (shown < times + 1 / fps + 1e-6).all()


def test_super_hard_negatives_overlap_the_clip_when_asked_for():
    for plan in plans(sampler(super_hard=1.0), info(4)):
        assert abs(plan.audio[0].start - plan.audio[1].start) < 1.0


def test_silent_and_short_videos_are_refused():
    assert sampler().refuses(info(3)) is None
    assert sampler().refuses(info(3, rate=None)) == "it has no sound"
    assert "25" in sampler().refuses(info(0.9))
    assert sampler().shapes["audio"] == ((2, 16000), "float32")


def test_a_silent_folder_is_one_sentence(tmp_path):
    videos = kv.data.Videos.from_folder(write_folder(tmp_path, each=2, frames=16))
    with pytest.raises(ValueError, match="two usable videos, but 0 of 4") as error:
        avts().fit(videos, verbose=0)
    assert "it has no sound; use videos with sound" in str(error.value)


# Line 7


def test_mc3_keeps_every_frame():
    backbone = kv.backbones.MC3(width=4, blocks=(1, 1, 1, 1))
    clip = np.zeros((1, 5, 32, 32, 3), "uint8")
    for name in ("stem", "layer1", "layer2", "layer3", "layer4"):
        assert backbone.endpoint(name)(clip).shape[1] == 5


# The task


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="margin above 0"):
        kv.tasks.AVTS(kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1)), "audio_vgg_nano", margin=0)
    with pytest.raises(ValueError, match='"audio"'):
        avts()(np.zeros((1, 1, 4, 16, 16, 3), "uint8"))
    with pytest.raises(ValueError, match="gap of 0 or more"):
        sampler(gap=-1)


def test_a_preset_keeps_the_audio_tower_and_lets_settings_change(tmp_path):
    task = avts()
    task.hard_share.assign(0.25)
    weights = task.audio_backbone.get_weights()
    task.audio_backbone.set_weights([w + 0.5 for w in weights])
    task.save_to_preset(str(tmp_path / "p"))
    loaded = kv.tasks.AVTS.from_preset(str(tmp_path / "p"), margin=0.5, gap=1.0)
    assert (loaded.margin, loaded.sampler.gap, loaded.sampler.frames) == (0.5, 1.0, 4)
    for new, old in zip(loaded.audio_backbone.get_weights(), weights):
        np.testing.assert_array_equal(new, old + 0.5)
    assert float(loaded.hard_share) == 0.25
    other = kv.tasks.AVTS.from_preset(str(tmp_path / "p"), dim=4)
    assert other.audio_head.widths == (4,)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Videos of 5 s at 8 frames a second; size is heard as loudness."""
    folder = tmp_path_factory.mktemp("world")
    root = kv.data.synthetic.write(
        folder / "w", videos=200, classes=("grow", "shrink"), size=32, fps=8
    )
    return kv.data.Videos.from_csv(f"{root}/splits.csv").probe()


def nano():
    eyes = kv.backbones.R3D(blocks=(1, 1, 1, 1), width=8, clip={"frames": 8, "size": 32})
    ears = kv.backbones.AudioVGG((8, 16, 32, 32), (1, 2, 4), dense=(64,), front_end="avts")
    return kv.tasks.AVTS(eyes, ears, dim=32, frames=8, size=32, scales=(1.0,))


class StopAfter(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


def test_a_resumed_run_goes_through_the_same_stages(world, tmp_path):
    def run(folder, **options):
        keras.utils.set_random_seed(1)
        out = str(tmp_path / folder)
        return nano().fit(world[:8], epochs=4, batch_size=4, out=out, verbose=0, **options).history

    whole = run("whole")
    run("stopped", callbacks=[StopAfter()])
    rest = run("stopped", resume=True)
    assert whole["hard_negatives"][:3] == [0.0] * 3 and whole["hard_negatives"][3] > 0
    assert rest["hard_negatives"] == whole["hard_negatives"][2:]
    np.testing.assert_allclose(rest["loss"][-1], whole["loss"][-1], rtol=1e-3)


def test_sync_is_learnt_on_the_motion_world_and_not_where_the_sound_is_anothers(world):
    keras.utils.set_random_seed(0)
    task = nano()
    task.fit(world.train, epochs=20, batch_size=16, cache_bytes=10**9, verbose=0)
    samples = [Samples(world.test, task.sampler, seed) for seed in range(100, 104)]
    x, y = stack([one(row) for one in samples for row in range(len(one))])

    def scores(x, share):
        task.hard_share.assign(share)
        return task.evaluate(x, y, batch_size=len(world.test), verbose=0, return_dict=True)

    foreign = {**x, "audio": np.roll(x["audio"], 5, axis=0)}
    easy, hard = scores(x, 0.0), scores(x, 1.0)
    # 192 held-out clips; chance is 0.5 everywhere. Measured: 0.85, 0.94, 0.66 and 0.71.
    assert easy["sync_accuracy"] > 0.75 and easy["order_accuracy"] > 0.8
    assert hard["sync_accuracy"] > 0.57 and hard["order_accuracy"] > 0.6
    for share in (0.0, 1.0):
        assert abs(scores(foreign, share)["sync_accuracy"] - 0.5) < 0.07
    assert easy["feature_std"] > 0.5


def main():
    for check in CHECKS:
        check()
