"""C3D from Caffe's own file, and VMZ's networks from pickles of Caffe2's blobs."""

import pickle

import numpy as np
import pytest

from keras_vssl.backbones import C3D, MC3, R3D, R2Plus1D
from keras_vssl.convert import ConvertError, convert, vmz_caffe2
from keras_vssl.convert import torchvision_video as torchvision
from keras_vssl.convert.residual import map_residual
from tests.backends import to_numpy
from tests.convert import caffe_files
from tests.convert.check import check_format

STAGES = ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")
CLIP = np.random.RandomState(5).normal(size=(1, 16, 48, 48, 3)).astype("float32")


def c3d_blobs(side=2):
    """A C3D of width 2 with the names of the authors' prototxt; fc6 spans 1 x side x side."""
    random, state, before = np.random.RandomState(0), {}, 3
    for stage, width in zip(STAGES, (2, 4, 8, 8, 16, 16, 16, 16)):
        state[f"conv{stage}.0"] = random.normal(0, (27 * before) ** -0.5, (width, before, 3, 3, 3))
        state[f"conv{stage}.1"] = random.normal(0, 0.1, width)
        before = width
    for name, outputs, inputs in (("6", 6, 16 * side * side), ("7", 6, 6), ("8", 5, 6)):
        state[f"fc{name}-1.0"] = random.normal(0, inputs**-0.5, (outputs, inputs))
        state[f"fc{name}-1.1"] = random.normal(0, 0.1, outputs)
    return {name: array.astype("float32") for name, array in state.items()}


@pytest.mark.parametrize("form", ["c3d", "new"])
def test_caffes_own_c3d(tmp_path, form):
    state = c3d_blobs()
    save = caffe_files.caffemodel(form)
    model = check_format(state, "c3d_caffe", tmp_path, save, CLIP[:, None], "conv3b.1")
    backbone = model.backbone
    assert type(backbone) is C3D and backbone.dense_shape == (1, 2, 2)
    assert backbone.pooling == "ceil" and model.num_classes == 5
    kernel = to_numpy(backbone.get_layer("conv1").kernel)
    # B, G, R in the file.
    np.testing.assert_array_equal(kernel, state["conv1a.0"][:, ::-1].transpose(2, 3, 4, 1, 0))
    pooled = to_numpy(backbone.endpoint("pool5")(CLIP))
    flat = np.moveaxis(pooled, -1, 1).reshape(1, -1)
    expected = np.maximum(flat @ state["fc6-1.0"].T + state["fc6-1.1"], 0)
    got = to_numpy(backbone.endpoint("fc6")(CLIP))[:, 0, 0, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert type(convert(state, backbone_only=True).model) is C3D


def save_pickle(state, folder):
    """As VMZ writes them, with Python 2's highest protocol."""
    path = folder / "network.pkl"
    path.write_bytes(pickle.dumps({"blobs": state}, protocol=2))
    return path


def small(**options):
    return {"width": 4, "blocks": (2, 1, 3, 1), "epsilon": 1e-3, **options}


RESIDUAL = {
    "r3d": (lambda: R3D(**small()), False),
    "mc3": (lambda: MC3(**small()), False),
    "r2plus1d": (lambda: R2Plus1D(**small(midplanes="conv")), True),
}


def residual_blobs(case):
    """The same tensors under torchvision's names and under Caffe2's."""
    make, is_factored = RESIDUAL[case]
    random, state = np.random.RandomState(0), {}
    for name, variable, _ in map_residual(make(), torchvision._Names(is_factored)).entries:
        array = random.uniform(0.1, 0.5, variable.shape).astype("float32")
        if array.ndim > 1:
            array = np.moveaxis(array, (-1, -2), (0, 1)) - 0.3
        state[name] = np.ascontiguousarray(array)
    state["fc.weight"] = random.normal(size=(7, 32)).astype("float32")
    state["fc.bias"] = random.normal(size=7).astype("float32")
    return state, {_caffe2_name(name, is_factored): array for name, array in state.items()}


def _caffe2_name(name, is_factored):
    """Spelt out for blocks of 2, 1, 3, 1: the components 0, 1 | 2 | 3, 4, 5 | 6."""
    start = {"1": 0, "2": 2, "3": 3, "4": 6}
    *path, kind = name.split(".")
    path = ".".join(path)
    stems = {
        "stem.0": "conv1",
        "stem.1": "conv1_spatbn_relu",
        "fc": "last_out_L7",
    }
    if is_factored:
        stems |= {"stem.0": "conv1_middle", "stem.1": "conv1_middle_spatbn_relu"}
        stems |= {"stem.3": "conv1", "stem.4": "conv1_spatbn_relu"}
    if path in stems:
        blob = stems[path]
    else:
        layer, block, part, *inner = path.split(".")
        component = start[layer[-1]] + int(block)
        if part == "downsample":
            blob = f"shortcut_projection_{component}{'' if inner == ['0'] else '_spatbn'}"
        else:
            middle = "_middle" if inner in (["0", "0"], ["0", "1"]) else ""
            sort = "spatbn" if inner in (["1"], ["0", "1"]) else "conv"
            blob = f"comp_{component}_{sort}_{part[-1]}{middle}"
    is_norm = "spatbn" in blob
    suffix = {"running_mean": "rm", "running_var": "riv", "bias": "b"}
    return f"{blob}_{suffix.get(kind, 's' if is_norm else 'w')}"


@pytest.mark.parametrize("case", RESIDUAL)
def test_vmz_pickles_are_torchvisions_networks_under_other_names(tmp_path, case):
    named, blobs = residual_blobs(case)
    clips = CLIP[:, None, :8, :32, :32]
    victim = "comp_4_spatbn_2_riv"
    model = check_format(blobs, "vmz_caffe2", tmp_path, save_pickle, clips, victim)
    assert type(model.backbone) is type(RESIDUAL[case][0]())
    expected = convert(named, epsilon=1e-3).model
    np.testing.assert_allclose(
        to_numpy(model(clips, training=False)), to_numpy(expected(clips, training=False)), rtol=1e-5
    )
    assert model.backbone.epsilon == 1e-3
    without_head = {n: a for n, a in blobs.items() if not n.startswith("last_out")}
    assert convert(without_head).model.blocks == (2, 1, 3, 1)
    with pytest.raises(ConvertError, match="bottleneck"):
        convert({**blobs, "comp_0_conv_3_w": np.zeros((4, 4, 1, 1, 1), "float32")})


def test_vmz_c3d(tmp_path):
    state, blobs = c3d_blobs(side=1), {}
    random = np.random.RandomState(2)
    for name, array in state.items():
        layer, index = name.rsplit(".", 1)
        layer = layer.removesuffix("-1").replace("fc8", "last_out_L5")
        blobs[f"{layer}_{'wb'[int(index)]}"] = array
        if name.startswith("conv") and index == "1":
            for kind in ("s", "b", "rm", "riv"):
                blobs[f"{layer}_bn_{kind}"] = random.uniform(0.5, 1, array.shape).astype("float32")
    victim = "conv2a_bn_riv"
    model = check_format(blobs, "vmz_caffe2", tmp_path, save_pickle, CLIP[:, None], victim)
    backbone = model.backbone
    assert backbone.pooling == "floor" and backbone.batch_normalization
    assert backbone.epsilon == 1e-3 and backbone.dense_shape == (1, 1, 1)
    norm = backbone.get_layer("bn2")
    np.testing.assert_array_equal(to_numpy(norm.moving_variance), blobs["conv2a_bn_riv"])


def test_the_published_vmz_c3d_has_its_published_size():
    # Convolutions with normalisation as VCOP counts them, fc6 over 1x3x3, fc7, 400 classes.
    count = 27_661_440 + (512 * 9 + 1) * 4096 + 4097 * 4096 + 4097 * 400
    backbone = C3D(dense=4096, dense_shape=(1, 3, 3), pooling="floor")
    trainable = sum(int(np.prod(w.shape)) for w in backbone.trainable_weights)
    assert trainable + 4097 * 400 == count
    assert 64.9e6 < count < 65e6  # the authors print 64.9
    assert any("c3d" in c.name for c in vmz_caffe2.CHECKPOINTS)
