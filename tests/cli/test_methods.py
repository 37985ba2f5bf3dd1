"""`keras-vssl pretrain METHOD FOLDER` needs no other argument, whichever the method."""

import json

import pytest

import keras_vssl as kv
from keras_vssl.cli import main, methods
from tests.clips import write_clip, write_folder
from tests.textures import square_over_ground


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dozen videos with sound."""
    folder = tmp_path_factory.mktemp("methods") / "world"
    kv.data.synthetic.write(folder, videos=12, frames=50, size=64)
    return folder


@pytest.fixture(scope="module")
def textured(tmp_path_factory):
    """Videos with texture, which a tracker needs."""
    folder = tmp_path_factory.mktemp("textured") / "world"
    for seed in range(4):
        video, _ = square_over_ground(seed=seed)
        write_clip(folder / f"{seed}.mp4", video=video)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_VSSL_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("method", methods.NAMES)
def test_a_folder_is_all_that_a_method_needs(method, world, textured, here, capfd):
    world = textured if method == "tracking_triplet" else world
    # One epoch, on videos that are read once: what is tested is the defaults.
    argv = ["pretrain", method, str(world), "--epochs", "1", "--split", "all"]
    assert main([*argv, "--precision", "float32"]) == 0
    run = here / "runs" / f"{method}-world"
    assert capfd.readouterr().out.strip().endswith(str(run / "report.html"))
    config = json.loads((run / "config.json").read_text())
    assert config["backbone"] == methods.METHODS[method].nano["backbone"]
    task = getattr(kv.tasks, kv.tasks.METHODS[method]).from_preset(str(run / "preset"))
    # Methods of single frames have clips of one, odd-one-out networks of six.
    assert task.sampler.frames == config["clip"]["frames"] and task.sampler.frames in (1, 6, 8)
    drawn = method == "videomae"  # what was filled in is better seen than read
    assert (run / "reconstruction.png").exists() == drawn
    assert ("Reconstructions" in (run / "report.html").read_text()) == drawn
    record = json.loads((run / "preset" / "record.json").read_text())
    assert record["method"] == kv.tasks.METHODS[method] and record["recipe"]["final_loss"] >= 0


def test_silent_videos_give_avts_one_sentence(here, capfd):
    clips = write_folder(here / "clips", classes=2, each=2)
    assert main(["pretrain", "avts", clips, "--precision", "float32"]) == 2
    (line,) = [x for x in capfd.readouterr().err.splitlines() if x.startswith("keras-vssl: ")]
    assert "it has no sound; use videos with sound" in line
    assert not (here / "runs").exists()


def test_geometry_reaches_a_transformer(here):
    run, arguments = methods.settings(_arguments("videomae", frames=4, size=32), True)
    task = methods.build("videomae", run["backbone"], arguments, "float32")
    assert task.sampler.shape == (1, 4, 32, 32, 3)
    assert task.backbone.clip_shape == (4, 32, 32, 3) and task.backbone.clip["frames"] == 4


def test_a_wrong_option_is_named(here):
    run, arguments = methods.settings(_arguments("cvrl", option={"heat": 1}), True)
    with pytest.raises(ValueError, match="argument of CVRL, received heat; choose among widths"):
        methods.build("cvrl", run["backbone"], arguments, "float32")


def test_motion_is_a_layer_by_its_name(here):
    run, arguments = methods.settings(_arguments("modist", option={"motion": "FlowEdges"}), True)
    task = methods.build("modist", run["backbone"], arguments, "float32")
    assert isinstance(task.motion, kv.layers.FlowEdges)
    with pytest.raises(ValueError, match="FlowEdges or FlowChannels"):
        methods.build("modist", run["backbone"], {**arguments, "motion": "flow"}, "float32")


def _arguments(method, option=None, **said):
    from argparse import Namespace

    names = {name: None for name in (*methods.FLAGS, "backbone", "batch_size")}
    return Namespace(**{**names, "method": method, "option": option or {}, **said})
