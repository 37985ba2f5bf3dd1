"""Layer-wise adaptive rates (LARS)."""

import keras
from keras import ops

from keras_vssl.optimizers.selection import is_selected


@keras.saving.register_keras_serializable(package="keras_vssl")
class LARS(keras.optimizers.Optimizer):
    """SGD with momentum whose rate is, layer by layer, in proportion to the weights' norm.

    `t = trust ||w|| / (||g|| + decay ||w|| + epsilon)`, `v = momentum v - rate t (g + decay w)`,
    `w = w + v`; with `nesterov`, `w = w + momentum v - rate t (g + decay w)`. Where `||w||` or
    `||g||` is 0, t is 1.

    Args:
        learning_rate: float or schedule. It is multiplied by t, so it is larger than SGD's: 0.2 to
            4.8 for 256 to 4,096 samples a step.
        momentum: float in [0, 1).
        weight_decay: float, L2 inside the update (not Keras' decoupled decay).
        trust: float, the paper's eta.
        exclude: regular expressions; variables whose path matches one get plain SGD with momentum:
            t is 1 and nothing decays.
        exclude_vectors: bool, exclude also all biases, gains and offsets of norms, as SimCLR and
            BYOL do; False is the paper's.
        nesterov: bool.
        epsilon: float.
        **kwargs: further arguments of `keras.optimizers.Optimizer` (clipping, EMA, ...).

    Example:

    ```python
    rate = keras_vssl.optimizers.warmup_cosine(0.2, steps, 10 * epoch, batch_size=4096)
    task.compile(keras_vssl.optimizers.LARS(rate, weight_decay=1e-6))
    ```

    Reference:
        You, Gitman, Ginsburg. Large batch training of convolutional networks. 2017, algorithm 1
        (arXiv 1708.03888).
    """

    def __init__(
        self,
        learning_rate=0.2,
        momentum=0.9,
        weight_decay=0.0,
        trust=0.001,
        exclude=(),
        exclude_vectors=True,
        nesterov=False,
        epsilon=1e-9,
        name="lars",
        **kwargs,
    ):
        if not 0 <= momentum < 1:
            raise ValueError(f"Expected a momentum in [0, 1), received {momentum}.")
        if trust <= 0 or epsilon < 0 or (weight_decay or 0) < 0:
            raise ValueError(
                "Expected trust above 0, epsilon and weight_decay of at least 0, received "
                f"{trust}, {epsilon} and {weight_decay}."
            )
        super().__init__(learning_rate, name=name, **kwargs)
        self.momentum, self.trust = float(momentum), float(trust)
        # Keras' own attribute, `weight_decay`, would decay the weights beside the update.
        self.l2 = float(weight_decay or 0.0)
        self.exclude, self.exclude_vectors = tuple(exclude), bool(exclude_vectors)
        self.nesterov, self.epsilon = bool(nesterov), float(epsilon)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        self._plain = tuple(
            is_selected(variable, self.exclude, self.exclude_vectors) for variable in variables
        )

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        velocity = self._velocities[index]
        # Norms and ratios in float32, whatever the weights are.
        weight = ops.cast(ops.convert_to_tensor(variable), "float32")
        step = ops.cast(ops.convert_to_tensor(gradient), "float32")
        rate = ops.cast(learning_rate, "float32")
        if not self._plain[index]:
            w_norm = ops.sqrt(ops.sum(ops.square(weight)))
            g_norm = ops.sqrt(ops.sum(ops.square(step)))
            ratio = self.trust * w_norm / (g_norm + self.l2 * w_norm + self.epsilon)
            defined = ops.logical_and(w_norm > 0, g_norm > 0)
            rate = rate * ops.where(defined, ratio, 1.0)
            step = step + self.l2 * weight
        step = rate * step
        moved = self.momentum * ops.cast(ops.convert_to_tensor(velocity), "float32") - step
        self.assign(velocity, ops.cast(moved, velocity.dtype))
        if self.nesterov:
            moved = self.momentum * moved - step
        self.assign_add(variable, ops.cast(moved, variable.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "weight_decay": self.l2,
            "trust": self.trust,
            "exclude": list(self.exclude),
            "exclude_vectors": self.exclude_vectors,
            "nesterov": self.nesterov,
            "epsilon": self.epsilon,
        }
