"""The projector is the papers' multi-layer perceptron."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import Projector


def test_four_layers_have_the_shapes_of_cvrl():
    head = Projector((2048, 2048, 2048, 128), momentum=0.997)
    head.build((None, None, 2048))
    kernels = [tuple(w.shape) for w in head.weights if w.path.endswith("kernel")]
    assert kernels == [(2048, 2048)] * 3 + [(2048, 128)]
    assert [norm is not None for norm in head.norms] == [True, True, True, False]
    assert all(dense.use_bias for dense in head.dense)


def test_two_layers_without_normalisation_equal_numpy():
    keras.utils.set_random_seed(0)
    head = Projector((64, 3), batch_normalization=False, normalize=True)
    head.build((None, 4))
    x = np.random.default_rng(0).standard_normal((2, 6, 4)).astype("float32")
    w0, b0, w1, b1 = (keras.ops.convert_to_numpy(w) for w in head.weights)
    want = np.maximum(x @ w0 + b0, 0) @ w1 + b1
    want /= np.linalg.norm(want, axis=-1, keepdims=True)
    assert np.allclose(keras.ops.convert_to_numpy(head(x)), want, atol=1e-5)


def test_the_embedding_is_float32_in_mixed_precision_and_the_config_returns():
    head = Projector((8, 4), last_batch_normalization=True, dtype="mixed_bfloat16")
    head.build((None, 6))
    x = np.ones((3, 6), "float32")
    assert keras.backend.standardize_dtype(head(x, training=True).dtype) == "float32"
    copy = Projector.from_config(head.get_config())
    copy.build((None, 6))
    assert [w.shape for w in copy.weights] == [w.shape for w in head.weights]


def test_widths_must_be_positive():
    with pytest.raises(ValueError, match="one width or more"):
        Projector(())
