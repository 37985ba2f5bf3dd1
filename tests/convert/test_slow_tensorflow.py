"""CVRL's TensorFlow checkpoints, written here in the official nesting, and read back."""

import json

import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import SlowResNet, VideoBackbone
from keras_vssl.convert import ConvertError, convert, cvrl_tf, read_state_dict

PREFIX = "backbone/layer_with_weights-"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def network():
    return VideoBackbone.from_preset("slow_r50_cvrl", width=4, blocks=[1, 2, 1, 1])


def values(suffix=SUFFIX):
    """Random tensors under the official names, kernels in TensorFlow's layout."""
    random = np.random.RandomState(0)
    mapping = cvrl_tf._map(network(), PREFIX, suffix, None)
    return {
        name: random.uniform(0.1, 0.5, variable.shape).astype("float32")
        - (0.3 if name.endswith(f"kernel{suffix}") else 0)
        for name, variable, _ in mapping.entries
    }


def write(path, tensors):
    """Saves tensors as an object checkpoint; a name's parts are the objects on the way."""
    tf = pytest.importorskip("tensorflow")
    root = tf.train.Checkpoint()
    for name, value in tensors.items():
        *nodes, last = name.removesuffix(SUFFIX).split("/")
        node = root
        for part in nodes:
            if not hasattr(node, part):
                setattr(node, part, tf.Module())
            node = getattr(node, part)
        setattr(node, last, tf.Variable(value))
    return root.write(str(path))


def features(backbone):
    x = np.random.RandomState(2).uniform(size=(1, 4, 32, 32, 3)).astype("float32")
    return ops.convert_to_numpy(backbone(x))


def test_the_official_nesting_round_trips(tmp_path):
    tensors = values()
    # What a whole training run has beside the backbone.
    extra = {
        "model/layer_with_weights-1/kernel": np.zeros((128, 9), "float32"),
        "model/layer_with_weights-1/bias": np.zeros(9, "float32"),
        "global_step": np.array(71488, "int64"),
    }
    prefix = write(tmp_path / "r3d_1x_k600_800ep_backbone-1", {**tensors, **extra})
    names = {name for name in read_state_dict(prefix) if name.startswith(PREFIX)}
    assert names == set(tensors)
    index, data = f"{prefix}.index", f"{prefix}.data-00000-of-00001"
    out = tmp_path / "preset"
    for path in (prefix, index, data):
        model = convert(path, out).model
        assert type(model) is SlowResNet and len(model.weights) == len(tensors)
        assert model.padding == "same" and model.stem_stride == 2 and model.blocks == (1, 2, 1, 1)
        assert model.mean == [0.0] * 3 and model.std == [1.0] * 3
        kernel = ops.convert_to_numpy(model.get_layer("layer2_1_conv2").kernel)
        np.testing.assert_array_equal(kernel, tensors[f"{PREFIX}4/_spatial_conv/kernel{SUFFIX}"])
    np.testing.assert_allclose(
        features(SlowResNet.from_preset(str(out))), features(model), rtol=1e-5, atol=1e-6
    )
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["format"] == "cvrl_tf" and len(provenance["sha256"]) == 64


def test_names_without_the_ending_and_kernels_in_either_layout_are_the_same_network():
    official = values()
    bare = {name.removesuffix(SUFFIX): array for name, array in official.items()}
    pytorch = {n: a.transpose(4, 3, 0, 1, 2) if a.ndim == 5 else a for n, a in bare.items()}
    want = features(convert(official).model)
    assert want.std() > 0
    for state in (bare, pytorch):
        np.testing.assert_array_equal(features(convert(state).model), want)


def test_stages_start_where_a_shortcut_is_convolved():
    state = values()
    del state[f"{PREFIX}5/_shortcut_conv/kernel{SUFFIX}"]
    with pytest.raises(ConvertError, match="3 stages"):
        convert(state)
    with pytest.raises(ConvertError, match="ResNet-D"):
        convert(values() | {f"{PREFIX}2/kernel{SUFFIX}": np.zeros((1, 3, 3, 4, 4), "float32")})
    gated = {f"{PREFIX}6/_self_gating/_transformer_w/kernel{SUFFIX}": np.zeros((1, 1), "float32")}
    with pytest.raises(ConvertError, match="without a place.*_self_gating"):
        convert(values() | gated)


def test_archives_and_incomplete_checkpoints_are_one_sentence(tmp_path):
    archive = tmp_path / "r3d_1x_k600_800ep.tar.gz"
    archive.write_bytes(b"x")
    with pytest.raises(ConvertError, match="unpack it"):
        convert(archive)
    prefix = write(tmp_path / "ckpt-1", values())
    (tmp_path / "ckpt-1.data-00000-of-00001").unlink()
    with pytest.raises(ConvertError, match=r"needs its \.index file") as caught:
        convert(prefix)
    assert "\n" not in str(caught.value)
    (tmp_path / "ckpt-1.index").write_bytes(b"not an index")
    with pytest.raises(ConvertError, match="is damaged"):
        convert(f"{prefix}.index")
