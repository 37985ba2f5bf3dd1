"""LARS is the paper's algorithm, step by step, on every back end."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.optimizers import LARS

SHAPES = {"kernel": (3, 4), "bias": (4,), "zero": (2, 2)}


def start():
    random = np.random.default_rng(0)
    weights = {n: random.standard_normal(s).astype("float32") for n, s in SHAPES.items()}
    weights["zero"][:] = 0
    return weights


def gradients(step):
    random = np.random.default_rng(1 + step)
    return {n: random.standard_normal(s).astype("float32") for n, s in SHAPES.items()}


def reference(steps, rate, momentum, decay, trust, plain, nesterov):
    """Algorithm 1 of You et al. in float64."""
    weights = {n: w.astype("float64") for n, w in start().items()}
    velocities = {n: np.zeros_like(w) for n, w in weights.items()}
    for step in range(steps):
        for name, gradient in gradients(step).items():
            w, local = weights[name], 1.0
            if name not in plain:
                norm, g_norm = np.linalg.norm(w), np.linalg.norm(gradient)
                local = trust * norm / (g_norm + decay * norm) if norm > 0 else 1.0
                gradient = gradient + decay * w
            update = rate * local * gradient
            velocities[name] = momentum * velocities[name] + update
            weights[name] = w - (
                momentum * velocities[name] + update if nesterov else velocities[name]
            )
    return weights


def train(optimizer, steps):
    variables = {n: keras.Variable(w, name=n) for n, w in start().items()}
    optimizer.build(list(variables.values()))
    for step in range(steps):
        values = [ops.convert_to_tensor(g) for g in gradients(step).values()]
        optimizer.apply(values, list(variables.values()))
    return {n: ops.convert_to_numpy(v) for n, v in variables.items()}


def check(nesterov, plain, **options):
    expected = reference(5, 0.3, 0.9, 0.01, 0.02, plain, nesterov)
    got = train(LARS(0.3, 0.9, 0.01, 0.02, nesterov=nesterov, **options), 5)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("nesterov", [False, True])
def test_five_steps_are_the_papers_algorithm(nesterov):
    check(nesterov, ("bias",))


def test_what_is_excluded_gets_plain_momentum():
    check(False, (), exclude_vectors=False)
    check(False, ("bias", "kernel"), exclude=["^ker"])


def test_the_rate_does_not_depend_on_the_scale_of_the_gradient():
    """What LARS is for: without decay and momentum a layer moves by rate * trust of its norm."""
    for scale in (1e-3, 1.0, 1e3):
        kernel = keras.Variable(start()["kernel"])
        before = ops.convert_to_numpy(kernel)
        gradient = ops.convert_to_tensor(scale * gradients(0)["kernel"])
        LARS(0.5, 0.0, trust=0.1).apply([gradient], [kernel])
        moved = np.linalg.norm(ops.convert_to_numpy(kernel) - before)
        np.testing.assert_allclose(moved, 0.05 * np.linalg.norm(before), rtol=1e-4)


def test_it_fits_clips_global_norms_and_comes_back_from_its_configuration():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    optimizer = LARS(0.5, weight_decay=1e-4, exclude=["head"], global_clipnorm=1.0, use_ema=True)
    config = optimizer.get_config()
    assert LARS.from_config(dict(config)).get_config() == config
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, LARS) and again.get_config() == config
    x = np.random.default_rng(0).standard_normal((64, 4)).astype("float32")
    model.compile(LARS(1.0, trust=0.1), "mse")
    losses = model.fit(x, x[:, :3], epochs=10, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert "velocity" in model.optimizer.variables[-1].path


def test_impossible_arguments_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"momentum in \[0, 1\)"):
        LARS(momentum=1.0)
    with pytest.raises(ValueError, match="trust above 0"):
        LARS(trust=0)


def check_everywhere():
    """What `test_multipliers` runs on the other back ends."""
    for nesterov in (False, True):
        test_five_steps_are_the_papers_algorithm(nesterov)
    test_what_is_excluded_gets_plain_momentum()
    test_it_fits_clips_global_norms_and_comes_back_from_its_configuration()
