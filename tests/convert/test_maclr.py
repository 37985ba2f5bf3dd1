"""MaCLR's heads become MoDist's, under every name a checkpoint has for them."""

import numpy as np
import pytest
from keras import ops

from keras_vssl.convert import ConvertError, convert


def heads(prefix=""):
    random = np.random.RandomState(0)
    state = {}
    for pathway, width in enumerate((12, 6)):
        for layer, (outputs, inputs) in enumerate(((8, width), (4, 8))):
            name = f"{prefix}pathway{pathway}_projection_{layer}"
            state[f"{name}.weight"] = random.normal(size=(outputs, inputs)).astype("float32")
            state[f"{name}.bias"] = random.normal(size=outputs).astype("float32")
    return state


@pytest.mark.parametrize("prefix", ["", "head.", "encoder_q.head."])
def test_both_heads_are_the_two_layers_written_out(prefix):
    state = heads(prefix)
    converted = convert(state)
    assert converted.provenance["format"] == "maclr"
    rng = np.random.default_rng(1)
    x = {"visual": rng.normal(size=(3, 12)), "motion": rng.normal(size=(3, 6))}
    x = {name: value.astype("float32") for name, value in x.items()}
    got = converted.model({name: ops.convert_to_tensor(value) for name, value in x.items()})
    for pathway, (name, value) in enumerate(x.items()):
        for layer in (0, 1):
            tensors = f"{prefix}pathway{pathway}_projection_{layer}"
            value = value @ state[f"{tensors}.weight"].T + state[f"{tensors}.bias"]
            value = np.maximum(value, 0) if layer == 0 else value
        value /= np.linalg.norm(value, axis=1, keepdims=True)
        np.testing.assert_allclose(ops.convert_to_numpy(got[name]), value, atol=1e-5)


def test_the_heads_are_those_of_the_task():
    from tests.tasks.test_modist import tiny

    model = convert(heads()).model
    task = tiny(widths=(8, 4))
    for name in ("visual_head", "motion_head"):
        ours, theirs = getattr(task, name), model.get_layer(name)
        assert ours.normalize and theirs.normalize and ours.widths == theirs.widths
        assert ours.norms == theirs.norms == [None, None]


def test_one_head_alone_or_a_missing_layer_is_refused():
    one = {name: array for name, array in heads().items() if "pathway0" in name}
    with pytest.raises(ConvertError, match="pathway1_projection_0.weight"):
        convert(one)
    cut = {name: a for name, a in heads().items() if "pathway1_projection_0" not in name}
    with pytest.raises(ConvertError, match="pathway1_projection_0.weight"):
        convert(cut)
