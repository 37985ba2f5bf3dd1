"""A contrastive loss on four devices is the loss of one device with the whole batch."""

import numpy as np

from tests import backends

SETUP = """
import numpy as np, keras
from keras import ops
from keras_vssl.distribution import gather, replica_id, replica_count
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
        return ops.mean(nt_xent(a, b, 0.5, gather(a), gather(b), replica_id() * a.shape[0]))

def train(batches):
    model = Pairs()
    model.compile(keras.optimizers.SGD(0.5))
    history = model.fit(batches, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return np.concatenate([ops.convert_to_numpy(w).ravel() for w in model.weights]), history
"""
JAX = """
import jax
single, _ = train(x)
keras.distribution.set_distribution(keras.distribution.DataParallel())
assert len(jax.devices()) == 4
many, _ = train(x)
assert np.allclose(single, many, atol=1e-5), np.abs(single - many).max()
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
mean = strategy.reduce("MEAN", losses, axis=None)
assert np.isclose(mean, loss, atol=1e-5), (mean, loss)
for one, many in zip(gradients, per_replica):
    many = strategy.reduce("MEAN", many, axis=None)
    assert np.allclose(one, many, atol=1e-5), np.abs(one - many).max()
"""


def test_jax_on_four_devices_trains_like_one():
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    backends.python("jax", "-c", SETUP + JAX, env=devices)


def test_tensorflow_on_four_replicas_has_the_loss_and_gradients_of_one():
    backends.python("tensorflow", "-c", SETUP + TENSORFLOW)


def test_one_device_gets_its_rows_back():
    from keras_vssl.distribution import gather, replica_count, replica_id

    x = np.ones((3, 2), "float32")
    assert gather(x) is x and replica_id() == 0 and replica_count() == 1
