"""The published facts of I3D, and TensorFlow's padding at every size."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import I3D, VideoBackbone
from keras_vssl.backbones.inception import _convolve, _pool
from tests.backends import to_numpy


@pytest.mark.parametrize(
    "name, classes, count", [("i3d_rgb", 11, 12_298_539), ("i3d_flow", 11, 12_276_587)]
)
def test_parameter_counts(name, classes, count):
    backbone = VideoBackbone.from_preset(name)
    trainable = sum(int(np.prod(w.shape)) for w in backbone.trainable_weights)
    assert trainable + (backbone.feature_dim + 1) * classes == count


@pytest.mark.parametrize("frames, height", [(64, 224), (9, 47), (17, 50)])
def test_time_is_divided_by_eight_and_space_by_32_rounding_up(frames, height):
    backbone = I3D(width=4, clip_shape=(frames, height, height, 3))
    expected = (None, -(-frames // 8), -(-height // 32), -(-height // 32), 64)
    assert backbone.output_shape == expected
    assert I3D().output_shape[-1] == 1024


@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_strided_layers_pad_as_tensorflow_whatever_the_size(size):
    x = np.random.RandomState(size).normal(size=(1, size, size, size, 2)).astype("float32")

    def padded(kernel, value):
        out = -(-size // 2)
        total = max((out - 1) * 2 + kernel - size, 0)
        around = (total // 2, total - total // 2)
        return np.pad(x, [(0, 0), around, around, around, (0, 0)], constant_values=value)

    kernel = np.random.RandomState(0).normal(size=(7, 7, 7, 2, 3)).astype("float32")
    inputs = keras.Input((None, None, None, 2))
    options = {"initializer": "zeros", "dtype": None, "name": "layer"}
    same = keras.Model(
        inputs, _convolve(inputs, 3, (7, 7, 7), (2, 2, 2), padding="same", **options)
    )
    same.get_layer("layer").kernel.assign(kernel)
    expected = keras.ops.conv(padded(7, 0.0), kernel, 2, "valid")
    np.testing.assert_allclose(to_numpy(same(x)), to_numpy(expected), atol=1e-4)

    pool = keras.Model(
        inputs,
        _pool(inputs, (3, 3, 3), (2, 2, 2), padding="same", dtype=None, name="pool"),
    )
    expected = keras.ops.max_pool(padded(3, -1e9), 3, 2, "valid")
    np.testing.assert_array_equal(to_numpy(pool(x)), to_numpy(expected))


@pytest.mark.parametrize("size, is_equal", [(32, True), (33, False)])
def test_even_padding_is_tensorflows_for_even_sizes_alone(size, is_equal):
    x = np.random.RandomState(0).uniform(size=(1, 8, size, size, 3)).astype("float32")
    keras.utils.set_random_seed(0)
    same = I3D(width=4, kernel_initializer="he_normal")
    even = I3D(width=4, padding="even")
    even.set_weights(same.get_weights())
    a, b = (to_numpy(net.endpoint("conv_2c")(x, training=False)) for net in (same, even))
    assert (a.shape == b.shape and np.allclose(a, b, atol=1e-5)) == is_equal


def test_the_even_pooling_starts_at_the_first_row_and_keeps_the_last():
    x = np.arange(5, dtype="float32").reshape(1, 1, 5, 1, 1)
    inputs = keras.Input((None, None, None, 1))

    def pooled(padding):
        y = _pool(inputs, (1, 3, 1), (1, 2, 1), padding=padding, dtype=None, name="pool")
        return to_numpy(keras.Model(inputs, y)(x)).ravel().tolist()

    assert pooled("even") == [2, 4, 4]
    assert pooled("same") == pooled("symmetric") == [1, 3, 4]


def test_statistics_are_one_a_channel_or_one_for_all():
    flow = I3D(width=4, clip_shape=(None, None, None, 2), mean=0.5, std=[0.5, 0.25])
    assert flow.mean == [0.5, 0.5] and flow.std == [0.5, 0.25]
    pixels = np.full((1, 1, 1, 1, 2), 255, "uint8")
    np.testing.assert_allclose(to_numpy(flow.prepare(pixels)).ravel(), [1.0, 2.0], rtol=1e-6)
    with pytest.raises(ValueError, match="clip's 2 channels"):
        I3D(width=4, clip_shape=(None, None, None, 2), mean=[0, 0, 0])


def test_channels_of_single_endpoints_can_be_told():
    backbone = I3D(width=4, channels={"conv_2b": 7, "mixed_5c": [1, 2, 3, 4, 5, 6]})
    assert backbone.endpoints["conv_2b"].shape[-1] == 7
    assert backbone.output_shape[-1] == 1 + 3 + 5 + 6
    assert I3D.from_config(backbone.get_config()).output_shape == backbone.output_shape
    for wrong in ({"mixed_5c": [1, 2]}, {"conv_2b": [1]}, {"mixed_5d": 4}):
        with pytest.raises(ValueError, match="six for a block"):
            I3D(width=4, channels=wrong)
