"""A network that follows another one slowly."""

import keras
from keras import ops

STATISTICS = ("own", "student")


@keras.saving.register_keras_serializable(package="keras_vssl")
class MomentumEncoder(keras.layers.Layer):
    """A copy of a network whose weights are a moving average of the network's.

    `teacher <- m teacher + (1 - m) student` (He et al. CVPR 2020, Eq. 2; Tarvainen and Valpola
    2017). No gradient reaches the copy, and none leaves its outputs. Call `update()` once a
    training step, from `compute_loss`: it is outside of any mixed-precision cast, where 0.999
    would round to 1.

    Args:
        network: a built `keras.layers.Layer` or `keras.Model` that its configuration rebuilds.
        momentum: float in [0, 1], m.
        schedule: "constant", or "cosine": m rises from `momentum` to 1 over `steps` updates,
            `1 - (1 - momentum) (cos(pi k / steps) + 1) / 2` (Grill et al. 2020, Sec. 3.3).
        steps: int, updates of the cosine schedule.
        statistics: batch normalisation's running statistics: "own" (MoCo: the copy normalises
            with its own batches and keeps its own averages) or "student" (copied at each update;
            call with `training=False`).

    Call arguments:
        inputs, training: as for the network.

    Example:

    ```python
    keys = MomentumEncoder(encoder, 0.99)
    k = keys(clips, training=True)
    keys.update()
    ```
    """

    def __init__(
        self, network, momentum=0.999, schedule="constant", steps=None, statistics="own", **kwargs
    ):
        super().__init__(dtype=network.dtype_policy, **kwargs)
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"Expected a momentum from 0 to 1, received {momentum}.")
        if schedule not in ("constant", "cosine"):
            raise ValueError(f'Expected schedule "constant" or "cosine", received {schedule!r}.')
        if schedule == "cosine" and not (steps and steps > 0):
            raise ValueError(
                f'Expected steps= (updates until the momentum is 1) with schedule="cosine", '
                f"received {steps}."
            )
        if statistics not in STATISTICS:
            raise ValueError(
                f"Expected statistics to be one of {STATISTICS}, received {statistics!r}."
            )
        if not network.built:
            raise ValueError(
                f"Expected a built network, but {network.name} has no weights yet; call it once or "
                "build it."
            )
        self.momentum, self.schedule, self.steps = float(momentum), schedule, steps
        self.statistics = statistics
        # Not tracked: the network belongs to whoever trains it.
        object.__setattr__(self, "student", network)
        self.teacher = _copy(network)
        # Float, because TensorFlow keeps int32 variables off accelerators; exact up to 2**24.
        self.updates = self.add_weight(
            name="updates",
            shape=(),
            dtype="float32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._freeze()
        self.built = True

    def _freeze(self):
        # Each variable, not the layers: a BatchNormalization with trainable=False would normalise
        # with its running statistics, and the papers' key encoders use the batch's.
        for variable in self.teacher.weights:
            variable.trainable = False

    @property
    def trainable(self):
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, value)
        if hasattr(self, "teacher"):
            self._freeze()

    def call(self, inputs, training=None):
        return keras.tree.map_structure(ops.stop_gradient, self.teacher(inputs, training=training))

    def current_momentum(self):
        """The m of the next update, a float32 scalar."""
        if self.schedule == "constant":
            return ops.convert_to_tensor(self.momentum, "float32")
        done = ops.minimum(ops.convert_to_tensor(self.updates) / float(self.steps), 1.0)
        return 1.0 - (1.0 - self.momentum) * (ops.cos(3.141592653589793 * done) + 1.0) / 2.0

    def update(self):
        """Moves the copy towards the network by one step."""
        momentum = self.current_momentum()
        for teacher, student in self._pairs():
            new = ops.stop_gradient(ops.copy(ops.convert_to_tensor(student)))
            if student.trainable:
                old = ops.copy(ops.convert_to_tensor(teacher))
                new = old * momentum + new * (1.0 - momentum)
            elif self.statistics == "own":
                continue
            teacher.assign(ops.cast(new, teacher.dtype))
        self.updates.assign(ops.convert_to_tensor(self.updates) + 1.0)

    def reset(self):
        """Makes the copy equal to the network, and the count of updates 0."""
        for teacher, student in self._pairs():
            teacher.assign(ops.copy(ops.convert_to_tensor(student)))
        self.updates.assign(0.0)

    def _pairs(self):
        return [
            pair
            for pair in zip(self.teacher.weights, self.student.weights)
            if "float" in keras.backend.standardize_dtype(pair[1].dtype)
        ]

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.student),
            "momentum": self.momentum,
            "schedule": self.schedule,
            "steps": self.steps,
            "statistics": self.statistics,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config.pop("dtype", None)
        if isinstance(config["network"], dict):
            config["network"] = keras.saving.deserialize_keras_object(config["network"])
        return cls(**config)


def _copy(network):
    if isinstance(network, keras.Model) and type(network) in (keras.Model, keras.Sequential):
        copy = keras.models.clone_model(network)
    else:
        config = network.get_config()
        copy = type(network).from_config({**config, "name": f"{network.name}_momentum"})
        if not copy.built:
            copy.build_from_config(network.get_build_config())
    if len(copy.weights) != len(network.weights):
        raise ValueError(
            f"Expected a network that its configuration rebuilds, but {network.name} has "
            f"{len(network.weights)} weights and its copy {len(copy.weights)}."
        )
    for new, old in zip(copy.weights, network.weights):
        # A value of its own: JAX refuses a buffer that two variables share.
        new.assign(ops.copy(ops.convert_to_tensor(old)))
    return copy
