"""The converted networks give the outputs of the published ones."""

import pytest

from tests import backends, parities, parity


def stems_of(shared):
    files = sorted((shared / "goldens").glob("*.json"))
    return [file.with_suffix("") for file in files if parities.module_name(file.stem)]


def test_every_fixture_holds_on_this_backend(shared):
    stems = stems_of(shared)
    answered = {parities.module_name(stem.name) for stem in stems}
    assert answered == set(parities.FIXTURES.values())
    failed = [str(row) for stem in stems for row in parity.run(stem) if not row.passed]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("backend", backends.OTHERS)
def test_every_fixture_holds_on_the_other_backends(shared, backend):
    backends.python(backend, "-m", "tests.parity", *map(str, stems_of(shared)))


def test_unknown_networks_and_absent_files_are_one_sentence(tmp_path, capsys):
    (tmp_path / "backbone_other-x.json").write_text("{}")
    (tmp_path / "backbone_other-x.npz").write_bytes(b"")
    assert parity.main([str(tmp_path / "backbone_other-x")]) == 2
    assert "backbone_other" in capsys.readouterr().err
    assert parity.main([str(tmp_path / "vcop-none")]) == 2
    assert "There is no fixture file" in capsys.readouterr().err


def test_a_wrong_output_fails(shared, tmp_path, capsys):
    import json
    import shutil

    import numpy as np

    for name in ("vcop-head.json", "vcop-head.npz"):
        shutil.copyfile(shared / "goldens" / name, tmp_path / name)
    (tmp_path / "vcop-head.json").chmod(0o644)
    assert json.loads((tmp_path / "vcop-head.json").read_text())
    arrays = dict(np.load(tmp_path / "vcop-head.npz"))
    arrays["out.logits"] = arrays["out.logits"] + 1e-4
    (tmp_path / "vcop-head.npz").unlink()
    np.savez(tmp_path / "vcop-head.npz", **arrays)
    shutil.copyfile(shared / "goldens" / "fixture.py", tmp_path / "fixture.py")
    assert parity.main([str(tmp_path / "vcop-head")]) == 1
    assert "FAIL" in capsys.readouterr().out
