"""Every task and backbone keeps the contract, on three back ends."""

import keras
import pytest

from tests import backends, contract


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
    printed = backends.python(backend, "-m", "tests.contract")
    for name in (*contract.TASKS, *contract.BACKBONES):
        assert f"{name} passed" in printed
