"""One resize for the whole batch hides what is finer than its grid and nothing else."""

import keras
import numpy as np
import pytest

from keras_vssl.layers.augmentation import ResizeBlur
from keras_vssl.layers.augmentation.resize_blur import resize_weights


def array(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("source, target", [(32, 9), (9, 32), (32, 32), (16, 24)])
def test_weights_are_keras_own_antialiased_resize(source, target):
    image = np.random.default_rng(0).random((1, source, source, 3)).astype("float32")
    weights = array(resize_weights(source, target, 40, 36))
    assert (
        weights.shape == (36, 40) and not weights[target:].any() and not weights[:, source:].any()
    )
    rows = weights[:target, :source]
    made = np.einsum("ih,jw,nhwc->nijc", rows, rows, image)
    if keras.config.backend() == "tensorflow":
        expected = keras.ops.image.resize(image, (target, target), antialias=True)
        assert np.abs(made - array(expected)).max() < 1e-5
    assert np.allclose(rows.sum(1), 1, atol=1e-6)


def test_noise_of_single_pixels_goes_and_the_picture_stays():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (2, 1, 4, 32, 32, 3)).astype("float32")
    ramp = np.broadcast_to(np.linspace(0, 1, 32, dtype="float32")[:, None, None], noise.shape)
    blur = ResizeBlur((8, 48))
    assert np.std(array(blur.resized(noise, 8.0))) < 0.3 * np.std(noise)
    inside = array(blur.resized(ramp, 8.0))[..., 4:-4, :, :]
    assert np.abs(inside - ramp[..., 4:-4, :, :]).max() < 0.02
    assert np.abs(array(blur.resized(np.full_like(noise, 3.0), 11.0)) - 3.0).max() < 1e-5


def test_all_clips_of_a_batch_share_one_size_and_batches_differ():
    clip = np.random.default_rng(0).normal(0, 1, (1, 1, 2, 16, 16, 3)).astype("float32")
    blur = ResizeBlur((4, 16))
    seen = set()
    for _ in range(6):
        made = array(blur(np.repeat(clip, 3, axis=0), training=True))
        assert np.abs(made - made[:1]).max() < 1e-6
        seen.add(round(float(made.std()), 5))
    assert len(seen) > 2
    assert array(blur(clip, training=False)).tolist() == clip.tolist()


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="1 <= least"):
        ResizeBlur((9, 3))
