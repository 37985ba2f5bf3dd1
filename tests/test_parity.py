"""The converted networks give the outputs of the published ones."""

import pytest

from tests import backends, parities, parity


def test_every_fixture_holds_on_this_backend(shared):
    stems = parity.all_stems(shared / "goldens")
    answered = {parities.module_name(stem.name) for stem in stems}
    assert answered == set(parities.FIXTURES.values())
    failed = [str(row) for stem in stems for row in parity.run(stem) if not row.passed]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("backend", backends.OTHERS)
def test_fixtures_of_every_kind_hold_on_the_other_backends(shared, backend):
    kinds = {parities.module_name(name) for name in parities.EVERY_RUN}
    assert kinds == set(parities.FIXTURES.values())
    stems = [shared / "goldens" / name for name in parities.EVERY_RUN]
    backends.python(backend, "-m", "tests.parity", *map(str, stems))


def test_unknown_networks_and_absent_files_are_one_sentence(tmp_path, capsys):
    (tmp_path / "backbone_other-x.json").write_text("{}")
    (tmp_path / "backbone_other-x.npz").write_bytes(b"")
    assert parity.main([str(tmp_path / "backbone_other-x")]) == 2
    assert "backbone_other" in capsys.readouterr().err
    assert parity.main([str(tmp_path / "vcop-none")]) == 2
    assert "There is no fixture file" in capsys.readouterr().err


def test_tolerances_are_what_the_fixtures_say():
    import numpy as np

    def passed(tolerance, off, reference=(0.001, 100.0), output="map", **meta):
        reference = np.array(reference)
        got = reference + np.array(off)
        return parity._compare("x", output, got, reference, {"tolerance": tolerance, **meta}).passed

    # Elementwise: 1e-4 + 1e-3 * 100 for the second element, and not for the first.
    pair = {"atol": 1e-4, "rtol": 1e-3}
    assert passed(pair, (0.9e-4, 0.09)) and not passed(pair, (2e-4, 0.0))
    assert passed({"atol": 0.1}, (0.09, 0.09)) and not passed({"atol": 0}, (1e-9, 0.0))
    # Against the largest of the output, of at least 1, without a floor, and absolute.
    assert passed(1e-3, (0.09, 0.0)) and not passed(1e-3, (0.11, 0.0))
    assert passed(1e-3, (0.9e-3,), (1e-3,)) and not passed(1e-3, (1.1e-3,), (1e-3,))
    floor = {"tolerance_is": "max abs error / max abs of the reference (floor 1e-6)"}
    assert passed(1e-3, (0.9e-6,), (1e-3,), **floor)
    assert not passed(1e-3, (1.1e-6,), (1e-3,), **floor)
    assert not passed("1e-3 absolute", (0.09, 0.0)) and passed("1e-3 relative", (0.09, 0.0))
    # A stats array's size does not excuse its mean; integers and "exact" are exact.
    stats = {"reference": (0.5, 2.0, 10.0, 1e5), "output": "map.stats", **floor}
    assert passed(1e-3, (1.9e-3, 0, 0, 0), **stats) and not passed(1e-3, (3e-3, 0, 0, 0), **stats)
    assert not passed(1e-3, (0, 0, 0, 1), **stats)
    assert not passed(0.5, (0, 1), (3, 100)) and not passed(pair, (0, 1), (3, 10000))
    assert not passed(1.0, (0.0, 1e-6), tolerance_rule="exact")


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
