"""Converters of networks over frames: mmaction2, the official TSM code, torchvision."""

import pickle
import re

import numpy as np
import pytest

from keras_vssl.backbones import SlowResNet, TSMResNet
from keras_vssl.convert import ConvertError, convert, mmaction2, pyslowfast
from keras_vssl.convert.frames import FrameNames
from keras_vssl.convert.residual import map_residual
from tests import contract
from tests.convert.check import check_format, save_safetensors

RANDOM = np.random.default_rng(0)
TINY = {"width": 4, "blocks": (1, 2, 3, 1)}
CLIP = RANDOM.normal(size=(1, 4, 32, 32, 3)).astype("float32")


def checkpoint(backbone, names, two_dimensional=False):
    """A state dict in the source's layout, with random values."""
    state = {}
    for name, variable, _ in map_residual(backbone, names).entries:
        array = RANDOM.uniform(0.1, 0.5, variable.shape).astype("float32")
        if array.ndim > 1:
            array = np.moveaxis(array, (-1, -2), (0, 1)) - 0.3
            if two_dimensional:
                array = array[:, :, 0]
        state[name] = np.ascontiguousarray(array)
    return state


def head(name, width, classes=5):
    return {
        f"{name}.weight": RANDOM.normal(size=(classes, width)).astype("float32"),
        f"{name}.bias": RANDOM.normal(size=classes).astype("float32"),
    }


def wrapped(state):
    """With the first convolution of every block under `.net`, as a shift leaves it."""
    return {
        name.replace(".conv1.weight", ".conv1.net.weight").replace(
            ".conv1.conv.weight", ".conv1.conv.net.weight"
        )
        if "layer" in name
        else name: array
        for name, array in state.items()
    }


@pytest.mark.parametrize("shift", [True, False])
def test_the_official_code(tmp_path, shift):
    state = checkpoint(TSMResNet(**TINY), FrameNames({}, "base_model."), True)
    state = wrapped(state) if shift else state
    model = check_format(
        {**state, **head("new_fc", 128)}, "tsm_mit", tmp_path, inputs=CLIP[:, None]
    )
    assert model.backbone.fraction == (1 / 8 if shift else 0)
    with pytest.raises(ConvertError, match="takes 10 channels"):
        flow = np.zeros((4, 10, 7, 7), "float32")
        convert({**state, "base_model.conv1.weight": flow})


def test_torchvisions_image_networks(tmp_path):
    state = {**checkpoint(TSMResNet(**TINY), FrameNames({}), True), **head("fc", 128)}
    model = check_format(
        state, "torchvision_image", tmp_path, save_safetensors, inputs=CLIP[:, None]
    )
    assert model.backbone.fraction == 0 and model.backbone.blocks == (1, 2, 3, 1)
    shifted = convert(state, fraction=0.125, backbone_only=True).model
    assert type(shifted) is TSMResNet and shifted.fraction == 0.125


@pytest.mark.parametrize("shift", [True, False])
def test_mmaction2s_tsm_and_tsn(tmp_path, shift):
    state = checkpoint(TSMResNet(**TINY), mmaction2._Names(), True)
    state = {**(wrapped(state) if shift else state), **head("cls_head.fc_cls", 128)}
    model = check_format(state, "mmaction2", tmp_path, inputs=CLIP[:, None])
    assert model.backbone.fraction == (1 / 8 if shift else 0)


I3D = {**TINY, "temporal_kernels": [3, [3, 1], [3, 1, 3], 1], "stem_kernel": 5, "stage_pool": 2}


def test_mmaction2s_i3d(tmp_path):
    network = SlowResNet(stem_stride=2, stem_pool_stride=2, **I3D)
    state = checkpoint(network, mmaction2._Names())
    clip = np.concatenate([CLIP] * 4, axis=1)
    model = check_format(state, "mmaction2", tmp_path, inputs=clip)
    wanted = network.get_config()
    for key in ("temporal_kernels", "stem_stride", "stem_pool_stride", "stage_pool"):
        assert model.get_config()[key] == wanted[key]


def test_pyslowfasts_i3d(tmp_path):
    state = checkpoint(SlowResNet(**I3D), pyslowfast._Names("", 0))
    model = check_format(state, "pyslowfast", tmp_path, inputs=CLIP)
    assert model.stem_stride == 1 and model.stem_pool_stride == 1 and model.stage_pool == 2


def save_caffe2(state, folder):
    path = folder / "SLOWONLY.pkl"
    blobs = {**state, "lr": np.float32(0.1), "conv1_w_momentum": np.zeros(3, "float32")}
    path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    return path


def test_pyslowfasts_caffe2_files(tmp_path):
    names, state = pyslowfast._Names("", 0), {}
    endings = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
    plain = {**checkpoint(SlowResNet(**TINY), names), **head("head.projection", 128)}
    for name, array in plain.items():
        where, kind = name.rsplit(".", 1)
        where = where.replace("s1.pathway0_stem.conv", "conv1").replace(".pathway0_res", "_")
        where = where.replace("s1.pathway0_stem.bn", "res_conv1_bn").replace(
            "head.projection", "pred"
        )
        if match := re.fullmatch(r"s(\d)_(\d+)\.branch(\d)\.?([abc]?)(_bn)?", where):
            stage, block, branch, part, bn = match.groups()
            where = f"res{stage}_{block}_branch{branch}{part}{bn or ''}"
        ending = endings[kind] if where.endswith("bn") else {"weight": "w", "bias": "b"}[kind]
        state[f"{where}_{ending}"] = array
    model = check_format(
        state, "pyslowfast_caffe2", tmp_path, save_caffe2, inputs=CLIP[:, None],
        victim="res3_1_branch2b_bn_riv",
    )  # fmt: skip
    expected = convert(plain).model
    np.testing.assert_allclose(
        contract.outputs(model, CLIP[:, None]), contract.outputs(expected, CLIP[:, None])
    )


def test_blocks_of_two_convolutions_are_refused():
    state = checkpoint(TSMResNet(**TINY), FrameNames({}), True)
    state = {name: array for name, array in state.items() if ".conv3" not in name}
    with pytest.raises(ConvertError, match="18 or 34 layers"):
        convert(state, format="torchvision_image")
