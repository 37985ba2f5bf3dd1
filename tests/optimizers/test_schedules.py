"""Warm-up and cosine are the recipes' formula."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.optimizers import warmup_cosine


def expected(step, base, steps, warmup, minimum, start):
    if step < warmup:
        return start + (base - start) * step / warmup
    share = min(step - warmup, steps - warmup) / (steps - warmup)
    return minimum + (base - minimum) * (1 + np.cos(np.pi * share)) / 2


@pytest.mark.parametrize("warmup", [0, 1, 10])
@pytest.mark.parametrize("minimum, start", [(0.0, 0.0), (1e-5, 1e-6)])
def test_the_rate_follows_the_formula_at_every_step(warmup, minimum, start):
    schedule = warmup_cosine(2e-3, 60, warmup, minimum=minimum, start=start)
    rates = [float(schedule(step)) for step in range(80)]
    formula = [expected(step, 2e-3, 60, warmup, minimum, start) for step in range(80)]
    np.testing.assert_allclose(rates, formula, rtol=1e-5, atol=1e-9)
    assert np.isclose(max(rates), 2e-3) and np.isclose(rates[-1], minimum, atol=1e-10)


def test_rates_grow_with_the_batch():
    """VideoMAE, Kinetics-400: 1.5e-4 at 2,048 clips is 1.2e-3; its ends grow alike."""
    schedule = warmup_cosine(1.5e-4, 100, 40, batch_size=2048, minimum=1e-5, start=1e-6)
    rates = [float(schedule(step)) for step in (0, 40, 100)]
    np.testing.assert_allclose(rates, [8e-6, 1.2e-3, 8e-5], rtol=1e-5)


def test_it_is_a_schedule_of_keras_that_is_saved_and_trains():
    schedule = warmup_cosine(0.1, 6, 2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()
    variable = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(again)
    for step in range(6):
        before = ops.convert_to_numpy(variable)[0]
        optimizer.apply([ops.ones(1)], [variable])
        moved = before - ops.convert_to_numpy(variable)[0]
        assert np.isclose(moved, expected(step, 0.1, 6, 2, 0, 0), atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message", [((0.0, 10), "above 0"), ((1.0, 10, 10), "longer than its warm-up")]
)
def test_impossible_runs_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        warmup_cosine(*arguments)
