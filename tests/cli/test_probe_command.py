"""`keras-vssl probe`, `doctor` and precision: what is here, and what works."""

import json
import pathlib

import numpy as np
import pytest

from keras_vssl.checkup import cpu_flags
from keras_vssl.cli import main
from keras_vssl.precision import choose
from tests.clips import write_clip

KEYS = {
    "path": str,
    "decodable": str,
    "frames": int,
    "width": int,
    "height": int,
    "fps": float,
    "duration": float,
    "audio_rate": (int, type(None)),
    "audio_channels": (int, type(None)),
    "error": (str, type(None)),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """One good video, one of zero bytes, one of noise, one cut off, and a text."""
    folder = tmp_path_factory.mktemp("clips")
    good = pathlib.Path(write_clip(f"{folder}/a/good.mp4", frames=20))
    (folder / "a" / "empty.mp4").write_bytes(b"")
    (folder / "a" / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(4000))
    (folder / "a" / "cut.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "notes.txt").write_text("not a video")
    return folder


def test_json_describes_every_file(clips, capfd):
    assert main(["probe", str(clips), "--json", "--workers", "1"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert len(rows) == 4
    for row in rows:
        assert list(row) == list(KEYS)
        for key, kind in KEYS.items():
            assert isinstance(row[key], kind), (key, row[key])
        assert row["decodable"] in ("yes", "partly", "no")
        assert (row["error"] is None) == (row["decodable"] == "yes")
    found = {row["path"].rsplit("/", 1)[1]: row for row in rows}
    good = found["good.mp4"]
    assert (good["frames"], good["width"], good["height"], good["fps"]) == (20, 64, 48, 25.0)
    assert good["decodable"] == "yes" and good["audio_rate"] is None
    assert found["empty.mp4"]["decodable"] == "no" and "empty" in found["empty.mp4"]["error"]
    assert found["noise.mp4"]["decodable"] == "no"
    assert found["cut.mp4"]["decodable"] != "yes"


def test_the_summary_counts_and_names_what_cannot_be_read(clips, capfd):
    assert main(["probe", str(clips), "--workers", "1"]) == 0
    out = capfd.readouterr().out
    assert "4 videos: 1 can be read" in out and "1 other files" in out
    assert "empty.mp4: the file is empty" in out


def test_too_short_videos_are_counted_and_a_fitting_geometry_is_named(
    clips, tmp_path, capfd, monkeypatch
):
    monkeypatch.setenv("KERAS_VSSL_CACHE", str(tmp_path))
    table = tmp_path / "clips.csv"
    good = clips / "a" / "good.mp4"
    table.write_text(f"path\n{good}\n{good}\n")
    argv = ["pretrain", "vcop", str(table), "--out", str(tmp_path / "out")]
    assert main([*argv, "--frames", "16", "--gap", "8"]) == 2
    err = capfd.readouterr().err
    assert "2 of 2 videos are too short: one sample needs 64 frames" in err
    assert "--frames 5 --gap 2 fits all" in err and "--short loop" in err
    assert not (tmp_path / "out").exists()


def test_doctor_reports_every_item_and_never_raises(monkeypatch):
    from keras_vssl import checkup

    def broken():
        raise ImportError("outer") from OSError("libcuda is gone\nmore lines")

    monkeypatch.setattr(checkup, "_backend", broken)
    found = checkup.doctor()
    assert found["backend"] == {"ok": False, "error": "OSError: libcuda is gone"}
    assert found["ok"] is False
    assert found["decode"]["ok"] and found["decode"]["frames"] == 12
    assert found["packages"]["keras"] and found["decoder"]["libavcodec"]
    json.dumps(found)
    text = checkup.text(found)
    assert "FAIL  backend" in text and "libcuda is gone" in text


def test_precision_follows_the_hardware(tmp_path):
    # A CPU's bfloat16 units are no reason: their convolutions' gradients are not to be trusted.
    assert choose("auto", [])[0] == "float32"
    assert choose("auto", ["/physical_device:GPU:0"])[0] == "mixed_bfloat16"
    assert choose("mixed_float16", ["gpu"]) == ("mixed_float16", "as asked")
    policy, reason = choose("mixed_bfloat16", [])
    assert policy == "mixed_bfloat16" and "NaN" in reason
    with pytest.raises(ValueError, match="precision"):
        choose("half")
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n")
    assert cpu_flags(info) == {"fpu", "avx2", "amx_bf16"}
    assert cpu_flags(tmp_path / "absent") == set()
