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
        ("r2plus1d_18_xdc", 0, 33_165_639),
        ("r2plus1d_18_crisscross", 0, 15_379_136),
        ("r2plus1d_18_replai", 0, 15_379_136),
        # SLIC's fixture has 33,238,944 with a head of 64 and 32.
        ("r3d_18_slic", 0, 33_238_944 - (512 * 64 + 64) - 2 * 64 - (64 * 32 + 32)),
        ("r3d_18_vtdl", 0, 33_203_904),
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


SMALL = {"width": 2, "blocks": [1, 1, 1, 1]}


@pytest.mark.parametrize(
    "name, shape, sizes",
    [
        # XDC's and CrissCross's cards: 8 frames of 112 x 112.
        ("r2plus1d_18_xdc", (8, 112, 112), [(8, 56), (8, 56), (4, 28), (2, 14), (1, 7)]),
        ("r2plus1d_18_crisscross", (8, 112, 112), [(8, 28), (8, 28), (4, 14), (2, 7), (1, 4)]),
        # SLIC: 2 x 8 x 8 before its pooling.
        ("r3d_18_slic", (16, 128, 128), [(16, 64), (16, 64), (8, 32), (4, 16), (2, 8)]),
        ("r3d_18_vtdl", (16, 224, 224), [(8, 56), (8, 56), (4, 28), (2, 14), (1, 7)]),
        ("r3d_18_vtdl", (13, 50, 50), [(7, 13), (7, 13), (4, 7), (2, 4), (1, 2)]),
    ],
)
def test_methods_networks_have_the_cards_maps(name, shape, sizes):
    backbone = VideoBackbone.from_preset(name, clip_shape=(*shape, 3), **SMALL)
    first = "stem_pool" if backbone.stem_pool else "stem"
    maps = [backbone.endpoints[e].shape for e in (first, "layer1", "layer2", "layer3", "layer4")]
    assert [(t, h) for _, t, h, w, _ in maps] == sizes and all(m[2] == m[3] for m in maps)


def test_avids_block_normalises_the_sum_once():
    backbone = VideoBackbone.from_preset("r2plus1d_18_crisscross", **SMALL)
    names = {layer.name for layer in backbone.layers}
    assert "layer2_0_shortcut" in names and "layer2_0_shortcut_bn" not in names
    assert backbone.get_layer("stem").kernel.shape == (3, 7, 7, 3, 2)
    # Without its last temporal convolution a block is relu(bn(x)).
    temporal = backbone.get_layer("layer1_0_conv2_temporal")
    temporal.kernel.assign(np.zeros(temporal.kernel.shape, "float32"))
    norm = backbone.get_layer("layer1_0_bn2")
    norm.beta.assign([0.5, -0.25])
    start = backbone.endpoints["stem_pool"]
    block = keras.Model(start, backbone.endpoints["layer1"])
    x = np.abs(np.random.RandomState(0).normal(size=(1, 4, 6, 6, 2)).astype("float32"))
    want = np.maximum(x / np.sqrt(1 + 1e-5) + np.array([0.5, -0.25], "float32"), 0)
    np.testing.assert_allclose(ops.convert_to_numpy(block(x)), want, atol=1e-5)


@pytest.mark.parametrize("name", ["r2plus1d_18_crisscross", "r3d_18_slic", "r3d_18_vtdl"])
def test_methods_networks_come_back_from_their_configuration(name):
    backbone = VideoBackbone.from_preset(name, **SMALL)
    copy = type(backbone).from_config(backbone.get_config())
    assert copy.get_config() == backbone.get_config()
    assert [w.path.split("/", 1)[-1] for w in copy.weights] == [
        w.path.split("/", 1)[-1] for w in backbone.weights
    ]


def test_unknown_stems_are_refused():
    with pytest.raises(ValueError, match="`stem_kernel` is an odd number"):
        R3D(width=2, stem_kernel=4)
    with pytest.raises(ValueError, match="`stem_pool_frames` is 1 or 3"):
        R3D(width=2, stem_pool=True, stem_pool_frames=2)
    with pytest.raises(ValueError, match="`midplanes` is"):
        R2Plus1D(width=2, midplanes="in")
