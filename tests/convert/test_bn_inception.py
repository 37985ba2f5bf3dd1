"""BN-Inception: the published count, and both families of names."""

import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import BNInception, VideoBackbone
from keras_vssl.convert import ConvertError, bn_inception, convert
from tests import contract
from tests.convert.caffe_files import caffemodel
from tests.convert.check import check_format

RANDOM = np.random.default_rng(0)


def state_of(prefix="", channels=3, width=8):
    """tsn-pytorch's names with random values."""
    network = BNInception(width=width, clip_shape=(None, None, None, channels))
    state = {}
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            shape = np.array(layer.kernel.shape)[[3, 2, 0, 1]]
            state[f"{prefix}{layer.name}.weight"] = RANDOM.normal(0, 0.2, shape)
            state[f"{prefix}{layer.name}.bias"] = RANDOM.normal(size=shape[0])
        elif layer.name.endswith("_bn"):
            for kind in ("weight", "bias", "running_mean", "running_var"):
                values = RANDOM.uniform(0.5, 1.0, layer.gamma.shape)
                state[f"{prefix}{layer.name}.{kind}"] = values
    return {name: array.astype("float32") for name, array in state.items()}


def test_the_published_parameter_count():
    weights = VideoBackbone.from_preset("tsn_bn_inception").trainable_weights
    count = sum(int(np.prod(weight.shape)) for weight in weights)
    assert count == 11_295_240 - 1025 * 1000  # the ImageNet port's, without its classes


def test_tsn_pytorch(tmp_path):
    head = {"new_fc.weight": RANDOM.normal(size=(5, 128)), "new_fc.bias": RANDOM.normal(size=5)}
    clip = RANDOM.normal(size=(1, 1, 2, 32, 64, 3)).astype("float32")
    state = {**state_of("base_model."), **head}
    model = check_format(state, "bn_inception", tmp_path, inputs=clip)
    assert model.backbone.width == 8


def test_pixels_are_turned_to_rgb():
    state = state_of()
    clip = RANDOM.normal(size=(1, 1, 32, 32, 3)).astype("float32")
    turned, plain = convert(state).model, convert(state, bgr=False).model
    np.testing.assert_allclose(
        contract.outputs(turned, clip), contract.outputs(plain, clip[..., ::-1]), atol=1e-4
    )
    flow = convert(state_of(channels=10)).model
    assert flow.inputs[0].shape[-1] == 10 and len(flow.mean) == 10


def test_a_caffemodel_holds_the_same_network(tmp_path):
    state = state_of()
    kinds = ("weight", "bias", "running_mean", "running_var")
    blobs = {}
    for name, array in state.items():
        layer, kind = name.rsplit(".", 1)
        blobs[f"{layer}.{kinds.index(kind)}"] = (
            array.reshape(1, -1, 1, 1) if layer.endswith("_bn") else array
        )
    path = caffemodel()(blobs, tmp_path)
    got, expected = convert(path), convert(state)
    assert got.provenance["format"] == "bn_inception"
    for one, other in zip(got.model.weights, expected.model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_a_block_that_is_missing_is_named():
    state = state_of()
    del state["inception_4c_double_3x3_1.weight"]
    with pytest.raises(ConvertError, match="inception_4c_double_3x3_1.weight"):
        convert(state)
    assert not bn_inception.recognizes({"conv1.weight": np.zeros((4, 3, 7, 7))})
