"""The momentum encoder follows its network, without gradient, on every back end."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vssl as kv
from keras_vssl.layers import MomentumEncoder, Projector
from tests import backends


def network(dtype=None):
    layer = Projector((4, 3), dtype=dtype)
    layer.build((None, 2))
    return layer


def values(layer):
    return [backends.to_numpy(w) for w in layer.weights]


class Student(keras.Model):
    """A model that regresses its momentum copy."""

    def __init__(self, dtype=None, **kwargs):
        super().__init__(dtype=dtype)
        self.network = network(dtype)
        self.teacher = MomentumEncoder(self.network, **kwargs)
        self.built = True

    def call(self, x, training=None):
        return self.network(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        target = self.teacher(x, training=training)
        if training:
            self.teacher.update()
        return ops.mean(ops.square(y_pred - target - 1.0))


X = np.random.default_rng(0).standard_normal((6, 2)).astype("float32")


def check_starts_equal_and_moves_by_the_formula():
    keras.utils.set_random_seed(0)
    student = network()
    teacher = MomentumEncoder(student, 0.9)
    assert all(np.array_equal(a, b) for a, b in zip(values(student), values(teacher.teacher)))
    before = values(teacher.teacher)
    for weight in student.trainable_weights:
        weight.assign(weight + 1.0)
    teacher.update()
    for weight, new, old in zip(student.weights, values(teacher.teacher), before):
        want = old + 0.1 if weight.trainable else old  # running statistics are the copy's own
        assert np.allclose(new, want, atol=1e-6)
    teacher.reset()
    assert all(np.array_equal(a, b) for a, b in zip(values(student), values(teacher.teacher)))


def check_no_gradient_and_nothing_to_train():
    student = network()
    teacher = MomentumEncoder(student, 0.9)
    assert teacher.trainable_variables == []
    teacher.trainable = True
    assert teacher.trainable_variables == []
    _, (gradient,) = backends.value_and_grad(lambda x: ops.sum(teacher(x)) + 0.0 * ops.sum(x), X)
    assert not gradient.any()


def check_normalises_with_the_batch_in_training():
    teacher = MomentumEncoder(network(), 0.9)
    mean = backends.to_numpy(teacher.teacher.norms[0].moving_mean)
    outputs = [backends.to_numpy(teacher(X, training=flag)) for flag in (True, False)]
    assert not np.allclose(outputs[0], outputs[1])
    assert not np.allclose(mean, backends.to_numpy(teacher.teacher.norms[0].moving_mean))


def check_student_statistics_are_copied():
    student = network()
    teacher = MomentumEncoder(student, 0.9, statistics="student")
    student(X, training=True)
    teacher.update()
    for name in ("moving_mean", "moving_variance"):
        pair = [getattr(n.norms[0], name) for n in (student, teacher.teacher)]
        assert np.array_equal(*map(backends.to_numpy, pair))


def check_cosine_schedule_ends_at_one():
    teacher = MomentumEncoder(network(), 0.9, "cosine", steps=4)
    seen = []
    for _ in range(6):
        seen.append(float(backends.to_numpy(teacher.current_momentum())))
        teacher.update()
    want = [1 - 0.1 * (np.cos(np.pi * min(k, 4) / 4) + 1) / 2 for k in range(6)]
    assert np.allclose(seen, want, atol=1e-6)


def check_inside_a_compiled_step_in_mixed_precision():
    for dtype in (None, "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        model = Student(dtype, momentum=0.999)
        start = values(model.teacher.teacher)
        model.compile(keras.optimizers.SGD(10.0), jit_compile=keras.config.backend() == "jax")
        model.train_on_batch(X)
        student = values(model.network)
        model.train_on_batch(X)
        kernel = 0
        moved = values(model.teacher.teacher)[kernel] - start[kernel]
        want = 0.001 * (student[kernel] - start[kernel])
        # bfloat16 would round the momentum to 1 and move nothing.
        assert np.abs(want).max() > 1e-5
        assert np.allclose(moved, want, rtol=0.05, atol=1e-6)


def check_any_network():
    inputs = keras.Input((4, 8, 8, 3))
    functional = keras.Model(inputs, keras.layers.Conv3D(2, 1)(inputs))
    backbone = kv.backbones.R3D(width=4, blocks=(1, 1, 1, 1))
    clip = np.random.default_rng(0).standard_normal((1, 4, 8, 8, 3)).astype("float32")
    for net in (functional, backbone):
        teacher = MomentumEncoder(net, 0.5)
        both = [backends.to_numpy(n(clip, training=False)) for n in (net, teacher)]
        assert np.allclose(*both, atol=1e-6)


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_momentum_encoder(check):
    check()


def test_config_round_trip():
    teacher = MomentumEncoder(network(), 0.9, "cosine", steps=4)
    config = keras.saving.serialize_keras_object(teacher)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config()["momentum"] == 0.9 and copy.steps == 4


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"momentum": 1.5}, "from 0 to 1"),
        ({"schedule": "linear"}, "constant"),
        ({"schedule": "cosine"}, "steps="),
        ({"statistics": "none"}, "statistics"),
    ],
)
def test_bad_arguments_are_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        MomentumEncoder(network(), **options)


def test_an_unbuilt_network_is_refused():
    with pytest.raises(ValueError, match="built network"):
        MomentumEncoder(keras.layers.Dense(3))


def main():
    for check in CHECKS:
        check()
