"""Folding of batch normalisation, CaffeNets without their last layers, and rescaling."""

import keras
import numpy as np
import pytest

from keras_vssl import downstream as d
from keras_vssl.downstream.rescaling import rescale_chain
from tests import backends
from tests.downstream.test_image_classifier import network


def random_statistics(backbone, seed=0):
    """Gives batch normalisation statistics, gains and offsets that are not the initial ones."""
    rng = np.random.default_rng(seed)
    for layer in backbone.layers:
        if layer.name.startswith("bn"):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return backbone


@pytest.mark.parametrize("affine", [True, False])
def test_folding_batch_norm_changes_outputs_by_less_than_1e_4(affine):
    keras.utils.set_random_seed(0)
    backbone = random_statistics(
        network(dense=(16, 8), dense_shape=(2, 2), batch_normalization=True, affine=affine)
    )
    folded = d.fold_batch_normalization(backbone)
    assert not any(layer.name.startswith("bn") for layer in folded.layers)
    clips = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 48, 3), dtype="uint8")
    want, got = backends.to_numpy(backbone(clips)), backends.to_numpy(folded(clips))
    assert want.std() > 1e-3 and np.abs(want - got).max() < 1e-4
    with pytest.raises(ValueError, match="none to fold"):
        d.fold_batch_normalization(folded)


def test_the_convolutional_part_ends_at_pool5_with_the_same_weights():
    backbone = network(dense=(16, 8), dense_shape=(2, 2))
    part = d.convolutional_part(backbone)
    clips = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 48, 3), dtype="uint8")
    want = backends.to_numpy(backbone.endpoint("pool5")(clips))
    assert np.array_equal(want, backends.to_numpy(part(clips))) and part.dense == ()
    with pytest.raises(ValueError, match="Expected a CaffeNet"):
        from keras_vssl.backbones import R3D

        d.convolutional_part(R3D(width=4, blocks=(1, 1, 1, 1)))


def chain(relu=True):
    """Convolutions, pooling and dense layers with biases; gains far from one another."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((16, 16, 3))
    for i, gain in enumerate((5.0, 0.1, 2.0)):
        scale = keras.initializers.VarianceScaling(2.0 * gain**2)
        x = keras.layers.Conv2D(
            8, 3, kernel_initializer=scale, bias_initializer=keras.initializers.RandomNormal(0.1),
            name=f"c{i}",
        )(x)  # fmt: skip
        x = keras.layers.ReLU()(x) if relu else keras.layers.Activation("tanh")(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(x))
    large = keras.initializers.VarianceScaling(400.0)
    return keras.Model(inputs, keras.layers.Dense(6, kernel_initializer=large, name="last")(x))


def images(count=32):
    return np.random.default_rng(0).normal(size=(count, 16, 16, 3)).astype("float32")


def check_a_relu_chain():
    model, x = chain(), images()
    before = model.predict(x, verbose=0)
    done = rescale_chain(model, x)
    after = model.predict(x, verbose=0)
    scale = (after * before).sum() / (before**2).sum()
    assert not 0.5 < scale < 2  # or nothing would have been shown
    assert np.abs(after - scale * before).max() < 1e-4 * np.abs(after).max()
    # One round is exact; the next finds nothing to do.
    assert done["steps"] == 1 and done["spread"][0] > 5 and done["spread"][1] < 1.01
    assert done["output_std"] == pytest.approx(1, abs=0.01)
    assert rescale_chain(model, x)["steps"] == 0


def test_rescaling_leaves_the_function_unchanged_up_to_the_final_scale_for_a_relu_chain():
    check_a_relu_chain()


def test_what_is_not_homogeneous_changes_and_that_is_seen():
    model, x = chain(relu=False), images()
    before = model.predict(x, verbose=0)
    done = rescale_chain(model, x)
    after = model.predict(x, verbose=0)
    scale = (after * before).sum() / (before**2).sum()
    assert np.abs(after - scale * before).max() > 0.05 * np.abs(after).max()
    assert done["steps"] > 1


def test_new_layers_get_outputs_of_deviation_1_and_trained_ones_keep_their_ratio():
    model, x = chain(), images()
    ratio = model.get_layer("c0").get_weights()[0]
    rescale_chain(model, x, new=("c2", "last"), steps=0)
    outputs = keras.Model(model.input, model.get_layer("c2").output).predict(x, verbose=0)
    assert np.allclose(outputs.mean(axis=(0, 1, 2)), 0.1, atol=1e-3)
    assert np.allclose(outputs.std(axis=(0, 1, 2)), 1, atol=1e-3)
    assert np.array_equal(model.get_layer("c0").get_weights()[0], ratio)


def test_networks_that_are_no_chain_are_refused_in_one_sentence():
    x = inputs = keras.Input((8,))
    added = keras.Model(inputs, keras.layers.Add()([x, keras.layers.Dense(8)(x)]))
    with pytest.raises(ValueError, match="branches"):
        rescale_chain(added, np.ones((2, 8)))
    normed = keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Dense(4)(x)))
    with pytest.raises(ValueError, match="fold it first"):
        rescale_chain(normed, np.ones((2, 8)))
    dead = keras.Model(inputs, keras.layers.Dense(4, kernel_initializer="zeros", name="dead")(x))
    with pytest.raises(ValueError, match="dead has none"):
        rescale_chain(dead, np.ones((2, 8), "float32"))


def test_response_normalisation_and_dropout_are_allowed():
    keras.utils.set_random_seed(0)
    clips = np.random.default_rng(0).integers(0, 256, (8, 1, 1, 48, 48, 3), dtype="uint8")
    task = d.PoseRegressor(network(lrn=True), hidden=(16,), dropout=0.5)
    first, second = (d.rescale(task, clips) for _ in range(2))
    assert first["spread"][1] < 1.1 and task.transfer == {"rescaled": second}


def main():
    check_a_relu_chain()
