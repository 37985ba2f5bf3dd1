"""I3D from DeepMind's TensorFlow files and from the PyTorch port, and VTDL's names."""

import json

import numpy as np
import pytest

from keras_vssl.backbones import I3D
from keras_vssl.backbones.inception import scaled_channels
from keras_vssl.convert import convert, i3d
from keras_vssl.convert.inception import map_inception
from keras_vssl.convert.mapping import Mapping
from tests.backends import to_numpy
from tests.convert.check import check_format
from tests.convert.test_conversion import checkpoint, linear


def clip(channels=3):
    return np.random.RandomState(3).uniform(-1, 1, (1, 9, 33, 40, channels)).astype("float32")


def network(channels=3, **options):
    return I3D(2, clip_shape=(None, None, None, channels), **options)


def ported(backbone):
    """The tensors of the PyTorch port, with a classifier of five classes."""
    state = checkpoint(map_inception(backbone, i3d._PORTED))
    head = linear(5, backbone.feature_dim, "logits.conv3d")
    return state | {
        "logits.conv3d.weight": head["logits.conv3d.weight"][..., None, None, None],
        "logits.conv3d.bias": head["logits.conv3d.bias"],
    }


def deepmind(state, prefix):
    """The same network as Sonnet's variables."""
    parts = {"weight": "w", "bias": "b"}
    norms = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    branches = {branch[1:]: f"Branch_{branch[2]}" for branch in i3d._PORTED.branches.values()}
    variables = {}
    for name, array in state.items():
        *path, kind, part = name.split(".")
        if part == "num_batches_tracked" or (kind, part) == ("bn", "weight"):
            continue
        if path == ["logits"]:
            module = "Logits/Conv3d_0c_1x1"
        elif len(path) == 2:
            size = "1x1" if path[1] in ("b0", "b1a", "b2a", "b3b") else "3x3"
            letter = "b" if path[1].endswith("b") else "a"
            letter = "a" if path == ["Mixed_5b", "b2b"] else letter  # the official exception
            module = f"{path[0]}/{branches[path[1]]}/Conv3d_0{letter}_{size}"
        else:
            module = path[0]
        if kind == "bn":
            variables[f"{prefix}{module}/batch_norm/{norms[part]}"] = array.reshape(1, 1, 1, 1, -1)
        else:
            if array.ndim == 5:
                array = array.transpose(2, 3, 4, 1, 0)
            variables[f"{prefix}{module}/conv_3d/{parts[part]}"] = array
    return variables


def save_tensorflow(state, folder):
    tf = pytest.importorskip("tensorflow")
    path = str(folder / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=list(state),
        shape_and_slices=[""] * len(state),
        tensors=[tf.constant(array) for array in state.values()],
    )
    return path


def test_the_port_of_any_width_and_its_classifier(tmp_path):
    state = ported(I3D(2, channels={"mixed_4e": (3, 5, 4, 2, 3, 1)}))
    model = check_format(state, "i3d", tmp_path, inputs=clip()[:, None])
    assert model.backbone.width == 2 and model.num_classes == 5
    assert model.backbone.channels == {"mixed_4e": (3, 5, 4, 2, 3, 1)}
    assert model.backbone.padding == "same" and model.backbone.epsilon == 1e-3
    assert type(convert(state, backbone_only=True).model) is I3D


def test_flow_is_told_by_its_two_channels():
    state = ported(network(2))
    backbone = convert(state, backbone_only=True).model
    assert backbone.clip_shape == (None, None, None, 2) and backbone.mean == [0.5, 0.5]
    assert backbone(clip(2), training=False).shape == (1, 2, 2, 2, backbone.feature_dim)


def test_deepminds_variables_are_the_port_with_unit_gains(tmp_path):
    prefix = "RGB/inception_i3d/"
    port = ported(network())
    port = {n: np.ones_like(a) if n.endswith("bn.weight") else a for n, a in port.items()}
    variables = deepmind(port, prefix)
    assert f"{prefix}Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w" in variables
    victim = f"{prefix}Mixed_4c/Branch_1/Conv3d_0b_3x3/batch_norm/beta"
    model = check_format(variables, "i3d", tmp_path, save=save_tensorflow, victim=victim)
    # The Kinetics-600 file has no prefix.
    bare = {name.removeprefix(prefix): array for name, array in variables.items()}
    expected = convert(port).model
    for got, wanted in zip(convert(bare).model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(got.value), to_numpy(wanted.value))
    for got, wanted in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(got.value), to_numpy(wanted.value))


def test_vtdls_names_read_and_map():
    source = network(padding="even")
    state = checkpoint(map_inception(source, i3d._VTDL))
    backbone = i3d.build_vtdl_i3d(state)
    i3d.map_vtdl_i3d(Mapping(), backbone).place(state, backbone)
    assert backbone.padding == "even" and backbone.epsilon == 1e-5
    assert backbone.width == 2 and backbone.channels is None
    kernel = backbone.get_layer("mixed_3b_b2b").kernel
    expected = state["mixed_3b.branch_2.1.conv3d.weight"].transpose(2, 3, 4, 1, 0)
    np.testing.assert_array_equal(to_numpy(kernel.value), expected)


def test_vtdls_fixture_gives_its_feature(shared):
    from tests.parity import _fixture_module

    folder = shared / "goldens"
    _, weights, inputs, expected = _fixture_module(folder).load(folder / "vtdl-i3d")
    backbone = i3d.build_vtdl_i3d(weights)
    mapping = i3d.map_vtdl_i3d(Mapping(), backbone)
    mapping.ignore(*(name for name in weights if name.startswith(("id_head.", "cls_head."))))
    mapping.place(weights, backbone)
    feature = to_numpy(backbone(np.moveaxis(inputs["clip"], 1, -1), training=False))
    feature = np.moveaxis(feature, -1, 1)
    assert feature.shape == tuple(expected["feature_shape"])
    sub = feature.reshape(-1)[:: max(1, feature.size // 4096)]
    np.testing.assert_allclose(sub, expected["feature_sub"], rtol=3e-4, atol=3e-4)


def test_every_checkpoint_names_its_architecture():
    from keras_vssl.backbones.presets import ARCHITECTURES
    from keras_vssl.convert import coclr, mil_nce, s3dg_kinetics, torchvision_s3d

    entries = [
        c for m in (i3d, coclr, mil_nce, s3dg_kinetics, torchvision_s3d) for c in m.CHECKPOINTS
    ]
    assert len({c.name for c in entries}) == len(entries)
    assert all(c.backbone in ARCHITECTURES and c.where.startswith("https://") for c in entries)


def test_scaled_channels_are_the_papers_at_full_width():
    assert scaled_channels(64)["mixed_4e"] == (112, 144, 288, 32, 64, 64)
    assert scaled_channels(2)["mixed_3b"] == (2, 3, 4, 1, 1, 1)


@pytest.mark.parametrize(
    "module, stems",
    [
        ("i3d", {"backbone_i3d-inception", "backbone_i3d-inception_flow"}),
        ("torchvision_s3d", {"backbone_s3d-torchvision"}),
        (
            "coclr",
            {
                "backbone_s3d-coclr",
                "backbone_s3d-coclr_gated",
                "coclr-infonce",
                "coclr-coclr",
            },
        ),
        ("mil_nce", {"backbone_s3d-howto100m", "mil_nce-s3d", "mil_nce-s3d_space_to_depth"}),
        ("s3dg_kinetics", set()),
    ],
)
def test_a_format_claims_its_own_fixtures_alone(shared, module, stems):
    import importlib

    recognizes = importlib.import_module(f"keras_vssl.convert.{module}").recognizes
    claimed = set()
    for path in (shared / "goldens").glob("*.json"):
        tensors = json.loads(path.read_text()).get("tensors", {})
        if recognizes(
            {name: np.broadcast_to(np.float32(0), t["shape"]) for name, t in tensors.items()}
        ):
            claimed.add(path.stem)
    assert claimed == stems
