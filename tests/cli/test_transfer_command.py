"""`keras-vssl transfer`: from a preset and a folder of images to figures that say what was done."""

import json

from keras_vssl.cli import main
from tests.downstream.image_files import write_voc


def test_a_voc_folder_is_trained_on_and_tested(tmp_path, capfd):
    root = write_voc(tmp_path, {"trainval": 16, "test": 8})
    argv = ["transfer", "caffenet_nano", root, "--task", "voc-classification"]
    argv += ["--out", str(tmp_path / "out"), "--epochs", "1", "--hidden", "8", "--batch-size", "8"]
    assert main(argv) == 0
    assert "test map11 " in capfd.readouterr().out
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [row["metric"] for row in rows] == ["map11", "map"]
    done = rows[0]["transfer"]
    assert done["folded"] is True and done["rescaled"]["spread"][1] < 1.1
    assert set(done["rescaled"]["factors"]) >= {"conv1", "conv5", "head_fc6", "head_last"}
    assert rows[0]["images_test"] == 8 and 0 < rows[0]["value"] <= 1
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["transfer"] == done
    assert "all layers were rescaled" in (tmp_path / "out" / "report.html").read_text()
    record = json.loads((tmp_path / "out" / "preset" / "record.json").read_text())
    assert record["transfer"] == done
