"""The fused batch normalisation is the Keras layer, faster."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.layers import BatchNormalization

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


def test_same_weights_and_configuration():
    ours, theirs = make_pair()
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    config = ours.get_config()
    assert BatchNormalization.from_config(config).get_config() == config
    assert {**config, "name": ""} == {**theirs.get_config(), "name": ""}


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
