"""The published facts of S3D and S3D-G in all their forms."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import S3D, VideoBackbone
from keras_vssl.backbones.s3d import SpaceToDepth
from tests.backends import to_numpy

FORMS = ("s3d_coclr", "s3dg_howto100m", "s3dg_mmv", "s3dg")


def trainable_count(backbone):
    return sum(int(np.prod(w.shape)) for w in backbone.trainable_weights)


@pytest.mark.parametrize(
    "name, options, count",
    [
        ("s3d_coclr", {}, 7_910_048),
        ("s3dg_coclr", {}, 9_098_000),
        # torchvision's metadata, with 400 classes.
        ("s3d_kinetics", {}, 8_320_048 - 1025 * 400),
        ("s3dg_howto100m", {}, 9_146_000),
        # MMV's network for three channels.
        ("s3dg_mmv", {"stem": "full", "stem_kernel": 7}, 9_162_704),
    ],
)
def test_parameters_channels_and_an_eighth_of_the_frames(name, options, count):
    backbone = VideoBackbone.from_preset(name, clip_shape=(16, 64, 96, 3), **options)
    assert trainable_count(backbone) == count
    assert backbone.output_shape == (None, 2, 2, 3, 1024)


def test_every_form_computes_at_its_least_size():
    clip = np.random.RandomState(0).uniform(size=(1, 8, 32, 32, 3)).astype("float32")
    for name in FORMS:
        backbone = VideoBackbone.from_preset(name, width=2)
        assert to_numpy(backbone(clip, training=False)).shape == (1, 1, 1, 1, 32), name


def test_symmetric_padding_needs_eight_frames():
    with pytest.raises(ValueError):
        S3D(width=4, clip_shape=(4, 32, 32, 3))


def test_speednet_keeps_every_time_step():
    backbone = VideoBackbone.from_preset("s3dg_speednet", width=4, clip_shape=(16, 64, 64, 3))
    assert backbone.output_shape == (None, 16, 2, 2, 64)
    slow = S3D(width=4, stem_stride=1, clip_shape=(16, 64, 64, 3))
    assert slow.output_shape == (None, 4, 2, 2, 64)


def test_gates_are_between_0_and_1_and_halve_when_they_know_nothing():
    keras.utils.set_random_seed(0)
    backbone = S3D(width=4, gating="conv_2c", kernel_initializer="he_normal")
    clip = np.random.RandomState(0).normal(size=(1, 8, 32, 32, 3)).astype("float32")
    tensors = {name: backbone.endpoints[name] for name in ("conv_2c", "gate_2c")}
    model = keras.Model(backbone.inputs[0], tensors)
    got = {name: to_numpy(x) for name, x in model(clip, training=False).items()}
    open_ = got["conv_2c"] > 1e-6
    gates = got["gate_2c"][open_] / got["conv_2c"][open_]
    assert open_.any() and (gates > 0).all() and (gates < 1).all() and gates.std() > 1e-4
    for variable in backbone.get_layer("conv_2c_gate").weights:
        variable.assign(np.zeros(variable.shape, "float32"))
    got = {name: to_numpy(x) for name, x in model(clip, training=False).items()}
    np.testing.assert_allclose(got["gate_2c"], 0.5 * got["conv_2c"], rtol=1e-6)


def test_gates_start_where_told():
    def gates(gating):
        names = {layer.name for layer in S3D(width=4, gating=gating).layers}
        return {name.removesuffix("_gate") for name in names if name.endswith("_gate")}

    assert gates(None) == set()
    assert gates("mixed_5c") == {"mixed_5c_b0", "mixed_5c_b1b", "mixed_5c_b2b", "mixed_5c_b3"}
    assert len(gates("conv_2c")) == 37


def test_space_to_depth_is_a_bijection_in_the_published_order():
    clip = np.random.RandomState(0).normal(size=(2, 4, 6, 8, 3)).astype("float32")
    cells = to_numpy(SpaceToDepth()(clip))
    assert cells.shape == (2, 2, 3, 4, 24)
    for t, h, w in np.ndindex(2, 2, 2):
        first = ((t * 2 + h) * 2 + w) * 3
        np.testing.assert_array_equal(cells[..., first : first + 3], clip[:, t::2, h::2, w::2])
    inverse = cells.reshape(2, 2, 3, 4, 2, 2, 2, 3).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    np.testing.assert_array_equal(inverse.reshape(clip.shape), clip)
    with pytest.raises(ValueError, match="even number of frames"):
        SpaceToDepth()(clip[:, :3])


def test_cells_and_stride_2_give_maps_of_one_shape():
    cells, full = (
        VideoBackbone.from_preset("s3dg_howto100m", stem=stem, width=4, clip_shape=(16, 64, 96, 3))
        for stem in ("space_to_depth", "full")
    )
    assert cells.endpoints["conv_1a"].shape == full.endpoints["conv_1a"].shape


def test_an_embedding_is_a_linear_map_of_the_mean():
    backbone = S3D(width=4, embedding_dim=6, kernel_initializer="he_normal")
    clip = np.random.RandomState(0).uniform(size=(2, 8, 32, 32, 3)).astype("float32")
    mean = to_numpy(backbone.endpoint("mixed_5c")(clip, training=False)).mean(axis=(1, 2, 3))
    kernel, bias = (to_numpy(w.value) for w in backbone.get_layer("embedding").weights)
    got = to_numpy(backbone(clip, training=False))
    assert got.shape == (2, 1, 1, 1, 6) and backbone.feature_dim == 6
    np.testing.assert_allclose(got[:, 0, 0, 0], mean @ kernel + bias, atol=1e-6)


@pytest.mark.parametrize(
    "argument", [{"stem": "wide"}, {"gating": "conv_2b"}, {"padding": "valid"}]
)
def test_unknown_choices_are_named(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}` is"):
        S3D(width=4, **argument)
