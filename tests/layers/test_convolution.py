"""Conv3D is `keras.layers.Conv3D`, whatever computes it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.layers import Conv3D
from tests.backends import run, to_numpy, value_and_grad

# kernel, stride, padding, dilation
FORMS = [
    ((1, 1, 1), (1, 1, 1), "same", (1, 1, 1)),
    ((1, 1, 1), (1, 2, 2), "valid", (1, 1, 1)),
    ((3, 3, 3), (2, 2, 2), "same", (1, 1, 1)),
    ((5, 3, 3), (2, 2, 2), "valid", (1, 1, 1)),
    ((3, 1, 1), (1, 1, 1), "same", (2, 1, 1)),
    ((1, 3, 3), (1, 1, 1), "same", (1, 2, 2)),
    ((2, 3, 2), (1, 2, 1), "same", (1, 1, 1)),
    ((1, 3, 3), (2, 1, 1), "same", (1, 1, 1)),
    ((2, 1, 1), (3, 1, 1), "same", (1, 1, 1)),
]


def check_equal(form):
    """In float32, against Keras' layer; on TensorFlow and PyTorch Keras' layer runs itself."""
    kernel, stride, padding, dilation = form
    arguments = {"strides": stride, "padding": padding, "dilation_rate": dilation}
    ours, theirs = Conv3D(5, kernel, **arguments), keras.layers.Conv3D(5, kernel, **arguments)
    random = np.random.RandomState(0)
    x = random.normal(size=(2, 7, 9, 8, 3)).astype("float32")
    ours.build(x.shape)
    theirs.build(x.shape)
    ours.bias.assign(random.normal(size=5))
    theirs.set_weights(ours.get_weights())
    want = run(theirs, x)
    assert ours.compute_output_shape(x.shape) == want.shape
    for jit in (False, True):
        np.testing.assert_allclose(run(ours, x, jit=jit), want, rtol=1e-4, atol=1e-5)
    w = ops.convert_to_numpy(ours.kernel)
    gradients = [
        value_and_grad(lambda a, k, op=layer.convolution_op: ops.sum(ops.square(op(a, k))), x, w)
        for layer in (ours, theirs)
    ]
    for got, wanted in zip(gradients[0][1], gradients[1][1]):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3)


def check_bfloat16():
    """A shape whose 3-D filter gradient is wrong in bfloat16 on a CPU: this one's is not."""
    random = np.random.RandomState(0)
    x = random.normal(size=(16, 2, 6, 6, 64)).astype("float32")
    w = (0.05 * random.normal(size=(3, 3, 3, 64, 64))).astype("float32")
    layer = Conv3D(64, 3, padding="same", use_bias=False)

    def loss(dtype):
        def function(x, w):
            y = layer.convolution_op(ops.cast(x, dtype), ops.cast(w, dtype))
            return ops.sum(ops.square(ops.cast(y, "float32")))

        return function

    _, want = value_and_grad(loss("float32"), x, w)
    for _ in range(5):
        _, got = value_and_grad(loss("bfloat16"), x, w)
        for a, b in zip(got, want):
            assert np.abs(a - b).max() < 0.02 * np.abs(b).max()


def check_unknown_sizes():
    """A traced function whose clips may have any length and size; only TensorFlow has them."""
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    for kernel, stride, padding, _ in FORMS[:4]:
        layer = Conv3D(5, kernel, stride, padding)
        layer.build((None, None, None, None, 3))
        spec = tf.TensorSpec((None, None, None, None, 3), "bfloat16")
        function = tf.function(
            lambda x, layer=layer: layer.convolution_op(x, tf.cast(layer.kernel, x.dtype))
        )
        traced = function.get_concrete_function(spec)
        for frames in (5, 6):
            x = tf.cast(np.random.RandomState(0).normal(size=(1, frames, 9, 8, 3)), "bfloat16")
            want = ops.conv(tf.cast(x, "float32"), layer.kernel, stride, padding)
            np.testing.assert_allclose(to_numpy(traced(x)), to_numpy(want), rtol=0.05, atol=0.05)


def test_unknown_sizes_are_taken():
    check_unknown_sizes()


def test_gradients_in_bfloat16_are_right():
    check_bfloat16()


@pytest.mark.parametrize("form", FORMS)
def test_outputs_and_gradients_are_those_of_keras(form):
    check_equal(form)


def main():
    for form in FORMS[2:6]:
        check_equal(form)
    check_bfloat16()
