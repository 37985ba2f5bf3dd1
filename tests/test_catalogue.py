"""The index of presets, their cards and the pages of the backbones say what the code says."""

import importlib
import json
import pathlib
import re

import pytest

from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert.conversion import FORMATS
from keras_vssl.hub import PresetError, list_presets, resolve
from tests import backends

ROOT = pathlib.Path(__file__).parents[1]


def test_every_count_and_page_is_current():
    if "torch" not in backends.INSTALLED:
        pytest.skip("PyTorch counts the operations, and is not installed")
    # Builds every network without memory, counts it, and writes nothing.
    backends.python("torch", "docs/catalogue.py", "--check")


def test_the_page_of_methods_is_current():
    """Each method stands in one of the survey's four families, with its own words."""
    backends.python("tensorflow", "docs/methods.py", "--check")


def test_every_converter_states_its_source():
    names = []
    for format in FORMATS:
        module = importlib.import_module(f"keras_vssl.convert.{format}")
        assert module.LICENCE and module.CITATION, format
        for listed in getattr(module, "CHECKPOINTS", ()):
            names.append(listed.name)
            assert re.fullmatch(r"[a-z0-9_]+", listed.name), listed.name
            assert listed.where.startswith("http"), listed
            assert listed.backbone in ("", *ARCHITECTURES), listed
            assert listed.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", listed.sha256)
    assert len(names) == len(set(names)), "two checkpoints have one name"
    clash = set(names) & set(ARCHITECTURES)
    assert not clash, f"checkpoints named like architectures: {clash}"


def test_the_list_has_all_three_kinds():
    rows = {row["name"]: row for row in list_presets()}
    assert {row["kind"] for row in rows.values()} == {"trained", "architecture", "checkpoint"}
    assert set(ARCHITECTURES) <= set(rows)
    assert all(row["parameters"] for row in rows.values() if row["kind"] == "architecture")


def test_published_figures_of_multiply_adds():
    """In billions: torchvision's `_ops`, and pytorchvideo's model zoo at 256 pixels."""
    rows = {row["name"]: row for row in list_presets()}
    published = {
        "r3d_18": 40.697,
        "mc3_18": 43.343,
        "r2plus1d_18": 40.519,
        "s3d_kinetics": 17.979 * 8,  # of 16 frames; ours expects 128
        "slow_r50": 54.52 * (224 / 256) ** 2,
    }
    for name, figure in published.items():
        assert rows[name]["multiply_adds"] / 1e9 == pytest.approx(figure, rel=2e-4), name


def test_a_checkpoint_by_name_says_how_it_is_made():
    row = next(row for row in list_presets() if row["kind"] == "checkpoint")
    with pytest.raises(PresetError, match=f"keras-vssl convert {row['format']} FILE"):
        resolve(row["name"])


def test_an_architectures_folder_is_a_preset_without_weights():
    folder = ROOT / "presets" / "r3d_nano"
    config = json.loads((folder / "config.json").read_text())
    assert config["registered_name"] == "keras_vssl>R3D"
    assert not list(folder.glob("*.h5"))
