"""S3D and S3D-G from CoCLR, torchvision, HowTo100M, Kinetics releases and MMV's names."""

import numpy as np
import pytest

from keras_vssl.backbones import S3D, VideoBackbone
from keras_vssl.convert import ConvertError, coclr, convert, mil_nce, s3dg_kinetics, torchvision_s3d
from keras_vssl.convert.inception import SEQUENTIAL, SLIM_PLACES, Names, map_inception
from keras_vssl.convert.mapping import Mapping
from keras_vssl.convert.s3d_names import build_haiku_s3d, haiku_s3d_prefix, map_haiku_s3d
from tests.backends import to_numpy
from tests.convert.check import check_format
from tests.convert.test_conversion import checkpoint, linear
from tests.convert.test_i3d import save_tensorflow

CLIP = np.random.RandomState(3).uniform(size=(1, 8, 32, 32, 3)).astype("float32")


def assert_same_weights(a, b):
    for got, expected in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(got.value), to_numpy(expected.value))


def coclr_names(places=coclr._OWN, prefix=""):
    return Names(places, SEQUENTIAL, coclr._PARTS, coclr._GATES, prefix)


def coclr_state(backbone, places=coclr._OWN, prefix=""):
    return checkpoint(map_inception(backbone, coclr_names(places, prefix)))


def pretraining(backbone):
    """All that a CoCLR run saves: three encoders, each layer twice, and the queues."""
    state = {}
    for tower in ("encoder_q", "encoder_k", "sampler"):
        own = coclr_state(backbone, prefix=f"{tower}.0.")
        blocks = coclr_state(backbone, coclr._BLOCKS, f"{tower}.0.")
        state |= own | dict(zip(blocks, own.values(), strict=True))
        for i, width in ((2, backbone.feature_dim), (4, 5)):
            head = linear(width, backbone.feature_dim, f"{tower}.{i}")
            state[f"{tower}.{i}.weight"] = head[f"{tower}.{i}.weight"][..., None, None, None]
            state[f"{tower}.{i}.bias"] = head[f"{tower}.{i}.bias"]
    queues = {name: np.ones((5, 8), "float32") for name in ("queue", "queue_second")}
    names = {name: np.zeros(8, "int64") for name in ("queue_vname", "queue_label")}
    return state | queues | names | {"queue_ptr": np.zeros(1, "int64")}


def test_a_coclr_run_gives_its_query_network(tmp_path):
    source = S3D(2, gating="mixed_3b")
    state = pretraining(source)
    victim = "encoder_q.0.Mixed_4c.branch1.1.bn2.bias"
    model = check_format(state, "coclr", tmp_path, inputs=CLIP, victim=victim)
    assert type(model) is S3D and model.gating == "mixed_3b" and model.width == 2
    assert model.mean == pytest.approx([0.485, 0.456, 0.406])
    kernel = to_numpy(model.get_layer("conv_1a_temporal").kernel.value)
    expected = state["encoder_q.0.Conv_1a.conv2.weight"].transpose(2, 3, 4, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
    strangers = ("encoder_k.0.layer1.weight", "sampler.3.weight", "queue_third")
    with pytest.raises(ConvertError) as caught:
        convert(state | {stranger: np.zeros(2, "float32") for stranger in strangers})
    assert all(stranger in str(caught.value) for stranger in strangers)


def test_either_alias_family_gives_the_same_network():
    source = S3D(2)
    own = coclr_state(source)
    blocks = dict(zip(coclr_state(source, coclr._BLOCKS), own.values(), strict=True))
    assert "block4.3.branch2.1.conv1.weight" in blocks
    models = [convert(state).model for state in (blocks, {**own, **blocks})]
    assert models[0].gating is None and models[0].stem_stride == 2
    assert_same_weights(*models)


def test_slow_is_told():
    state = coclr_state(S3D(2))
    assert convert(state, slow=True).model.stem_stride == 1


@pytest.mark.parametrize("is_probe", [False, True])
def test_a_fine_tuned_coclr_is_a_classifier(is_probe):
    source = S3D(2)
    head = "final_fc.0" if is_probe else "final_fc.1"
    state = coclr_state(source) | linear(4, source.feature_dim, head)
    if is_probe:
        names = ("weight", "bias", "running_mean", "running_var")
        state |= {f"final_bn.{n}": np.full(source.feature_dim, 0.5, "float32") for n in names}
    model = convert(
        {f"module.backbone.{k}" if "final" not in k else k: v for k, v in state.items()}
    )
    model = model.model
    assert model.num_classes == 4 and model.normalize == is_probe
    features = np.random.RandomState(0).normal(size=(3, source.feature_dim)).astype("float32")
    x = features
    if is_probe:
        x = x / np.linalg.norm(x, axis=-1, keepdims=True)
        x = (x - 0.5) / np.sqrt(0.5 + 1e-5) * 0.5 + 0.5
    expected = x @ state[f"{head}.weight"].T + state[f"{head}.bias"]
    np.testing.assert_allclose(to_numpy(model.classify(features)), expected, rtol=1e-4, atol=1e-4)
    if is_probe:
        assert type(convert(state, backbone_only=True).model) is S3D


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def encode(weights, tower, clips):
    """The normalised embeddings of a CoCLR encoder, B C T H W clips in uint8."""
    state = {
        name.replace(f"{tower}.", "encoder_q.", 1): array
        for name, array in weights.items()
        if name.startswith(f"{tower}.")
    }
    backbone = convert(state).model
    x = (np.moveaxis(clips, 1, -1).astype("float32") / 255.0 - 0.45) / 0.225
    x = to_numpy(backbone(x, training=False)).mean(axis=(1, 2, 3))
    first, second = (state[f"encoder_q.{i}.weight"][:, :, 0, 0, 0].T for i in (2, 4))
    hidden = np.maximum(x @ first + state["encoder_q.2.bias"], 0)
    return unit(hidden @ second + state["encoder_q.4.bias"])


def load(shared, stem):
    from tests.parity import _fixture_module

    folder = shared / "goldens"
    return _fixture_module(folder).load(folder / stem)


def test_infonces_encoders_give_its_logits(shared):
    meta, weights, inputs, expected = load(shared, "coclr-infonce")
    query = encode(weights, "encoder_q", inputs["block"][:, 0])
    momentum = meta["config"]["m"]
    for name in [name for name in weights if name.startswith("encoder_k.")]:
        if "running" not in name:
            new = weights[name.replace("encoder_k", "encoder_q")]
            weights[name] = momentum * weights[name] + (1 - momentum) * new
    key = encode(weights, "encoder_k", inputs["block"][:, 1])
    positive = (query * key).sum(axis=-1, keepdims=True)
    logits = np.concatenate([positive, query @ weights["queue"]], axis=1) / meta["config"]["T"]
    limit = 1e-4 * max(1, np.abs(expected["logits"]).max())
    np.testing.assert_allclose(logits, expected["logits"], atol=limit, rtol=0)


def test_coclrs_sampler_gives_the_keys_of_the_second_queue(shared):
    _, weights, inputs, expected = load(shared, "coclr-coclr")
    keys = encode(weights, "sampler", inputs["block2"][:, 1])  # flow of clip 2
    changed = (expected["queue_second_after"] != weights["queue_second"]).any(axis=0)
    np.testing.assert_allclose(expected["queue_second_after"][:, changed], keys.T, atol=1e-4)


def test_torchvisions_s3d_and_its_classifier(tmp_path):
    source = VideoBackbone.from_preset("s3d_kinetics", width=2)
    state = checkpoint(map_inception(source, torchvision_s3d._NAMES))
    head = linear(4, source.feature_dim, "classifier.1")
    state["classifier.1.weight"] = head["classifier.1.weight"][..., None, None, None]
    state["classifier.1.bias"] = head["classifier.1.bias"]
    model = check_format(state, "torchvision_s3d", tmp_path)
    assert model.num_classes == 4 and model.backbone.epsilon == 1e-3
    np.testing.assert_array_equal(to_numpy(model.head.kernel.value), head["classifier.1.weight"].T)


def test_mins_s3d_is_torchvisions_under_other_names():
    source = VideoBackbone.from_preset("s3d_kinetics", width=2)
    state = checkpoint(map_inception(source, s3dg_kinetics._MIN))
    head = linear(4, source.feature_dim, "fc.0")
    state["fc.0.weight"] = head["fc.0.weight"][..., None, None, None]
    state["fc.0.bias"] = head["fc.0.bias"]
    model = convert(state).model
    assert model.num_classes == 4
    assert model.backbone.padding == "symmetric" and model.backbone.gating is None
    assert model.backbone.mean == model.backbone.std == [0.5, 0.5, 0.5]
    other = checkpoint(map_inception(source, torchvision_s3d._NAMES))
    assert_same_weights(model.backbone, convert(other).model)
    del state["base.9.branch1.1.bn_t.bias"]
    with pytest.raises(ConvertError, match="missing: base.9.branch1.1.bn_t.bias.*base.9.scale"):
        convert({**state, "base.9.scale": np.ones(2, "float32")})


def test_howto100ms_video_network_with_and_without_the_joint_space(tmp_path):
    source = VideoBackbone.from_preset("s3dg_howto100m", width=2)
    state = checkpoint(map_inception(source, mil_nce._NAMES)) | linear(6, source.feature_dim, "fc")
    text = {f"text_module.{name}": np.ones((3, 2), "float32") for name in mil_nce._TEXT}
    model = check_format(state | text, "mil_nce", tmp_path, victim="gating.fc.bias")
    assert model.stem == "space_to_depth" and model.gating == "conv_2c" and model.embedding_dim == 6
    assert (model.padding, model.pool_padding) == ("symmetric", "even")
    trunk = convert(state, backbone_only=True).model
    assert trunk.embedding_dim is None and trunk.output_shape[-1] == source.feature_dim
    with pytest.raises(ConvertError, match="text_module.fc3"):
        convert({**state, "text_module.fc3.weight": np.ones(2, "float32")})


def test_the_training_code_of_mil_nce_has_a_full_stem():
    source = VideoBackbone.from_preset("s3dg_howto100m", width=2, stem="full", stem_kernel=3)
    state = checkpoint(map_inception(source, mil_nce._NAMES))
    model = convert({f"module.{name}": array for name, array in state.items()}).model
    assert model.stem == "full" and model.stem_kernel == 3
    assert_same_weights(model, convert(state).model)


def slim_state(source):
    names = s3dg_kinetics._SlimNames(
        SLIM_PLACES,
        s3dg_kinetics._SLIM_BRANCHES,
        s3dg_kinetics._SLIM_PARTS,
        prefix="InceptionV1/",
    )
    random, state = np.random.RandomState(0), {}
    for name, variable, _ in map_inception(source, names).entries:
        if name is not None:
            array = random.uniform(0.1, 0.5, variable.shape).astype("float32")
            state[name] = array[None, None, None] if "transformer_W" in name else array
    state["InceptionV1/Logits/Conv2d_0c_1x1/weights"] = random.normal(
        size=(1, 1, 1, source.feature_dim, 4)
    ).astype("float32")
    state["InceptionV1/Logits/Conv2d_0c_1x1/biases"] = np.ones(4, "float32")
    return state | {"global_step": np.array(5, "int64")}


def test_slims_variables(tmp_path):
    state = slim_state(VideoBackbone.from_preset("s3dg", width=2, temporal_norm=False))
    assert "InceptionV1/Conv2d_2c_3x3/temporal/biases" in state
    victim = "InceptionV1/Mixed_4c/Branch_1/Conv2d_0b_3x3/BatchNorm/beta"
    model = check_format(state, "s3dg_kinetics", tmp_path, save=save_tensorflow, victim=victim)
    backbone = model.backbone
    assert not backbone.temporal_norm and backbone.gating == "conv_2c"
    assert backbone.stem == "full" and backbone.stem_kernel == 3 and backbone.padding == "same"
    gate = backbone.get_layer("mixed_5c_b3_gate")
    assert not to_numpy(gate.bias.value).any()
    assert (to_numpy(backbone.get_layer("conv_1a_bn").gamma.value) == 1).all()
    clip = np.random.RandomState(0).uniform(size=(1, 9, 33, 35, 3)).astype("float32")
    assert np.isfinite(to_numpy(backbone(clip, training=False))).all()


def test_slims_variables_with_every_half_normalised():
    source = VideoBackbone.from_preset("s3dg", width=2)
    state = slim_state(source)
    assert "InceptionV1/Conv2d_2c_3x3/temporal/biases" not in state
    assert convert(state, backbone_only=True).model.temporal_norm


@pytest.mark.parametrize("norm", ["__cross_replica_batch_norm", "__batch_norm"])
def test_haikus_names_read_map_and_complain(norm):
    prefix = "text_audio_video/visual_module/~/S3D/"
    source = VideoBackbone.from_preset("s3dg_mmv", width=2)
    random, state = np.random.RandomState(0), {}
    marker = {f"{prefix}Conv2d_1a_7x7/{norm}/scale": None}
    for name, variable, _ in map_haiku_s3d(Mapping(), prefix, source, marker).entries:
        array = random.uniform(0.1, 0.5, variable.shape).astype("float32")
        state[name] = array.reshape(1, 1, 1, 1, -1) if norm in name else array
    moving = f"{prefix}Mixed_3b/Branch_1_Conv2d_0b_3x3/{norm}_1/~/var_ema"
    state[f"{moving}/hidden"] = np.zeros((1, 1, 1, 1, 4), "float32")
    state[f"{moving}/counter"] = np.array(3, "int32")
    assert haiku_s3d_prefix(state) == prefix and haiku_s3d_prefix({"w": 0}) is None
    backbone = build_haiku_s3d(state, prefix)
    assert backbone.stem == "space_to_depth" and backbone.gating == "conv_2c"
    assert backbone.clip_shape == (None, None, None, 3) and backbone.padding == "same"
    map_haiku_s3d(Mapping(), prefix, backbone, state).place(state, backbone)
    got = to_numpy(backbone.get_layer("mixed_3b_b1b_bn").moving_variance.value)
    np.testing.assert_array_equal(got, state[f"{moving}/average"].reshape(-1))
    missing = {name: array for name, array in state.items() if name != f"{moving}/average"}
    with pytest.raises(ConvertError, match="Branch_1_Conv2d_0b_3x3.*var_ema/average"):
        map_haiku_s3d(Mapping(), prefix, backbone, state).place(missing, backbone)
