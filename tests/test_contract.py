"""Every task and backbone keeps the contract, on three back ends."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest

from tests import contract

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("name", contract.TASKS)
def test_task_keeps_the_contract(name):
    contract.check_task(name)


@pytest.mark.parametrize("name", contract.BACKBONES)
def test_backbone_keeps_the_contract(name):
    contract.check_backbone(name)


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_contract_holds_on_the_other_back_ends(backend):
    if backend == keras.config.backend():
        return  # the tests above ran here
    env = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    for name in (*contract.TASKS, *contract.BACKBONES):
        assert f"{name} passed" in done.stdout
