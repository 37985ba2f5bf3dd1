"""Slow networks' checkpoints, from every source, become the same network."""

import re

import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import SlowResNet
from keras_vssl.convert import ConvertError, convert, mmaction2, pyslowfast, pytorchvideo
from keras_vssl.convert.residual import map_residual
from tests.convert.test_conversion import checkpoint

SOURCES = {
    "pyslowfast": (pyslowfast._Names("", 0), "head.projection"),
    "pytorchvideo": (pytorchvideo._Names(), "blocks.5.proj"),
    "mmaction2": (mmaction2._Names(), "cls_head.fc_cls"),
}


def network(**options):
    return SlowResNet(**{"width": 4, "blocks": (1, 2, 1, 1), **options})


def dense(**options):
    return network(stem_kernel=5, stem_stride=2, **options)


def maclr(backbone, prefix="", pathway=0):
    return checkpoint(map_residual(backbone, pyslowfast._Names(prefix, pathway)))


def head(name, classes=7, width=128):
    random = np.random.RandomState(1)
    return {
        f"{name}.weight": random.normal(size=(classes, width)).astype("float32"),
        f"{name}.bias": random.normal(size=classes).astype("float32"),
    }


def features(backbone):
    x = np.random.RandomState(2).normal(size=(1, 4, 32, 32, 3)).astype("float32")
    return ops.convert_to_numpy(backbone(x))


def test_one_set_of_weights_in_three_namings_is_one_network():
    backbone = network()
    converted = {}
    for source, (names, _) in SOURCES.items():
        result = convert(checkpoint(map_residual(backbone, names)))
        assert type(result.model) is SlowResNet and result.provenance["format"] == source
        assert result.model.blocks == (1, 2, 1, 1) and result.model.width == 4
        assert result.model.temporal_kernels == (1, 1, 3, 3) and result.model.stem_stride == 1
        converted[source] = features(result.model)
    first = converted.pop("pyslowfast")
    assert first.std() > 0
    for other in converted.values():
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("source", SOURCES)
def test_a_head_makes_it_a_classifier_unless_told(source):
    names, name = SOURCES[source]
    state = checkpoint(map_residual(network(), names)) | head(name)
    model = convert(state).model
    assert type(model).__name__ == "VideoClassifier"
    np.testing.assert_array_equal(ops.convert_to_numpy(model.head.bias), state[f"{name}.bias"])
    assert type(convert(state, backbone_only=True).model) is SlowResNet


def test_the_form_is_read_from_the_stem_and_options_say_the_rest():
    state = maclr(dense())
    model = convert(state).model
    assert (model.stem_kernel, model.stem_stride, model.clip["frames"]) == (5, 2, 32)
    assert model.mean == [0.45] * 3 and model.std == [0.225] * 3
    assert convert(state, stem_stride=1).model.stem_stride == 1
    assert convert(state, dilate_last=True, epsilon=1e-3).model.dilate_last
    flat = convert(maclr(network(temporal_kernels=(1, 1, 1, 1)))).model
    assert flat.temporal_kernels == (1, 1, 1, 1)
    imagenet = convert(checkpoint(map_residual(network(), mmaction2._Names()))).model
    assert imagenet.mean == [0.485, 0.456, 0.406]


def test_wrapped_files_of_torch_are_opened(tmp_path):
    torch = pytest.importorskip("torch")
    state = maclr(network())
    tensors = {f"module.{name}": torch.tensor(array) for name, array in state.items()}
    path = tmp_path / "SLOW_8x8_R50.pyth"
    torch.save({"epoch": 3, "model_state": tensors, "cfg": "TRAIN: ..."}, path)
    assert np.array_equal(features(convert(path).model), features(convert(state).model))


def test_stripping_a_maclr_file_leaves_exactly_the_dense_backbone():
    query, key = (maclr(dense(), prefix) for prefix in ("encoder_q.", "encoder_k."))
    extra = {
        **{f"encoder_q.{name}": v for name, v in head("head.pathway0_projection_0").items()},
        "queue_x": np.zeros((8, 4), "float32"),
        "queue_ptr": np.zeros(1, "int64"),
    }
    model = convert({**query, **key, **extra}).model
    assert type(model) is SlowResNet
    stripped = {name.removeprefix("encoder_q."): array for name, array in query.items()}
    bare = {name: a for name, a in stripped.items() if not name.endswith("num_batches_tracked")}
    assert len(bare) == len(model.weights)
    np.testing.assert_array_equal(features(model), features(convert(stripped).model))


def test_contrastive_files_of_pyslowfast_become_their_online_backbone():
    online = {f"backbone.{name}": array for name, array in maclr(network()).items()}
    momentum = {f"backbone_hist.{name}": 2 * array for name, array in maclr(network()).items()}
    state = {
        **online,
        **momentum,
        "queue_x": np.zeros((4, 8), "float32"),
        "ptr": np.zeros(1, "int64"),
        "iter": np.zeros(1, "int64"),
        "knn_mem.memory": np.zeros((4, 1, 8), "float32"),
        **{f"backbone.{name}": v for name, v in head("head.projection.projection.0").items()},
        **{f"backbone.{name}": v for name, v in head("head.predictors.0.projection.0").items()},
    }
    model = convert(state).model
    assert type(model) is SlowResNet
    np.testing.assert_array_equal(features(model), features(convert(maclr(network())).model))
    one_layer = {**state, **{f"backbone.{name}": v for name, v in head("head.projection").items()}}
    assert type(convert(one_layer).model) is SlowResNet


def test_the_motion_pathway_is_left_out_or_converted_alone():
    motion = SlowResNet(
        width=2, blocks=(1, 2, 1, 1), stem_kernel=5, stem_stride=2, temporal_kernels=(1, 1, 1, 1)
    )
    visual = maclr(dense())
    state = {**visual, **maclr(motion, pathway=1)}
    model = convert(state).model
    np.testing.assert_array_equal(features(model), features(convert(visual).model))
    assert len(model.inputs) == 1 and len(model.weights) == len(dense().weights)
    other = convert(state, pathway=1).model
    assert other.width == 2 and other.temporal_kernels == (1, 1, 1, 1)
    assert other.mean == [0.0] * 3 and other.std == [1.0] * 3 and other.clip["stride"] == 4
    with pytest.raises(ConvertError, match="0 or 1"):
        convert(state, pathway=2)
    with pytest.raises(ConvertError, match="stages have"):
        convert(visual, pathway=1)


def test_networks_of_other_kinds_are_refused_with_the_reason():
    state = maclr(network())
    with pytest.raises(ConvertError, match="SlowFast network"):
        convert(state | {"s1_fuse.conv_f2s.weight": np.zeros((8, 4, 7, 1, 1), "float32")})
    basic = {name: a for name, a in state.items() if not re.search(r"branch2\.c(_bn)?\.", name)}
    with pytest.raises(ConvertError, match="only bottleneck"):
        convert(basic)
    short = {name: array for name, array in state.items() if not name.startswith("s5.")}
    with pytest.raises(ConvertError, match=r"\[1, 2, 1, 0\]"):
        convert(short)
    with pytest.raises(ConvertError, match="nonlocal"):
        convert(state | {"s3.pathway0_nonlocal1.conv_g.weight": np.zeros((2, 2), "float32")})
