"""Fixtures for all tests."""

import os
import pathlib

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers share the cores: threads that wait for one another cost a fifth more.
    for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def pytest_collection_modifyitems(items):
    """Starts with what runs on the other back ends: the longest tests, which else end alone."""
    items.sort(key=lambda item: "back" not in item.name)


@pytest.fixture(scope="session")
def shared():
    """The folder of fixtures and real clips; tests that need it are left out without it."""
    default = pathlib.Path(__file__).parents[2] / "shared"
    folder = pathlib.Path(os.environ.get("KERAS_VSSL_SHARED", default))
    if not folder.is_dir():
        message = f"the shared folder {folder} is absent; set KERAS_VSSL_SHARED"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
