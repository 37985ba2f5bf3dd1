"""The command line's promises about arguments: light help, one sentence, exit status 2."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from keras_vssl.cli import COMMANDS, main

ROOT = pathlib.Path(__file__).parents[2]
HEAVY = ("keras", "tensorflow", "jax", "torch", "av", "PIL", "numpy", "keras_hub")


@pytest.fixture
def world(tmp_path):
    """A folder of two classes whose files can't be read, a CSV, a file, a finished run."""
    for label in ("a", "b"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        (tmp_path / "clips" / label / "empty.mp4").write_bytes(b"")
    (tmp_path / "none").mkdir()
    (tmp_path / "file.txt").write_text("hello")
    (tmp_path / "bad.csv").write_text("name,label\nx,y\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.csv").write_text("epoch,loss\n1,2.0\n")
    return tmp_path


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; from keras_vssl.cli import main; "
        f"status = main({[command, '--help'] if command else ['--help']!r}); "
        f"print([name for name in {HEAVY} if name in sys.modules], status, file=sys.stderr)"
    )
    done = run_python(code)
    assert done.stderr.strip() == "[] 0", done.stderr
    assert f"usage: keras-vssl {command}".strip() in done.stdout
    assert "examples:" in done.stdout


def test_listing_presets_imports_no_framework():
    code = (
        "import sys; from keras_vssl.cli import main; main(['presets', 'list', '--json']); "
        "main(['presets', 'show', 'r3d_nano']); "
        "print([n for n in ('keras', 'tensorflow', 'av') if n in sys.modules], file=sys.stderr)"
    )
    done = run_python(code)
    assert done.stderr.strip() == "[]", done.stderr
    rows, _ = json.JSONDecoder().raw_decode(done.stdout)
    assert {"name", "kind", "class", "description"} <= set(rows[0])
    assert "r3d_nano" in done.stdout


BAD = [
    ("nonsense", "no command"),
    ("pretrian vcop clips", "did you mean pretrain"),
    ("pretrain simclr clips --out out", "invalid choice"),
    ("pretrain vcop clips", "two readable videos, but 0 of 2"),
    ("pretrain cvrl clips --gap 3", "--gap with vcop only"),
    ("pretrain cvrl clips --option strength", "NAME=VALUE"),
    ("pretrain vcop nowhere --out out", "nowhere"),
    ("pretrain vcop none --out out", "Expected videos in"),
    ("pretrain vcop file.txt --out out", "file.txt"),
    ("pretrain vcop bad.csv --out out", "path"),
    ("pretrain vcop clips --out out", "two readable videos, but 0 of 2"),
    ("pretrain vcop clips --out out --backbone r3d_huge", "r3d_huge"),
    ("pretrain vcop clips --out out --epochs 0", "whole number >= 1"),
    ("pretrain vcop clips --out out --clips 9", "--clips from 2 to 6"),
    ("pretrain vcop clips --out out --size 112 --resize 64", "resize"),
    ("pretrain vcop clips --out out --backend theano", "invalid choice"),
    ("evaluate nothing clips", "nothing"),
    ("evaluate r3d_nano nowhere", "nowhere"),
    ("evaluate r3d_nano clips --protocol magic", "magic"),
    ("evaluate r3d_nano clips --seeds x --out out", "--seeds"),
    ("finetune r3d_nano none --out out", "Expected videos"),
    ("finetune nothing clips --out out", "nothing"),
    ("transfer caffenet_nano none --task voc-classification --out out", "PASCAL VOC"),
    ("transfer caffenet_nano none --task mpii-pose --out out", "data.json"),
    ("transfer caffenet_nano none --task jigsaw --out out", "invalid choice"),
    ("embed r3d_nano missing.mp4 --out e.npz", "missing.mp4"),
    ("embed r3d_nano clips --out e.npz", "None of the 2 videos"),
    ("embed nothing clips --out e.npz", "nothing"),
    ("retrieve r3d_nano clips/a/empty.mp4 clips", "empty"),
    ("retrieve r3d_nano missing.mp4 clips", "missing.mp4"),
    ("presets show nothing", "nothing"),
    ("presets show", "Expected a name"),
    ("convert missing.pth --out preset", "missing.pth"),
    ("convert file.txt --out run", "not empty"),
    ("upload somewhere run", "hf://"),
    ("probe nowhere", "nowhere"),
    ("probe none", "Expected videos"),
    ("report nowhere", "nowhere"),
    ("report none", "Expected a run folder"),
    ("demo --level hard", "hard"),
    ("demo --out run", "already holds a run"),
]


@pytest.mark.parametrize("line,part", BAD, ids=[line for line, _ in BAD])
def test_bad_input_is_one_sentence_and_status_2(line, part, world, capfd, monkeypatch):
    monkeypatch.chdir(world)
    monkeypatch.setenv("KERAS_VSSL_CACHE", str(world / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(line.split()) == 2
    out, err = capfd.readouterr()
    said = [line for line in err.splitlines() if not line.startswith("left out: ")]
    assert len(said) == 1 and said[0].startswith("keras-vssl"), err
    assert part in err and "Traceback" not in err and out == ""
    assert not (world / "out").exists() and not (world / "runs").exists()


def test_an_old_run_is_neither_mixed_nor_lost(world, capfd, monkeypatch):
    from keras_vssl.run import RunFolder

    with pytest.raises(ValueError, match="already holds a run"):
        RunFolder(world / "run")
    assert RunFolder(world / "run", resume=True).resumed
    (world / "run" / "mine.txt").write_text("keep")
    RunFolder(world / "run", overwrite=True)
    assert os.listdir(world / "run") == ["mine.txt"]
    (world / "run" / "model.weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="is a preset"):
        RunFolder(world / "run", overwrite=True)


def test_an_interrupt_says_how_to_go_on(capfd, monkeypatch, world):
    from keras_vssl.cli import pretrain

    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrain, "run", interrupted)
    assert main(["pretrain", "vcop", "clips", "--out", "run"]) == 130
    err = capfd.readouterr().err
    assert "--resume" in err and "Traceback" not in err


def test_debug_shows_the_traceback(world, monkeypatch):
    monkeypatch.chdir(world)
    with pytest.raises(FileNotFoundError):
        main(["probe", "nowhere", "--debug"])


def run_python(code):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
