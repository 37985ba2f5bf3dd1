"""VCOP keeps its card's "Must hold" list and learns its pretext on the motion world."""

import itertools
import math

import keras
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data.samplers import Spatial, plan_rng
from keras_vssl.layers.heads import OrderHead
from keras_vssl.tasks.pretext.vcop import ShuffledClips, decode_order, encode_order


class Info:
    frames, fps, width, height = 100, 25.0, 320, 240


@pytest.mark.parametrize("count", [3, 4, 5])
def test_the_head_has_a_unit_for_every_order(count):
    head = OrderHead(16, 0.0)
    head.build((None, count, 8))
    assert head.classify.units == math.factorial(count)
    # The pair layer is one, whatever n; the classifier reads all pairs.
    assert head.pair.count_params() == 16 * 16 + 16
    assert head.classify.kernel.shape[0] == 16 * count * (count - 1) // 2


def test_head_parameters_equal_the_published_count():
    head = OrderHead(512, 0.5)
    head.build((None, 3, 512))
    assert head.count_params() == 534_022


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_orders_are_numbered_lexicographically(count):
    orders = list(itertools.permutations(range(count)))
    assert [encode_order(o) for o in orders] == list(range(len(orders)))
    assert [decode_order(i, count) for i in range(len(orders))] == orders
    assert encode_order(range(count)) == 0
    assert encode_order(range(count)[::-1]) == math.factorial(count) - 1


def test_the_target_names_the_source_of_every_position():
    sampler = ShuffledClips(spatial=Spatial())
    seen = set()
    for epoch in range(200):
        plan = sampler.plan(Info, plan_rng(0, epoch, 0))
        starts = [int(view.frames[0]) for view in plan.views]
        order = tuple(sorted(starts).index(s) for s in starts)
        assert decode_order(plan.target, 3) == order
        seen.add(int(plan.target))
        assert (np.diff(sorted(starts)) == 24).all()
    assert seen == set(range(6))


def test_each_clip_has_a_crop_of_its_own_and_all_its_frames_share_it():
    plan = ShuffledClips(spatial=Spatial()).plan(Info, plan_rng(0, 0, 0))
    assert len({view.box for view in plan.views}) > 1
    assert all(len(view.frames) == 16 for view in plan.views)


def test_videos_shorter_than_the_tuple_are_refused():
    sampler = ShuffledClips(spatial=Spatial())

    class Short(Info):
        frames = 63

    assert sampler.span(Info) == 64 and sampler.refuses(Short)
    Short.frames = 64
    assert sampler.refuses(Short) is None


def test_swapping_clips_swaps_features_and_nothing_else():
    keras.utils.set_random_seed(0)
    task = kv.tasks.VCOP(
        kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1)), frames=4, size=16, resize=(20, 24)
    )
    clips = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 16, 16, 3), dtype=np.uint8)
    tensor = keras.ops.convert_to_tensor
    features = keras.ops.convert_to_numpy(task.encode(tensor(clips), training=False))
    swapped = keras.ops.convert_to_numpy(task.encode(tensor(clips[:, [1, 0, 2]]), training=False))
    assert np.allclose(features[:, [1, 0, 2]], swapped, atol=1e-5)


def test_impossible_tuples_are_refused():
    backbone = kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1))
    with pytest.raises(ValueError, match="2 to 6 clips"):
        kv.tasks.VCOP(backbone, clips=7)
    with pytest.raises(ValueError, match="gap"):
        kv.tasks.VCOP(backbone, gap=-1)
