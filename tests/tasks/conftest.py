"""Worlds for all methods' tests, written once a session."""

import pytest

from tests.tasks import worlds


@pytest.fixture(scope="session")
def moving_world(tmp_path_factory):
    """240 plain videos of 40 frames of 48 x 48 pixels; `.train` and `.test` are group-disjoint."""
    return worlds.moving(tmp_path_factory.mktemp("worlds") / "moving")


@pytest.fixture(scope="session")
def still_world(moving_world, tmp_path_factory):
    """The control: the same videos, each showing one of its frames throughout."""
    return worlds.still(moving_world, tmp_path_factory.mktemp("worlds") / "still")
