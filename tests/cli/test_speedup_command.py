"""`keras-vssl speedup` writes a shorter video, its curve and a picture; or one sentence."""

import json
import os
import xml.etree.ElementTree

import pytest

import keras_vssl as kv
from keras_vssl.cli import main
from tests.clips import write_clip


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """A SpeedNet (T = 8), untrained, and the same backbone alone."""
    folder = tmp_path_factory.mktemp("presets")
    backbone = kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1))
    kv.tasks.SpeedNet(backbone, frames=8, size=16).save_to_preset(folder / "speednet")
    backbone.save_to_preset(folder / "backbone")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_clip(f"{tmp_path}/in.mp4", frames=40)
    return tmp_path


def test_a_video_of_the_motion_world_gets_half_as_long(presets, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    kv.data.synthetic.write("world", videos=2, classes=["bounce", "swing"], frames=60, size=48)
    (source,) = [str(p) for p in (tmp_path / "world" / "bounce").glob("*.mp4")]
    command = ["speedup", source, "out.mp4", "--rate", "2", "--preset", str(presets / "speednet")]
    assert main([*command, "--precision", "float32"]) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[0].startswith("out.mp4: 60 frames in 30, 2.00 times as short")
    assert out[1:] == ["out.speed.svg", "out.speed.json"]
    with kv.data.VideoReader("out.mp4") as reader:
        assert reader.info.frames == 30 and reader.info.audio_rate == 16000
        assert abs(reader.audio(0.0, 1.0, 16000)).mean() > 1e-3
    found = json.loads((tmp_path / "out.speed.json").read_text())
    assert found["frames"] == 60 and found["frames_written"] == 30
    assert len(found["seconds"]) == len(found["speediness"]) == len(found["speed"]) == 60
    assert min(found["speed"]) >= 1
    root = xml.etree.ElementTree.parse(tmp_path / "out.speed.svg").getroot()
    assert root.tag.endswith("svg") and len(root.findall(".//{*}polyline")) == 2


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ("missing.mp4 out.mp4 --preset {p}/speednet", "missing.mp4"),
        ("in.mp4 out.mp4", "train one with keras-vssl pretrain speednet"),
        ("in.mp4 out.mp4 --preset nowhere", "nowhere"),
        ("in.mp4 out.mp4 --preset {p}/backbone", "a backbone without a head"),
        ("in.mp4 out.mp4 --preset {p}/speednet --rate 0.5", "--rate of 1 or more"),
        ("in.mp4 out.mp4 --preset {p}/speednet --rate x", "above 0"),
        ("in.mp4 out.mp4 --preset {p}/speednet --threshold 1", "--threshold below 1"),
        ("in.mp4 out.gif --preset {p}/speednet", "to end in"),
        ("in.mp4 in.mp4 --overwrite --preset {p}/speednet", "another file than IN"),
        ("in.mp4 there.mp4 --preset {p}/speednet", "there.mp4 exists"),
        ("short.mp4 out.mp4 --preset {p}/speednet --precision float32", "has 7"),
        ("text.mp4 out.mp4 --preset {p}/speednet", "text.mp4"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(arguments, sentence, presets, here, capfd):
    (here / "there.mp4").write_bytes(b"old")
    (here / "text.mp4").write_text("no video")
    write_clip(f"{here}/short.mp4", frames=7)
    before = sorted(os.listdir(here))
    assert main(["speedup", *arguments.format(p=presets).split()]) == 2
    error = capfd.readouterr().err
    assert sentence in error and "Traceback" not in error
    assert error.strip().splitlines()[-1].startswith("keras-vssl")
    assert sorted(os.listdir(here)) == before and (here / "there.mp4").read_bytes() == b"old"
