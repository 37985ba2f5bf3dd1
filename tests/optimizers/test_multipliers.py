"""A multiplier scales the update of its variable, whatever the optimizer, and nothing else."""

import re

import keras
import numpy as np
import pytest
from keras import ops

import keras_vssl as kv
from keras_vssl.backbones.base import Backbone
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.callbacks.checkpoint import Checkpoint
from keras_vssl.optimizers import LARS, NO_DECAY, ScaledOptimizer, layer_decay, warmup_cosine
from keras_vssl.optimizers.selection import is_selected
from tests import backends

SHAPES = {"stem": {"kernel": (3, 2), "bias": (2,)}, "head": {"kernel": (2, 2), "bias": (2,)}}


class Holder(keras.layers.Layer):
    """A layer with weights of given shapes: its variables have paths as models' have."""

    def __init__(self, shapes, **kwargs):
        super().__init__(**kwargs)
        random = np.random.default_rng(len(self.name))
        for name, shape in shapes.items():
            weight = self.add_weight(shape=shape, name=name)
            weight.assign(random.standard_normal(shape))


def variables(shapes=SHAPES):
    layers = [Holder(inner, name=name) for name, inner in shapes.items()]
    return [variable for layer in layers for variable in layer.trainable_variables]


def gradients(step, shapes=SHAPES):
    random = np.random.default_rng(50 + step)
    return [random.standard_normal(s) for inner in shapes.values() for s in inner.values()]


def values(tensors):
    return [np.array(ops.convert_to_numpy(t)) for t in tensors]


def apply(optimizer, grads, weights):
    """One step as `fit` makes it."""
    grads = [ops.convert_to_tensor(g, "float32") for g in grads]
    if keras.config.backend() != "jax":
        return optimizer.apply(grads, weights)
    new, state = optimizer.stateless_apply(
        [v.value for v in optimizer.variables], grads, [v.value for v in weights]
    )
    for variable, value in zip(weights + optimizer.variables, list(new) + list(state)):
        variable.assign(value)


def train(optimizer, steps=4):
    """The variables after some steps."""
    weights = variables()
    optimizer.build(weights)
    for step in range(steps):
        apply(optimizer, gradients(step), weights)
    return values(weights)


OPTIMIZERS = {
    "sgd": lambda **k: keras.optimizers.SGD(0.1, **k),
    "nesterov": lambda **k: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, **k),
    "adam": lambda **k: keras.optimizers.Adam(0.01, **k),
    "adamw": lambda **k: keras.optimizers.AdamW(0.01, weight_decay=0.1, **k),
    "rmsprop": lambda **k: keras.optimizers.RMSprop(0.01, **k),
    "lion": lambda **k: keras.optimizers.Lion(0.01, **k),
    "lamb": lambda **k: keras.optimizers.Lamb(0.01, **k),
    "lars": lambda **k: LARS(0.1, **k),
}
OPTIONS = {
    "plain": {},
    "schedule": {},
    "clipped": {"global_clipnorm": 0.5},
    "accumulated": {"gradient_accumulation_steps": 2},
    "averaged": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
}


def without_multipliers(name, case):
    """A wrapper that scales nothing and decays everything is the optimizer itself."""
    options = dict(OPTIONS[case])
    expected = train(OPTIMIZERS[name](**options))
    wrapped = ScaledOptimizer(OPTIMIZERS[name](**options), no_decay=(), decay_vectors=True)
    got = train(wrapped)
    for one, other in zip(got, expected):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6, err_msg=f"{name} {case}")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_multipliers_it_is_the_optimizer_itself(name):
    without_multipliers(name, "plain")


@pytest.mark.parametrize("case", OPTIONS)
@pytest.mark.parametrize("name", ["adamw", "nesterov"])
def test_clipping_accumulation_and_averages_are_the_optimizers_own(name, case):
    without_multipliers(name, case)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_multiplier_is_another_learning_rate(name):
    """Every variable moves as under the optimizer with its rate alone: Adam too."""
    scaled = train(
        ScaledOptimizer(
            OPTIMIZERS[name](), {"^stem": 0.5, "bias$": 2.0}, no_decay=(), decay_vectors=True
        )
    )
    factors = (0.5, 1.0, 1.0, 2.0)  # stem kernel, stem bias (0.5 * 2), head kernel, head bias
    for factor, index in zip(factors, range(4)):
        optimizer = OPTIMIZERS[name]()
        optimizer.learning_rate = factor * float(ops.convert_to_numpy(optimizer.learning_rate))
        np.testing.assert_allclose(
            scaled[index], train(optimizer)[index], rtol=2e-5, atol=2e-6, err_msg=str(factor)
        )


def adamw(weight, grads, rate, decay, coupled=False):
    """PyTorch's AdamW (or Adam, where the decay is coupled) in float64."""
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(grads, 1):
        if coupled:
            gradient = gradient + decay * weight
        else:
            weight = weight * (1 - rate * decay)
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        root = np.sqrt(v / (1 - 0.999**step)) + 1e-8
        weight = weight - rate * (m / (1 - 0.9**step)) / root
    return weight


def groups_follow_pytorch(decoupled):
    optimizer = ScaledOptimizer(
        keras.optimizers.Adam(0.02, epsilon=1e-8),
        {"^stem": 0.25},
        weight_decay=0.3,
        decoupled=decoupled,
    )
    start = values(variables())
    for index, (got, rate, decay) in enumerate(
        zip(train(optimizer), (0.005, 0.005, 0.02, 0.02), (0.3, 0.0, 0.3, 0.0))
    ):
        grads = [gradients(step)[index] for step in range(4)]
        expected = adamw(start[index].astype("float64"), grads, rate, decay, not decoupled)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("decoupled", [True, False])
def test_decay_goes_with_the_multiplied_rate_and_spares_vectors(decoupled):
    groups_follow_pytorch(decoupled)


def test_the_global_norm_is_clipped_before_anything_is_scaled():
    optimizer = ScaledOptimizer(keras.optimizers.SGD(1.0, global_clipnorm=1.0), {"^stem": 0.1})
    start = values(variables())
    moved = [a - b for a, b in zip(start, train(optimizer, 1))]
    grads = gradients(0)
    norm = np.sqrt(sum((g**2).sum() for g in grads))
    for change, gradient, factor in zip(moved, grads, (0.1, 0.1, 1.0, 1.0)):
        np.testing.assert_allclose(change, factor * gradient / norm, rtol=1e-4, atol=1e-6)


def test_a_weight_decay_may_follow_a_schedule():
    """V-JEPA's rises along a cosine; at rate 1 and without gradients only the decay is seen."""
    rising = keras.optimizers.schedules.CosineDecay(0.04, 4, alpha=10.0)
    kernel = Holder({"kernel": (2, 2)}, name="layer").trainable_variables
    start = values(kernel)[0]
    optimizer = ScaledOptimizer(keras.optimizers.SGD(1.0), weight_decay=rising)
    expected = start
    for step in range(5):
        optimizer.apply([ops.zeros((2, 2))], kernel)
        decay = 0.04 + 0.36 * (1 - np.cos(np.pi * step / 4)) / 2
        expected = expected * (1 - decay)
        np.testing.assert_allclose(values(kernel)[0], expected, rtol=1e-5)


def test_what_recipes_spare_from_decay_is_spared():
    shapes = {
        "norm": {"gamma": (4,), "beta": (4,)},
        "tokens": {"class_token": (1, 1, 4), "mask_token": (1, 4), "position_embedding": (9, 4)},
        "embedding": {"token0": (1, 4), "table": (9, 4)},
        "attention": {"bias": (2, 4), "kernel": (4, 4)},
    }
    weights = variables(shapes)
    optimizer = ScaledOptimizer(keras.optimizers.AdamW(1.0, weight_decay=0.5))
    optimizer.build(weights)
    before = values(weights)
    optimizer.apply([ops.zeros(v.shape) for v in weights], weights)
    decayed = {
        v.path
        for v, old, new in zip(weights, before, values(weights))
        if not np.array_equal(old, new)
    }
    assert decayed == {"attention/kernel"}


def test_a_schedule_and_a_set_rate_reach_the_update():
    optimizer = ScaledOptimizer(keras.optimizers.SGD(warmup_cosine(1.0, 10, 4)), {"^stem": 0.5})
    start = values(variables())
    assert all(np.array_equal(a, b) for a, b in zip(start, train(optimizer, 1)))  # rate 0
    assert np.isclose(float(ops.convert_to_numpy(optimizer.learning_rate)), 0.25)
    settable = ScaledOptimizer(keras.optimizers.SGD(1.0), {"^stem": 0.5})
    settable.learning_rate = 0.2
    moved = [a - b for a, b in zip(start, train(settable, 1))]
    for change, gradient, factor in zip(moved, gradients(0), (0.1, 0.1, 0.2, 0.2)):
        np.testing.assert_allclose(change, factor * gradient, rtol=1e-4, atol=1e-6)


@keras.saving.register_keras_serializable(package="tests")
def by_rank(variable):
    return 0.5 if len(variable.shape) == 2 else 1.0


@pytest.mark.parametrize("multipliers", [{"^stem": 0.5, r"head/bias$": 2.0}, by_rank, None])
def test_it_comes_back_from_its_configuration(multipliers):
    inner = keras.optimizers.AdamW(
        warmup_cosine(0.1, 10, 2), weight_decay=0.2, global_clipnorm=1.0, use_ema=True
    )
    rising = keras.optimizers.schedules.CosineDecay(0.04, 4, alpha=10.0)
    optimizer = ScaledOptimizer(
        inner, multipliers, weight_decay=rising, no_decay=["^stem"], decay_vectors=True
    )
    config = keras.optimizers.serialize(optimizer)
    again = keras.optimizers.deserialize(config)
    assert isinstance(again, ScaledOptimizer)
    assert keras.optimizers.serialize(again) == config
    assert again.global_clipnorm == 1.0 and again.use_ema
    for one, other in zip(train(optimizer), train(again)):
        np.testing.assert_array_equal(one, other)


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, name="stem")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden))


def batch():
    x = np.random.default_rng(0).standard_normal((32, 3)).astype("float32")
    return x, x[:, :2] * 2


def fit_moves_by_multiplier():
    x, y = batch()
    model = network()
    before = values(model.trainable_variables)
    model.compile(ScaledOptimizer(keras.optimizers.Adam(0.01), {"^stem": 0.0}), "mse")
    losses = model.fit(x, y, epochs=8, batch_size=8, verbose=0).history["loss"]
    after = values(model.trainable_variables)
    assert losses[-1] < losses[0]
    assert [np.array_equal(a, b) for a, b in zip(before, after)] == [True, True, False, False]
    assert int(ops.convert_to_numpy(model.optimizer.iterations)) == 32


def test_fit_trains_through_it():
    fit_moves_by_multiplier()


def mixed_float16_skips_bad_steps():
    """LossScaleOptimizer goes around it; a step of infinite gradients changes nothing."""
    x, y = batch()
    old = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network()
        model.compile(ScaledOptimizer(keras.optimizers.Adam(0.01), {"^stem": 0.5}), "mse")
    finally:
        keras.config.set_dtype_policy(old)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    losses = model.fit(x, y, epochs=4, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    optimizer = keras.optimizers.LossScaleOptimizer(
        ScaledOptimizer(keras.optimizers.Adam(0.01), {"^stem": 0.5})
    )
    weights = variables()
    optimizer.build(weights)
    before = values(weights)
    apply(optimizer, [np.full(v.shape, np.inf) for v in weights], weights)
    for old, new in zip(before, values(weights)):
        np.testing.assert_array_equal(old, new)


def test_mixed_float16_skips_bad_steps():
    mixed_float16_skips_bad_steps()


def saved_models_go_on_as_they_were(folder):
    x, y = batch()
    model = network()
    inner = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    model.compile(ScaledOptimizer(inner, {"^stem": 0.5}), "mse")
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    model.save(f"{folder}/model.keras")
    again = keras.saving.load_model(f"{folder}/model.keras")
    for net in (model, again):
        net.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    for one, other in zip(values(model.trainable_variables), values(again.trainable_variables)):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_a_saved_model_goes_on_as_it_was(tmp_path):
    saved_models_go_on_as_they_were(tmp_path)


def test_a_resumed_run_ends_with_the_weights_of_one_never_stopped(tmp_path):
    x, y = batch()

    def run(epochs, folder):
        model = network()
        adam = keras.optimizers.AdamW(warmup_cosine(1e-2, 12, 4), weight_decay=0.05)
        model.compile(ScaledOptimizer(adam, {"^stem": 0.75}), "mse")
        state = Checkpoint(str(tmp_path / folder / "state.npz"), {"steps": 4})
        first, _ = state.load()
        state.build(model, x[:1], y[:1])
        model.fit(
            x, y, batch_size=8, initial_epoch=first, epochs=epochs, shuffle=False, verbose=0,
            callbacks=[state],
        )  # fmt: skip
        return first, values(model.trainable_variables + model.optimizer.variables)

    _, whole = run(3, "whole")
    run(1, "parts")
    first, parts = run(3, "parts")
    assert first == 1 and len(whole) == 4 + 2 * 4 + 3  # weights, moments, two counts and a rate
    for one, other in zip(whole, parts):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def factors(multipliers, weights):
    found = {}
    for variable in weights:
        matches = [f for p, f in multipliers.items() if re.search(p, variable.path)]
        assert len(matches) <= 1, variable.path
        found[variable.path] = matches[0] if matches else 1.0
    return found


def test_layer_decay_counts_a_residual_networks_blocks():
    backbone = kv.backbones.R3D(width=4, blocks=(1, 2, 1, 1))
    head = Holder({"kernel": (2, 2)}, name="layer_head").trainable_variables
    found = factors(layer_decay(backbone, 0.5), backbone.trainable_variables + head)
    assert found["stem/kernel"] == found["stem_bn/gamma"] == 0.5**6
    assert found["layer1_0_conv1/kernel"] == 0.5**5
    assert found["layer2_0_shortcut_bn/beta"] == 0.5**4
    assert found["layer2_1_conv2/kernel"] == 0.5**3
    assert found["layer4_0_conv2/kernel"] == 0.5
    assert found["layer_head/kernel"] == 1.0


def test_layer_decay_of_a_transformer_is_beits():
    """12 blocks: embedding and positions rate^13, block i rate^(12 - i), final norm and head 1."""
    inputs = keras.Input((4, 6))
    x = keras.layers.Dense(6, name="patch_embedding")(inputs)
    x = keras.layers.Dense(6, name="position_embedding")(x)
    for block in range(12):
        x = keras.layers.LayerNormalization(name=f"block_{block}_norm")(x)
        x = keras.layers.Dense(6, name=f"block_{block}")(x)
    x = keras.layers.LayerNormalization(name="norm")(x)
    backbone = keras.Model(inputs, x)
    head = Holder({"kernel": (2, 2)}, name="block").trainable_variables
    found = factors(layer_decay(backbone, 0.75), backbone.trainable_variables + head)
    assert np.isclose(found["patch_embedding/kernel"], 0.75**13)
    assert np.isclose(found["position_embedding/bias"], 0.75**13)
    for block in range(12):
        assert np.isclose(found[f"block_{block}/kernel"], 0.75 ** (12 - block))
        assert np.isclose(found[f"block_{block}_norm/gamma"], 0.75 ** (12 - block))
    assert found["norm/gamma"] == found["block/kernel"] == 1.0


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if "nano" in name])
def test_the_librarys_backbones_have_a_ladder_of_rates_and_only_kernels_decay(name):
    backbone = Backbone.from_preset(name)
    weights = backbone.trainable_variables
    found = factors(layer_decay(backbone, 0.5), weights)
    ladder = sorted(set(found.values()))
    assert len(ladder) >= 5 and found[weights[0].path] == ladder[0]
    assert np.allclose(np.diff(np.log2(ladder)), 1)  # no step is missing
    kernels = {v.path for v in weights if v.path.endswith("kernel")}
    assert {v.path for v in weights if not is_selected(v, NO_DECAY, True)} == kernels


def test_wrong_arguments_are_refused_in_a_sentence():
    sgd = keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="put LossScaleOptimizer around"):
        ScaledOptimizer(keras.optimizers.LossScaleOptimizer(sgd))
    with pytest.raises(ValueError, match="other than Nadam"):
        ScaledOptimizer(keras.optimizers.Nadam(0.1))
    with pytest.raises(ValueError, match="other than Nadam"):
        ScaledOptimizer(ScaledOptimizer(sgd))
    with pytest.raises(ValueError, match="at least 0"):
        ScaledOptimizer(sgd, {"stem": -1.0}).build(variables())
    with pytest.raises(ValueError, match="no_decay="):
        ScaledOptimizer(sgd).exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ValueError, match="at most 1"):
        layer_decay(network(), 1.5)
    with pytest.raises(ValueError, match="numbered blocks"):
        layer_decay(network(), 0.5)
    with pytest.warns(UserWarning, match="1 of 2 multipliers match no trainable variable"):
        ScaledOptimizer(sgd, {"stem": 0.1, "no_such_layer": 2.0}).build(variables())


REPLICAS = """
import numpy as np, keras, tensorflow as tf
from keras_vssl.optimizers import ScaledOptimizer
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x = np.random.default_rng(0).standard_normal((16, 3)).astype("float32")

def train():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, name="stem")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden))
    inner = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    model.compile(ScaledOptimizer(inner, {"^stem": 0.5}), "mse", jit_compile=False)
    model.fit(x, x[:, :2], batch_size=8, epochs=3, shuffle=False, verbose=0)
    return [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]

single = train()
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    many = train()
for a, b in zip(single, many):
    assert np.allclose(a, b, atol=1e-5), np.abs(a - b).max()
"""


@pytest.mark.skipif("tensorflow" not in backends.INSTALLED, reason="needs TensorFlow")
def test_two_replicas_train_like_one():
    backends.python("tensorflow", "-c", REPLICAS)


def main():
    """This file's checks and LARS'."""
    import tempfile

    from tests.optimizers import test_lars

    for optimizer_name in ("nesterov", "adamw", "lars"):
        test_a_multiplier_is_another_learning_rate(optimizer_name)
    for option in ("plain", "accumulated", "averaged"):
        without_multipliers("adamw", option)
    groups_follow_pytorch(True)
    groups_follow_pytorch(False)
    test_the_global_norm_is_clipped_before_anything_is_scaled()
    test_it_comes_back_from_its_configuration(by_rank)
    fit_moves_by_multiplier()
    mixed_float16_skips_bad_steps()
    with tempfile.TemporaryDirectory() as folder:
        saved_models_go_on_as_they_were(folder)
    test_lars.check_everywhere()
