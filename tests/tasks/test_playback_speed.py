"""PSP keeps its card's "Must hold" list and learns its pretexts on the motion world."""

import itertools

import keras
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.samplers import plan_rng
from keras_vssl.data.speeds import SortedSpeedClips, SpeedClips, decode_ranks, encode_ranks
from tests import contract


class Info:
    frames, fps, width, height = 100, 25.0, 320, 240


def plans(sampler, info=Info, count=200):
    return [sampler.plan(info, plan_rng(0, epoch, 0)) for epoch in range(count)]


def speed_of(view):
    """The signed speed that a view shows, from its frames."""
    (step,) = set(np.diff(view.frames).tolist())
    return step


def sampler_speed(index):
    """The speed of a class of the default speeds."""
    return SpeedClips().speeds[index]


def tiny(task=kv.tasks.PlaybackSpeed, backbone=None, **options):
    options = {"frames": 4, "resize": (20, 24), "size": 16, **options}
    return task(backbone or contract.nano(), **options)


def test_ranks_are_those_of_signed_speeds():
    assert encode_ranks((1, 4, -1)) == 3 and decode_ranks(3, 3) == (1, 2, 0)
    assert encode_ranks((-1, 1, 4)) == 0
    assert encode_ranks((4, 1, -1)) == 5
    assert encode_ranks((-4, -2, -1, 1, 2, 4)) == 0


def test_the_sort_head_has_a_unit_for_every_order():
    assert tiny().head.classify.units == 6
    assert tiny(clips=4).head.classify.units == 24
    names = tiny(kv.tasks.PlaybackSpeedClassification, speeds=(-2, -1, 1, 2))
    assert names.head.units == 4
    clips = np.zeros((2, 3, 4, 16, 16, 3), "uint8")
    assert tiny()(clips).shape == (2, 6) and names(clips).shape == (2, 3, 4)


def test_a_backward_clip_is_the_flip_of_the_forward_one():
    sampler = SpeedClips(frames=16)
    for speed in (1, 2, 4):
        forwards = sampler.indices(speed, 7, 100)
        assert (sampler.indices(-speed, 7, 100) == forwards[::-1]).all()
    # In a short video too: it is filled forwards, then reversed.
    assert (sampler.indices(-4, 0, 10) == sampler.indices(4, 0, 10)[::-1]).all()


def test_a_speed_is_a_stride():
    assert SpeedClips(frames=16).indices(2, 5, 100).tolist() == list(range(5, 36, 2))


def test_permuted_clips_have_permuted_ranks_and_the_label_restores_the_order():
    labels = set()
    for speeds in itertools.permutations((-2, 1, 4)):
        label = encode_ranks(speeds)
        ranks = decode_ranks(label, 3)
        assert [speeds[i] for i in np.argsort(ranks)] == [-2, 1, 4]
        labels.add(label)
    assert labels == set(range(6))


def test_targets_say_what_the_plan_shows():
    seen, named, starts = set(), set(), set()
    for sort, name in zip(plans(SortedSpeedClips()), plans(SpeedClips())):
        speeds = [speed_of(view) for view in sort.views]
        assert len(set(speeds)) == 3 and sort.target == encode_ranks(speeds)
        assert [sampler_speed(i) for i in name.target] == [speed_of(v) for v in name.views]
        seen.add(int(sort.target))
        named |= set(name.target.tolist())
        starts.add(len({int(view.frames.min()) for view in sort.views}))
        for view in sort.views:
            assert view.frames.min() >= 0 and view.frames.max() < Info.frames
    assert seen == set(range(6)) and named == set(range(6))
    assert 3 in starts, "starts are drawn for each clip"


def test_starts_reach_the_whole_video():
    sampler = SpeedClips(clips=1, frames=4, speeds=(-2, 2))

    class Short(Info):
        frames = 9

    found = {int(plan.views[0].frames.min()) for plan in plans(sampler, Short)}
    assert found == {0, 1, 2}, "uniform on 0 to N - 3 * 2 - 1"


@pytest.mark.parametrize("short", ["loop", "clamp"])
@pytest.mark.parametrize("frames", [1, 5, 16, 30, 31, 60, 61])
def test_no_frame_lies_outside_of_a_short_video(frames, short):
    class Short(Info):
        pass

    Short.frames = frames
    sampler = SpeedClips(short=short)
    slow = {-2, -1, 1, 2} if frames >= 31 else set(sampler.speeds)
    for plan in plans(sampler, Short, 40):
        shown = {sampler_speed(i) for i in plan.target}
        assert len(shown) == 3 and (shown <= slow or frames >= 61)
        for view in plan.views:
            assert view.frames.min() >= 0 and view.frames.max() < frames
    assert sampler.refuses(Short) is None
    skip = SpeedClips(short="skip")  # the three slowest are -1, 1 and one of 2
    assert (skip.refuses(Short) is None) == (frames >= 31)


def test_frames_are_the_videos_own():
    """Speeds are strides over decoded frames: nothing is resampled, blended or encoded again."""
    clip = SpeedClips(frames=8).plan(Info, plan_rng(0, 0, 0)).views
    assert all(view.frames.dtype == np.int64 and view.source == "frames" for view in clip)


def test_a_clip_has_one_crop_and_one_flip_and_clips_differ():
    spatial = tiny(size=16, flip=0.5).sampler.spatial
    drawn = plans(SortedSpeedClips(spatial=spatial), count=40)
    assert {view.flip for plan in drawn for view in plan.views} == {True, False}
    assert any(len({view.flip for view in plan.views}) == 2 for plan in drawn)
    assert all(len({view.box for view in plan.views}) > 1 for plan in drawn[:5])
    assert not any(v.flip for p in plans(tiny(flip=0.0).sampler, count=20) for v in p.views)


def test_ctps_speednet_freezes_a_frame_reverses_a_clip_and_clamps():
    """CtP's seven strides: 3 shows one frame, 0 is the reverse of 6, and no video is too short."""
    options = {"clips": 1, "fitting": False, "short": "clamp", "dropout": 0.5}
    task = kv.tasks.PlaybackSpeedClassification(
        contract.nano(), frames=16, speeds=(-4, -2, -1, 0, 1, 2, 4), size=16, resize=16, **options
    )
    sampler = task.sampler
    assert sampler.indices(sampler.speeds[3], 7, 100).tolist() == [7] * 16
    forwards = sampler.indices(sampler.speeds[6], 7, 100)
    assert (sampler.indices(sampler.speeds[0], 7, 100) == forwards[::-1]).all()
    assert forwards.tolist() == list(range(7, 71, 4))

    class Short(Info):
        frames = 20

    shown = {int(plan.target[0]): plan.views[0].frames for plan in plans(sampler, Short, 80)}
    assert set(shown) == set(range(7)) and sampler.refuses(Short) is None
    assert shown[6].tolist() == [0, 4, 8, 12, 16, *[19] * 11]
    assert shown[0].tolist() == shown[6].tolist()[::-1] and len(set(shown[3])) == 1
    # Without, a video shows only what it can hold; "skip" then wants the fastest to fit.
    fitting = SpeedClips(1, 16, sampler.speeds)
    assert {int(p.target[0]) for p in plans(fitting, Short, 80)} == {2, 3, 4}
    assert SpeedClips(1, 16, sampler.speeds, "skip", fitting=False).span(Info) == 61
    copy = type(task).from_config(task.get_config())
    assert copy.sampler == sampler and copy.drop.rate == 0.5


def test_the_mean_runs_over_all_clips():
    task = tiny(kv.tasks.PlaybackSpeedClassification, speeds=(-1, 1, 2))
    logits = np.random.default_rng(0).normal(size=(4, 3, 3)).astype("float32")
    target = np.random.default_rng(1).integers(0, 3, (4, 3))
    exponents = np.exp(logits)
    shares = np.take_along_axis(exponents / exponents.sum(-1, keepdims=True), target[..., None], -1)
    loss = float(task.compute_loss(y=target, y_pred=keras.ops.convert_to_tensor(logits)))
    assert np.isclose(loss, -np.log(shares).mean(), rtol=1e-5)


def test_impossible_speeds_are_refused():
    for speeds in ((1, 1, 2), (2, 1, -1), (1,)):
        with pytest.raises(ValueError, match="two or more distinct speeds"):
            SpeedClips(clips=1, speeds=speeds)
    with pytest.raises(ValueError, match="1 to 2 clips"):
        SpeedClips(speeds=(1, 2))
    with pytest.raises(ValueError, match="2 to 6 clips"):
        tiny(clips=1)


def test_a_network_normalised_by_groups_takes_its_own_frames():
    backbone = kv.backbones.R3D(
        blocks=(1, 1, 1, 1), width=4, temporal_groups=2, clip={"frames": 4, "size": 16}
    )
    clips = np.zeros((2, 3, 4, 16, 16, 3), "uint8")
    assert tiny(backbone=backbone)(clips).shape == (2, 6)
    with pytest.raises(ValueError, match="Expected frames=4, for which this R3D was built"):
        tiny(backbone=backbone, frames=8)


def drawn(videos, sampler, epochs, seed):
    samples = kv.data.Samples(videos.usable(sampler)[0], sampler, seed, cache_bytes=2**30)
    pairs = [samples(row, epoch) for epoch in range(epochs) for row in range(len(samples))]
    return np.stack([data["clips"] for data, _ in pairs]), np.array([y for _, y in pairs])


def learnt(method, videos, epochs, **options):
    """Accuracy on 240 plans of the test set, of what the training set taught."""
    keras.utils.set_random_seed(0)
    backbone = contract.Shallow(16, clip=contract.CLIP)
    task = method(backbone, frames=8, resize=(48, 48), size=32, short="skip", **options)
    train, held = drawn(videos.train, task.sampler, 3, 0), drawn(videos.test, task.sampler, 4, 1)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * len(train[0]) // 20)
    task.default_compile(optimizer=keras.optimizers.Adam(rate))
    task.fit(*train, epochs=epochs, batch_size=20, verbose=0)
    return task.evaluate(*held, batch_size=60, verbose=0, return_dict=True)["accuracy"]


def test_it_sorts_clips_of_held_out_videos_by_speed(moving_world, still_world):
    """Speeds 1, 2 and 4: which way is forwards this world does not tell.

    Measured: 0.76 where things move, 0.17 where nothing does (1/6 by chance).
    """
    options = {"speeds": (1, 2, 4), "hidden": 64, "dropout": 0.0}
    moving, still = (
        learnt(kv.tasks.PlaybackSpeed, world, 5, **options) for world in (moving_world, still_world)
    )
    print(moving, still)
    assert moving > 0.5 and still < 0.26, (moving, still)


def test_it_names_the_speed_of_clips_of_held_out_videos(moving_world, still_world):
    """Signed speeds: who tells the speed and not the direction, as here, is right half the time.

    Measured: 0.36 where things move, 0.18 where nothing does (1/6 by chance, 720 clips).
    """
    moving, still = (
        learnt(kv.tasks.PlaybackSpeedClassification, world, 6)
        for world in (moving_world, still_world)
    )
    print(moving, still)
    assert moving > 0.26 and still < 0.21, (moving, still)
