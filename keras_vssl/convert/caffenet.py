"""What the sources of CaffeNets share: blobs by layer, batch normalisation, its folding."""

import dataclasses
import math

import numpy as np

from keras_vssl.backbones.caffenet import CaffeNet
from keras_vssl.convert.caffemodel import shape_of, strip
from keras_vssl.convert.mapping import ConvertError, Mapping

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
_GROUPS = {"conv1": 1, "conv2": 2, "conv3": 1, "conv4": 2, "conv5": 2}
PARTS = ("backbone", "head")


@dataclasses.dataclass(frozen=True)
class Names:
    """A source's spellings.

    Attributes:
        dense: names of the fully connected layers that belong to the backbone.
        norm: the batch normalisation of layer number `{}`, "" where the source has none.
        scale: the layer with its gain and offset, "" where there is none.
    """

    dense: tuple
    norm: str = ""
    scale: str = ""

    def norm_of(self, number):
        """The names of layer `number`'s normalisation and of its gain."""
        return self.norm.format(number), self.scale.format(number)

    def has_norm(self, number, state):
        return any(f"{self.norm.format(number)}.{index}" in state for index in range(3))


def is_caffenet(state):
    """Whether `state` has convolutions over images that are named as in a CaffeNet's file."""
    return all(f"{name}.0" in state for name in CONVOLUTIONS) and state["conv1.0"].ndim == 4


def build_caffenet(state, names, config, fold, epsilon, dense_shape, **backbone_options):
    """Builds a `CaffeNet` of the sizes that the blobs have.

    Args:
        state: dict of name to array.
        names: `Names`.
        config: dict, arguments of `CaffeNet` that the blobs do not tell.
        fold: bool, take batch normalisation into the kernels before it: a plain CaffeNet with
            the outputs that the normalised one has at inference.
        epsilon: float, of batch normalisation.
        dense_shape: 2 ints, the map that the first fully connected layer spans. Default: a square.

    Returns:
        The backbone and a `Mapping` that covers it.

    Raises:
        ConvertError: a convolution is not of the groups that CaffeNet has.
    """
    channels, before = [], None
    for name in CONVOLUTIONS:
        outputs, inputs, *_ = shape_of(state, f"{name}.0", 4)
        groups = _GROUPS[name]
        if before is not None and inputs != before // groups:
            raise ConvertError(
                f"{name}.0 takes {inputs} channels; expected {before // groups}, those of "
                f"{groups} group{'s' if groups > 1 else ''} on {before}, as CaffeNet has it."
            )
        channels.append(outputs)
        before = outputs
    known = [i for i, name in enumerate(names.dense, 1) if {f"{name}.0", f"{name}.1"} & set(state)]
    dense = names.dense[: max(known, default=0)]
    widths = [shape_of(state, f"{name}.0", 2)[0] for name in dense]
    if dense and dense_shape is None:
        dense_shape = _square(dense[0], shape_of(state, f"{dense[0]}.0", 2)[1], before)
    layers = [*CONVOLUTIONS, *dense]
    normalized = [n for n in range(1, len(layers) + 1) if names.has_norm(n, state)]
    first = min(normalized, default=len(layers) + 1)
    backbone = CaffeNet(
        **{
            **config,
            "channels": channels,
            "dense": widths,
            **({"dense_shape": dense_shape} if dense else {}),
            "batch_normalization": bool(normalized) and not fold,
            "affine": bool(names.scale),
            "normalized_from": first if normalized else 3,
            "epsilon": epsilon,
            **backbone_options,
        }
    )
    mapping = Mapping()
    for number, name in enumerate(layers, start=1):
        layer = backbone.get_layer(f"conv{number}" if number < 6 else f"fc{number}")
        if number < first:
            map_layer(mapping, name, layer)
        elif fold:
            _map_folded(mapping, state, name, layer, *names.norm_of(number), epsilon)
        else:
            map_layer(mapping, name, layer)
            norm = backbone.get_layer(f"bn{number}")
            map_norm(mapping, state, *names.norm_of(number), norm)
    return backbone, mapping


def map_layer(mapping, name, layer, gain=None, offset=None):
    """A convolution or a fully connected layer; conv1 takes R, G, B where Caffe's takes B, G, R.

    With `gain` and `offset` for each output, what they would do to the outputs is done to the
    kernel and the bias.
    """
    *size, inputs, _ = layer.kernel.shape
    is_dense = name not in CONVOLUTIONS

    def kernel(array):
        array = strip(array, 2 if is_dense else 4)
        if is_dense and size:  # I is a map flattened as C, H, W
            array = array.reshape(array.shape[0], -1, *size)
        elif is_dense:
            array = array.reshape(array.shape[0], -1)
        if name == "conv1" and inputs == 3:
            array = array[:, ::-1]
        if gain is not None:
            array = array * gain.reshape(-1, *[1] * (array.ndim - 1))
        return np.transpose(array, (*range(2, array.ndim), 1, 0))

    def bias(array):
        array = strip(array, 1)
        return array if gain is None else array * gain + offset

    mapping.add(f"{name}.0", layer.kernel, kernel)
    mapping.add(f"{name}.1", layer.bias, bias)


def map_norm(mapping, state, name, scale, layer):
    """A `BatchNorm` layer's sums of statistics, to be divided, and the `Scale` layer's gain."""
    share = read_share(state, name)
    for index, variable in ((0, layer.moving_mean), (1, layer.moving_variance)):
        mapping.add(f"{name}.{index}", variable, lambda array: strip(array, 1) * share)
    mapping.ignore(f"{name}.2")
    if scale:
        mapping.add(f"{scale}.0", layer.gamma, lambda array: strip(array, 1))
        mapping.add(f"{scale}.1", layer.beta, lambda array: strip(array, 1))


def read_share(state, name):
    """What the statistics of a `BatchNorm` layer are multiplied with: 1 / s, 0 where s is 0.

    Raises:
        ConvertError: there is no s, or it is not a single number.
    """
    name = f"{name}.2"
    if name not in state:
        raise ConvertError(f"The checkpoint lacks {name}, by which the statistics are divided.")
    if state[name].size != 1:
        raise ConvertError(
            f"{name} has shape {tuple(state[name].shape)}; expected a single number, by which the "
            f"statistics are divided."
        )
    factor = np.float32(state[name].reshape(()))
    return np.float32(0 if factor == 0 else 1 / factor)


def backbone_names(names):
    """Every blob that a backbone of a source can have, for who builds the head alone."""
    layers = [*CONVOLUTIONS, *names.dense]
    for number in range(1, len(layers) + 1):
        layers += [name for name in names.norm_of(number) if name]
    return {f"{layer}.{index}" for layer in layers for index in (0, 1, 2)}


def check_part(part):
    if part not in PARTS:
        raise ConvertError(f"Expected part to be one of {', '.join(PARTS)}, received {part!r}.")


def _map_folded(mapping, state, name, layer, norm, scale, epsilon):
    width = layer.kernel.shape[-1]

    def vector(key):
        if key not in state:
            raise ConvertError(f"The checkpoint lacks {key}.")
        array = strip(state[key], 1)
        if array.shape != (width,):
            raise ConvertError(f"{key} has shape {tuple(state[key].shape)}; expected ({width},).")
        mapping.ignore(key)
        return array

    share = read_share(state, norm)
    mapping.ignore(f"{norm}.2")
    mean, variance = vector(f"{norm}.0") * share, vector(f"{norm}.1") * share
    gain = 1 / np.sqrt(variance + np.float32(epsilon))
    offset = -mean * gain
    if scale:
        factor = vector(f"{scale}.0")
        gain, offset = gain * factor, offset * factor + vector(f"{scale}.1")
    map_layer(mapping, name, layer, gain, offset)


def _square(name, flat, channels):
    side = math.isqrt(flat // channels)
    if side * side * channels != flat:
        raise ConvertError(
            f"{name} takes {flat} values, which is no square map of {channels} channels; give "
            f"dense_shape=(H, W), the map that it was trained on."
        )
    return (side, side)
