"""Checkpoints become the networks that their tensors describe, or an error that names why not."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import C3D, MC3, R3D, AlexNetBN, R2Plus1D, VideoBackbone
from keras_vssl.convert import ConvertError, convert, mmaction2, read_state_dict, vcop
from keras_vssl.convert import torchvision_video as torchvision
from keras_vssl.convert.residual import map_residual


def checkpoint(mapping):
    """The checkpoint that a mapping reads, in the source's layout, with random values."""
    random = np.random.RandomState(0)
    state = {}
    for name, variable, _ in mapping.entries:
        array = random.uniform(0.1, 0.5, variable.shape).astype("float32")
        if array.ndim > 1:
            array = np.moveaxis(array, (-1, -2), (0, 1)) - 0.3
        state[name] = np.ascontiguousarray(array)
        if name.endswith("running_var"):
            state[name.replace("running_var", "num_batches_tracked")] = np.array(7)
    return state


def residual(backbone, names):
    return checkpoint(map_residual(backbone, names))


def plain(backbone):
    stages = "12345" if isinstance(backbone, AlexNetBN) else vcop._C3D_STAGES
    return checkpoint(vcop._map_plain(backbone, "", stages))


def linear(classes, width, name):
    random = np.random.RandomState(1)
    return {
        f"{name}.weight": random.normal(size=(classes, width)).astype("float32"),
        f"{name}.bias": random.normal(size=classes).astype("float32"),
    }


def order_head(clips, width, hidden, orders):
    joined = hidden * clips * (clips - 1) // 2
    return {**linear(hidden, 2 * width, "fc7"), **linear(orders, joined, "fc8")}


def small(**options):
    return {"width": 4, "blocks": (2, 1, 3, 1), **options}


def vcop_r2plus1d():
    return R2Plus1D(**small(midplanes="conv", stem_midplanes=None, factored_shortcut=True))


def c3d_sports1m(names):
    """A Sports-1M C3D of width 4 whose fc6 spans 1x2x2."""
    sizes = {"1": 4, "2": 8, "3a": 16, "3b": 16, "4a": 32, "4b": 32, "5a": 32, "5b": 32}
    random, state, before = np.random.RandomState(0), {}, 3
    for stage, size in sizes.items():
        state[f"{names(stage)}.weight"] = random.normal(0, 0.2, (size, before, 3, 3, 3))
        state[f"{names(stage)}.bias"] = random.normal(size=size)
        before = size
    return {**state, **linear(10, 32 * 4, "fc6"), **linear(10, 10, "fc7")}


CASES = {
    "torchvision_r3d": lambda: (R3D(**small()), torchvision._Names(False)),
    "torchvision_mc3": lambda: (MC3(**small()), torchvision._Names(False)),
    "torchvision_r2plus1d": lambda: (R2Plus1D(**small()), torchvision._Names(True)),
    "vmz_r2plus1d": lambda: (
        R2Plus1D(**small(midplanes="conv", epsilon=1e-3)),
        torchvision._Names(True),
    ),
    "vcop_r3d": lambda: (R3D(**small()), vcop._Names("")),
    "vcop_r2plus1d": lambda: (vcop_r2plus1d(), vcop._Names("")),
    "mmaction2_r2plus1d": lambda: (
        VideoBackbone.from_preset("r2plus1d_34_mmaction2", **small()),
        mmaction2._Names(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_class_width_depth_and_convention_are_read_from_the_tensors(case):
    expected, names = CASES[case]()
    state = residual(expected, names)
    got = convert(state).model
    assert type(got) is type(expected)
    arguments = ["width", "blocks", "epsilon", "stem_pool"]
    if isinstance(expected, R2Plus1D):
        arguments += ["midplanes", "stem_midplanes", "factored_shortcut", "inner_epsilon"]
    config, wanted = got.get_config(), expected.get_config()
    assert {a: config[a] for a in arguments} == {a: wanted[a] for a in arguments}
    kernel = f"{names.factored('stem')[0] if isinstance(got, R2Plus1D) else names.conv('stem')}"
    layer = "stem_spatial" if isinstance(got, R2Plus1D) else "stem"
    np.testing.assert_array_equal(
        ops.convert_to_numpy(got.get_layer(layer).kernel),
        state[f"{kernel}.weight"].transpose(2, 3, 4, 1, 0),
    )


@pytest.mark.parametrize("backbone", [C3D, AlexNetBN])
def test_plain_networks_of_vcop(backbone):
    got = convert(plain(backbone(width=4))).model
    assert type(got) is backbone and got.width == 4


@pytest.mark.parametrize("names", [lambda s: f"conv{s}", None])
def test_sports1m_forms(names):
    def mmaction2_names(stage):
        return f"conv{stage if len(stage) > 1 else stage + 'a'}.conv"

    state = c3d_sports1m(names or mmaction2_names)
    got = convert(state).model
    assert got.dense == 10 and got.dense_shape == (1, 2, 2) and not got.batch_normalization
    # fc6 reads the pooled map in the order C, T, H, W.
    pooled = np.random.RandomState(3).normal(size=(1, 1, 2, 2, 32)).astype("float32")
    layer = got.get_layer("fc6")
    flat = np.moveaxis(pooled, -1, 1).reshape(1, -1)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(pooled))[0, 0, 0, 0],
        (flat @ state["fc6.weight"].T + state["fc6.bias"])[0],
        rtol=1e-4,
        atol=1e-4,
    )


def test_options_override_what_tensors_do_not_tell():
    state = residual(R3D(**small()), torchvision._Names(False))
    got = convert(state, epsilon=1e-3, stem_pool=True, mean=(0, 0, 0), std=(1, 1, 1)).model
    assert got.epsilon == 1e-3 and got.stem_pool and got.mean == [0, 0, 0]
    with pytest.raises(ConvertError, match="has no option inner_epsilon"):
        convert(state, inner_epsilon=1e-3)


def test_a_checkpoint_of_the_whole_method_becomes_its_task():
    state = residual(vcop_r2plus1d(), vcop._Names("base_network."))
    state |= order_head(clips=4, width=32, hidden=10, orders=24)
    task = convert({f"module.{k}": v for k, v in state.items()}).model
    assert type(task).__name__ == "VCOP"
    np.testing.assert_array_equal(ops.convert_to_numpy(task.head.pair.bias), state["fc7.bias"])
    clips = np.zeros((1, 4, 8, 32, 32, 3), "float32")
    assert task(clips).shape == (1, 24)
    assert type(convert(state, backbone_only=True).model) is R2Plus1D


def test_a_classifier_checkpoint_keeps_its_classes_unless_told():
    state = residual(R3D(**small()), torchvision._Names(False)) | linear(7, 32, "fc")
    model = convert(state).model
    assert model(np.zeros((1, 1, 8, 32, 32, 3), "float32")).shape == (1, 7)
    np.testing.assert_array_equal(ops.convert_to_numpy(model.head.kernel), state["fc.weight"].T)
    assert type(convert(state, backbone_only=True).model) is R3D


def test_a_head_alone_is_no_preset(tmp_path):
    state = order_head(clips=3, width=8, hidden=5, orders=6)
    assert convert(state).model(np.zeros((2, 3, 8), "float32")).shape == (2, 6)
    with pytest.raises(ConvertError, match="can't be a preset"):
        convert(state, tmp_path / "head")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConvertError, match="expected n!"):
        convert(order_head(clips=3, width=8, hidden=5, orders=7))


def test_every_misfit_is_named_in_one_error():
    state = residual(R3D(**small()), torchvision._Names(False))
    del state["layer1.0.conv1.1.running_mean"], state["stem.1.bias"]
    state["layer3.2.conv2.0.weight"] = state["layer3.2.conv2.0.weight"][:, :5]
    state["projector.weight"] = np.zeros((2, 2), "float32")
    with pytest.raises(ConvertError) as caught:
        convert(state)
    message = str(caught.value)
    for name in (
        "layer1.0.conv1.1.running_mean",
        "stem.1.bias",
        "layer3.2.conv2.0.weight",
        "projector.weight",
    ):
        assert name in message
    assert "num_batches_tracked" not in message


def test_what_is_not_known_is_refused():
    with pytest.raises(ConvertError, match="No known format"):
        convert({"patch_embed.weight": np.zeros((2, 2))})
    with pytest.raises(ConvertError, match="Unknown format 'caffe2'"):
        convert({"conv": np.zeros(2)}, format="caffe2")
    state = residual(R3D(**small()), torchvision._Names(False))
    with pytest.raises(ConvertError, match="bottleneck"):
        convert(state | {"layer1.0.conv3.0.weight": np.zeros((1, 1, 1, 1, 1))})
    width_150 = residual(R2Plus1D(**small()), torchvision._Names(True))
    spatial = width_150["layer2.0.conv2.0.0.weight"]
    with pytest.raises(ConvertError, match="middle channels"):
        convert(width_150 | {"layer2.0.conv2.0.0.weight": spatial[1:]})
    del state["stem.0.weight"]
    with pytest.raises(ConvertError, match=r"lacks stem\.0\.weight|No known format"):
        convert(state)


def test_files_of_all_kinds_hold_the_same_tensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    torch = pytest.importorskip("torch")
    state = {
        "stem.0.weight": np.arange(6, dtype="float32").reshape(2, 3),
        "stem.1.bias": np.ones(2, "float32"),
    }
    np.savez(tmp_path / "a.npz", **state)
    safetensors.save_file(state, tmp_path / "a.safetensors")
    tensors = {f"module.backbone.{k}": torch.tensor(v) for k, v in state.items()}
    torch.save({"epoch": 3, "state_dict": tensors, "best": 0.5}, tmp_path / "a.pth")
    half = {k: v.to(torch.bfloat16) for k, v in tensors.items()}
    torch.save({"model": half}, tmp_path / "a.pt")
    torch.save(tensors, tmp_path / "old.pickle", _use_new_zipfile_serialization=False)
    for path in sorted(tmp_path.iterdir()):
        read = read_state_dict(path)
        assert list(read) == list(state)
        for name in state:
            assert read[name].dtype == np.float32
            np.testing.assert_array_equal(read[name], state[name])


class Intruder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_that_wants_to_run_code_does_not(tmp_path):
    torch = pytest.importorskip("torch")
    trace = tmp_path / "trace"
    torch.save({"stem.0.weight": Intruder(str(trace))}, tmp_path / "new.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"w": Intruder(str(trace))}))
    for name in ("new.pth", "bare.pth"):
        with pytest.raises(ConvertError) as caught:
            read_state_dict(tmp_path / name)
        assert "would run code" in str(caught.value) and "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["a.pth", "a.npz", "a.safetensors"])
def test_damaged_and_absent_files_are_one_sentence(tmp_path, name):
    with pytest.raises(ConvertError, match="no checkpoint file"):
        read_state_dict(tmp_path / name)
    (tmp_path / name).write_bytes(b"not a checkpoint at all")
    with pytest.raises(ConvertError) as caught:
        read_state_dict(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_preset_says_where_it_came_from(tmp_path):
    state = residual(R3D(**small()), torchvision._Names(False))
    source = tmp_path / "r3d.npz"
    np.savez(source, **state)
    out = tmp_path / "preset"
    model = convert(source, out, licence="CC0").model
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["source"] == "r3d.npz"
    assert provenance["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert provenance["format"] == "torchvision_video" and provenance["licence"] == "CC0"
    assert "Tran" in provenance["citation"]
    again = R3D.from_preset(str(out))
    x = np.random.RandomState(0).randint(0, 256, (1, 8, 32, 32, 3)).astype("uint8")
    np.testing.assert_allclose(
        ops.convert_to_numpy(again(x)), ops.convert_to_numpy(model(x)), rtol=1e-5, atol=1e-5
    )
