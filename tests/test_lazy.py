"""Names are imported when they are asked for, with no garbage collection meanwhile."""

import gc
import sys

import pytest

from keras_vssl import lazy


def test_an_import_runs_without_the_collector_and_leaves_it_as_it_was(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "heavy_a.py").write_text("import gc\nwas_on = gc.isenabled()\n")
    (tmp_path / "heavy_b.py").write_text("raise OSError('broken')\n")
    found, _, _ = lazy.exports("nothing", {"x": "y"})
    assert not lazy.load("heavy_a").was_on and gc.isenabled()
    with pytest.raises(OSError, match="broken"):
        lazy.load("heavy_b")
    assert gc.isenabled()
    with pytest.raises(AttributeError, match="'nothing' has no attribute 'z'"):
        found("z")
    del sys.modules["heavy_a"]
    gc.disable()
    try:
        assert not lazy.load("heavy_a").was_on
        assert not gc.isenabled()  # who turned it off wants it off
    finally:
        gc.enable()
