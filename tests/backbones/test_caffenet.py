"""The published facts of CaffeNet, and what its forms promise."""

import numpy as np
import pytest

from keras_vssl.backbones import CaffeNet
from keras_vssl.layers import BatchNormalization
from tests.backends import to_numpy

TINY = {"channels": (6, 8, 12, 12, 8), "kernel_initializer": "he_normal"}


def at(preset, size):
    return CaffeNet.from_preset(preset, clip_shape=(1, size, size, 3))


def parameters(model, *names):
    layers = [model.get_layer(name) for name in names] if names else [model]
    return sum(int(np.prod(w.shape)) for layer in layers for w in layer.trainable_weights)


@pytest.mark.parametrize(
    "size, expected",
    [
        (227, [55, 27, 27, 13, 13, 13, 13, 6]),
        (224, [54, 27, 27, 13, 13, 13, 13, 6]),
        (80, [18, 9, 9, 4, 4, 4, 4, 2]),
    ],
)
def test_maps_have_the_sizes_of_ceil_mode(size, expected):
    backbone = CaffeNet(**TINY, dense=(), clip_shape=(1, size, size, 3))
    names = ("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5")
    maps = [tuple(backbone.endpoints[name].shape) for name in names]
    assert [shape[2] for shape in maps] == [shape[3] for shape in maps] == expected
    frames = np.zeros((1, 1, size, size, 3), "float32")
    assert tuple(backbone(frames).shape) == (1, 1, expected[-1], expected[-1], 8)


def test_kernels_and_counts_of_the_plain_network():
    backbone = at("caffenet", 227)
    kernels = {f"conv{i}": tuple(backbone.get_layer(f"conv{i}").kernel.shape) for i in range(1, 6)}
    assert kernels["conv1"] == (11, 11, 3, 96)
    assert kernels["conv2"] == (5, 5, 48, 256)
    assert kernels["conv4"] == (3, 3, 192, 384)
    assert kernels["conv5"] == (3, 3, 192, 256)
    assert parameters(backbone, *kernels) == 2_334_080
    assert parameters(backbone, "fc6") == 9216 * 4096 + 4096
    assert parameters(backbone, "fc7") == 4096 * 4096 + 4096
    assert backbone.count_params() == 2_334_080 + 9217 * 4096 + 4097 * 4096
    assert backbone.output_shape == (None, 1, 1, 1, 4096)


def test_shuffle_and_learn_normalises_without_gain_or_offset():
    backbone = at("caffenet_bn_shuffle_learn", 227)
    norms = [layer for layer in backbone.layers if isinstance(layer, BatchNormalization)]
    assert [layer.name for layer in norms] == ["bn3", "bn4", "bn5", "bn6", "bn7"]
    assert not any(layer.trainable_weights for layer in norms)
    assert {layer.epsilon for layer in norms} == {1e-5}
    assert parameters(backbone) == at("caffenet", 227).count_params()


def test_opn_reads_patches_of_80():
    backbone = at("caffenet_opn", 80)
    assert tuple(backbone.endpoints["pool5"].shape) == (None, 1, 2, 2, 256)
    assert backbone.output_shape == (None, 1, 1, 1, 1024)
    scales = 2 * (384 + 384 + 256 + 1024)
    assert parameters(backbone) == 2_334_080 + 1024 * 1024 + 1024 + scales


def test_tracking_embeds_in_1024_without_dropout():
    backbone = at("caffenet_tracking", 227)
    assert backbone.output_shape == (None, 1, 1, 1, 1024)
    assert parameters(backbone, "fc7") == 4096 * 1024 + 1024
    assert backbone.dropout == 0


def test_odd_one_out_reads_fifteen_channels():
    backbone = CaffeNet.from_preset("caffenet_odd_one_out")
    assert tuple(backbone.get_layer("conv1").kernel.shape) == (11, 11, 15, 96)
    norms = [layer for layer in backbone.layers if isinstance(layer, BatchNormalization)]
    assert len(norms) == 6 and backbone.feature_dim == 128


def test_the_second_half_of_conv2_sees_the_second_half_of_its_input():
    layer = CaffeNet(clip_shape=(1, 80, 80, 3), dense=()).get_layer("conv2")
    x = np.random.RandomState(0).normal(size=(1, 9, 9, 96)).astype("float32")
    changed = x.copy()
    changed[..., :48] += 1
    before, after = to_numpy(layer(x)), to_numpy(layer(changed))
    np.testing.assert_array_equal(before[..., 128:], after[..., 128:])
    assert np.abs(before[..., :128] - after[..., :128]).max() > 0.01


def test_initial_biases_keep_the_rectifiers_alive():
    for preset, expected in (("caffenet", [0, 1, 0, 1, 1]), ("caffenet_opn", [0, 0, 0, 0, 0])):
        backbone = CaffeNet.from_preset(preset, **{"dense": (4,), "dense_shape": (1, 1)})
        starts = [to_numpy(backbone.get_layer(f"conv{i}").bias)[0] for i in range(1, 6)]
        assert starts == expected
        assert (to_numpy(backbone.get_layer("fc6").bias) == 1).all()


def test_pixels_keep_their_range_and_lose_the_mean_of_their_channel():
    backbone = CaffeNet(**TINY, dense=(), mean=[0.4, 0.5, 0.6], std=[1 / 255] * 3)
    frames = np.random.RandomState(0).randint(0, 256, (1, 1, 48, 48, 3)).astype("uint8")
    got = to_numpy(backbone.normalize(frames))
    expected = frames.astype("float32") - 255 * np.array([0.4, 0.5, 0.6], "float32")
    np.testing.assert_allclose(got, expected, atol=1e-3)
    for preset, blue_green_red in (
        ("caffenet", (103.939, 116.779, 123.68)),
        ("caffenet_opn", (96.5, 96.5, 96.5)),
        ("caffenet_tracking", (96.64, 102.75, 107.99)),
    ):
        mean = CaffeNet.from_preset(preset, dense=()).mean
        np.testing.assert_allclose(255 * np.array(mean[::-1]), blue_green_red, atol=1e-3)


def test_every_frame_goes_through_by_itself():
    backbone = CaffeNet(**TINY, dense=(5,), dense_shape=(2, 2), batch_normalization=True)
    clips = np.random.RandomState(0).normal(size=(2, 3, 80, 80, 3)).astype("float32")
    together = to_numpy(backbone(clips))
    assert together.shape == (2, 3, 1, 1, 5)
    alone = to_numpy(backbone(clips[1:, 2:]))
    np.testing.assert_allclose(together[1:, 2:], alone, rtol=1e-4, atol=1e-4)


def test_a_larger_frame_gives_a_larger_map():
    backbone = CaffeNet(**TINY, dense=(5, 3), dense_shape=(2, 2))
    frames = np.zeros((1, 2, 113, 144, 3), "float32")
    assert tuple(backbone.endpoint("pool5")(frames).shape) == (1, 2, 3, 4, 8)
    assert tuple(backbone(frames).shape) == (1, 2, 2, 3, 3)


def test_channels_that_do_not_fit_are_one_sentence():
    with pytest.raises(ValueError, match="five numbers"):
        CaffeNet(channels=(8, 8))
    with pytest.raises(ValueError, match=r"two groups, but received \[7\]"):
        CaffeNet(channels=(8, 7, 8, 8, 8))
