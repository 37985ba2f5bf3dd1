"""Places the tensors of a checkpoint in the variables of a model, every one or none."""

import collections
import math
import re

import keras
import numpy as np


class ConvertError(ValueError):
    """A checkpoint that can't be converted, and why."""


class Mapping:
    """A list of (checkpoint name, Keras variable, transform), filled layer by layer.

    Example:

    ```python
    mapping = Mapping()
    mapping.conv("conv1", backbone.get_layer("conv1"))
    mapping.norm("bn1", backbone.get_layer("bn1"))
    mapping.place(state, model)
    ```
    """

    def __init__(self):
        self.entries = []
        self.ignored = set()

    @property
    def names(self):
        """The names of the checkpoint's tensors that have a place."""
        return [name for name, _, _ in self.entries if name is not None]

    def add(self, name, variable, transform=None):
        """`name` may be `None` for a variable that the checkpoint's network does not have."""
        self.entries.append((name, variable, transform or _unchanged))

    def conv(self, name, layer):
        """A convolution, PyTorch's `O I *kernel` to Keras' `*kernel I O`, and its bias if any."""
        self.add(f"{name}.weight", layer.kernel, _conv_kernel)
        if layer.use_bias:
            self.add(f"{name}.bias", layer.bias)

    def norm(self, name, layer):
        """A batch normalisation's gain, offset and running statistics."""
        self.add(f"{name}.weight", layer.gamma)
        self.add(f"{name}.bias", layer.beta)
        self.add(f"{name}.running_mean", layer.moving_mean)
        self.add(f"{name}.running_var", layer.moving_variance)

    def dense(self, name, layer):
        """A linear layer, PyTorch's `O I` to Keras' `I O`."""
        self.add(f"{name}.weight", layer.kernel, np.transpose)
        self.add(f"{name}.bias", layer.bias)

    def dense_as_conv(self, name, layer):
        """A linear layer over a flattened `C T H W` map, as a convolution of that kernel."""
        *kernel, _, _ = layer.kernel.shape

        def unflatten(array):
            if array.ndim != 2 or array.shape[1] % int(np.prod(kernel)):
                return array
            return _conv_kernel(array.reshape(array.shape[0], -1, *kernel))

        self.add(f"{name}.weight", layer.kernel, unflatten)
        self.add(f"{name}.bias", layer.bias)

    def rename(self, names):
        """Takes the names of another file for the tensors: dict of the old name to the new one.

        For a source that holds the network of another one; names that are not in `names` stay.
        """
        self.entries = [
            (names.get(name, name), variable, transform)
            for name, variable, transform in self.entries
        ]
        self.ignored = {names.get(name, name) for name in self.ignored}

    def ignore(self, *names):
        """Tensors that the checkpoint may hold and the model leaves out on purpose."""
        self.ignored.update(names)

    def place(self, state, model, release=False):
        """Assigns every variable of `model`.

        Args:
            state: dict of name to array.
            model: the model whose variables the entries name.
            release: bool, take a tensor out of `state` as soon as it is placed, so that the
                network is not in memory twice.

        Raises:
            ConvertError: names every tensor that is missing, misshapen or left over. Nothing has
                been assigned then.
        """
        missing, misshapen = [], []
        for name, variable, transform in self.entries:
            if name is not None and name not in state:
                missing.append(name)
            elif name is not None:
                # Looked at and let go: all arrays at once would be the model once more.
                try:
                    shape = tuple(_transformed(state[name], transform).shape)
                except (ValueError, IndexError):
                    shape = None  # it can't even be laid out
                if shape != tuple(variable.shape):
                    laid_out = f", which as {shape} does not fit" if shape else "; expected"
                    misshapen.append(
                        f"{name} is {tuple(state[name].shape)}{laid_out} {tuple(variable.shape)}"
                    )
        known = {name for name, _, _ in self.entries} | self.ignored
        left_over = [
            name for name in state if name not in known and not name.endswith("num_batches_tracked")
        ]
        covered = {id(variable) for _, variable, _ in self.entries}
        uncovered = [
            variable.path
            for variable in model.weights
            if id(variable) not in covered and "seed" not in variable.path
        ]
        problems = [
            f"{title}: {'; '.join(names)}"
            for title, names in (
                ("missing", missing),
                ("of another shape", misshapen),
                ("without a place in the model", left_over),
                ("model variables without a source", uncovered),
            )
            if names
        ]
        if problems:
            raise ConvertError(
                f"The checkpoint does not fit {type(model).__name__}. Tensors "
                f"{'. '.join(problems)}."
            )
        uses = collections.Counter(self.names)
        # A large tensor is copied on its way, which costs least while the model is empty.
        largest_first = sorted(self.entries, key=lambda entry: -math.prod(entry[1].shape))
        for name, variable, transform in largest_first:
            if name is None:
                variable.assign(transform(np.zeros(variable.shape, "float32")))
                continue
            source = state[name]
            uses[name] -= 1
            if release and not uses[name]:
                del state[name]
            array = _owned(_transformed(source, transform), source)
            del source
            variable.assign(array)


def _transformed(array, transform):
    """An array in the model's layout, in float32 if it was in half precision."""
    return transform(array.astype("float32") if array.dtype == np.float16 else array)


def _owned(array, source):
    """`array`, for JAX with memory of its own: it keeps what it is given, which may be a file's."""
    if keras.config.backend() != "jax" or not np.may_share_memory(array, source):
        return array  # copied as it is assigned
    return np.array(array, order="C")


def shape_of(state, name, rank):
    """The shape of a tensor whose size decides the architecture.

    Raises:
        ConvertError: it is missing or of another rank.
    """
    if name not in state:
        raise ConvertError(f"The checkpoint lacks {name}, from which the architecture is read.")
    shape = tuple(int(size) for size in state[name].shape)
    if len(shape) != rank:
        raise ConvertError(f"{name} has shape {shape}; expected {rank} axes.")
    return shape


def count_numbered(state, pattern):
    """One more than the largest number that group 1 of `pattern` matches among the names."""
    numbers = [int(match[1]) for name in state if (match := re.match(pattern, name))]
    return max(numbers, default=-1) + 1


def count_blocks(state, patterns, where="The four stages have"):
    """How many blocks each stage has, by a pattern a stage whose group 1 is a block's number.

    Raises:
        ConvertError: a stage has none; `where` begins the sentence.
    """
    blocks = [count_numbered(state, pattern) for pattern in patterns]
    if not blocks or min(blocks) < 1:
        raise ConvertError(f"{where} {blocks} blocks; each needs at least one.")
    return blocks


def check_part(part, *parts):
    """Raises a `ConvertError` that names the parts unless `part` is one of them.

    `None` among the parts stands for what a checkpoint itself tells.
    """
    if part not in parts:
        named = ", ".join(name for name in parts if name is not None)
        raise ConvertError(f"`part` is one of {named}, but received {part!r}.")


def choose_part(part, parts, there, source):
    """The part of a checkpoint to build: the one that was asked for, or the first that is there.

    Args:
        part: one of `parts`, or `None`.
        parts: the parts that the source has.
        there: list of those that the checkpoint holds, the first one by default.
        source: str, whose they are, e.g. "CrissCross's".

    Raises:
        ConvertError: there is no such part, or the checkpoint does not hold it.
    """
    check_part(part, None, *parts)
    part = part or next(iter(there), parts[0])
    if part not in there:
        raise ConvertError(
            f"The checkpoint does not hold {source} {part}; it holds "
            f"{', '.join(there) or 'none of its networks'}."
        )
    return part


def _unchanged(array):
    return array


def _conv_kernel(array):
    return np.transpose(array, (*range(2, array.ndim), 1, 0)) if array.ndim > 2 else array
