"""A hub of one's own for each test, and one small preset for all of them."""

import json
import shutil
import time

import pytest
from huggingface_hub import constants

from . import server

RECORD = {
    "method": "vcop",
    "backbone": "R3D",
    "description": "A tiny network of the tests.",
    "data": {"name": "synthetic", "videos": 12},
    "recipe": {"epochs": 3, "optimizer": "SGD", "learning_rate": 0.001},
    "metrics": [
        {"method": method, "dataset": "synthetic", "protocol": "knn", "metric": "top1"}
        | {"value": value, "seed": seed, "frames": 8}
        for method, value, seed in [
            ("floor_thumbnail", 0.18, 0),
            ("random", 0.2, 0),
            ("vcop", 0.5, 0),
            ("vcop", 0.7, 1),
        ]
    ],
    "versions": {"keras": "3.15.1"},
    "licence": "Apache-2.0",
    "citation": "@inproceedings{xu2019, title={Video clip order prediction}}",
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A backbone and the folder it was saved to, with a record."""
    from keras_vssl import backbones

    folder = tmp_path_factory.mktemp("saved") / "tiny"
    clip = {"frames": 4, "stride": 1, "resize": [20, 20], "size": 16}
    model = backbones.R3D(width=4, blocks=(1, 1, 1, 1), clip=clip)
    model.save_to_preset(str(folder))
    (folder / "record.json").write_text(json.dumps(RECORD))
    return model, folder


@pytest.fixture
def preset(saved, tmp_path):
    """A copy of the saved preset that a test may change."""
    return shutil.copytree(saved[1], tmp_path / "tiny")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A running hub that the environment points at, with an empty cache and a write token."""
    # Xet is a second protocol with a server of its own; without it the client uses LFS.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_write")
    # The client waits between attempts.
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with server.running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub
