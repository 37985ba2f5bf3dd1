"""VideoClassifier: fine-tuning, the frozen probe, test protocols, presets, labels."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import VideoViT
from keras_vssl.data import Videos, read_plan
from keras_vssl.downstream import TEST_PROTOCOLS, VideoClassifier
from keras_vssl.downstream.streaming import uniform_clips
from keras_vssl.tasks import VCOP


def test_frozen_backbone_stays_bit_identical(backbone, videos):
    before = [w.copy() for w in backbone.get_weights()]
    classifier = VideoClassifier(backbone, num_classes=3, freeze=True)
    head = [w.copy() for w in classifier.head.get_weights()]
    classifier.fit(videos, epochs=2, batch_size=8, verbose=0)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(classifier.head.get_weights()[0] - head[0]).max() > 0
    names = {v.path for v in classifier.trainable_variables}
    assert names == {v.path for v in [*classifier.head.variables, *classifier.norm.variables[:2]]}


def test_fine_tuning_changes_the_backbone_and_learns_one_batch(backbone, videos):
    before = [w.copy() for w in backbone.get_weights()]
    classifier = VideoClassifier(backbone, num_classes=3, learning_rate=0.02)
    history = classifier.fit(videos[:6], epochs=15, batch_size=6, verbose=0)
    loss = history.history["loss"]
    assert np.isfinite(loss).all() and loss[-1] < loss[0]
    assert np.abs(backbone.get_weights()[0] - before[0]).max() > 0
    assert classifier.class_names == tuple(videos.class_names)


def test_predict_is_the_mean_of_the_clips_logits(backbone, videos):
    classifier = VideoClassifier(backbone, num_classes=3)
    clips = read_plan(videos.paths[0], uniform_clips(backbone.clip).plan(videos.infos[0], None))[
        "clips"
    ]
    each = np.stack([keras.ops.convert_to_numpy(classifier(clip[None, None]))[0] for clip in clips])
    logits = classifier.predict([videos.paths[0]])
    assert logits.shape == (1, 3)
    np.testing.assert_allclose(logits[0], each.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(classifier.predict(clips[None]), logits, atol=1e-5)
    np.testing.assert_allclose(classifier.predict(videos.paths[0]), logits[0], atol=1e-5)
    np.testing.assert_allclose(classifier.predict(clips[:1]), each[:1], atol=1e-5)


@pytest.mark.parametrize(("name", "passes"), [("vcop", 10), ("cvrl", 30), ("slowfast", 30)])
def test_protocols_use_their_number_of_views(backbone, videos, name, passes):
    protocol = TEST_PROTOCOLS[name]
    sampler = uniform_clips(backbone.clip, protocol["clips"], protocol["crops"])
    assert len(sampler.plan(videos.infos[0], None).views) == passes
    scores = VideoClassifier(backbone, num_classes=3).predict(videos[:2], **protocol)
    assert scores.shape == (2, 3)
    if protocol["reduce"] == "softmax":
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


def test_equal_clips_give_equal_logits(backbone):
    classifier = VideoClassifier(backbone, num_classes=3)
    clip = np.full((1, 1, 8, 32, 32, 3), 90, np.uint8)
    many = classifier.predict(np.repeat(clip, 5, axis=1))
    np.testing.assert_allclose(many, classifier.predict(clip), atol=1e-6)


def test_saved_classifier_comes_back_with_names_and_logits(backbone, videos, tmp_path):
    classifier = VideoClassifier(backbone, num_classes=3, freeze=True, dropout=0.25, flip=0.5)
    classifier.fit(videos, epochs=1, batch_size=8, verbose=0)
    classifier.save_to_preset(tmp_path / "preset")
    again = VideoClassifier.from_preset(str(tmp_path / "preset"))
    assert again.get_config() == classifier.get_config()
    assert again.class_names == tuple(videos.class_names) and again.freeze
    np.testing.assert_allclose(
        again.predict(videos[:3]), classifier.predict(videos[:3]), rtol=1e-5, atol=1e-6
    )
    labels = again.predict_labels(videos.paths[:2])
    assert len(labels) == 2 and set(labels) <= set(videos.class_names)
    other = VideoClassifier.from_preset(str(tmp_path / "preset"), num_classes=5)
    assert other.predict(videos[:1]).shape == (1, 5) and other.class_names is None


def test_backbone_of_a_pretext_preset_gets_a_fresh_head(backbone, videos, tmp_path):
    VCOP(backbone, frames=4, gap=1, resize=(32, 32), size=32).save_to_preset(tmp_path / "vcop")
    classifier = VideoClassifier.from_preset(str(tmp_path / "vcop"), num_classes=10)
    assert classifier.predict(videos.paths[:1]).shape == (1, 10)
    for ours, theirs in zip(classifier.backbone.get_weights(), backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="Expected num_classes="):
        VideoClassifier.from_preset(str(tmp_path / "vcop"))


def test_evaluate_scores_labelled_videos_only(backbone, videos):
    classifier = VideoClassifier(backbone, class_names=videos.class_names)
    scores = classifier.evaluate(videos)
    assert set(scores) == {"top1", "top5"} and scores["top5"] == 1.0
    logits = classifier.predict(videos)
    assert scores["top1"] == (logits.argmax(axis=1) == videos.class_ids).mean()


def test_ids_follow_the_classifiers_class_names(backbone, videos):
    names = ["another", *reversed(videos.class_names)]
    part, _ = VideoClassifier(backbone, class_names=names).labelled(videos)
    assert [names[i] for i in part.class_ids] == list(videos.labels)


def test_labels_that_do_not_fit_are_named(backbone, videos):
    with pytest.raises(ValueError, match="at most num_classes=2 classes, but the videos have 3"):
        VideoClassifier(backbone, num_classes=2).fit(videos)
    with pytest.raises(ValueError, match="Expected the classes a, b, but the videos have"):
        VideoClassifier(backbone, class_names=["a", "b"]).fit(videos)
    with pytest.raises(ValueError, match="none of 24 has one"):
        VideoClassifier(backbone, num_classes=2).fit(Videos(videos.paths))
    with pytest.raises(ValueError, match="3 class names, one a class, received 2"):
        VideoClassifier(backbone, num_classes=3, class_names=["a", "b"])


def test_unlabelled_videos_among_labelled_ones_are_left_out(backbone, videos):
    labels = [None, *videos.labels[1:]]
    table = Videos(videos.paths, labels)
    classifier = VideoClassifier(backbone, num_classes=3)
    assert len(classifier.prepare(table)) == 23
    assert [s["reason"] for s in classifier.skipped] == ["it has no label"]


def test_validation_videos_are_scored_while_fitting(backbone, videos):
    classifier = VideoClassifier(backbone, class_names=videos.class_names)
    history = classifier.fit(
        videos.train, validation_data=videos.test, epochs=1, batch_size=8, verbose=0
    )
    assert "val_accuracy" in history.history


def test_a_transformer_is_fine_tuned_with_rates_that_fall_towards_the_first_block():
    vit = VideoViT(width=24, depth=2, heads=2, patch=(2, 8, 8), clip_shape=(4, 16, 16, 3))
    classifier = VideoClassifier(vit, num_classes=2, weight_decay=0.0)
    assert classifier.layer_decay == 0.75
    before = {v.path: keras.ops.convert_to_numpy(v) for v in classifier.trainable_variables}
    clips = np.random.default_rng(0).integers(0, 256, (4, 1, 4, 16, 16, 3), dtype=np.uint8)
    classifier.fit(clips, np.array([0, 1, 0, 1]), epochs=1, batch_size=4, verbose=0)
    # Adam's first step is the rate itself, wherever the gradient isn't 0.
    moved = {
        v.path: np.abs(keras.ops.convert_to_numpy(v) - before[v.path]).max()
        for v in classifier.trainable_variables
    }
    for part, share in (("patch_embed", 0.75**3), ("block1/", 0.75**2), ("block2/", 0.75), ("", 1)):
        found = max(m for path, m in moved.items() if part in path)
        assert np.isclose(found, 5e-4 * share, rtol=0.05), part
    frozen = VideoClassifier(vit, num_classes=2, freeze=True)
    assert frozen.layer_decay is None
