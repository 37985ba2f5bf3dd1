"""The published facts of R3D, MC3 and R(2+1)D."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import R3D, R2Plus1D, VideoBackbone
from keras_vssl.backbones.r3d import middle_width


def trainable_count(backbone, classes=0):
    """PyTorch counts no running statistics; a head of `classes` is added."""
    count = sum(int(np.prod(w.shape)) for w in backbone.trainable_weights)
    return count + (backbone.feature_dim + 1) * classes


@pytest.mark.parametrize(
    "channels, middle",
    [
        ((64, 64), 144),
        ((64, 128), 230),
        ((128, 128), 288),
        ((128, 256), 460),
        ((256, 256), 576),
        ((256, 512), 921),
        ((512, 512), 1152),
    ],
)
def test_middle_widths(channels, middle):
    assert middle_width(*channels) == middle


def test_middle_widths_of_stem_and_shortcuts():
    assert middle_width(3, 64, size=7) == 83
    assert [middle_width(c, 2 * c, taps=1, size=1) for c in (64, 128, 256)] == [42, 85, 170]
    assert [middle_width(c, 2 * c, taps=3, size=1) for c in (64, 128, 256)] == [54, 109, 219]


@pytest.mark.parametrize(
    "name, classes, count",
    [
        ("r3d_18", 400, 33_371_472),
        ("mc3_18", 400, 11_695_440),
        ("r2plus1d_18", 400, 31_505_325),
        ("r2plus1d_34_vmz", 11, 63_497_618),
        ("r2plus1d_34_mmaction2", 0, 63_554_081),
        ("r3d_10_vcop", 0, 14_361_792),
        ("r2plus1d_10_vcop", 0, 14_365_303),
    ],
)
def test_parameter_counts(name, classes, count):
    assert trainable_count(VideoBackbone.from_preset(name), classes) == count


def test_shapes_of_conventions():
    def shape(backbone, layer):
        return tuple(backbone.get_layer(layer).kernel.shape)

    torchvision = VideoBackbone.from_preset("r2plus1d_18", blocks=[1, 1, 1, 1])
    vmz = VideoBackbone.from_preset("r2plus1d_34_vmz", blocks=[1, 1, 1, 1])
    vcop = VideoBackbone.from_preset("r2plus1d_10_vcop")
    assert shape(torchvision, "layer2_0_conv2_spatial") == (1, 3, 3, 128, 230)
    assert shape(vmz, "layer2_0_conv2_spatial") == (1, 3, 3, 128, 288)
    assert shape(torchvision, "stem_spatial") == (1, 7, 7, 3, 45)
    assert shape(vcop, "stem_spatial") == (1, 7, 7, 3, 83)
    assert shape(vcop, "layer2_0_shortcut_spatial") == (1, 1, 1, 64, 42)
    assert shape(torchvision, "layer2_0_shortcut") == (1, 1, 1, 64, 128)


@pytest.mark.parametrize("frames, reduced", [(16, 2), (9, 2), (8, 1)])
@pytest.mark.parametrize("name", ["r3d_18", "r2plus1d_18", "mc3_18"])
def test_time_is_divided_by_eight_rounding_up_or_not_at_all(name, frames, reduced):
    backbone = VideoBackbone.from_preset(
        name, width=4, blocks=[1, 1, 1, 1], clip_shape=(frames, 112, 112, 3)
    )
    frames_out = frames if name == "mc3_18" else reduced
    assert backbone.output_shape == (None, frames_out, 7, 7, 32)
    assert backbone.endpoints["stem"].shape == (None, frames, 56, 56, 4)


def test_a_block_without_residual_is_a_relu():
    backbone = R3D(width=4, blocks=(2, 1, 1, 1))
    backbone.get_layer("layer1_1_bn2").gamma.assign(np.zeros(4, "float32"))
    start = backbone.get_layer("layer1_1_conv1").input
    block = keras.Model(start, backbone.endpoints["layer1"])
    x = np.random.RandomState(0).normal(size=(1, 4, 8, 8, 4)).astype("float32")
    np.testing.assert_allclose(ops.convert_to_numpy(block(x)), np.maximum(x, 0), atol=1e-6)


def test_the_two_paddings_differ_only_where_a_stride_is_two():
    x = np.random.RandomState(0).normal(size=(1, 8, 32, 32, 3)).astype("float32")
    symmetric = R2Plus1D(width=4, blocks=(1, 1, 1, 1))
    same = R2Plus1D(width=4, blocks=(1, 1, 1, 1), padding="same")
    same.set_weights(symmetric.get_weights())
    a, b = (ops.convert_to_numpy(m(x)) for m in (symmetric, same))
    assert a.shape == b.shape
    assert not np.allclose(a, b)
