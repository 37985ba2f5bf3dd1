"""PRP's files: three networks under their names, both heads."""

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.backbones import C3D, R3D
from keras_vssl.convert import ConvertError, convert, vcop
from keras_vssl.layers import PlaybackHeads
from tests.backends import infer, to_numpy
from tests.convert.check import check_format
from tests.convert.test_conversion import linear, residual

RANDOM = np.random.RandomState(5)
CLIP = RANDOM.normal(size=(1, 8, 16, 16, 3)).astype("float32")
CONVOLUTIONS = {"conv1": (4, 3), "conv2": (8, 4), "conv3_1": (16, 8), "conv3_2": (16, 16)} | {
    name: (32, 16 if name == "conv4_1" else 32)
    for name in ("conv4_1", "conv4_2", "conv5_1", "conv5_2")
}


def unit(name, after, before):
    """A convolution and its normalisation, as the authors' `conv3d` names them."""
    state = {f"{name}.conv3d.0.weight": RANDOM.normal(size=(after, before, 3, 3, 3)) / 9}
    state[f"{name}.conv3d.0.bias"] = RANDOM.normal(size=after)
    for part in ("weight", "bias", "running_mean", "running_var"):
        state[f"{name}.conv3d.1.{part}"] = RANDOM.uniform(0.5, 1, after)
    return {key: array.astype("float32") for key, array in state.items()}


def heads(width=32, classes=4):
    state = unit("conv6_cls", width, width) | unit("conv6_rec", width, width)
    widths = [width, width // 2, width // 4, width // 8, 3]
    for i, (before, after) in enumerate(zip(widths, widths[1:]), start=1):
        up = f"up{i}.up3d" if i < 4 else "up4_1"
        state |= unit(f"up{i}.conv3d" if i < 4 else "outc", after, before)
        state[f"{up}.weight"] = RANDOM.normal(size=(before, before, 2, 2, 2)).astype("float32")
        state[f"{up}.bias"] = RANDOM.normal(size=before).astype("float32")
    return state | linear(classes, width, "fc8")


def test_a_file_of_c3d_is_a_task(tmp_path):
    state = heads()
    for name, (after, before) in CONVOLUTIONS.items():
        state |= unit(f"base_network.{name}", after, before)
    task = check_format(state, "prp", tmp_path, victim="base_network.conv5_2.conv3d.1.bias")
    assert type(task) is kv.tasks.PRP and type(task.backbone) is C3D
    assert task.sampler.steps == (1, 2, 4, 8) and task.backbone.width == 4
    for name, layer in (("conv5_1", "conv5a"), ("conv5_2", "conv5b"), ("conv1", "conv1")):
        kernel = to_numpy(task.backbone.get_layer(layer).kernel.value)
        published = state[f"base_network.{name}.conv3d.0.weight"]
        np.testing.assert_array_equal(np.transpose(kernel, (4, 3, 0, 1, 2)), published)
    # What the heads make of the network's map is what the heads alone make of it.
    alone = convert({name: x for name, x in state.items() if "base_network" not in name}).model
    assert type(alone) is PlaybackHeads
    features = to_numpy(infer(task.backbone, CLIP))
    wanted = infer(alone, features)["logits"]
    clips = np.repeat(CLIP[:, None], 2, axis=2)  # the network sees every other frame
    np.testing.assert_allclose(
        to_numpy(task(clips, training=False)["logits"]), to_numpy(wanted), rtol=1e-4, atol=1e-4
    )
    assert type(convert(state, backbone_only=True).model) is C3D
    with pytest.raises(ConvertError, match="heads alone"):
        convert(heads(), backbone_only=True)


def test_a_file_of_r3d_has_vcops_names_and_prps_heads():
    network = residual(R3D(width=4, blocks=(1, 1, 1, 1)), vcop._Names("base_network."))
    converted = convert(network | heads(classes=3))
    task = converted.model
    assert converted.provenance["format"] == "prp" and type(task.backbone) is R3D
    assert task.backbone.blocks == (1, 1, 1, 1) and task.sampler.steps == (1, 2, 4)
