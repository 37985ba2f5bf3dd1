"""A CaffeNet made ready for another task: without its last layers, without batch normalisation."""

import numpy as np


def convolutional_part(backbone):
    """A CaffeNet's conv1 to pool5, all that the early methods transfer.

    Args:
        backbone: `CaffeNet`.

    Returns:
        A `CaffeNet` with `dense=()` and the same weights.

    Raises:
        ValueError: the network has no fully connected layers to leave out.
    """
    config = backbone.get_config()
    if "dense" not in config:
        raise ValueError(
            f"Expected a CaffeNet, whose fully connected layers are left out, received a "
            f"{type(backbone).__name__}; other networks are transferred whole."
        )
    part = type(backbone).from_config({**config, "dense": []})
    for layer in part.layers:
        if layer.weights:
            layer.set_weights(backbone.get_layer(layer.name).get_weights())
    return part


def fold_batch_normalization(backbone):
    """A CaffeNet whose convolutions do what batch normalisation did at inference.

    What is left has no statistics that a small batch of another data set could spoil. At inference
    both networks are the same; in training they are not.

    Args:
        backbone: `CaffeNet` with batch normalisation.

    Returns:
        A `CaffeNet` without.

    Raises:
        ValueError: it has none.
    """
    config = backbone.get_config()
    if not config.get("batch_normalization") or "dense" not in config:
        raise ValueError(
            f"Expected a CaffeNet with batch normalisation, received a {type(backbone).__name__} "
            "that has none to fold; use it as it is."
        )
    folded = type(backbone).from_config({**config, "batch_normalization": False})
    norms = {layer.name: layer for layer in backbone.layers if layer.name.startswith("bn")}
    for layer in folded.layers:
        if not layer.weights:
            continue
        weights = backbone.get_layer(layer.name).get_weights()
        norm = norms.get(f"bn{layer.name[-1]}") if layer.name[:-1] in ("conv", "fc") else None
        if norm is not None:
            kernel, bias = (value.astype(np.float64) for value in weights)
            values = {
                w.name: np.asarray(v, np.float64) for w, v in zip(norm.weights, norm.get_weights())
            }
            gain = values.get("gamma", 1.0) / np.sqrt(values["moving_variance"] + norm.epsilon)
            bias = (bias - values["moving_mean"]) * gain + values.get("beta", 0.0)
            weights = [kernel * gain, bias]
        layer.set_weights(weights)
    return folded
