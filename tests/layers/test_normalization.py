"""The fused batch normalisation is the Keras layer, faster."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.layers import BatchNormalization
from keras_vssl.layers.normalization import set_statistics
from tests import backends

SHAPE = (2, 3, 4, 5, 6)


def make_pair(**kwargs):
    """Our layer and Keras', with the same, non-trivial weights."""
    random = np.random.RandomState(0)
    values = [random.uniform(0.5, 1.5, SHAPE[-1]).astype("float32") for _ in range(4)]
    pair = (
        BatchNormalization(**kwargs),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **kwargs),
    )
    for layer in pair:
        layer.build((None, *SHAPE[1:]))
        layer.set_weights(values)
    return pair


def clip(dtype="float32", shape=SHAPE):
    random = np.random.RandomState(1)
    return ops.cast(random.normal(2.0, 3.0, shape).astype("float32"), dtype)


def grouped(groups):
    """Our layer with groups, and the weights of `make_pair`'s."""
    layer = BatchNormalization(groups=groups)
    layer.build((None, *SHAPE[1:]))
    layer.set_weights([ops.convert_to_numpy(w) for w in make_pair()[0].weights])
    return layer


def test_same_weights_and_configuration():
    ours, theirs = make_pair()
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    config = ours.get_config()
    assert BatchNormalization.from_config(config).get_config() == config
    own = {"name": "", "statistics": None, "groups": 1}
    assert {**config, "name": ""} == {**theirs.get_config(), **own}


@pytest.mark.parametrize(
    "policy, tolerance", [("float32", 1e-5), ("mixed_bfloat16", 4e-2), ("mixed_float16", 4e-3)]
)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_running_statistics(policy, tolerance, training):
    ours, theirs = make_pair(dtype=policy)
    x = clip(ours.compute_dtype)
    got, expected = ours(x, training=training), theirs(x, training=training)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(got, "float32")),
        ops.convert_to_numpy(ops.cast(expected, "float32")),
        atol=tolerance,
        rtol=tolerance,
    )
    for mine, keras_one in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(mine), ops.convert_to_numpy(keras_one), rtol=1e-5, atol=1e-6
        )


def test_one_value_per_channel_keeps_the_variance_finite():
    ours, theirs = make_pair()
    x = clip(shape=(1, 1, 1, 1, 6))
    ours(x, training=True), theirs(x, training=True)
    for mine, keras_one in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(mine), ops.convert_to_numpy(keras_one), rtol=1e-5, atol=1e-6
        )


def test_frozen_means_inference():
    ours, theirs = make_pair()
    ours.trainable = theirs.trainable = False
    before = [ops.convert_to_numpy(w) for w in ours.weights]
    x = clip()
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(x, training=True)),
        ops.convert_to_numpy(theirs(x, training=True)),
        rtol=1e-5,
        atol=1e-5,
    )
    for old, new in zip(before, ours.weights, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_training_step_moves_the_same_weights_the_same_way(frozen):
    """One SGD step through each layer; the step is the gradient."""
    target = np.random.RandomState(2).normal(size=SHAPE).astype("float32")
    results = []
    for layer in make_pair():
        layer.trainable = not frozen
        inputs = keras.Input(SHAPE[1:])
        scale = keras.layers.Dense(6, kernel_initializer="identity")
        model = keras.Model(inputs, layer(scale(inputs)))
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.train_on_batch(np.array(clip()), target)
        results.append([ops.convert_to_numpy(w) for w in model.weights])
    assert not np.allclose(results[0][0], np.eye(6), atol=1e-7)
    for mine, keras_one in zip(*results, strict=True):
        np.testing.assert_allclose(mine, keras_one, rtol=1e-4, atol=1e-6)


def test_images_take_the_keras_path():
    ours, theirs = make_pair()
    x = clip(shape=(2, 4, 5, 6))
    ours.input_spec = theirs.input_spec = None
    ours._reduction_axes = theirs._reduction_axes = [0, 1, 2]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(x, training=True)),
        ops.convert_to_numpy(theirs(x, training=True)),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("shape", [(6, 2, 4, 5, 6), (6, 6), (6, 3, 6)])
def test_groups_are_layers_of_their_own(shape):
    """Outputs and gradients of each third are those of a layer that got that third alone."""
    values = [np.linspace(0.5, 1.5, 6).astype("float32") * (i + 1) for i in range(4)]

    def make(**kwargs):
        layer = BatchNormalization(**kwargs)
        layer.build((None, *shape[1:]))
        layer.set_weights(values)
        return layer

    x = np.random.RandomState(1).normal(2.0, 3.0, shape).astype("float32")
    whole = make(groups=3)
    got = np.array(ops.convert_to_numpy(whole(x, training=True)))
    moved = []
    for i in range(3):
        part = make()
        rows = slice(2 * i, 2 * i + 2)
        expected = ops.convert_to_numpy(part(x[rows], training=True))
        np.testing.assert_allclose(got[rows], expected, rtol=1e-4, atol=1e-5)
        moved.append([ops.convert_to_numpy(w) for w in part.weights])
    for mine, parts in zip(whole.weights, zip(*moved)):
        np.testing.assert_allclose(
            ops.convert_to_numpy(mine), np.mean(parts, axis=0), rtol=1e-5, atol=1e-6
        )
    one = make()
    assert not np.allclose(got, ops.convert_to_numpy(one(x, training=True)), atol=0.05)
    # At test time groups mean nothing.
    one.set_weights(whole.get_weights())
    np.testing.assert_array_equal(
        ops.convert_to_numpy(whole(x, training=False)),
        ops.convert_to_numpy(one(x, training=False)),
    )


def test_gradients_go_through_the_statistics_of_each_group():
    x = np.random.RandomState(1).normal(2.0, 3.0, (6, *SHAPE[1:])).astype("float32")
    target = np.random.RandomState(3).normal(size=x.shape).astype("float32")
    whole, (part, _) = grouped(2), make_pair()

    def loss(outputs):
        return ops.mean(ops.square(outputs - ops.convert_to_tensor(target)))

    def in_parts(inputs):
        halves = [part(half, training=True) for half in (inputs[:3], inputs[3:])]
        return loss(ops.concatenate(halves))

    value, (gradient,) = backends.value_and_grad(lambda x: loss(whole(x, training=True)), x)
    expected, (expected_gradient,) = backends.value_and_grad(in_parts, x)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("statistics", [None, "local", "synchronized"])
def test_on_one_device_the_policy_changes_no_bit(statistics):
    x = clip()
    plain, _ = make_pair()
    ours, _ = make_pair()
    ours.set_statistics(statistics)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ours(x, training=True)), ops.convert_to_numpy(plain(x, training=True))
    )
    for one, other in zip(ours.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_set_statistics_finds_layers_wherever_they_are():
    class Holder(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.listed = [BatchNormalization(), None, {"deep": BatchNormalization()}]
            inputs = keras.Input((3, 4, 5, 6))
            inner = keras.Model(inputs, BatchNormalization()(inputs))
            self.model = keras.Sequential([inner, keras.layers.ReLU(), BatchNormalization()])
            self.again = self.listed[0]

    holder = Holder()
    assert set_statistics(holder, "local", groups=2) == 4
    assert holder.listed[2]["deep"].statistics == "local" and holder.again.groups == 2
    config = holder.again.get_config()
    assert BatchNormalization.from_config(config).get_config() == config


def test_what_can_not_be_shared_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="'synchronized'"):
        BatchNormalization(statistics="global")
    with pytest.raises(ValueError, match="one with synchronized"):
        BatchNormalization(statistics="synchronized", groups=2)
    layer = grouped(2)
    with pytest.raises(ValueError, match="2 groups share evenly, received 3 rows"):
        layer(np.ones((3, *SHAPE[1:]), "float32"), training=True)
    with pytest.raises(ValueError, match="no mask"):
        layer(clip(), training=True, mask=np.ones(SHAPE[:-1], bool))
