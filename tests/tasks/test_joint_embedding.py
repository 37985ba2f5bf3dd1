"""A task's word on batch statistics reaches its layers."""

import types

import keras
import numpy as np
import pytest
from keras import ops

import keras_vssl as kv
from keras_vssl.distribution import shuffle
from keras_vssl.tasks.joint_embedding import JointEmbedding
from tests import backends


def tiny():
    clip = {"frames": 4, "stride": 1, "size": 16}
    backbone = kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1), clip=clip)
    return kv.tasks.CVRL(backbone, widths=(8, 8, 4), frames=4, size=16)


def statistics(task):
    norms = [layer for layer in task.backbone.layers if "_bn" in layer.name]
    norms += [norm for norm in task.projector.norms if norm is not None]
    assert len(norms) > 6
    return {layer.statistics for layer in norms}


def test_compiling_tells_every_layer_whose_rows_to_average():
    task = tiny()
    assert task.batch_normalization == "synchronized"
    assert statistics(task) == {"synchronized"}
    for policy in ("local", "shuffled"):
        task.batch_normalization = policy
        task.compile(keras.optimizers.SGD(0.1))
        assert statistics(task) == {"local"}
    task.batch_normalization = "global"
    with pytest.raises(ValueError, match="'local', 'synchronized', 'shuffled'"):
        task.compile(keras.optimizers.SGD(0.1))


@pytest.mark.parametrize("policy", ["local", "synchronized", "shuffled"])
def test_on_one_device_nothing_is_shuffled(policy):
    task = types.SimpleNamespace(batch_normalization=policy, batch_groups=1)
    x = np.arange(6.0).reshape(3, 2)
    assert JointEmbedding.shuffled(task, lambda rows: rows, x) is x


def test_groups_on_one_device_get_each_others_rows():
    """Four groups of two rows: each is normalised among the rows that the shuffle gave it."""
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    norm = kv.layers.BatchNormalization(epsilon=1e-3, groups=4)
    task = types.SimpleNamespace(batch_normalization="shuffled", batch_groups=4)
    keys = JointEmbedding.shuffled(
        task, lambda rows: norm(rows, training=True), ops.convert_to_tensor(x), seed=5
    )
    order = ops.convert_to_numpy(shuffle(ops.convert_to_tensor(x), seed=5)[1])
    expected = np.empty_like(x)
    for rows in order.reshape(4, 2):
        expected[rows] = (x[rows] - x[rows].mean(0)) / np.sqrt(x[rows].var(0) + 1e-3)
    np.testing.assert_allclose(backends.to_numpy(keys), expected, rtol=1e-3, atol=1e-4)


def test_groups_of_a_task_reach_its_layers():
    task = tiny()
    task.batch_normalization, task.batch_groups = "shuffled", 2
    task.compile(keras.optimizers.SGD(0.1))
    assert {norm.groups for norm in task.projector.norms if norm is not None} == {2}
