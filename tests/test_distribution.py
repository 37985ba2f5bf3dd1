"""Four devices do what one does with the whole batch, or what they say they do with their parts."""

import numpy as np

from tests import backends

SETUP = """
import numpy as np, keras
from keras import ops
from keras_vssl.distribution import gather, replica_id, replica_count, replica_share
from keras_vssl.losses import nt_xent
x = np.random.default_rng(0).standard_normal((8, 2, 5)).astype("float32")

class Pairs(keras.Model):
    def __init__(self):
        super().__init__()
        keras.utils.set_random_seed(0)
        self.dense = keras.layers.Dense(4)
        self.dense.build((None, None, 5))
        self.built = True
    def call(self, x):
        return self.dense(x)
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        a, b = y_pred[:, 0], y_pred[:, 1]
        rows = nt_xent(a, b, 0.5, gather(a), gather(b), replica_id() * ops.shape(a)[0])
        return replica_share(ops.mean(rows))

def train(batches):
    model = Pairs()
    model.compile(keras.optimizers.SGD(0.5))
    history = model.fit(batches, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    weights = np.concatenate([ops.convert_to_numpy(w).ravel() for w in model.weights])
    return weights, np.array(history["loss"])
"""
NORMALISE = """
import numpy as np, keras
from keras import ops
from keras_vssl.distribution import replica_share, shuffle, unshuffle
from keras_vssl.layers import BatchNormalization
from tests.backends import to_numpy
x = np.random.default_rng(0).normal(1.0, 2.0, (8, 2, 3, 3, 5)).astype("float32")
x += np.arange(8).reshape(8, 1, 1, 1, 1)  # devices' rows differ
target = np.random.default_rng(1).standard_normal(x.shape).astype("float32")
parts = [slice(2 * i, 2 * i + 2) for i in range(4)]

def close(a, b, tolerance=1e-4):
    a, b = to_numpy(a), to_numpy(b)
    assert np.allclose(a, b, atol=tolerance), np.abs(a - b).max()

class Normed(keras.Model):
    # The convolution stands for the backbone: its gradient goes through the statistics.
    def __init__(self, statistics=None, groups=1):
        super().__init__()
        self.scale = keras.layers.Dense(5, kernel_initializer="identity")
        self.norm = BatchNormalization(statistics=statistics, groups=groups)
        self.scale.build((None, 2, 3, 3, 5)); self.norm.build((None, 2, 3, 3, 5))
        self.built = True
    def call(self, x, training=None):
        return self.norm(self.scale(x), training=training)
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return replica_share(ops.mean(ops.square(y_pred - y)))

def train(*arguments):
    model = Normed(*arguments)
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(x, target, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return [to_numpy(w) for w in model.weights]
"""
NORMALISE_JAX = """
import jax
single, grouped = train(), train(None, 4)
keras.distribution.set_distribution(keras.distribution.DataParallel())
assert len(jax.devices()) == 4
for policy, expected in ((None, single), ("synchronized", single), ("local", grouped)):
    for a, b in zip(train(policy), expected):
        close(a, b)
assert np.abs(single[0] - grouped[0]).max() > 1e-2

# What a device computes locally does not depend on the rows of the others.
layer = Normed("local").norm
outputs = to_numpy(jax.jit(lambda x: layer.stateless_call(
    [v.value for v in layer.trainable_variables],
    [v.value for v in layer.non_trainable_variables], x, training=True)[0])(x))
for rows in parts:
    mean, variance = x[rows].mean((0, 1, 2, 3)), x[rows].var((0, 1, 2, 3))
    close(outputs[rows], (x[rows] - mean) / np.sqrt(variance + 1e-5))

generator = keras.random.SeedGenerator(3)
rows, order = shuffle(ops.convert_to_tensor(x), generator)
assert sorted(to_numpy(order)) == list(range(8)) and list(to_numpy(order)) != list(range(8))
close(rows, x[to_numpy(order)], 0)
close(unshuffle(rows, order), x, 0)
assert list(to_numpy(shuffle(ops.convert_to_tensor(x), generator)[1])) != list(to_numpy(order))

# A key encoder of a "shuffled" task: statistics of devices that hold other rows.
import types
from keras_vssl.tasks.joint_embedding import JointEmbedding
def keys(policy):
    task = types.SimpleNamespace(batch_normalization=policy, batch_groups=1)
    encoder = Normed("local").norm
    return to_numpy(JointEmbedding.shuffled(task, lambda rows: encoder(rows, training=True),
                                            ops.convert_to_tensor(x), seed=7))
close(keys("local"), outputs)
order = to_numpy(shuffle(ops.convert_to_tensor(x), seed=7)[1])
expected = np.empty_like(x)
for rows in parts:
    own = x[order[rows]]
    expected[order[rows]] = (own - own.mean((0, 1, 2, 3))) / np.sqrt(own.var((0, 1, 2, 3)) + 1e-5)
close(keys("shuffled"), expected)
"""
NORMALISE_TENSORFLOW = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)

def step(model, x, y):
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = model.compute_loss(x, y, outputs)
    return outputs, loss, tape.gradient(loss, model.trainable_variables)

whole = Normed()
outputs, loss, gradients = step(whole, tf.constant(x), tf.constant(target))
alone = [step(Normed(), tf.constant(x[r]), tf.constant(target[r])) for r in parts]
strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(4)])

def scatter(values):
    return strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(values[parts[c.replica_id_in_sync_group]]))

def run(policy):
    with strategy.scope():
        model = Normed(policy)
    many = strategy.run(tf.function(step), args=(model, scatter(x), scatter(target)))
    own = [np.concatenate([to_numpy(o) for o in strategy.experimental_local_results(many[0])])]
    own.append(to_numpy(strategy.reduce("SUM", many[1], axis=None)))
    own.append([to_numpy(strategy.reduce("SUM", g, axis=None)) for g in many[2]])
    own.append([to_numpy(v) for v in model.norm.non_trainable_variables])
    return own

synced = run("synchronized")
close(synced[0], outputs)
close(synced[1], loss)
for a, b in zip(synced[2], gradients):
    close(a, b)
for a, b in zip(synced[3], whole.norm.non_trainable_variables):
    close(a, b)
for policy in (None, "local"):
    local = run(policy)
    close(local[0], np.concatenate([to_numpy(o) for o, _, _ in alone]))
    close(local[1], np.mean([to_numpy(l) for _, l, _ in alone]))
    for a, *b in zip(local[2], *[g for _, _, g in alone]):
        close(a, np.mean([to_numpy(g) for g in b], axis=0))
assert np.abs(local[0] - synced[0]).max() > 0.1

single = train()
with strategy.scope():
    many = train("synchronized")
for a, b in zip(many, single):
    close(a, b)

with strategy.scope():
    generator = keras.random.SeedGenerator(3)

def round_trip(x):
    rows, order = shuffle(x, generator)
    again, other = shuffle(x, generator)
    return rows, order, unshuffle(rows, order), other

many = [strategy.experimental_local_results(v)
        for v in strategy.run(tf.function(round_trip), args=(scatter(x),))]
order = to_numpy(many[1][0])
assert all(np.array_equal(order, to_numpy(o)) for o in many[1])
assert sorted(order) == list(range(8)) and list(order) != list(range(8))
assert list(order) != list(to_numpy(many[3][0]))
close(np.concatenate([to_numpy(r) for r in many[0]]), x[order], 1e-6)
close(np.concatenate([to_numpy(r) for r in many[2]]), x, 1e-6)
"""
JAX = """
import jax
single, losses = train(x)
keras.distribution.set_distribution(keras.distribution.DataParallel())
assert len(jax.devices()) == 4
many, same_losses = train(x)
assert np.allclose(single, many, atol=1e-5), np.abs(single - many).max()
assert np.allclose(losses, same_losses, atol=1e-5)
"""
TENSORFLOW = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)

def step(model, part):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(part, None, model(part))
    assert replica_count() in (1, 4)
    return loss, tape.gradient(loss, model.trainable_variables)

loss, gradients = step(Pairs(), tf.constant(x))
strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(4)])
with strategy.scope():
    model = Pairs()
parts = strategy.experimental_distribute_values_from_function(
    lambda c: tf.constant(x[2 * c.replica_id_in_sync_group :][:2]))
losses, per_replica = strategy.run(tf.function(step), args=(model, parts))
total = strategy.reduce("SUM", losses, axis=None)
assert np.isclose(total, loss, atol=1e-5), (total, loss)
for one, many in zip(gradients, per_replica):
    many = strategy.reduce("SUM", many, axis=None)
    assert np.allclose(one, many, atol=1e-5), np.abs(one - many).max()

single, losses = train(x)
with strategy.scope():
    many, same_losses = train(x)
assert np.allclose(single, many, atol=1e-5), np.abs(single - many).max()
assert np.allclose(losses, same_losses, atol=1e-5), (losses, same_losses)
"""


def test_jax_on_four_devices_trains_like_one():
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    backends.python("jax", "-c", SETUP + JAX, env=devices)


def test_tensorflow_on_four_replicas_has_the_gradients_of_one_and_trains_like_it():
    backends.python("tensorflow", "-c", SETUP + TENSORFLOW)


def test_jax_normalises_by_device_or_over_all():
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    backends.python("jax", "-c", NORMALISE + NORMALISE_JAX, env=devices)


def test_tensorflow_normalises_by_replica_or_over_all():
    backends.python("tensorflow", "-c", NORMALISE + NORMALISE_TENSORFLOW)


def test_shuffled_rows_come_back_on_one_device():
    import keras
    from keras import ops

    from keras_vssl.distribution import shuffle, unshuffle

    x = np.arange(20.0, dtype="float32").reshape(10, 2)
    generator = keras.random.SeedGenerator(0)
    orders = []
    for _ in range(2):
        rows, order = shuffle(ops.convert_to_tensor(x), generator)
        orders.append(backends.to_numpy(order).tolist())
        np.testing.assert_array_equal(backends.to_numpy(rows), x[orders[-1]])
        back = unshuffle(2 * rows, order)
        np.testing.assert_array_equal(backends.to_numpy(back), 2 * x)
    assert sorted(orders[0]) == list(range(10)) and orders[0] != orders[1]


def test_one_device_gets_its_rows_back():
    from keras_vssl.distribution import gather, replica_count, replica_id

    x = np.ones((3, 2), "float32")
    assert gather(x) is x and replica_id() == 0 and replica_count() == 1
