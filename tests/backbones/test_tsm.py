"""TSM and TSN on ResNets, and I3D's ResNet."""

import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.backbones import SlowResNet, TSMResNet
from tests import contract

RANDOM = np.random.default_rng(0)
TINY = {"width": 4, "blocks": (1, 2, 1, 1)}


def trainable(name):
    weights = kv.backbones.VideoBackbone.from_preset(name).trainable_weights
    return sum(int(np.prod(weight.shape)) for weight in weights)


def test_published_parameter_counts():
    assert trainable("tsm_resnet_50") == 23_508_032
    assert trainable("tsn_resnet_50") == 23_508_032
    assert trainable("i3d_r50") == 27_223_872


def test_without_a_shift_frames_are_seen_by_themselves():
    network = TSMResNet(fraction=0.0, **TINY)
    clips = RANDOM.normal(size=(2, 4, 32, 32, 3)).astype("float32")
    order = [2, 0, 3, 1]
    plain = contract.outputs(network, clips)
    np.testing.assert_allclose(
        contract.outputs(network, clips[:, order]), plain[:, order], atol=1e-5
    )
    shifted = TSMResNet(**{**TINY, "width": 8})
    plain = contract.outputs(shifted, clips)
    assert np.abs(contract.outputs(shifted, clips[:, order]) - plain[:, order]).max() > 1e-4


def test_deep_stages_shift_every_second_block():
    def shifted(network):
        return [layer.name for layer in network.layers if layer.name.endswith("_shift")]

    assert len(shifted(TSMResNet(width=4, blocks=(2, 2, 3, 2)))) == 9
    deep = shifted(TSMResNet(width=4, blocks=(2, 2, 23, 2)))
    assert deep[:3] == ["layer1_0_shift", "layer2_0_shift", "layer3_0_shift"]
    assert len(deep) == 1 + 1 + 12 + 1


def test_i3d_shortens_time_where_its_sources_do():
    alternating = {**TINY, "temporal_kernels": [3, [3, 1], 1, 3], "stem_kernel": 5}
    clips = np.zeros((1, 16, 32, 32, 3), "float32")
    mmaction2 = SlowResNet(stem_stride=2, stem_pool_stride=2, stage_pool=2, **alternating)
    assert mmaction2(clips).shape == (1, 2, 1, 1, 128)
    assert mmaction2.endpoints["stage_pool"].shape[-1] == 16
    assert SlowResNet(stage_pool=2, **alternating)(clips).shape == (1, 8, 1, 1, 128)
    kernels = [mmaction2.get_layer(f"layer2_{i}_conv1").kernel.shape[0] for i in (0, 1)]
    assert kernels == [3, 1]
    copy = SlowResNet.from_config(mmaction2.get_config())
    assert copy.get_config() == mmaction2.get_config()


def test_wrong_kernels_are_refused():
    with pytest.raises(ValueError, match="a kernel for each of its blocks"):
        SlowResNet(temporal_kernels=[1, [3, 1, 3], 1, 1], **TINY)
    with pytest.raises(ValueError, match="odd numbers"):
        SlowResNet(temporal_kernels=[1, [3, 2], 1, 1], **TINY)
