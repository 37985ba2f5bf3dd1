"""Data-dependent rescaling: all layers of a network that is to be fine-tuned learn at one rate."""

import keras
import numpy as np
from keras import ops

_MERGING = (
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Concatenate,
    keras.layers.Dot,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
    keras.layers.Subtract,
)


def rescale(task, images, count=32, steps=10, new=True, seed=0):
    """Rescales the layers of an image task by some of its images, before fine-tuning.

    Layers that start anew get outputs of mean 0 and deviation 1 first. Then all layers are scaled
    so that the gradient of each, relative to its weights, is as large as that of any other; what is
    scaled up in one layer is scaled down in others. Noted in `task.transfer`.

    Args:
        task: `ImageTask` on a chain of layers without batch normalisation
            (`fold_batch_normalization`).
        images: a table of images, or clips `[N, 1, 1, H, W, 3]`.
        count: int, how many images to look at. steps: int, rounds at most.
        new: bool, the task's own layers start anew; False: they are trained already.
        seed: int.

    Returns:
        dict: "factors" (of each layer's kernel), "spread" (before and after: the largest relative
        gradient by the smallest), "output_std" (after), "steps".

    Raises:
        ValueError: the network is no chain, or has batch normalisation.

    Reference:
        [Krähenbühl et al. ICLR 2016](https://arxiv.org/abs/1511.06856), Sec. 3, as the authors'
        philkr/magic_init does it, which ends where this does and takes more rounds: here one is
        exact for a chain of homogeneous layers. Local response normalisation is not homogeneous:
        there the network's function changes a little.
    """
    if hasattr(images, "paths"):
        samples = task.samples(images, seed)
        rows = np.random.default_rng(seed).permutation(len(images))[:count]
        images = np.stack([samples(int(row))[0]["clips"] for row in rows])
    clips = ops.convert_to_tensor(np.asarray(images)[:count, 0])
    inputs = ops.convert_to_numpy(ops.cast(task.backbone.prepare(task.frames(clips)), "float32"))
    fresh = [layer.name for layer in (*task.layers_fc, task.last)] if new else []
    done = rescale_chain(task.chain(), inputs, fresh, steps=steps, seed=seed)
    task.note_transfer(rescaled=done)
    return done


def rescale_chain(model, inputs, new=(), steps=10, tolerance=0.01, bias=0.1, seed=0):
    """`rescale` of a functional model; its weights are changed in place.

    Args:
        model: functional `keras.Model` of one path through convolutions, dense layers and layers
            without weights.
        inputs: array, what the model takes.
        new: names of layers that are normalised first. Their activation has to be a layer of its
            own.
        steps: int, rounds at most. tolerance: float, relative difference of rates that is left.
        bias: float, what the biases of `new` layers are set to, after the mean is taken away.
        seed: int, of the random directions in which the outputs' gradient is taken.

    Returns:
        dict, as for `rescale`.
    """
    _check(model)
    # A copy, in which every layer with weights is called once and so has one input.
    chain = keras.models.clone_model(model, clone_function=_copy)
    layers = [layer for layer in chain.layers if layer.weights]
    for layer in layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
        if layer.name in new:
            _normalize(chain, layer, inputs, bias)
    before = {layer.name: _norm(layer.kernel) for layer in layers}
    taps = keras.Model(chain.input, [layer.input for layer in layers] + [chain.output])
    gradients = _Gradients(chain, layers, len(inputs), seed)
    spreads = []

    def look():
        """Mean magnitudes of the layers' inputs, and the deviation of the outputs."""
        *seen, outputs = (np.asarray(v, np.float64) for v in taps.predict_on_batch(inputs))
        return [np.abs(value).mean() for value in seen], outputs.std(axis=0).mean()

    magnitudes, deviation = look()
    taken = 0
    for _ in range(steps + 1):
        rates = gradients(inputs)
        spreads.append(float(rates.max() / rates.min()))
        # One rate for all that leaves outputs of deviation 1.
        goal = np.exp(np.log(rates).mean()) * deviation ** (2 / len(layers))
        if taken == steps or np.abs(rates / goal - 1).max() < tolerance:
            break
        for place, (layer, scale) in enumerate(zip(layers, np.sqrt(rates / goal))):
            # The bias follows the scale of what it is added to.
            magnitude = look()[0][place]
            follow, magnitudes[place] = magnitude / magnitudes[place], magnitude
            layer.kernel.assign(layer.kernel * scale)
            if layer.use_bias:
                layer.bias.assign(layer.bias * (scale * follow))
        deviation = look()[1]
        taken += 1
    for layer in layers:
        model.get_layer(layer.name).set_weights(layer.get_weights())
    return {
        "factors": {layer.name: _norm(layer.kernel) / before[layer.name] for layer in layers},
        "spread": [spreads[0], spreads[-1]],
        "output_std": float(deviation),
        "steps": taken,
    }


class _Gradients:
    """The relative gradient of each layer, for a few random directions of the outputs' gradient.

    The directions stay the same, so that rounds converge.
    """

    def __init__(self, chain, layers, count, seed, draws=4):
        self.layers = layers
        rng = np.random.default_rng(seed)
        self.directions = rng.normal(size=(draws, count, *chain.output.shape[1:]))
        self.model = _AtInference(chain)
        # One step of momentum from rest is the gradient, on every back end.
        self.optimizer = keras.optimizers.SGD(1.0, momentum=0.5)
        self.model.compile(self.optimizer, _project, jit_compile=False)

    def __call__(self, inputs):
        weights = self.model.get_weights()
        squares = np.zeros(len(self.layers))
        for directions in self.directions:
            for variable in self.optimizer.variables[2:]:  # after the steps and the rate
                variable.assign(ops.zeros(variable.shape, variable.dtype))
            self.model.train_on_batch(inputs, directions.astype(np.float32))
            self.model.set_weights(weights)
            paths = (variable.path for variable in self.model.trainable_variables)
            moved = dict(zip(paths, self.optimizer.momentums))
            squares += [_norm(moved[layer.kernel.path]) ** 2 for layer in self.layers]
        sizes = np.array([_norm(layer.kernel) for layer in self.layers])
        for layer, size, square in zip(self.layers, sizes, squares):
            if not size > 0 or not square > 0:
                raise ValueError(
                    f"Expected weights and a gradient in every layer, but {layer.name} has none "
                    "on these images; initialise it, or give more images."
                )
        return np.sqrt(squares) / sizes


class _AtInference(keras.Model):
    """A model without dropout, in training too."""

    def __init__(self, chain):
        super().__init__(name="at_inference")
        self.chain = chain

    def call(self, inputs):
        return self.chain(inputs, training=False)


def _copy(layer):
    has_weights = bool(getattr(layer, "weights", ()))  # operations come here too
    return type(layer).from_config(layer.get_config()) if has_weights else layer


def _project(directions, outputs):
    return ops.sum(ops.cast(outputs, "float32") * ops.cast(directions, "float32"), axis=-1)


def _normalize(chain, layer, inputs, bias):
    """Gives a layer's outputs mean `bias` and deviation 1 over the inputs, channel by channel."""
    if keras.activations.serialize(layer.activation) != "linear":
        raise ValueError(
            f"Expected the activation of {layer.name} as a layer of its own, because its outputs "
            "before it are normalised; take it out of the layer."
        )
    outputs = keras.Model(chain.input, layer.output).predict_on_batch(inputs)
    outputs = np.asarray(outputs, np.float64)
    outputs = outputs.reshape(-1, outputs.shape[-1])
    mean, deviation = outputs.mean(axis=0), outputs.std(axis=0)
    scale = 1 / np.where(deviation > 1e-8, deviation, 1.0)  # a channel that never changes stays
    weights = layer.get_weights()
    shift = weights[1] if layer.use_bias else 0.0
    weights[0] = weights[0] * scale
    if layer.use_bias:
        weights[1] = (shift - mean) * scale + bias
    layer.set_weights(weights)


def _check(model):
    for layer in model.layers:
        if isinstance(layer, _MERGING) or isinstance(layer, keras.Model):
            raise ValueError(
                f"Expected a chain of layers, because a scale is handed on from layer to layer, but "
                f"{layer.name} is a {type(layer).__name__}; networks with branches can't be rescaled."
            )
        if isinstance(layer, keras.layers.BatchNormalization):
            raise ValueError(
                f"Expected no batch normalisation, which undoes any scale, but there is "
                f"{layer.name}; fold it first (fold_batch_normalization)."
            )
        if layer.weights and not hasattr(layer, "kernel"):
            raise ValueError(
                f"Expected weights in convolutions and dense layers alone, but {layer.name} is a "
                f"{type(layer).__name__}."
            )


def _norm(values):
    return float(np.linalg.norm(ops.convert_to_numpy(ops.cast(values, "float32"))))
