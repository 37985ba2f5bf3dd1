"""Learning rates and weight decay by variable, on top of any Keras optimizer."""

import copy
import re
import warnings

import keras
from keras import ops

from keras_vssl.optimizers.selection import NO_DECAY, is_selected

# What the wrapper does in the inner optimizer's place.
_NEUTRAL = {
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}
# A numbered part of a network, as this library's backbones name theirs: block_3, layer2_0, conv3b.
NUMBERED = r"(?i)(?:block|layer|stage|conv|bn|mixed|fc)_?\d+[a-z]?(?:_\d+)?"


@keras.saving.register_keras_serializable(package="keras_vssl")
class ScaledOptimizer(keras.optimizers.Optimizer):
    """An optimizer with a learning rate multiplier and a weight decay for each variable.

    One step, in this order: gradients are clipped (so a global norm is that of all gradients as
    they are, before any multiplier); for a variable with multiplier m the rate is
    `r = m * learning_rate`; the weight decays, `w = w - r * weight_decay * w`; the inner optimizer
    updates it with the rate r. So a multiplier scales the update, of Adam too, which a scaled
    gradient would not. It is what PyTorch's parameter groups with a rate of their own do.

    Everything else is the inner optimizer's as it was given: schedule, clipping, EMA, gradient
    accumulation, loss scale. Its arguments are taken, not the object: a copy is trained. (Under
    `tf.distribute` Keras clips each replica's own gradients, before their sum.)
    Under mixed_float16 put it inside a `LossScaleOptimizer` (`compile` does so), not around one.

    Args:
        optimizer: `keras.optimizers.Optimizer`, not built or its state is left behind.
        multipliers: dict of regular expression, searched for in a variable's path, to float: the
            product of all that match; or a function of a variable to float (registered with
            `keras.saving.register_keras_serializable`, if it is to be saved). See `layer_decay`.
        weight_decay: float, or a schedule (a function of the step, e.g. V-JEPA's, which rises), or
            None: the inner optimizer's.
        no_decay: regular expressions: variables whose path matches one don't decay.
        decay_vectors: bool, let also scalars and vectors decay: biases, gains and offsets of norms.
            True with `no_decay=()` decays everything, as PyTorch's optimizers do by themselves.
        decoupled: bool. False adds `weight_decay * w` to the gradient instead, after clipping, as
            PyTorch's SGD and Adam and Caffe do; momentum then accumulates it.

    Example:

    ```python
    # Fine-tuning as VideoMAE has it.
    rate = warmup_cosine(5e-4, steps, 5 * epoch, batch_size=512, minimum=1e-6)
    adam = keras.optimizers.AdamW(rate, weight_decay=0.05)
    classifier.compile(ScaledOptimizer(adam, layer_decay(classifier.backbone, 0.75)), loss)
    # Caffe's: biases learn twice as fast and don't decay.
    ScaledOptimizer(keras.optimizers.SGD(1e-3, 0.9, weight_decay=5e-4), {"bias$": 2.0},
                    decoupled=False)
    ```
    """

    def __init__(
        self,
        optimizer,
        multipliers=None,
        *,
        weight_decay=None,
        no_decay=NO_DECAY,
        decay_vectors=False,
        decoupled=True,
        name="scaled",
    ):
        if not isinstance(optimizer, keras.optimizers.Optimizer) or isinstance(
            optimizer,
            (keras.optimizers.LossScaleOptimizer, keras.optimizers.Nadam, ScaledOptimizer),
        ):
            # Nadam keeps a product over the steps outside of its update of one variable.
            raise ValueError(
                "Expected a Keras optimizer other than Nadam and the wrappers, received "
                f"{type(optimizer).__name__}; put LossScaleOptimizer around the scaled optimizer."
            )
        config = optimizer.get_config()
        rate = config["learning_rate"]
        if isinstance(rate, dict):
            rate = keras.saving.deserialize_keras_object(rate)
        super().__init__(rate, name=name, **{key: config[key] for key in _NEUTRAL})
        # It is only asked for its update of one variable at a rate: its own rate is never read.
        self.inner_optimizer = type(optimizer).from_config(
            {**config, **_NEUTRAL, "learning_rate": 1.0}
        )
        self.multipliers = multipliers if callable(multipliers) else dict(multipliers or {})
        self.decay = weight_decay
        self.no_decay, self.decay_vectors = tuple(no_decay), bool(decay_vectors)
        self.decoupled = bool(decoupled)

    @property
    def variables(self):
        return super().variables + self.inner_optimizer.variables

    def set_weights(self, weights):
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        raise ValueError(
            "Expected variables without weight decay as no_decay= of ScaledOptimizer, received them "
            "through exclude_from_weight_decay; pass their paths as regular expressions."
        )

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.inner_optimizer.build(variables)
        self._scales = tuple(float(self._multiplier(variable)) for variable in variables)
        decays = callable(self.decay) or self._weight_decay() != 0
        self._decays = tuple(
            decays and not is_selected(variable, self.no_decay, not self.decay_vectors)
            for variable in variables
        )
        if any(scale < 0 for scale in self._scales):
            raise ValueError(
                f"Expected multipliers of at least 0, received {min(self._scales)}; use "
                "`trainable = False` to freeze a layer."
            )
        self._warn_of_idle_patterns(variables)

    def _multiplier(self, variable):
        if callable(self.multipliers):
            return self.multipliers(variable)
        product = 1.0
        for pattern, factor in self.multipliers.items():
            if re.search(pattern, variable.path):
                product *= factor
        return product

    def _warn_of_idle_patterns(self, variables):
        if callable(self.multipliers):
            return
        idle = [
            pattern
            for pattern in self.multipliers
            if not any(re.search(pattern, variable.path) for variable in variables)
        ]
        if idle:
            warnings.warn(
                f"{len(idle)} of {len(self.multipliers)} multipliers match no trainable variable, "
                f"the first {idle[0]!r}; the variables are e.g. {variables[0].path!r}.",
                stacklevel=3,
            )

    def apply(self, grads, trainable_variables=None):
        super().apply(grads, trainable_variables)
        # Adam's bias correction counts there.
        self.inner_optimizer.iterations.assign(ops.convert_to_tensor(self.iterations))

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, "float32") * self._scales[index]
        if self._decays[index] and self.decoupled:
            shrink = ops.cast(rate * self._weight_decay(), variable.dtype)
            self.assign_sub(variable, shrink * variable)
        elif self._decays[index]:
            decay = ops.cast(self._weight_decay(), variable.dtype)
            gradient = ops.cast(gradient, variable.dtype) + decay * variable
        self.inner_optimizer.update_step(gradient, variable, rate)

    def _weight_decay(self):
        """A float, or a tensor where it follows a schedule."""
        if callable(self.decay):
            return ops.cast(self.decay(self.iterations), "float32")
        decay = self.inner_optimizer.weight_decay if self.decay is None else self.decay
        return float(decay or 0.0)

    def get_config(self):
        config = super().get_config()
        inner = keras.optimizers.serialize(self.inner_optimizer)
        taken = {key: config[key] for key in (*_NEUTRAL, "learning_rate")}
        return {
            "optimizer": {**inner, "config": {**inner["config"], **taken}},
            "multipliers": _serialized(self.multipliers),
            "weight_decay": _serialized(self.decay),
            "no_decay": list(self.no_decay),
            "decay_vectors": self.decay_vectors,
            "decoupled": self.decoupled,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        inner = copy.deepcopy(config["optimizer"])  # Keras writes into what it reads
        config["optimizer"] = keras.optimizers.deserialize(inner, custom_objects)
        for key in ("multipliers", "weight_decay"):
            value = config[key]
            if isinstance(value, dict) and "class_name" in value:
                config[key] = keras.saving.deserialize_keras_object(value, custom_objects)
        return cls(**config)


def _serialized(value):
    return keras.saving.serialize_keras_object(value) if callable(value) else value


def layer_decay(backbone, rate, pattern=NUMBERED):
    """Multipliers that fall from the last block of a backbone to its first.

    With n numbered blocks, block i (from 0) gets `rate ** (n - i)`, what comes before the first
    (embedding, positions, tokens, stem) gets `rate ** (n + 1)`, and what comes after the last, and
    all that isn't the backbone's, such as a new head, keeps 1: BEiT's, MAE's and VideoMAE's rule.
    Residual networks count by blocks too (layer1_0, layer1_1, layer2_0, ...).

    Args:
        backbone: a backbone, or any Keras model whose layers are named.
        rate: float in (0, 1], e.g. 0.75.
        pattern: regular expression for the part of a path that numbers a block.

    Returns:
        dict of regular expression to float, for `ScaledOptimizer`. Variables of other parts of a
        task match too if their path starts alike (a decoder with a block_0 outside any layer of a
        name of its own): give `ScaledOptimizer` a function of the variable then.

    Raises:
        ValueError: no part of the backbone is numbered.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"Expected a layer decay above 0 and at most 1, received {rate}.")
    names = []
    for variable in backbone.weights:
        found = re.search(pattern, variable.path)
        if found:  # bn3b belongs to conv3b
            names.append((variable.path[: found.end()], re.sub("^bn", "conv", found[0])))
        else:
            names.append((variable.path, None))
    while names and names[-1][1] is None:  # after the last block: the full rate
        names.pop()
    if not names:
        raise ValueError(
            f"Expected {type(backbone).__name__} to have numbered blocks, but no weight's path "
            f"matches {pattern!r}; pass a pattern= for names such as {backbone.weights[0].path!r}."
        )
    blocks, members, block = {}, {}, 0
    for name, number in names:
        if number is not None:
            block = blocks.setdefault(number, len(blocks) + 1)
        members.setdefault(block, {})[re.escape(name)] = None  # a set that keeps its order
    return {
        f"^(?:{'|'.join(paths)})(?![0-9a-zA-Z])": float(rate) ** (len(blocks) + 1 - block)
        for block, paths in members.items()
    }
