"""Upload, list, download and load with the real client, against a server on this machine."""

import filecmp
import json
import os
import shutil
import socket

import numpy as np
import pytest

from keras_vssl import backbones
from keras_vssl import hub as presets
from keras_vssl.hub import PresetError, resolve, upload_preset

from .server import Repository

URI = "hf://me/tiny"


def same_files(folder, other):
    names = [name for name in os.listdir(folder) if name != "README.md"]
    return filecmp.cmpfiles(folder, other, names, shallow=False)[0] == names


def cached_files(tmp_path):
    return [path for path in (tmp_path / "hf").rglob("*.h5*") if path.is_file()]


def test_a_published_preset_loads_with_equal_features(hub, saved, preset):
    url = upload_preset(URI, preset)
    assert url == f"{hub.address}/me/tiny"
    listed = set(hub.repositories["me/tiny"].files)
    assert {
        "config.json",
        "model.weights.h5",
        "metadata.json",
        "record.json",
        "README.md",
    } <= listed
    loaded = backbones.VideoBackbone.from_preset(URI)
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 16, 16, 3), dtype="uint8")
    np.testing.assert_array_equal(loaded(clips), saved[0](clips))
    assert same_files(preset, resolve(URI))


def test_a_second_load_fetches_no_file_again(hub, preset):
    upload_preset(URI, preset)
    folder = resolve(URI)
    hub.requests.clear()
    assert resolve(URI) == folder
    assert not [line for line in hub.requests if "/resolve/" in line or "/objects/" in line]


def test_a_revision_stays_what_it_was(hub, preset):
    upload_preset(URI, preset)
    old = hub.repositories["me/tiny"].head
    record = json.loads((preset / "record.json").read_text())
    (preset / "record.json").write_text(json.dumps({**record, "method": "speednet"}))
    upload_preset(URI, preset)
    assert presets.describe(resolve(URI))["method"] == "speednet"
    assert presets.describe(resolve(f"{URI}@{old}"))["method"] == "vcop"
    with pytest.raises(PresetError, match="has no revision 'v9'"):
        resolve(f"{URI}@v9")


def test_a_new_upload_removes_what_the_old_preset_had_more(hub, preset):
    shutil.copy(preset / "config.json", preset / "task.json")
    upload_preset(URI, preset)
    assert "task.json" in hub.repositories["me/tiny"].files
    (preset / "task.json").unlink()
    upload_preset(URI, preset)
    files = hub.repositories["me/tiny"].files
    assert "task.json" not in files
    assert ".gitattributes" in files


def test_only_a_presets_files_are_published_and_fetched(hub, preset):
    (preset / "secret.txt").write_text("mine")
    (preset / "train.py").write_text("print()")
    upload_preset(URI, preset)
    assert not {"secret.txt", "train.py"} & set(hub.repositories["me/tiny"].files)
    hub.repositories["me/tiny"].commit({"evil.py": b"print()", "sub/config.json": b"{}"})
    assert not {"evil.py", "sub"} & set(os.listdir(resolve(URI)))


def test_a_private_preset_opens_for_its_owner_only(hub, preset, monkeypatch):
    upload_preset(URI, preset, private=True)
    assert hub.repositories["me/tiny"].private
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PresetError, match="no model repository me/tiny, or it is private"):
        resolve(URI)
    assert resolve(URI, token="hf_read")


def test_private_is_not_ignored_where_the_repository_is_public(hub, preset):
    upload_preset(URI, preset)
    before = hub.repositories["me/tiny"].head
    with pytest.raises(PresetError, match="exists and is public"):
        upload_preset(URI, preset, private=True)
    assert hub.repositories["me/tiny"].head == before


def test_a_wrong_token_is_named(hub, preset, monkeypatch):
    with pytest.raises(PresetError, match="did not accept the token.*hf auth login"):
        upload_preset(URI, preset, token="hf_wrong")
    assert "me/tiny" not in hub.repositories
    with pytest.raises(PresetError, match="may not upload.*HTTP 403"):
        upload_preset(URI, preset, token="hf_read")
    upload_preset(URI, preset)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PresetError, match="did not accept the token"):
        resolve(URI)
    monkeypatch.setenv("HF_TOKEN", "hf_read")
    assert same_files(preset, resolve(URI))


def test_without_a_token_nothing_is_sent(hub, preset, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(PresetError, match="none was found; run `hf auth login`, set HF_TOKEN"):
        upload_preset(URI, preset)
    assert hub.requests == []


def test_a_missing_repository_is_named(hub, preset, tmp_path):
    with pytest.raises(PresetError, match="has no model repository me/tiny"):
        resolve(URI)
    assert not cached_files(tmp_path)
    upload_preset(URI, preset)
    assert same_files(preset, resolve(URI))


def test_a_repository_without_a_preset_is_named(hub):
    hub.repositories["me/other"] = Repository()
    with pytest.raises(PresetError, match="holds no Keras preset"):
        resolve("hf://me/other")


@pytest.mark.parametrize("name", ["model.weights.h5", "config.json"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("close", "broke off before its end"),
        ("truncate", "broke off before its end"),
        ("flip", "arrived corrupt"),
        (500, "out of order"),
    ],
)
def test_a_fault_in_a_download_leaves_nothing_behind(hub, preset, tmp_path, kind, message, name):
    upload_preset(URI, preset)
    sizes = {len(hub.repositories["me/tiny"].files[name])}
    with hub.fault(kind, name), pytest.raises(PresetError, match=message) as caught:
        resolve(URI)
    assert str(caught.value).count("\n") == 0
    blobs = [path for path in (tmp_path / "hf").rglob("blobs/*")]
    assert not [path for path in blobs if "incomplete" in path.name or path.stat().st_size in sizes]
    assert not list((tmp_path / "hf").rglob(f"snapshots/*/{name}"))
    assert same_files(preset, resolve(URI))


def test_a_cached_file_that_rots_is_fetched_again(hub, preset):
    upload_preset(URI, preset)
    folder = resolve(URI)
    weights = os.path.realpath(os.path.join(folder, "model.weights.h5"))
    data = bytearray(open(weights, "rb").read())
    data[len(data) // 2] ^= 1
    open(weights, "wb").write(data)
    assert same_files(preset, resolve(URI))


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_cached_preset_loads_when_the_hub_is_gone(hub, preset, monkeypatch):
    upload_preset(URI, preset)
    folder = resolve(URI)
    monkeypatch.setenv("HF_ENDPOINT", free_address())
    with pytest.warns(UserWarning, match="loaded from the cache"):
        assert resolve(URI) == folder
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(URI) == folder


def test_an_unreachable_hub_is_one_sentence(hub, preset, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", free_address())
    with pytest.raises(PresetError, match="can't be reached to download.*keras-vssl presets"):
        resolve(URI)
    with pytest.raises(PresetError, match="can't be reached to upload"):
        upload_preset(URI, preset)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PresetError, match="HF_HUB_OFFLINE is set"):
        resolve(URI)


def test_a_half_downloaded_preset_is_not_served_offline(hub, preset, monkeypatch):
    upload_preset(URI, preset)
    with hub.fault("close", "record.json"), pytest.raises(PresetError):
        resolve(URI)
    monkeypatch.setenv("HF_ENDPOINT", free_address())
    with pytest.raises(PresetError, match="can't be reached"):
        resolve(URI)


def test_a_file_that_rots_while_offline_is_named_and_removed(hub, preset, monkeypatch):
    upload_preset(URI, preset)
    weights = os.path.realpath(os.path.join(resolve(URI), "model.weights.h5"))
    with open(weights, "ab") as file:
        file.write(b"x")
    address = hub.address
    monkeypatch.setenv("HF_ENDPOINT", free_address())
    with pytest.raises(PresetError, match="damaged in the cache and was removed"):
        resolve(URI)
    assert not os.path.exists(weights)
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert same_files(preset, resolve(URI))


def test_an_upload_that_fails_leaves_the_published_preset(hub, preset):
    upload_preset(URI, preset)
    before = hub.repositories["me/tiny"].head
    (preset / "record.json").write_text('{"method": "other"}')
    with hub.fault(500, "/commit/main"), pytest.raises(PresetError, match="HTTP 500"):
        upload_preset(URI, preset)
    assert hub.repositories["me/tiny"].head == before


def test_a_card_that_a_person_wrote_is_kept(hub, preset):
    upload_preset(URI, preset)
    repository = hub.repositories["me/tiny"]
    assert b"0.600" in repository.files["README.md"]
    repository.commit({"README.md": b"---\nlicense: mit\n---\nEdited on the hub.\n"})
    upload_preset(URI, preset)
    assert b"Edited on the hub." in repository.files["README.md"]
    (preset / "README.md").write_text("---\nlicense: mit\n---\nEdited here.\n")
    upload_preset(URI, preset)
    assert b"Edited here." in repository.files["README.md"]
    assert (preset / "README.md").read_text().endswith("Edited here.\n")
