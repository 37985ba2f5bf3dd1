"""Chains of augmentations: what a clip keeps, views of their own, training only, one program."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import (
    ClipAugmentation,
    ColorJitter,
    Cutout,
    GaussianBlur,
    RandomChannel,
    RandomFlip,
    RandomGrayscale,
    RandomResizedCrop,
    Solarize,
)
from keras_vssl.layers.augmentation import contrastive_views, jittered_views
from tests import backends
from tests.layers.augmentation import test_color, test_draws, test_frames


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def everything(per="clip", seed=0):
    return ClipAugmentation(
        [
            RandomResizedCrop(12, per=per, seed=seed),
            RandomFlip(per=per, seed=seed + 1),
            ColorJitter(p=1.0, contrast_over="frame", per=per, seed=seed + 2),
            RandomGrayscale(per=per, seed=seed + 3),
            GaussianBlur(3, p=1.0, per=per, seed=seed + 4),
            Solarize(p=0.5, per=per, seed=seed + 5),
            Cutout(6, p=0.5, per=per, seed=seed + 6),
        ]
    )


def check_time(jit):
    """Must hold 6 of CVRL: a clip of one repeated frame stays constant."""
    still = np.repeat(pixels(4, 2, 1, 16, 18, 3), 5, axis=2)
    for augment in (everything(), contrastive_views((16, 18), area=(0.3, 1.0), flip=0.5, seed=0)):
        got = test_draws.augmented(augment, still, jit)
        assert np.abs(got - got[:, :, :1]).max() < 1e-6
        assert np.abs(got - got[:, :1]).max() > 0.1, "the views differ"
    got = test_draws.augmented(everything("frame"), still, jit)
    assert np.abs(got - got[:, :, :1]).max((2, 3, 4, 5)).min() > 0.05, "frames differ"


def check_views(jit):
    """CVRL's release: the first view always blurred, the second solarised with 0.2."""
    x = np.broadcast_to(pixels(1, 1, 1, 40, 4, 3), (512, 2, 1, 40, 4, 3))
    plain = {"strength": 0.0, "grayscale": 0.0, "seed": 0}
    got = test_draws.augmented(contrastive_views((40, 4), sigma=(1.0, 2.0), **plain), x, jit)
    original = (x / np.float32(255.0)).astype("float32")
    changed = np.abs(got - original).max((2, 3, 4, 5)) > 1e-4
    assert changed[:, 0].all()
    test_draws.near(changed[:, 1].mean(), 1 - 0.9 * 0.8, 512)
    inverted = np.where(original < 0.5, original, 1 - original)
    solarised = np.abs(got - inverted).max((2, 3, 4, 5)) < 1e-6
    assert not solarised[:, 0].any()
    test_draws.near(solarised[:, 1].mean(), 0.9 * 0.2, 512)
    paper = contrastive_views((40, 4), asymmetric=False, sigma=(1.0, 2.0), **plain)
    changed = np.abs(test_draws.augmented(paper, x, jit) - original).max((2, 3, 4, 5)) > 1e-4
    test_draws.near(changed.mean(), 0.5, 1024)


def check_rest():
    """Outside training pixels are scaled; a crop takes the centre."""
    x = pixels(2, 2, 3, 8, 12, 3)
    augment = contrastive_views((8, 12))
    got = backends.run(lambda x: augment(x, training=False), x)
    assert got.dtype == np.float32
    test_color.same(got, x / np.float32(255.0), tolerance=1e-7)
    assert (backends.run(augment, x) == got).all(), "training is off unless asked for"
    crop = ClipAugmentation([RandomResizedCrop(8)], [[], []])
    assert (backends.run(lambda x: crop(x, training=False), x) == got[:, :, :, :, 2:10]).all()
    assert crop.compute_output_shape(x.shape) == (2, 2, 3, 8, 8, 3)


def check_dtype():
    x = pixels(2, 2, 2, 8, 8, 3)
    for policy, dtype in (("mixed_bfloat16", "bfloat16"), ("float32", "float32")):
        augment = contrastive_views(8, seed=0, dtype=policy)
        got = augment(x, training=True)
        assert keras.backend.standardize_dtype(got.dtype) == dtype
        exact = contrastive_views(8, seed=0, dtype="float32")(x, training=True)
        difference = np.abs(backends.to_numpy(got) - backends.to_numpy(exact)).max()
        assert difference <= 2.0**-9, "rounded once, at the end"


def check_fit():
    """One program with the training step; the generators' states move with it."""
    augment = contrastive_views(8, area=(0.3, 1.0), flip=0.5, seed=0)
    inputs = keras.Input((2, 3, 8, 8, 3), dtype="uint8")
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(augment(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", jit_compile=keras.config.backend() == "jax")
    states = [backends.to_numpy(v) for v in augment.non_trainable_variables]
    assert len(states) == 7
    history = model.fit(pixels(6, 2, 3, 8, 8, 3), np.ones((6, 1)), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    after = [backends.to_numpy(v) for v in augment.non_trainable_variables]
    assert all((a != b).any() for a, b in zip(states, after))
    return model


def main():
    check_rest()
    check_dtype()
    check_fit()
    test_frames.check_flip_and_solarize()
    # JAX without a trace compiles every operation by itself, PyTorch has no trace.
    jit = keras.config.backend() != "torch"
    frames = test_frames.check_blur, test_frames.check_crop
    for check in (test_color.check_reference, *frames, check_views, check_time, *test_draws.CHECKS):
        check(jit)


@pytest.mark.parametrize("jit", [False, True])
def test_a_still_clip_stays_still(jit):
    check_time(jit)


@pytest.mark.parametrize("jit", [False, True])
def test_views_have_their_own_chains(jit):
    check_views(jit)


def test_outside_training_pixels_are_only_scaled():
    check_rest()


def test_float32_inside_and_the_policy_outside():
    check_dtype()


def test_a_model_with_augmentation_trains_and_is_saved(tmp_path):
    model = check_fit()
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    x = pixels(2, 2, 3, 8, 8, 3)
    assert np.allclose(model.predict(x, verbose=0), restored.predict(x, verbose=0), atol=1e-6)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow's compilers")
@pytest.mark.parametrize("xla", [False, True])
def test_tensorflow_traces_any_batch_size_and_xla_compiles(xla):
    import tensorflow as tf

    spec = tf.TensorSpec([4 if xla else None, 2, 2, 8, 8, 3], tf.uint8)
    augment = contrastive_views(8, area=(0.3, 1.0), flip=0.5, seed=0)
    traced = tf.function(
        lambda x: augment(x, training=True), input_signature=[spec], jit_compile=xla
    )
    x = pixels(4, 2, 2, 8, 8, 3)
    first, second = traced(x).numpy(), traced(x).numpy()
    assert first.shape == x.shape and (first != second).any()


@pytest.mark.parametrize(
    "layer",
    [
        everything(),
        contrastive_views(20),
        jittered_views(hue=0.0, blur_size=3),
        RandomChannel(),
        ColorJitter(order=("brightness", "saturation", "contrast", "hue"), clip=False),
    ],
    ids=lambda layer: layer.name,
)
def test_a_configuration_makes_the_same_layer(layer):
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == layer.get_config()
    if isinstance(layer, ClipAugmentation) and layer.views is None and layer.shared[0].seed == 0:
        x = pixels(2, 2, 16, 18, 3)
        assert (test_draws.augmented(layer, x) == test_draws.augmented(again, x)).all()


def test_chains_that_can_not_work_are_refused():
    with pytest.raises(ValueError, match="Dense"):
        ClipAugmentation([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="3 axes|received 5 axes"):
        ClipAugmentation([], [[], []])(pixels(2, 2, 8, 8, 3))
    with pytest.raises(ValueError, match="the second of 3"):
        ClipAugmentation([], [[], []])(pixels(1, 3, 2, 8, 8, 3))
