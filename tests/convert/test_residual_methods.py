"""SLIC's, VTDL's and TCGL's files: their networks under three namings, and what heads fit."""

import numpy as np
import pytest

from keras_vssl.backbones import C3D, I3D, R3D, R2Plus1D
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import ConvertError, convert, i3d, resnet3d, slic, vcop
from keras_vssl.convert.inception import map_inception
from tests.backends import infer, to_numpy
from tests.convert.check import check_format
from tests.convert.test_conversion import checkpoint, linear, plain, residual

RANDOM = np.random.RandomState(3)
CLIP = RANDOM.normal(size=(1, 9, 18, 21, 3)).astype("float32")


def preset(name, **options):
    config = {k: v for k, v in ARCHITECTURES[name]["config"].items() if k != "clip"}
    return {**config, "width": 4, "blocks": (1, 1, 2, 1), **options}


def norm(name, width):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": RANDOM.uniform(0.5, 1, width).astype("float32") for part in parts}


def slic_state():
    state = residual(R3D(**preset("r3d_18_slic")), resnet3d._Names())
    return state | linear(6, 32, "fc1") | norm("bn_proj", 6) | linear(5, 6, "fc2")


def vtdl_heads(width):
    return linear(7, width, "id_head.2") | linear(9, width, "cls_head.2")


def vtdl_r3d():
    return residual(R3D(**preset("r3d_18_vtdl")), resnet3d._Names()) | vtdl_heads(32)


def tcgl_state(network, weight="lin.weight"):
    """`weight` is how PyTorch Geometric names a graph convolution's kernel."""
    state = {f"base_network.{name}": array for name, array in network.items()}
    for graph in ("gcn_f", "gcn_f1", "gcn_f2", "gcn_f3", "gcn1", "gcn2"):
        state |= {f"{graph}.bias": np.zeros(4, "float32")}
        state |= {f"{graph}.{weight}": np.zeros((4, 4), "float32")}
    for layer in ("fc1", "fc2", "fc7", "fc8", *(f"fusion.fc_{i}.{j}" for i in (1, 2, 3) for j in (0, 2))):  # fmt: skip
        state |= linear(4, 4, layer)
    return state


def test_a_slic_file_gives_its_network_and_its_head(tmp_path):
    state = slic_state()
    model = check_format(state, "slic", tmp_path, inputs=CLIP, victim="layer4.0.bn2.bias")
    assert type(model) is R3D and model.blocks == (1, 1, 2, 1) and model.stem_kernel == 7
    assert not model.stem_pool and model.stem_stride == 1 and model.clip["size"] == 128
    head = convert(state, part="head").model
    x = RANDOM.normal(size=(3, 32)).astype("float32")
    y = x @ state["fc1.weight"].T + state["fc1.bias"]
    gain, offset, mean, variance = (
        state[f"bn_proj.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    y = np.maximum((y - mean) / np.sqrt(variance + 1e-5) * gain + offset, 0)
    y = y @ state["fc2.weight"].T + state["fc2.bias"]
    np.testing.assert_allclose(to_numpy(head(x, training=False)), y, atol=1e-5)
    alone = {name: array for name, array in state.items() if name in slic._HEAD}
    got = convert(alone).model
    np.testing.assert_allclose(to_numpy(got(x, training=False)), y, atol=1e-5)
    with pytest.raises(ConvertError, match="layer5.0.conv1.weight"):
        convert({**state, "layer5.0.conv1.weight": np.zeros(2, "float32")}, part="head")


def test_what_no_tensor_tells_is_an_option():
    state = slic_state()
    pooled = convert(state, stem_pool=True, stem_stride=2).model
    assert pooled.stem_pool_frames == 3 and pooled.stem_stride == 2
    # 9 frames: 5 behind the stem, 3 behind the pooling.
    pool = pooled.endpoint("stem_pool")
    assert tuple(pool(CLIP).shape) == (1, 3, 5, 6, 4)
    same = convert(state).model
    for got, wanted in zip(pooled.weights, same.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(got.value), to_numpy(wanted.value))


def test_bottlenecks_are_refused_in_one_sentence():
    state = slic_state() | {"layer1.0.conv3.weight": np.zeros((16, 4, 1, 1, 1), "float32")}
    with pytest.raises(ConvertError, match="bottleneck blocks"):
        convert(state)


def test_a_vtdl_resnet_file(tmp_path):
    state = vtdl_r3d()
    model = check_format(state, "vtdl", tmp_path, inputs=CLIP, victim="layer3.1.bn2.bias")
    assert type(model) is R3D and model.stem_pool and model.stem_pool_frames == 3
    assert model.clip == {"frames": 16, "stride": 4, "resize": 256, "size": 224}
    with pytest.raises(ConvertError, match="other_head.2.bias"):
        convert({**state, "other_head.2.bias": np.zeros(2, "float32")})


def test_vtdls_other_networks():
    r2plus1d = R2Plus1D(**preset("r2plus1d_10_vcop"))
    state = residual(r2plus1d, vcop._Names("")) | vtdl_heads(32)
    converted = convert(state)
    assert converted.provenance["format"] == "vtdl" and type(converted.model) is R2Plus1D
    assert converted.model.clip["stride"] == 4 and converted.model.factored_shortcut
    # Without its heads the same network is VCOP's.
    bare = {name: array for name, array in state.items() if "_head" not in name}
    assert convert(bare).provenance["format"] == "vcop"
    inception = I3D(2, padding="even", epsilon=1e-5)
    state = checkpoint(map_inception(inception, i3d._VTDL)) | vtdl_heads(32)
    converted = convert(state)
    assert converted.provenance["format"] == "vtdl" and type(converted.model) is I3D
    assert converted.model.padding == "even" and converted.model.clip["size"] == 224


def test_vtdls_heads_are_a_unit_embedding_and_classes():
    state = vtdl_r3d()
    model = convert(state, part="heads").model
    x = RANDOM.normal(size=(3, 32)).astype("float32")
    got = {name: to_numpy(value) for name, value in model(x, training=False).items()}
    embedding = x @ state["id_head.2.weight"].T + state["id_head.2.bias"]
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    np.testing.assert_allclose(got["id"], embedding, atol=1e-5)
    classes = x @ state["cls_head.2.weight"].T + state["cls_head.2.bias"]
    np.testing.assert_allclose(got["cls"], classes, atol=1e-5)
    with pytest.raises(ConvertError, match="other_head.2.bias"):
        convert({**state, "other_head.2.bias": np.zeros(2, "float32")}, part="heads")
    with pytest.raises(ConvertError, match="Only the video network has clip"):
        convert(state, part="heads", clip={"frames": 8})


def test_a_tcgl_file_gives_its_encoder(tmp_path):
    network = residual(R3D(**preset("r3d_10_vcop")), vcop._Names(""))
    state = tcgl_state(network)
    victim = "base_network.conv5.block1.bn2.bias"
    model = check_format(state, "tcgl", tmp_path, inputs=CLIP, victim=victim)
    assert type(model) is R3D and model.blocks == (1, 1, 2, 1)
    old = convert(tcgl_state(network, "weight"))
    assert old.provenance["format"] == "tcgl"
    for got, wanted in zip(old.model.weights, model.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(got.value), to_numpy(wanted.value))


def test_tcgls_c3d_and_r2plus1d():
    c3d = convert(tcgl_state(plain(C3D(width=4)))).model
    assert type(c3d) is C3D and c3d.width == 4
    network = residual(R2Plus1D(**preset("r2plus1d_10_vcop")), vcop._Names(""))
    assert type(convert(tcgl_state(network)).model) is R2Plus1D


def test_tcgls_fixture_gives_the_features_of_snippets_and_of_their_quarters(shared):
    from tests.parity import _fixture_module

    folder = shared / "goldens"
    _, weights, inputs, expected = _fixture_module(folder).load(folder / "tcgl-full-r3d")
    model = convert(weights).model

    def features(clips):
        clips = np.moveaxis(clips, 1, -1)
        clips = clips - clips.mean(1, keepdims=True)
        return to_numpy(infer(model, clips)).mean((1, 2, 3))

    clips = inputs["tuple"].reshape(-1, *inputs["tuple"].shape[2:])
    quarters = np.stack(np.split(clips, 4, axis=2), axis=1).reshape(-1, 3, 4, *clips.shape[3:])
    for got, name in ((features(clips), "clip_features"), (features(quarters), "frame_features")):
        wanted = expected[name].reshape(got.shape)
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)
