"""The sound classifier: its features, hidden rows in training, presets."""

import tempfile

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AudioViT
from keras_vssl.downstream import AudioClassifier
from tests import backends


def classifier(seed=0, classes=3, backbone=None, **options):
    keras.utils.set_random_seed(seed)
    sizes = {"frames": 64, "bands": 64, "width": 16, "depth": 1, "heads": 2, **(backbone or {})}
    return AudioClassifier(AudioViT(**sizes), classes, **options)


def sounds(count=12, seed=0):
    """Tones of three pitches, a second of a quarter each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    time = np.arange(10720) / 16000
    pitch = np.array([300, 1000, 3000])[labels, None] * rng.uniform(0.9, 1.1, (count, 1))
    waves = np.sin(2 * np.pi * pitch * time) + rng.normal(0, 0.1, (count, len(time)))
    return 0.3 * waves.astype("float32"), labels


def check_it_learns_with_rows_hidden():
    waves, labels = sounds()
    model = classifier(multi_label=False, hide=(0.25, 0.25), learning_rate=1e-2)
    history = model.fit(waves, labels, batch_size=12, epochs=25, verbose=0)
    losses = history.history["loss"]
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    # Many labels: each class's own binary cross-entropy, ln 2 at the start.
    targets = np.eye(3, dtype="float32")[labels]
    loss = classifier().evaluate(waves, targets, verbose=0)
    assert abs(loss - np.log(2)) < 0.1


def check_presets():
    waves = sounds(4)[0]
    model = classifier(multi_label=False, hide=(0.25, 0.34), epsilon=1e-5)
    want = backends.to_numpy(model(waves))
    with tempfile.TemporaryDirectory() as folder:
        model.save_to_preset(f"{folder}/preset")
        loaded = AudioClassifier.from_preset(f"{folder}/preset")
        assert loaded.get_config() == model.get_config()
        assert np.allclose(backends.to_numpy(loaded(waves)), want, atol=1e-5)
        other = AudioClassifier.from_preset(f"{folder}/preset", num_classes=5)
        assert other(waves).shape == (4, 5)
        features = backends.to_numpy(other.backbone(waves))
        assert np.allclose(features, backends.to_numpy(model.backbone(waves)), atol=1e-5)


def test_it_learns_with_rows_hidden():
    check_it_learns_with_rows_hidden()


def test_presets_keep_the_head_or_start_a_new_one():
    check_presets()


@pytest.mark.parametrize("frequency_major", [False, True])
def test_hidden_rows_are_times_and_bands(frequency_major):
    backbone = {"bands": 48, "frequency_major": frequency_major}
    model = classifier(backbone=backbone, hide=(0.5, 0.34))
    keep = backends.to_numpy(model.visible(8))
    assert model.backbone.grid == (4, 3) and keep.shape == (8, 2 * 1)
    bands, times = np.divmod(keep, 4) if frequency_major else np.divmod(keep, 3)[::-1]
    assert all(len(set(row)) == 2 for row in times) and all(len(set(row)) == 1 for row in bands)


def test_evaluation_hides_nothing_and_the_features_are_the_pooled_ones():
    for backbone in ({}, {"extra_tokens": 2, "pooling": "tokens"}):
        waves = sounds(4)[0]
        model = classifier(backbone=backbone, hide=(0.5, 0.5))
        logits = backends.to_numpy(model(waves, training=False))
        features = model.backbone.endpoint("pooled")(waves)
        assert np.allclose(logits, backends.to_numpy(model.head(model.norm(features))), atol=1e-5)
        hidden = backends.to_numpy(model(waves, training=True))
        assert not np.allclose(hidden, logits, atol=1e-3)


def test_videos_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="reads no videos"):
        classifier().prepare([])


def main():
    check_it_learns_with_rows_hidden()
    check_presets()
