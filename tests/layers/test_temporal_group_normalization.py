"""Temporal group normalisation is a batch normalisation of its own for each group of steps."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import C3D, R3D, R2Plus1D, SlowResNet
from keras_vssl.layers import BatchNormalization, TemporalGroupNormalization
from keras_vssl.layers.normalization import set_statistics
from tests.backends import to_numpy

SHAPE = (2, 5, 3, 4, 6)
RANDOM = np.random.default_rng(0)
NETWORKS = {
    "C3D": lambda **options: C3D(width=4, blocks=(1, 1, 1, 1, 1), **options),
    "R3D": lambda **options: R3D(blocks=(1, 1, 1, 1), width=4, **options),
    "R2Plus1D": lambda **options: R2Plus1D(blocks=(1, 1, 1, 1), width=4, **options),
}


def built(groups, shape=SHAPE, **options):
    layer = TemporalGroupNormalization(groups, **options)
    layer.build((None, *shape[1:]))
    return layer


def clip(shape=SHAPE):
    return RANDOM.normal(2.0, 3.0, shape).astype("float32")


def randomised(layer):
    layer.set_weights([RANDOM.uniform(0.5, 1.5, w.shape).astype("float32") for w in layer.weights])
    return layer


def sizes(network):
    return {layer.name: layer.sizes for layer in network.layers if hasattr(layer, "sizes")}


@pytest.mark.parametrize("training", [True, False])
def test_one_group_is_batch_normalisation_in_outputs_and_running_statistics(training):
    layer = randomised(built(1))
    plain = BatchNormalization()
    plain.build((None, *SHAPE[1:]))
    plain.set_weights(layer.get_weights())
    x = clip()
    got, expected = layer(x, training=training), plain(x, training=training)
    np.testing.assert_array_equal(to_numpy(got), to_numpy(expected))
    for mine, theirs in zip(layer.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_halves_that_differ_by_scale_and_shift_come_out_equal():
    half = clip((2, 2, 3, 4, 6))
    x = np.concatenate([half, 3 * half + 7], axis=1)
    y = to_numpy(built(2, x.shape)(x, training=True))
    np.testing.assert_allclose(y[:, :2], y[:, 2:], atol=1e-4)
    together = to_numpy(built(1, x.shape)(x, training=True))
    assert np.abs(together[:, :2] - together[:, 2:]).max() > 0.5


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_group_has_gains_offsets_and_statistics_of_its_own(groups):
    layer = built(groups)
    for weights in (layer.trainable_weights, layer.non_trainable_weights):
        assert sum(int(np.prod(w.shape)) for w in weights) == groups * 2 * SHAPE[-1]
    assert len({w.path for w in layer.weights}) == 4 * groups


def test_groups_are_as_equal_as_can_be_and_at_most_one_a_step():
    cases = {(16, 4): (4, 4, 4, 4), (5, 3): (2, 2, 1), (2, 4): (1, 1), (1, 4): (1,), (7, 1): (7,)}
    for (steps, groups), expected in cases.items():
        assert built(groups, (2, steps, 3, 4, 6)).sizes == expected


@pytest.mark.parametrize("training", [True, False])
def test_a_group_does_not_see_the_frames_of_another(training):
    layer, x = built(2), clip()  # steps 0 to 2, and 3 and 4
    changed = x.copy()
    changed[:, 3:] = 5 * clip((2, 2, 3, 4, 6))
    before, after = (to_numpy(layer(v, training=training)) for v in (x, changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1
    # In its own group every frame counts, in training.
    changed = x.copy()
    changed[:, 0] += 1
    moved = np.abs(to_numpy(layer(changed, training=training)) - before)[:, 1:3].max()
    assert (moved > 1e-3) == training


def test_running_statistics_follow_each_groups_batch():
    layer, x = built(2, momentum=0.9), clip()
    layer(x, training=True)
    for norm, part in zip(layer.norms, (x[:, :3], x[:, 3:])):
        mean, variance = part.mean((0, 1, 2, 3)), part.var((0, 1, 2, 3))
        np.testing.assert_allclose(to_numpy(norm.moving_mean), 0.1 * mean, atol=1e-5)
        # The biased variance, as Keras has it; PyTorch keeps n / (n - 1) of it.
        np.testing.assert_allclose(to_numpy(norm.moving_variance), 0.9 + 0.1 * variance, rtol=1e-5)
    expected = np.concatenate(
        [
            (part - to_numpy(norm.moving_mean)) / np.sqrt(to_numpy(norm.moving_variance) + 1e-5)
            for norm, part in zip(layer.norms, (x[:, :3], x[:, 3:]))
        ],
        axis=1,
    )
    np.testing.assert_allclose(to_numpy(layer(x, training=False)), expected, atol=1e-5)


def test_half_precision_and_configuration():
    layer = randomised(built(3, dtype="mixed_bfloat16"))
    assert {keras.backend.standardize_dtype(w.dtype) for w in layer.weights} == {"float32"}
    single, x = built(3), clip()
    single.set_weights(layer.get_weights())
    y = layer(ops.cast(x, "bfloat16"), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    np.testing.assert_allclose(to_numpy(y), to_numpy(single(x, training=True)), atol=0.06)
    config = layer.get_config()
    assert TemporalGroupNormalization.from_config(config).get_config() == config


def test_statistics_of_replicas_are_set_for_every_group():
    assert set_statistics(built(4), "synchronized") == 4


def test_another_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="Expected 5 time steps.*received 4"):
        built(2)(clip((2, 4, 3, 4, 6)))
    with pytest.raises(ValueError, match="known number of time steps"):
        built(2, (2, None, 3, 4, 6))
    with pytest.raises(ValueError, match="one group"):
        TemporalGroupNormalization(0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_fewer_groups_where_it_has_fewer_steps(name):
    network = NETWORKS[name](temporal_groups=4)
    found = list(sizes(network).values())
    assert found[0] == (4, 4, 4, 4) and found[-1] == (1, 1)
    plain = NETWORKS[name]()
    assert not sizes(plain) and len(found) == sum(
        isinstance(layer, BatchNormalization) for layer in plain.layers
    )
    assert "temporal_groups" not in plain.get_config()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_with_groups_is_bound_to_its_frames(name, tmp_path):
    network = NETWORKS[name](temporal_groups=2, clip={"frames": 8})
    assert network.clip_shape == (8, None, None, 3) and network(
        np.zeros((1, 8, 32, 32, 3), "uint8")
    ).shape[1:] == (1, 2, 2, 32)
    for part in (network, network.endpoint(list(network.endpoints)[0])):
        with pytest.raises(ValueError, match="Expected clips of 8 frames.*received 16"):
            part(np.zeros((1, 16, 32, 32, 3), "uint8"))
    network.save_to_preset(tmp_path / "preset")
    loaded = type(network).from_preset(str(tmp_path / "preset"))
    assert loaded.get_config() == network.get_config() and sizes(loaded) == sizes(network)
    for mine, theirs in zip(loaded.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="Expected clips of 8 frames.*received 16"):
        type(network).from_preset(str(tmp_path / "preset"), clip={"frames": 16})


def test_groups_by_layer_name():
    groups = {"stem_bn": 4, "layer1_0_bn1": 2, "layer4_0_bn2": 4}
    network = NETWORKS["R3D"](temporal_groups=groups, clip_shape=(16, 32, 32, 3))
    found = {"stem_bn": (4,) * 4, "layer1_0_bn1": (8, 8), "layer4_0_bn2": (1, 1)}
    assert sizes(network) == found
    assert isinstance(network.get_layer("layer2_0_bn1"), BatchNormalization)
    assert network.get_config()["temporal_groups"] == groups
    with pytest.raises(ValueError, match="received bn9; this R3D has stem_bn, layer1_0_bn1"):
        NETWORKS["R3D"](temporal_groups={"bn9": 2})


def test_groups_without_a_normalisation_to_group_are_refused():
    with pytest.raises(ValueError, match="batch_normalization"):
        NETWORKS["C3D"](temporal_groups=2, batch_normalization=False)
    with pytest.raises(ValueError, match="received it with SlowResNet"):
        SlowResNet(width=4, blocks=(1, 1, 1, 1), temporal_groups=2)
