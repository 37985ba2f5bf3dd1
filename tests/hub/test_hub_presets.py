"""Presets by folder and by name, what they may name, and what they say of themselves."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from keras_vssl.hub import (
    PresetError,
    check_config,
    describe,
    list_presets,
    model_card,
    presets,
    resolve,
    write_card,
)


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.fixture
def shipped(preset, tmp_path, monkeypatch):
    """A folder of trained presets with one in it, as a wheel or a checkout has."""
    (tmp_path / "shipped").mkdir()
    preset.rename(tmp_path / "shipped" / "tiny_vcop")
    monkeypatch.setattr(presets, "preset_folders", lambda: [str(tmp_path / "shipped")])
    return tmp_path / "shipped" / "tiny_vcop"


def test_a_folder_and_a_runs_folder_resolve(preset, tmp_path):
    assert resolve(preset) == str(preset)
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"command": "pretrain"}')
    (run / "checkpoints").mkdir()
    with pytest.raises(PresetError, match="has not written its preset yet"):
        resolve(run)
    preset.rename(run / "preset")
    assert resolve(run) == str(run / "preset")


def test_a_built_in_name_resolves_and_is_listed(shipped):
    assert resolve("tiny_vcop") == str(shipped)
    row = next(row for row in list_presets() if row["name"] == "tiny_vcop")
    assert row["kind"] == "trained"
    assert row["class"] == "R3D"
    assert row["method"] == "vcop"
    assert row["parameters"] > 0
    assert row["description"] == "A tiny network of the tests."


def test_architectures_are_listed_and_say_how_they_are_built():
    row = next(row for row in list_presets() if row["name"] == "r3d_nano")
    assert row["kind"] == "architecture" and row["class"] == "R3D" and row["description"]
    with pytest.raises(PresetError, match="architecture without trained weights; build it"):
        resolve("r3d_nano")


def test_an_unknown_name_gets_the_closest(shipped):
    with pytest.raises(PresetError, match="did you mean tiny_vcop.*keras-vssl presets"):
        resolve("tiny_vcp")


@pytest.mark.parametrize(
    "name", ["hf://x", "hf://a/b/c", "hf://a/../b", "hf://a/b@../../x", "kaggle://a/b", "", 3]
)
def test_a_malformed_name_is_one_sentence(name):
    with pytest.raises(PresetError, match="got") as caught:
        resolve(name)
    assert "\n" not in str(caught.value)


def test_an_incomplete_folder_says_what_is_missing(preset, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PresetError, match=r"with a config.json, but .*empty holds nothing"):
        resolve(tmp_path / "empty")
    with pytest.raises(PresetError, match="is a file"):
        resolve(preset / "config.json")
    (preset / "model.weights.h5").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(PresetError, match="Git LFS pointer"):
        resolve(preset)
    (preset / "model.weights.h5").unlink()
    with pytest.raises(PresetError, match="no model.weights.h5"):
        resolve(preset)
    (preset / "config.json").write_text("{")
    with pytest.raises(PresetError, match="not valid JSON"):
        resolve(preset)


EVIL = {
    "a Lambda layer": {"module": "keras.layers", "class_name": "Lambda", "config": {}},
    "marshalled code": {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
    "a function of os": {"module": "os", "class_name": "function", "config": "system"},
    "an unknown class": {
        "module": "evil",
        "class_name": "Layer",
        "config": {},
        "registered_name": "evil>Layer",
    },
    "a trusted name on another module": {
        "module": "evil",
        "class_name": "R3D",
        "config": {},
        "registered_name": "keras_vssl>NotThere",
    },
    "a tool of Keras": {"module": "keras.utils", "class_name": "get_file", "config": {}},
    "another framework's code": {
        "module": "keras.layers",
        "class_name": "TorchModuleWrapper",
        "config": {},
    },
}


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL.keys())
@pytest.mark.parametrize("where", ["nested", "top", "task.json"])
def test_nothing_but_known_classes_is_named(preset, evil, where):
    if where == "top":
        (preset / "config.json").write_text(json.dumps({**evil, "config": {}}))
    elif where == "task.json":
        task = {"class_name": "VCOP", "registered_name": "keras_vssl>VCOP"}
        (preset / "task.json").write_text(json.dumps({**task, "config": {"head": evil}}))
    else:
        edit(preset / "config.json", lambda c: c["config"].update(extra=[{"deep": evil}]))
    with pytest.raises(PresetError, match=r"runs code|not a class of"):
        resolve(preset)


def test_a_class_the_program_registered_itself_is_accepted(preset):
    import keras

    name = {"module": "mine", "class_name": "Mine", "registered_name": "hub_tests>Mine"}
    edit(preset / "config.json", lambda config: config.update(name))
    with pytest.raises(PresetError, match="import the module that registers it"):
        check_config(preset)

    @keras.saving.register_keras_serializable(package="hub_tests")
    class Mine(keras.layers.Layer):
        pass

    check_config(preset)


def test_an_index_of_shards_can_not_lead_out_of_the_folder(preset):
    (preset / "model.weights.h5").rename(preset / "model_00000.weights.h5")
    index = preset / "model.weights.json"
    index.write_text('{"weight_map": {"/a": "model_00000.weights.h5"}}')
    assert resolve(preset) == str(preset)
    index.write_text('{"weight_map": {"/a": ["../../other.weights.h5"]}}')
    with pytest.raises(PresetError, match="not the name of a weights file"):
        resolve(preset)
    index.write_text('{"weight_map": {"/a": "model_00001.weights.h5"}}')
    with pytest.raises(PresetError, match="lacks model_00001.weights.h5"):
        resolve(preset)


def test_describe_says_what_callers_check(preset):
    about = describe(preset)
    assert about["backbone"] == "R3D" and about["task"] is None
    assert about["clip"]["frames"] == 4 and about["clip"]["size"] == 16
    assert about["licence"] == "Apache-2.0" and about["data"] == "synthetic"


def test_the_card_tells_what_was_run(preset):
    text = model_card(str(preset), name="hf://me/tiny")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "keras-hub"
    assert front["pipeline_tag"] == "feature-extraction"
    assert "vcop" in front["tags"]
    assert "| Dataset | Protocol | Metric | vcop | 8x8 thumbnails | random weights |" in text
    assert "| synthetic | knn | top1 | 0.600 ± 0.141 | 0.180 | 0.200 |" in text
    for line in (
        "learning rate: 0.001",
        "- keras: 3.15.1",
        "videos: 12",
        "@inproceedings{xu2019",
        "backbones.R3D.from_preset('hf://me/tiny')",
    ):
        assert line in text


def test_a_records_text_can_not_break_the_card(preset):
    record = {
        "method": 'x"\n---\n# heading',
        "licence": "Ask me: first\nlicense: mit",
        "metrics": [{"method": "a|b", "dataset": "d\n|e", "value": None}],
        "data": "<script>alert(1)</script>",
    }
    text = model_card(str(preset), record)
    front = yaml.safe_load(text.split("\n---\n")[0])
    assert front["license"] == "other" and front["license_name"] == "ask-me-first-license-mit"
    assert "<script>" not in text and "\n# heading" not in text
    assert model_card(str(preset), {}).count("No record of a training") == 1


def test_a_converted_presets_card_names_its_source(preset):
    (preset / "record.json").unlink()
    facts = {"source": "r3d.pth", "sha256": "ab" * 32, "licence": "BSD-3-Clause"}
    (preset / "provenance.json").write_text(json.dumps(facts))
    text = model_card(str(preset))
    assert "license: bsd-3-clause" in text and "- source: r3d.pth" in text and "ab" * 32 in text


def test_a_generated_card_is_renewed_and_a_written_one_kept(preset):
    write_card(str(preset))
    edit(preset / "record.json", lambda record: record.update(description="Second words."))
    assert "Second words." in write_card(str(preset))
    assert "Second words." in (preset / "README.md").read_text()
    (preset / "README.md").write_text("mine")
    assert write_card(str(preset)) == "mine"


def test_listing_imports_no_framework():
    code = (
        "import sys, keras_vssl; keras_vssl.list_presets(); "
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'huggingface_hub'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_every_shipped_preset_is_complete_and_has_a_licence():
    for row in list_presets():
        if row["kind"] == "trained":
            assert resolve(row["name"]) == row["folder"]
            assert row["licence"] and os.path.exists(os.path.join(row["folder"], "README.md"))
