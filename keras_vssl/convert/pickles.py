"""Reads pickles as data: arrays and plain containers come out, no code of the file is run.

A pickle names the functions it wants called. Here the names that make arrays and containers lead
to themselves; those of known configuration and array classes lead to inert objects that take
whatever they are given and do nothing; every other name is refused.
"""

import collections
import pickle

import numpy as np

from keras_vssl.convert.mapping import ConvertError

_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
# Packages whose objects stand beside the weights of published checkpoints: configurations,
# counters, histories. None of their code is imported.
_INERT = {
    "addict",
    "argparse",
    "datetime",
    "easydict",
    "enum",
    "fairseq",
    "fvcore",
    "haiku",
    "hydra",
    "jax",
    "jaxlib",
    "mmcv",
    "mmengine",
    "omegaconf",
    "pathlib",
    "pytorch_lightning",
    "typing",
    "yacs",
}
_TORCH = {
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.nn.parameter", "Parameter"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch.serialization", "_get_layout"),
}


class Unsafe(pickle.UnpicklingError):
    """A pickle that wants a name which is neither data nor known."""


class Inert:
    """Stands for an object of a class that is not imported."""

    def __init__(self, *arguments, **named):
        self.arguments = arguments
        self.items = {}

    def __call__(self, *arguments, **named):
        return Inert(*arguments)

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        self.items[key] = value

    def append(self, value):
        """What a pickle calls for the items of a list's subclass."""

    def extend(self, values):
        """As `append`, for several."""


def read_pickle(path):
    """The content of a pickle file, such as Haiku's parameters or caffe2's blobs.

    Args:
        path: str or path-like.

    Returns:
        Whatever the pickle holds, with mappings as dicts and arrays as NumPy's.

    Raises:
        ConvertError: the file is damaged, or wants code to be run.
    """
    with open(path, "rb") as file:
        try:
            # Python 2 wrote many of them.
            return plain(Unpickler(file, encoding="latin1").load())
        except Unsafe as error:
            raise ConvertError(refusal(path, str(error))) from error
        except Exception as error:
            raise ConvertError(f"{path} is no pickle, or is damaged: {error}") from error


def refusal(path, wanted):
    """The sentence about a file that wants code to be run."""
    return (
        f"{path} holds more than tensors: loading it would run code ({wanted}), so it was not "
        f"loaded; save the bare model.state_dict() where the file comes from."
    )


def plain(value):
    """Containers of pickled classes as Python's own."""
    if isinstance(value, Inert):
        return _opened(value)
    if isinstance(value, collections.abc.Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Unpickler(pickle.Unpickler):
    """`pickle.Unpickler` that finds data and refuses code."""

    def find_class(self, module, name):
        if module in _MULTIARRAY and name in ("_reconstruct", "scalar"):
            return getattr(np._core.multiarray, name)
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return _from_buffer
        if module == "collections" and name in ("OrderedDict", "defaultdict"):
            return getattr(collections, name)
        if module in ("builtins", "__builtin__") and name in _BUILTINS:
            return _BUILTINS[name]
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if module.split(".")[0] == "torch":
            return self._find_torch(module, name)
        if module.split(".")[0] in _INERT:
            return type(name, (Inert,), {})
        raise Unsafe(f"{module}.{name}")

    def _find_torch(self, module, name):
        import torch

        value = getattr(torch, name, None)
        if module == "torch" and isinstance(value, (torch.dtype, torch.layout)):
            return value
        if module == "torch" and name.endswith("Storage"):
            return value
        if (module, name) in _TORCH:
            return super().find_class(module, name)
        raise Unsafe(f"{module}.{name}")


def load(file, **options):
    """As `pickle.load`; with `Unpickler` what `torch.load` asks of a pickle module."""
    return Unpickler(file, **options).load()


def _encode(text, encoding="latin1"):
    # How pickles of protocol 2 hold bytes.
    if encoding not in ("latin1", "latin-1", "utf-8"):
        raise Unsafe(f"codec {encoding}")
    return text.encode(encoding)


def _from_buffer(buffer, dtype, shape, order):
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


# `getattr` never looks at an object: what it would have found is inert.
_BUILTINS = {
    "bytearray": bytearray,
    "complex": complex,
    "dict": dict,
    "float": float,
    "frozenset": frozenset,
    "getattr": Inert,
    "int": int,
    "list": list,
    "object": Inert,
    "set": set,
    "str": str,
    "tuple": tuple,
}


def _opened(value):
    """The mapping or the array within an inert object of Haiku or JAX, or the object itself."""
    name, arguments = type(value).__name__, value.arguments
    if len(arguments) == 4 and callable(arguments[0]):  # JAX: (function, arguments, state, aval)
        array = arguments[0](*arguments[1])
        array.__setstate__(arguments[2])
        return array
    if "Mapping" in name or "FlatMap" in name:
        state = getattr(value, "state", None)
        candidates = [*arguments, *(state.values() if isinstance(state, dict) else ())]
        for candidate in candidates:
            if isinstance(candidate, collections.abc.Mapping):
                return plain(candidate)
    if len(arguments) == 1 and isinstance(arguments[0], np.ndarray):
        return arguments[0]
    return value
