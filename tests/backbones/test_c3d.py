"""The published facts of C3D."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import C3D, VideoBackbone
from keras_vssl.layers import BatchNormalization
from tests.backends import to_numpy


def test_the_batch_normalised_network():
    backbone = VideoBackbone.from_preset("c3d_vcop", clip_shape=(16, 112, 112, 3))
    count = sum(int(np.prod(w.shape)) for w in backbone.trainable_weights)
    assert count == 27_661_440
    convs = [layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv3D)]
    norms = [layer for layer in backbone.layers if isinstance(layer, BatchNormalization)]
    assert len(convs) == len(norms) == 8
    assert all(conv.use_bias for conv in convs)
    assert backbone.output_shape == (None, 2, 7, 7, 512)
    assert [backbone.endpoints[f"pool{i}"].shape[1] for i in (1, 2, 3, 4)] == [16, 8, 4, 2]


def test_the_sports1m_network():
    backbone = VideoBackbone.from_preset("c3d_sports1m", clip_shape=(16, 112, 112, 3))
    assert backbone.count_params() == 77_995_776
    assert backbone.output_shape == (None, 1, 1, 1, 4096)
    assert int(np.prod(backbone.endpoints["pool5"].shape[1:])) == 8192


@pytest.mark.parametrize("size", [(8, 16, 16), (9, 17, 21), (16, 32, 48)])
def test_any_clip_of_eight_frames_and_sixteen_pixels(size):
    backbone = C3D(width=4)
    features = backbone(np.zeros((1, *size, 3), "float32"))
    assert features.shape == (1, size[0] // 8, size[1] // 16, size[2] // 16, 32)


@pytest.mark.parametrize("pooling, expected", [("padded", 2), ("ceil", 2), ("floor", 1)])
def test_the_fifth_pooling_is_that_of_the_source(pooling, expected):
    backbone = C3D(width=2, dense=4, dense_shape=(1, 1, 1), pooling=pooling)
    clips = np.random.RandomState(0).normal(size=(1, 16, 48, 48, 3)).astype("float32")
    before = to_numpy(backbone.endpoint("conv5b")(clips))[0]
    got = to_numpy(backbone.endpoint("pool5")(clips))[0, 0]
    assert before.shape[:3] == (2, 3, 3) and got.shape[:2] == (expected, expected)
    # Where the first window of each form ends: one pixel earlier where it hangs over the edge.
    first = before[:, :1, :1] if pooling == "padded" else before[:, :2, :2]
    np.testing.assert_array_equal(got[0, 0], first.max((0, 1, 2)))
    with pytest.raises(ValueError, match="`pooling` is one of"):
        C3D(width=2, pooling="same")
