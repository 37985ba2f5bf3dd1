"""What test modules check in their `main` holds on every back end; one process a back end runs all."""

import pathlib

import pytest

from tests import backends

TESTS = pathlib.Path(__file__).parent
# ONNX is PyTorch's alone, and has a test of its own.
MODULES = sorted(
    ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)
    for path in TESTS.rglob("test_*.py")
    if "\ndef main():\n" in path.read_text() and path.name != "test_export.py"
)


@pytest.mark.parametrize("backend", backends.OTHERS)
def test_every_check_holds_on_the_other_back_ends(backend):
    assert len(MODULES) > 20
    printed = backends.python(backend, "-m", "tests.backends", *MODULES).splitlines()
    assert [line.split()[0] for line in printed if line.endswith(" passed")] == MODULES
