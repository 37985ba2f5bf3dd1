"""Classification of still images: the loss, VOC's protocol, and that it is learnt."""

import tempfile

import keras
import numpy as np
import pytest

from keras_vssl import downstream as d
from keras_vssl.downstream.image_classifier import LabelCrossEntropy
from tests import backends
from tests.downstream.image_files import SHAPES, write_voc


def network(**options):
    """A CaffeNet of a few channels on 48x48 pixels, without batch normalisation."""
    from keras_vssl.backbones import CaffeNet

    sizes = {"stem_stride": 2, "lrn": False, "conv_bias": 0.0, "kernel_initializer": "he_normal"}
    clip = {"resize": [48, 62], "size": 48}
    sizes |= {"dense": (), "dense_shape": (1, 1), "clip": clip, "mean": 0.5, "std": 0.25}
    return CaffeNet((12, 24, 32, 32, 24), **{**sizes, **options})


def test_classes_of_which_only_difficult_objects_are_there_cost_nothing():
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -4.0]], "float32")
    labels = np.array([[1, 0, -1], [0, -1, 1]], "int8")
    s = 1 / (1 + np.exp(-logits.astype(float)))
    expected = [-np.log(s[0, 0]) - np.log(1 - s[0, 1]), -np.log(1 - s[1, 0]) - np.log(s[1, 2])]
    got = backends.to_numpy(LabelCrossEntropy(reduction=None)(labels, logits))
    assert np.allclose(got, expected, atol=1e-5)
    logits[0, 2], logits[1, 1] = 50, -50
    again = backends.to_numpy(LabelCrossEntropy(reduction=None)(labels, logits))
    assert np.array_equal(again, got)


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    root = write_voc(tmp_path_factory.mktemp("voc"), {"trainval": 160, "test": 80})
    return [d.voc_images(root, split, SHAPES) for split in ("trainval", "test")]


def test_shapes_are_learnt_from_a_voc_folder(voc):
    """Measured mAP (11 points) on 80 test images: 0.86; untrained 0.66, a random ranking 0.48."""
    train, test = voc
    keras.utils.set_random_seed(0)
    task = d.ImageClassifier(network(), class_names=SHAPES, hidden=(64,), dropout=0.0)
    assert d.rescale(task, train)["spread"][1] < 1.1
    task.compile(keras.optimizers.Adam(2e-3), task.loss)
    untrained = task.evaluate(test, crops=1)["map11"]
    assert untrained < 0.72 and 0.4 < d.chance_precision(test.labels) < 0.55
    task.fit(train, epochs=25, batch_size=16, verbose=0)
    scores = task.evaluate(test, crops=2)
    assert scores["map11"] > 0.78 and abs(scores["map"] - scores["map11"]) < 0.1


def test_predictions_are_the_mean_over_random_crops_and_repeat(voc):
    task = d.ImageClassifier(network(), class_names=SHAPES, hidden=())
    few = voc[1][:3]
    scores = task.predict(few, crops=4)
    assert scores.shape == (3, 3) and np.array_equal(scores, task.predict(few, crops=4))
    assert np.allclose(scores, task.predict(few, crops=4, batch_size=1), atol=1e-5)
    one = task.predict(few, crops=1)
    assert not np.allclose(one, scores) and np.array_equal(one, task.predict(few, 1, seed=5))


def test_class_names_come_from_the_images_and_have_to_fit(voc):
    task = d.ImageClassifier(network(), 3, hidden=())
    task.fit(voc[0][:8], epochs=1, verbose=0)
    assert task.class_names == SHAPES
    with pytest.raises(ValueError, match="Expected 3 classes"):
        task.evaluate(d.LabelledImages(voc[0].paths, voc[0].labels[:, :2], SHAPES[:2]))
    with pytest.raises(ValueError, match="neither"):
        d.ImageClassifier(network())
    with pytest.raises(ValueError, match="reads no videos"):
        task.prepare([])


def test_the_recipe_halves_the_rate_seven_times():
    task = d.ImageClassifier(network(), 3, hidden=())
    task.default_compile(steps=80)
    config = task.optimizer.get_config()["learning_rate"]
    schedule = keras.optimizers.schedules.deserialize(config)
    rates = [float(schedule(step)) for step in (0, 9, 10, 79)]
    assert np.allclose(rates, [1e-3, 1e-3, 5e-4, 1e-3 / 2**7])


def test_presets_keep_the_head_and_what_was_done_before():
    keras.utils.set_random_seed(0)
    clips = np.random.default_rng(0).integers(0, 256, (2, 1, 1, 48, 48, 3), dtype="uint8")
    task = d.ImageClassifier(network(), class_names=SHAPES, hidden=(8,))
    done = d.rescale(task, np.repeat(clips, 4, axis=0))
    assert done["spread"][1] < 1.1 < done["spread"][0]
    labels = np.array([[1, 0, -1], [0, 1, 1]], "int8")
    task.fit(clips, labels, verbose=0)
    want = backends.to_numpy(task(clips))
    with tempfile.TemporaryDirectory() as folder:
        task.save_to_preset(f"{folder}/preset")
        loaded = d.ImageClassifier.from_preset(f"{folder}/preset")
        assert loaded.class_names == SHAPES
        assert np.allclose(backends.to_numpy(loaded(clips)), want, atol=1e-5)
        with open(f"{folder}/preset/record.json") as file:
            assert "rescaled" in file.read()  # the figures' company
        other = d.ImageClassifier.from_preset(
            f"{folder}/preset", num_classes=5, class_names=None, hidden=()
        )
        assert other(clips).shape == (2, 5)
