"""SpeedNet keeps its card's "Must hold" list and learns its pretext on the motion world."""

import math

import keras
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.samplers import Spatial, plan_rng
from keras_vssl.tasks.pretext.speednet import SpeedPair, dropped
from tests import contract


class Info:
    frames, fps, width, height = 240, 25.0, 320, 240


def array(x):
    return keras.ops.convert_to_numpy(x)


def nano(**kwargs):
    return kv.tasks.SpeedNet(contract.nano(), frames=4, size=16, **kwargs)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("side", [64, 224])
def test_the_papers_network_keeps_every_time_step(side):
    config = {**kv.backbones.presets.ARCHITECTURES["s3dg_speednet"]["config"], "width": 4}
    backbone = kv.backbones.S3D(**config)
    shape = backbone(keras.Input((64, side, side, 3), batch_size=1)).shape
    assert tuple(shape[:4]) == (1, 64, side // 32, side // 32)


def test_one_logit_a_clip_from_the_mean_over_time_of_the_maximum_over_space():
    task, clips = nano(), noise(2, 3, 4, 16, 16, 3)
    assert array(task(clips)).shape == (2, 3)
    maps = contract.outputs(task.backbone, clips.reshape(6, 4, 16, 16, 3))
    expected = maps.max(axis=(2, 3)).mean(axis=1).reshape(2, 3, -1)
    assert np.abs(array(task.pool(clips)) - expected).max() < 1e-5
    assert task.classify.units == 1


def test_the_head_sits_on_any_backbone():
    for backbone in (kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1)), kv.backbones.C3D(width=4)):
        task = kv.tasks.SpeedNet(backbone, frames=16, size=32)
        assert array(task(noise(1, 2, 16, 32, 32, 3))).shape == (1, 2)


def test_every_batch_has_both_versions_of_each_segment():
    sampler = SpeedPair(16, spatial=Spatial(None, 32))
    plans = [sampler.plan(Info, plan_rng(0, 0, row)) for row in range(8)]
    entries = [view for plan in plans for view in plan.views]  # as a batch is flattened
    assert len(entries) == 16
    for k in range(8):
        normal, fast = entries[2 * k], entries[2 * k + 1]
        assert normal.frames[0] == fast.frames[0] and normal.frames[-1] < fast.frames[-1]
        assert normal.box == fast.box == (0, 0, 1, 1)
    assert len({view.frames[0] for view in entries}) > 4


def test_entry_0_is_the_normal_one_for_the_loss():
    task = nano()
    logits = keras.ops.convert_to_tensor([[2.0, -1.0], [0.5, 3.0]])
    loss = float(task.compute_loss(y_pred=logits))
    margins = np.array([2.0, 1.0, 0.5, -3.0])
    assert loss == pytest.approx(np.log1p(np.exp(-margins)).mean(), abs=1e-6)
    assert float(task.accuracy.result()) == 0.75


def test_frames_are_dropped_at_the_rate_and_stay_in_order():
    rng = np.random.default_rng(0)
    assert dropped(64, 1.0, 192, rng).tolist() == list(range(64))
    runs = [dropped(64, 2.0, 192, rng) for _ in range(300)]
    assert all((np.diff(run) > 0).all() and run[0] == 0 and run[-1] < 192 for run in runs)
    # Half are dropped: 63 steps of 2 frames on average.
    assert np.mean([run[-1] / 63 for run in runs]) == pytest.approx(2.0, abs=0.05)
    # A run that is too short for the rate still gives T frames.
    assert dropped(4, 3.0, 5, rng).shape == (4,)


def test_a_fixed_step_can_not_be_recognised():
    """Shortcut: in both classes steps of 1 and of 2 frames occur, unless `regular` is asked for."""

    def steps(**kwargs):
        sampler = SpeedPair(16, spatial=Spatial(None, 32), **kwargs)
        plans = [sampler.plan(Info, plan_rng(0, 0, row)) for row in range(40)]
        return [{*np.diff(np.stack([p.views[v].frames for p in plans])).ravel()} for v in (0, 1)]

    for found in steps():
        assert {1, 2, 3} <= found
    assert steps(regular=True, normal=(1, 1), fast=(2, 2)) == [{1}, {2}]


def test_the_response_does_not_count_pixels():
    """Shortcut: a clip and the same clip tiled twice over, where twice as much moves, are one."""
    task = nano()
    clip = np.random.default_rng(0).random((1, 1, 4, 8, 8, 3)).astype("float32")
    task.backbone.call = lambda clips, **kwargs: clips  # its pixels as the feature map
    task.backbone.feature_dim = 3
    pooled, tiled = (
        array(task.pool(keras.ops.convert_to_tensor(x)))
        for x in (clip, np.tile(clip, (1, 1, 1, 1, 2, 1)))
    )
    assert np.abs(pooled[0, 0] - clip[0, 0].max(axis=(1, 2)).mean(axis=0)).max() < 1e-6
    assert np.abs(pooled - tiled).max() < 1e-6


def test_single_pixels_tell_nothing_in_training():
    """Shortcut: noise as of compression is blurred away in training, and only there."""
    task = nano(sizes=(4, 4))
    grey = np.full((1, 2, 4, 16, 16, 3), 128, np.uint8)
    checks = grey + 40 * (np.indices((16, 16)).sum(0) % 2).astype(np.uint8)[..., None]
    seen = [array(task.blur(task.backbone.normalize(x), training=True)) for x in (grey, checks)]
    assert np.abs(seen[1] - seen[0]).std() < 0.01 * 20 / 255
    plain = array(task.blur(task.backbone.normalize(checks), training=False))
    assert plain.std() > 0.05


def test_the_default_sizes_are_the_papers_for_224():
    assert nano().blur.sizes == (5, 24)
    task = kv.tasks.SpeedNet(contract.nano(), frames=4, size=224)
    assert task.blur.sizes == (64, 336)


def test_the_loss_of_an_untrained_network_is_that_of_guessing():
    keras.utils.set_random_seed(0)
    task = kv.tasks.SpeedNet(contract.nano(), frames=8, size=32)
    loss = task.evaluate(noise(16, 2, 8, 32, 32, 3), batch_size=8, verbose=0)[0]
    assert loss == pytest.approx(math.log(2), abs=0.1)
    assert task.chance(16) == {"accuracy": 0.5}


def test_short_videos_are_left_out():
    sampler = SpeedPair(16, spatial=Spatial(None, 32))

    class Short(Info):
        frames = 47

    assert sampler.span(Info) == 48 and "one sample needs 48" in sampler.refuses(Short)
    Short.frames = 48
    assert sampler.refuses(Short) is None


@pytest.mark.parametrize("rates", [{"normal": (0.5, 1.0)}, {"fast": (2.0, 1.0)}, {"fast": (2, 9)}])
def test_impossible_rates_are_refused(rates):
    with pytest.raises(ValueError, match="least, most"):
        nano(**rates)


def test_it_tells_sped_up_videos_it_never_saw(moving_world, still_world):
    """Share of clips told right on videos of other groups; where nothing moves nothing is told.

    Measured over 480 clips: 0.708 after 15 epochs on what moves, 0.500 where nothing does.
    """

    def trained(videos):
        keras.utils.set_random_seed(0)
        task = kv.tasks.SpeedNet(
            contract.Shallow(16, clip=contract.CLIP), frames=8, size=32, sizes=(24, 48)
        )
        task.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 15 * 5)))
        task.fit(videos.train, epochs=15, batch_size=32, verbose=0, cache_bytes=2**30)
        scores = [
            task.evaluate(videos.test, batch_size=60, seed=seed, verbose=0)[1] for seed in range(4)
        ]
        return float(np.mean(scores))

    moving, still = trained(moving_world), trained(still_world)
    assert moving > 0.62 and still < 0.57, (moving, still)
