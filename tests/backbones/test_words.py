"""Text networks and the sentences they read, and DAVEnet."""

import keras
import keras_hub
import numpy as np
import pytest

import keras_vssl as kv
from keras_vssl.backbones import BertText, DAVEnet, WordBag
from keras_vssl.convert import ConvertError, convert
from keras_vssl.data import Words
from tests import contract
from tests.convert.check import check_format, save_torch

RANDOM = np.random.default_rng(0)
TINY = {"rows": 20, "vectors": 6, "hidden": 8, "output": 4}


def randomized(model):
    for weight in model.weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    return model


def test_a_sentence_is_its_words_without_punctuation():
    words = Words(["cut", "the", "tomato", "now", "don't"], length=6)
    assert words.split("cut the tomato, now!") == ["cut", "the", "tomato", "now"]
    assert words.ids(["Don't cut-the"])[0].tolist() == [5, 1, 2, 0, 0, 0]
    assert Words(["Cut"], lower=False).ids(["Cut cut"])[0, :2].tolist() == [1, 0]


def test_nothing_known_is_all_padding():
    words = Words(["cut"])
    assert not words.ids(["", "zzz qqq"]).any()


def test_the_first_known_words_are_kept():
    words = Words([f"w{i}" for i in range(20)], length=16)
    sentence = " ".join(f"w{i} unknown" for i in range(20))
    assert words.ids([sentence])[0].tolist() == list(range(1, 17))
    assert len(words) == 21


def test_candidates_become_rows():
    words = Words(["a", "b"], length=2)
    rows = words.ids([["a", "b"], ["b", "a b"]])
    assert rows.tolist() == [[1, 0], [2, 0], [2, 0], [1, 2]]


def test_vocabularies_come_from_files_and_wrong_ones_are_named(tmp_path):
    np.save(tmp_path / "dict.npy", np.array(["a", "b"]))
    (tmp_path / "words.txt").write_text("a\nb\n")
    for name in ("dict.npy", "words.txt"):
        assert Words.from_file(tmp_path / name).vocabulary == ["a", "b"]
    with pytest.raises(ValueError, match="bytes"):
        Words([b"a"])
    with pytest.raises(ValueError, match="twice"):
        Words(["a", "a"])
    with pytest.raises(ValueError, match="a list of sentences"):
        Words(["a"]).ids("a")


def test_neither_order_nor_repetition_matters():
    bag = randomized(WordBag(**TINY))
    rows = np.array([[3, 5, 7, 0], [7, 3, 5, 0], [7, 3, 5, 3]], "int32")
    out = contract.outputs(bag, rows)
    np.testing.assert_allclose(out[0], out[1], atol=1e-6)
    # A full sentence has no padding in its maximum; a short one has row 0's.
    assert np.abs(out[2] - out[0]).max() > 0
    masked = WordBag(**TINY, mask_padding=True)
    masked.set_weights(bag.get_weights())
    out = contract.outputs(masked, rows)
    np.testing.assert_allclose(out[2], out[0], atol=1e-6)


def test_the_table_is_not_trained():
    bag = WordBag(**TINY)
    assert all("vectors" not in weight.path for weight in bag.trainable_variables)
    assert len(bag.trainable_variables) == 4
    assert WordBag(**{**TINY, "output": None})(np.zeros((1, 3), "int32")).shape == (1, 8)


def test_presets_and_other_numbers(tmp_path):
    bag = randomized(WordBag(**TINY))
    bag.save_to_preset(tmp_path / "bag")
    loaded = kv.backbones.TextBackbone.from_preset(str(tmp_path / "bag"))
    ids = np.array([[1, 2, 0]], "int64")
    np.testing.assert_allclose(contract.outputs(loaded, ids), contract.outputs(bag, ids))
    with pytest.raises(ValueError, match="token ids"):
        bag(np.zeros((1, 3), "float32"))


def bert(**kwargs):
    return keras_hub.models.BertBackbone(
        vocabulary_size=30, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16,
        max_sequence_length=8, **kwargs,
    )  # fmt: skip


def test_bert_masks_padding(tmp_path):
    network = BertText(bert())
    short = contract.outputs(network, np.array([[2, 9, 3]], "int32"))
    padded = contract.outputs(network, np.array([[2, 9, 3, 0, 0]], "int32"))
    assert short.shape == (1, 8)
    np.testing.assert_allclose(short, padded, atol=1e-5)
    network.save_to_preset(tmp_path / "bert")
    loaded = kv.backbones.TextBackbone.from_preset(str(tmp_path / "bert"))
    ids = np.array([[2, 9, 3]], "int32")
    np.testing.assert_allclose(contract.outputs(loaded, ids), short, atol=1e-6)
    with pytest.raises(ValueError, match="BertBackbone"):
        BertText(keras.layers.Dense(3))


def text_state(prefix=""):
    shapes = {
        "word_embd.weight": (20, 6), "fc1.weight": (8, 6), "fc1.bias": (8,),
        "fc2.weight": (4, 8), "fc2.bias": (4,),
    }  # fmt: skip
    return {f"{prefix}{k}": RANDOM.normal(size=s).astype("float32") for k, s in shapes.items()}


def test_the_text_module_alone(tmp_path):
    ids = np.array([[1, 2, 0]], "int32")
    model = check_format(text_state(), "word_bag", tmp_path, inputs=ids)
    assert type(model) is WordBag and model.rows == 20


def test_the_text_module_of_a_whole_checkpoint():
    state = text_state("text_module.") | {"mixed_3b.conv_b0.bn1.bias": np.zeros(2, "float32")}
    model = convert(state, format="mil_nce", part="text").model
    assert type(model) is WordBag and model.rows == 20
    with pytest.raises(ConvertError, match="stranger"):
        convert({**state, "stranger": np.zeros(2)}, format="mil_nce", part="text")


def davenet_state(prefix=""):
    network = DAVEnet(widths=(4, 6, 6), blocks=(2, 1), kernel=5, bands=8)
    state = {f"{prefix}conv1.weight": RANDOM.normal(size=(4, 1, 8, 1))}
    norms = [("bn1", 4), ("batchnorm1", 1)]
    for stage, block in ((1, 0), (1, 1), (2, 0)):
        into = 4 if (stage, block) == (1, 0) else 6
        name = f"layer{stage}.{block}"
        state[f"{prefix}{name}.conv1.weight"] = RANDOM.normal(size=(6, into, 1, 5))
        state[f"{prefix}{name}.conv2.weight"] = RANDOM.normal(size=(6, 6, 1, 5))
        norms += [(f"{name}.bn1", 6), (f"{name}.bn2", 6)]
        if not block:
            state[f"{prefix}{name}.downsample.0.weight"] = RANDOM.normal(size=(6, into, 1, 1))
            norms.append((f"{name}.downsample.1", 6))
    for name, width in norms:
        for kind in ("weight", "bias", "running_mean", "running_var"):
            state[f"{prefix}{name}.{kind}"] = RANDOM.uniform(0.5, 1, width)
    return network, {name: array.astype("float32") for name, array in state.items()}


def test_everything_at_onces_audio_network(tmp_path):
    network, state = davenet_state("davenet.")
    state |= {
        "fusion.masking_token": np.zeros(4, "float32"),
        "fusion.blocks.0.attn.qkv.weight": np.zeros((12, 4), "float32"),
        "text_token_proj.cg.fc.bias": np.zeros(4, "float32"),
        "audio_norm_layer.weight": np.ones(4, "float32"),
    }
    spectrogram = RANDOM.normal(size=(1, 37, 8)).astype("float32")

    def save(state, folder):
        return save_torch(state, folder)

    model = check_format(
        state, "everything_at_once", tmp_path, save, inputs=spectrogram,
        victim="davenet.layer2.0.bn2.bias",
    )  # fmt: skip
    assert model.get_config()["blocks"] == network.get_config()["blocks"]
    assert contract.outputs(model, spectrogram).shape == (1, 10, 1, 6)
    with pytest.raises(ConvertError, match="fusion.strange"):
        convert({**state, "fusion.strange": np.zeros(2, "float32")})


def test_davenets_stages_need_widths():
    with pytest.raises(ValueError, match="each of 2 stages"):
        DAVEnet(widths=(4, 6), blocks=(1, 1))
