"""Checkpoints are read as data: nothing in them is run, and what is no weight is skipped."""

import argparse
import collections
import os
import pickle

import numpy as np
import pytest

from keras_vssl.convert import ConvertError, pickles, read_state_dict

torch = pytest.importorskip("torch")


class Attack:
    """A pickle of it calls a function as soon as it is loaded."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def attacks(target):
    code = f"open({str(target)!r}, 'w').close()"
    return {
        "system": Attack(os.system, f"touch {target}"),
        "exec": Attack(exec, code),
        "eval": Attack(eval, f"exec({code!r})"),
        "open": Attack(open, str(target), "w"),
    }


@pytest.mark.parametrize("kind", ["system", "exec", "eval", "open"])
@pytest.mark.parametrize("extension", ["pth", "pkl", "old.pth", "old.pkl"])
def test_no_code_of_a_file_is_run(tmp_path, kind, extension):
    target, path = tmp_path / "was_run", tmp_path / f"model.{extension}"
    content = {"state_dict": {"conv1.weight": torch.zeros(1)}, "args": attacks(target)[kind]}
    if extension == "pkl":
        path.write_bytes(pickle.dumps({"params": {}, "x": content["args"]}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization="old" not in extension)
    with pytest.raises(ConvertError, match="would run code"):
        read_state_dict(path)
    assert not target.exists()
    # The file does attack whoever loads it carelessly.
    pickle.loads(pickle.dumps(attacks(target)[kind]))
    assert target.exists()


def test_configurations_beside_the_weights_are_skipped(tmp_path):
    path = tmp_path / "checkpoint.pth"
    history = collections.defaultdict(list, loss=[1.0, np.float64(0.5)])
    weights = {"conv1.weight": torch.arange(3.0), "step": torch.tensor(7)}
    torch.save(
        {"model": weights, "args": argparse.Namespace(lr=1e-3, data="x"), "history": history}, path
    )
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    state = read_state_dict(path)
    assert sorted(state) == ["conv1.weight", "step"]
    np.testing.assert_array_equal(state["conv1.weight"], [0, 1, 2])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_come_out_of_every_pickle_protocol(tmp_path, protocol):
    path = tmp_path / "blobs.pkl"
    array = np.arange(6, dtype="float32").reshape(2, 3)
    blobs = collections.OrderedDict(w=array, turned=np.asfortranarray(array), scale=np.float32(2))
    path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=protocol))
    got = pickles.read_pickle(path)["blobs"]
    assert type(got) is dict
    np.testing.assert_array_equal(got["w"], array)
    np.testing.assert_array_equal(got["turned"], array)
    assert got["scale"] == 2


def test_a_damaged_pickle_is_named(tmp_path):
    path = tmp_path / "cut.pkl"
    path.write_bytes(pickle.dumps({"w": np.zeros(100)})[:-30])
    with pytest.raises(ConvertError, match="cut.pkl is no pickle, or is damaged"):
        read_state_dict(path)
