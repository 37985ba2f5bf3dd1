"""OPN keeps its card's "Must hold" list and learns its pretext on the motion world."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.data import orders
from keras_vssl.data.mining import MotionProfile
from keras_vssl.data.plans import Spatial, plan_rng
from keras_vssl.tasks.pretext.opn import ShuffledPatches
from tests import backends, contract
from tests.tasks import blurred


class Info:
    frames, fps, width, height, path = 100, 25.0, 320, 240, "video.mp4"


def plans(sampler, count, info=Info):
    return [sampler.plan(info, plan_rng(0, epoch, 0)) for epoch in range(count)]


def corners(plan):
    """Left and top of the crops in pixels of the frame, in temporal order."""
    views = sorted(plan.views, key=lambda view: view.frames[0])
    return np.array([(view.box[0] * 320, view.box[1] * 240) for view in views])


@pytest.fixture(scope="module")
def paper():
    return kv.tasks.OPN(kv.backbones.CaffeNet.from_preset("caffenet_opn"), motion=False)


def test_the_network_has_one_of_each_layer_and_six_pairs_of_gains(paper):
    head = paper.head
    assert head.pairs == ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)) and head.classes == 12
    assert tuple(head.classify.kernel.shape) == (3072, 12)
    assert head.pair.count_params() == 2048 * 512 + 512
    trainable = sum(int(np.prod(v.shape)) for v in head.trainable_variables)
    assert trainable == 2048 * 512 + 512 + 6 * 2 * 512 + 3072 * 12 + 12
    (fc6,) = (layer for layer in paper.backbone.layers if layer.name == "fc6")
    assert fc6.count_params() == 1024 * 1024 + 1024
    assert tuple(paper.backbone.endpoints["fc6"].shape)[-1] == 1024


def test_patches_of_80_pixels_give_a_map_of_2x2x256(paper):
    clip = np.zeros((1, 1, 80, 80, 3), np.uint8)
    assert tuple(paper.backbone.endpoint("pool5")(clip).shape) == (1, 1, 2, 2, 256)
    assert paper.sampler.shape == (4, 1, 80, 80, 3)


def test_a_converted_head_fits_the_task_and_gives_the_published_outputs(shared, paper):
    stem = shared / "goldens" / "opn-head"
    from tests.parity import _fixture_module

    _, weights, inputs, expected = _fixture_module(stem.parent).load(stem)
    paper.head.set_weights(kv.convert.convert(weights, part="head").model.get_weights())
    logits = backends.to_numpy(paper.head(inputs["fc6"], training=False))
    assert np.abs(logits - expected["logits"]).max() < 1e-4 * np.abs(expected["logits"]).max()


def test_uniform_logits_cost_ln_12(paper):
    loss = paper.compute_loss(None, np.arange(12), np.zeros((12, 12), "float32"), training=False)
    assert np.isclose(float(backends.to_numpy(loss)), 2.4849, atol=1e-4)
    assert paper.chance(8) == {"accuracy": 1 / 12}


def test_the_target_is_the_order_up_to_reversal():
    seen = set()
    for plan in plans(ShuffledPatches(), 300):
        frames = [int(view.frames[0]) for view in plan.views]
        order = [sorted(frames).index(frame) for frame in frames]
        assert orders.encode_unsigned(order) == plan.target
        assert all(5 <= step <= 15 for step in np.diff(sorted(frames)))
        seen.add(int(plan.target))
    assert seen == set(range(12))


def test_crops_stay_in_the_region_and_within_the_jitter_of_one_place():
    sampler = ShuffledPatches()
    apart, rng = [], np.random.default_rng(0)
    for _ in range(500):
        found = sampler.corners(rng)
        assert found.min() >= 0 and found.max() <= 20, "80 pixels in 100"
        apart.append(np.ptp(found, axis=0).max())
    assert max(apart) == 10 and np.mean(apart) > 4
    same = dataclasses.replace(sampler, jitter=0).corners(rng)
    assert (same == same[0]).all()
    for plan in plans(sampler, 50):
        assert np.ptp(corners(plan), axis=0).max() <= 10 + 1e-6
        for view in plan.views:
            width, height = view.box[2] - view.box[0], view.box[3] - view.box[1]
            assert np.allclose((320 * width, 240 * height), 80) and max(view.box) <= 1


def test_a_sequence_is_mirrored_as_a_whole_or_not_at_all():
    sampler = ShuffledPatches(spatial=Spatial(240, 80, flip=0.5))
    flips = [{view.flip for view in plan.views} for plan in plans(sampler, 200)]
    assert all(len(flip) == 1 for flip in flips)
    assert 60 < sum(True in flip for flip in flips) < 140


def test_channel_splitting_shows_one_channel_a_frame_each_its_own():
    task = contract.opn()
    clips = np.random.default_rng(0).integers(0, 256, (200, 4, 1, 8, 8, 3), dtype=np.uint8)
    got = backends.to_numpy(task.augment(clips, training=True))
    assert (got[..., :1] == got).all()
    near = np.abs(got[..., :1] - clips / 255.0).max(axis=(2, 3, 4))
    chosen = near.argmin(axis=-1)
    shares = np.bincount(chosen.ravel(), minlength=3) / chosen.size
    assert np.abs(shares - 1 / 3).max() < 0.06
    alike = np.mean(chosen[:, 0] == chosen[:, 1])
    assert abs(alike - 1 / 3) < 0.12, "frames of a sequence choose independently"
    assert np.abs(backends.to_numpy(task.augment(clips)) - clips / 255.0).max() < 1e-6


def test_a_tint_that_changes_with_time_is_gone_after_channel_splitting():
    """A lens or a codec that reddens over time would give the order away."""
    tint = np.linspace(0.2, 0.8, 4)[None, :, None, None, None]
    grey = np.random.default_rng(0).uniform(0.2, 0.9, (64, 4, 1, 8, 8))
    clips = np.stack([grey * tint, grey, grey], axis=-1).astype("float32")

    def redness(x):
        return (x[..., 0] - x[..., 2]).mean(axis=(2, 3, 4))

    assert (np.diff(redness(clips), axis=1) > 0).all()
    split = backends.to_numpy(contract.opn().augment(clips, training=True))
    assert np.abs(redness(split)).max() == 0


def test_jitter_hides_a_drift_of_a_pixel_a_frame():
    """Where a camera drifts steadily, the crops' contents tell the order without jitter."""

    def sorted_by_drift(jitter):
        right, rng = 0, np.random.default_rng(0)
        sampler = ShuffledPatches(jitter=jitter)
        for _ in range(400):
            content = np.arange(4) - sampler.corners(rng)[:, 0]
            order = np.argsort(content, kind="stable")
            right += orders.encode_unsigned(order) == 0
        return right / 400

    assert sorted_by_drift(0) == 1.0
    assert sorted_by_drift(5) < 0.5


def test_swapping_frames_swaps_features_and_nothing_else():
    task = contract.opn()
    clips = np.random.default_rng(0).integers(0, 256, (1, 4, 1, 16, 16, 3), dtype=np.uint8)
    features = backends.to_numpy(task.encode(clips, training=False))
    swapped = backends.to_numpy(task.encode(clips[:, [1, 0, 2, 3]], training=False))
    assert np.allclose(features[:, [1, 0, 2, 3]], swapped, atol=1e-5)
    pairs = task.head.pairs
    drawn = np.random.default_rng(1).normal(scale=30.0, size=features.shape).astype("float32")
    logits = backends.to_numpy(task.head(drawn, training=False))
    swapped = backends.to_numpy(task.head(drawn[:, [1, 0, 2, 3]], training=False))
    assert np.abs(logits - swapped).max() > 1e-3
    assert len(pairs) == 6


def test_short_videos_take_smaller_gaps_or_are_refused():
    sampler = ShuffledPatches()

    class Short(Info):
        frames = 16

    assert sampler.refuses(Short) is None
    for plan in plans(sampler, 20, Short):
        assert max(int(view.frames[0]) for view in plan.views) <= 15
    Short.frames = 15
    assert "needs 16" in sampler.refuses(Short)


class Profile(MotionProfile):
    """Motion in the frames 40 to 59 only, in the upper right corner."""

    def has(self, video):
        return True

    def read(self, video):
        motion = np.zeros((99, 12, 16), np.float32)
        motion[40:60, :5, 11:] = 1.0
        return motion


def test_motion_picks_the_time_and_the_place():
    sampler = ShuffledPatches(motion=Profile())
    for plan in plans(sampler, 30):
        frames = sorted(int(view.frames[0]) for view in plan.views)
        assert frames[0] < 60 and frames[-1] > 40
        assert corners(plan).min(axis=0)[0] >= 220 - 1e-6 and corners(plan).max(axis=0)[1] <= 20
    assert sampler.mined == (sampler.motion,) and ShuffledPatches().mined == ()


@pytest.mark.parametrize(
    "options, match",
    [({"count": 2}, "3 to 5"), ({"gap": (0, 3)}, "gap="), ({"jitter": -1}, "jitter")],
)
def test_impossible_sequences_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        kv.tasks.OPN(contract.nano(), motion=False, **options)
    with pytest.raises(ValueError, match="resize"):
        kv.tasks.OPN(contract.nano(), motion=False, size=80, margin=200)


def learnt(videos, draws, epochs):
    """Accuracy on held-out videos after training."""
    keras.utils.set_random_seed(0)
    task = kv.tasks.OPN(
        blurred.backbone(), motion=False, gap=(3, 5), margin=3, jitter=1, hidden=64, dropout=0.0,
        size=24, resize=28,
    )  # fmt: skip
    task.default_compile(optimizer=keras.optimizers.Adam(3e-3))
    task.fit(*blurred.drawn(task, videos.train, 0, draws), epochs=epochs, batch_size=32, verbose=0)
    test = blurred.drawn(task, videos.test, 1, 4)
    return task.evaluate(*test, batch_size=60, verbose=0, return_dict=True)["accuracy"]


def test_it_learns_to_sort_what_moves_and_nothing_else(moving_world, still_world):
    """On held-out videos. By chance: 0.083. Measured: 0.32, and 0.09 for the control."""
    assert learnt(moving_world, 16, 7) > 0.2
    assert learnt(still_world, 8, 4) < 0.14
