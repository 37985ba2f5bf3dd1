"""MMV's towers, from pickles as Haiku's users write them."""

import pickle

import numpy as np
import pytest

from keras_vssl.backbones import S3D, AudioResNetV2, TSMResNetV2, WordBag
from keras_vssl.convert import ConvertError, convert, mmv, read_state_dict
from keras_vssl.convert.mapping import Mapping
from keras_vssl.convert.mmv_heads import HEADS
from keras_vssl.convert.s3d_names import map_haiku_s3d
from tests.backends import infer, to_numpy
from tests.convert.check import check_format

RANDOM = np.random.default_rng(0)
BLOCKS = (1, 2, 1, 1)
CLIP = RANDOM.uniform(size=(1, 8, 32, 32, 3)).astype("float32")
SOUND = RANDOM.normal(size=(1, 40, 24)).astype("float32")
VIDEO, AUDIO = "text_audio_video/visual_module/~/", "text_audio_video/audio_module/~/"
NORM = "__cross_replica_batch_norm"
STATISTICS = [f"~/{e}_ema/{part}" for e in ("mean", "var") for part in ("average", "hidden")]


def values(mapping, ones):
    """What a mapping reads, in Haiku's layout, with random values and the unused averages."""
    state = {}
    for name, variable, _ in mapping.entries:
        array = RANDOM.uniform(0.1, 0.5, variable.shape).astype("float32")
        if "batch_norm" in name:
            array = array.reshape(*ones, -1)
        elif array.ndim == 5 and len(ones) == 3:
            array = array[0] - 0.3
        state[name] = array
        if name.endswith("/average"):
            state[name.replace("average", "hidden")] = array + 1
            state[name.replace("average", "counter")] = np.array(7, "int32")
    return state


def tsm(prefix=VIDEO, width=8):
    prefix = f"{prefix}TSMResNetV2/"
    stem, stage = f"{prefix}tsm_resnet_stem/w", f"{prefix}tsm_resnet_unit_"
    network = TSMResNetV2(BLOCKS, width)
    return values(mmv._map({}, network, prefix, stem, stage, "/"), (1, 1, 1))


def s3d(prefix=VIDEO):
    network = S3D(2, stem="space_to_depth", gating="conv_2c", padding="same")
    return values(map_haiku_s3d(Mapping(), f"{prefix}S3D/", network), (1, 1, 1, 1))


def audio(prefix=AUDIO, width=4):
    prefix = f"{prefix}res_net_v2/"
    stem, stage = f"{prefix}~/initial_conv/w", f"{prefix}~/block_group_"
    network = AudioResNetV2(BLOCKS, width)
    return values(mmv._map({}, network, prefix, stem, stage, "/~/"), (1, 1, 1))


def text_and_heads():
    """The text tower and all heads, for features of 8 (video), 4 (audio) and 5 (text) channels."""
    text, heads = "text_audio_video/text_module/~/", f"text_audio_video/{HEADS}"
    shapes = {
        f"{text}embed/embeddings": (6, 3),
        f"{text}text_conv1/w": (1, 3, 5),
        f"{text}text_conv1/b": (5,),
        f"{heads}vid2audio_embd/final_projection_inner/w": (8, 4),
        f"{heads}vid2audio_embd/final_projection_inner/b": (4,),
        f"{heads}vid2audio_embd/final_projection/w": (4, 6),
    }
    linear = {
        "audio_embd": (4, 6),
        "vis_embd": (6, 3),
        "txt_embd": (5, 3),
        "txt2audio_embd": (5, 6),
        "audio2txt_embd": (4, 6),
    }
    for name, shape in linear.items():
        shapes[f"{heads}{name}/final_projection/w"] = shape
        shapes[f"{heads}{name}/final_projection/b"] = shape[1:]
    norms = {f"vid2audio_embd/{NORM}": 4, f"vid2audio_embd/{NORM}_1": 6, f"vis_embd/{NORM}": 3}
    for name, width in norms.items():
        for part in ("scale", "offset", *STATISTICS):
            shapes[f"{heads}{name}/{part}"] = (1, width)
    return {name: RANDOM.uniform(0.1, 1, shape).astype("float32") for name, shape in shapes.items()}


def save_haiku(state, folder):
    """A pickle of Haiku's two trees, a module's path to a dict of its arrays."""
    trees = {"params": {}, "state": {}}
    for name, array in state.items():
        module, _, part = name.rpartition("/")
        tree = trees["state" if "_ema/" in name else "params"]
        tree.setdefault(module, {})[part] = np.asarray(array)
    path = folder / "mmv.pkl"
    path.write_bytes(pickle.dumps(trees))
    return path


def test_the_video_network_of_a_whole_model(tmp_path):
    state = tsm() | audio() | text_and_heads()
    victim = f"{VIDEO}TSMResNetV2/tsm_resnet_unit_1/block_1/{NORM}_2/scale"
    model = check_format(state, "mmv", tmp_path, save_haiku, CLIP, victim)
    assert type(model) is TSMResNetV2
    assert (model.blocks, model.width, model.fraction) == (BLOCKS, 8, 1 / 8)
    assert model.clip["frames"] == 32 and model.mean == [0.0] * 3 and model.std == [1.0] * 3
    kernel = to_numpy(model.get_layer("layer2_1_conv2").kernel.value)
    expected = state[f"{VIDEO}TSMResNetV2/tsm_resnet_unit_1/block_1/conv_1/w"]
    np.testing.assert_array_equal(kernel[0], expected)
    mean = to_numpy(model.get_layer("layer2_1_bn3").moving_mean.value)
    expected = state[victim.replace("scale", "~/mean_ema/average")]
    np.testing.assert_array_equal(mean, expected.reshape(-1))


def test_the_audio_network_of_a_whole_model(tmp_path):
    state = tsm() | audio() | text_and_heads()
    victim = f"{AUDIO}res_net_v2/{NORM}/offset"
    model = check_format(state, "mmv", tmp_path, save_haiku, SOUND, victim, part="audio")
    assert type(model) is AudioResNetV2
    assert (model.blocks, model.width, model.front_end) == (BLOCKS, 4, None)
    # Any number of bands, with a front-end too.
    assert convert(state, part="audio", front_end="mmv").model.front_end.bands == 80


def test_s3d_of_a_whole_model(tmp_path):
    state = s3d() | audio() | text_and_heads()
    victim = f"{VIDEO}S3D/Mixed_4c/Branch_1_Conv2d_0b_3x3/{NORM}_1/offset"
    model = check_format(state, "mmv", tmp_path, save_haiku, CLIP, victim)
    assert type(model) is S3D and (model.stem, model.gating) == ("space_to_depth", "conv_2c")


def test_the_text_network_of_a_whole_model(tmp_path):
    state = tsm() | audio() | text_and_heads()
    text = "text_audio_video/text_module/~/"
    ids = np.array([[1, 5, 2, 0], [3, 0, 0, 0]], "int32")
    victim = f"{text}text_conv1/b"
    model = check_format(state, "mmv", tmp_path, save_haiku, ids, victim, part="text")
    assert type(model) is WordBag and (model.rows, model.feature_dim) == (6, 5)
    vectors = state[f"{text}embed/embeddings"][ids]
    hidden = vectors @ state[f"{text}text_conv1/w"][0] + state[f"{text}text_conv1/b"]
    np.testing.assert_allclose(to_numpy(model(ids)), np.maximum(hidden, 0).max(1), rtol=1e-5)


def test_the_heads_of_a_whole_model(tmp_path):
    state = tsm() | audio() | text_and_heads()
    victim = f"text_audio_video/{HEADS}vis_embd/{NORM}/offset"
    check_format(state, "mmv", tmp_path, save_haiku, victim=victim, part="heads")
    features = {
        name: RANDOM.normal(size=(2, width)).astype("float32")
        for name, width in (("video", 8), ("audio", 4), ("text", 5))
    }
    got = infer(convert(state, part="heads").model, features)
    got = {name: to_numpy(array) for name, array in got.items()}

    def linear(x, name, part="final_projection"):
        module = f"text_audio_video/{HEADS}{name}/{part}"
        return x @ state[f"{module}/w"] + state.get(f"{module}/b", 0)

    def normalized(x, name):
        scale, offset, mean, _, variance, _ = (
            state[f"text_audio_video/{HEADS}{name}/{part}"]
            for part in ("scale", "offset", *STATISTICS)
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * scale + offset

    def to_text(x):
        return normalized(linear(np.maximum(x, 0), "vis_embd"), f"vis_embd/{NORM}")

    hidden = linear(features["video"], "vid2audio_embd", "final_projection_inner")
    hidden = np.maximum(normalized(hidden, f"vid2audio_embd/{NORM}"), 0)
    video = normalized(linear(hidden, "vid2audio_embd"), f"vid2audio_embd/{NORM}_1")
    sound = linear(features["audio"], "audio_embd")
    expected = {
        "video_in_va": video,
        "audio_in_va": sound,
        "text_in_va": linear(features["text"], "txt2audio_embd"),
        "video_in_vat": to_text(video),
        # At inference audio takes the way of video, not the head it was trained with.
        "audio_in_vat": to_text(sound),
        "text_in_vat": linear(features["text"], "txt_embd"),
    }
    assert set(got) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=1e-5)


def test_towers_by_themselves_and_without_replicas():
    plain = {name.replace(NORM, "__batch_norm"): array for name, array in tsm("").items()}
    assert type(convert(plain).model) is TSMResNetV2
    assert type(convert(audio("")).model) is AudioResNetV2
    assert type(convert(s3d("")).model) is S3D
    assert convert(plain, fraction=0.25).model.fraction == 0.25


def test_strangers_in_any_tower_are_named():
    strangers = (
        f"{VIDEO}TSMResNetV2/tsm_resnet_unit_1/block_1/conv_3/w",
        f"{AUDIO}res_net_v2/~/block_group_0/block_0/~/conv_0/b",
        "text_audio_video/~_get_pair_embedding_heads/txt_embd/final_projection/scale",
    )
    state = tsm() | audio() | {name: np.zeros(2, "float32") for name in strangers}
    with pytest.raises(ConvertError) as caught:
        convert(state)
    assert all(stranger in str(caught.value) for stranger in strangers)


def test_what_is_not_there_is_one_sentence():
    with pytest.raises(ConvertError, match="does not hold MMV's audio; it holds video"):
        convert(tsm(), part="audio")
    with pytest.raises(ConvertError, match="`part` is one of video, audio, text, heads"):
        convert(tsm(), part="words")
    with pytest.raises(ConvertError, match="Only the video network has clip"):
        convert(audio(), clip={})
    broken = {name: array for name, array in tsm().items() if "unit_2" not in name}
    with pytest.raises(ConvertError, match="each needs one"):
        convert(broken)


def test_other_pickles_keep_their_names(tmp_path):
    """Only two trees of modules are joined: a flat "params" stays what it is."""
    path = tmp_path / "flat.pkl"
    path.write_bytes(pickle.dumps({"params": {"lr": 1.0}, "conv1.weight": np.zeros(2)}))
    assert list(read_state_dict(path)) == ["conv1.weight"]
    path.write_bytes(pickle.dumps({"params": {"a/~/b": {"w": np.zeros(2)}}}))
    assert list(read_state_dict(path)) == ["a/~/b/w"]
