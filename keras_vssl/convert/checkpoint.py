"""Reads the tensors of a checkpoint file without running code from it."""

import glob
import os
import pickle
import re
import warnings
import zipfile

import numpy as np

from keras_vssl.convert import pickles
from keras_vssl.convert.mapping import ConvertError

# Where training scripts nest the weights beside optimizer state and counters.
_NESTS = ("state_dict", "model_state_dict", "model_state", "model", "module", "blobs")
# What data-parallel wrappers and mmaction2 put before the names.
_PREFIXES = ("module.", "backbone.")
# Networks that V-JEPA's files keep side by side; their names stay as prefixes.
_TOWERS = ("encoder", "predictor", "target_encoder")
# The number that torch.save wrote first, as a pickle.
_OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


def read_state_dict(path):
    """The named tensors of a checkpoint as float32 (or integer) arrays.

    A pickle that wants to run code is refused; objects of known configuration classes beside the
    weights are skipped without importing them.

    Args:
        path: str or path-like. `.npz`, `.safetensors`, a file that `torch.save` wrote, a `.pkl` of
            Haiku or caffe2, a `.caffemodel`, or a TensorFlow checkpoint: its prefix, its `.index`
            file or one of its `.data` files.

    Returns:
        dict of name to array. Nests (`state_dict`, `model`) are opened and the prefixes
        `module.` and `backbone.` taken off. The state of optimizers is left out.

    Raises:
        ConvertError: the file is absent, damaged, unsafe, or holds no tensors.
    """
    path = os.fspath(path)
    if prefix := _tensorflow_prefix(path):
        return clean(_read_tensorflow(prefix), prefix)
    if not os.path.isfile(path):
        raise ConvertError(f"There is no checkpoint file {path}.")
    # `.pth.tar` is a habit of training scripts, no archive.
    archives = (".tar.gz", ".tgz", ".tar", ".zip")
    if path.endswith(archives) and not path.endswith(".pth.tar"):
        raise ConvertError(f"{path} is an archive; unpack it and give a file that was in it.")
    extension = os.path.splitext(path)[1].lower()
    if extension == ".npz":
        content = _read_npz(path)
    elif extension == ".safetensors":
        content = _read_safetensors(path)
    elif extension in (".caffemodel", ".binaryproto"):
        from keras_vssl.convert import caffemodel

        content = caffemodel.read(path)
    elif extension in (".pkl", ".pickle") and not _is_torch(path):
        content = pickles.read_pickle(path)
    else:
        content = _read_torch(path)
    return clean(content, path)


def files_of(path):
    """The files that a checkpoint's path stands for: one, or those of a TensorFlow checkpoint."""
    prefix = _tensorflow_prefix(os.fspath(path))
    if prefix is None:
        return [os.fspath(path)]
    return [f"{prefix}.index", *sorted(glob.glob(f"{glob.escape(prefix)}.data-?????-of-?????"))]


def clean(content, origin="The dictionary"):
    """The tensors of a loaded checkpoint, unnested, unprefixed, as arrays."""
    while isinstance(content, dict):
        nest = next((n for n in _NESTS if isinstance(content.get(n), dict)), None)
        if nest is None:
            break
        content = content[nest]
    if not isinstance(content, dict):
        raise ConvertError(
            f"{origin} holds a {type(content).__name__}; expected a dictionary of named tensors, "
            f"such as torch.save(model.state_dict(), path) writes."
        )
    if isinstance(content.get("params"), dict):
        trees = (content["params"], content.get("state") or {})
        if all(isinstance(arrays, dict) for tree in trees for arrays in tree.values()):
            from keras_vssl.convert.haiku import flatten_haiku

            content = flatten_haiku(content)
    for tower in _TOWERS:
        if isinstance(content.get(tower), dict):
            parts = {_without_prefixes(str(k)): v for k, v in content[tower].items()}
            content = {k: v for k, v in content.items() if k != tower}
            content |= {f"{tower}.{name}": value for name, value in parts.items()}
    state = {}
    for name, value in content.items():
        array = _as_array(value)
        if array is not None:
            state[_without_prefixes(str(name))] = array
    if not state:
        raise ConvertError(f"{origin} holds no tensors; expected a dictionary of named tensors.")
    return state


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConvertError(f"{path} can't be read as a .npz of plain arrays: {error}") from error


def _read_safetensors(path):
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ConvertError(
            f"Reading {path} needs the package safetensors: pip install safetensors."
        ) from error
    try:
        return safetensors.numpy.load_file(path)
    except Exception as error:
        raise ConvertError(f"{path} can't be read as a .safetensors file: {error}") from error


def _read_torch(path):
    try:
        import torch
    except ImportError as error:
        raise ConvertError(
            f"Reading the PyTorch file {path} needs PyTorch: pip install torch, or save the "
            f"tensors as .safetensors or .npz."
        ) from error
    try:
        with warnings.catch_warnings():
            # An old pickle protocol is no concern of the user's: it loads, or is refused below.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return _load_torch(torch, path, weights_only=True)
    except pickle.UnpicklingError:
        pass
    except Exception as error:
        raise ConvertError(f"{path} is not a file that torch.save wrote, or is damaged.") from error
    # More than tensors: configurations and counters are skipped, code is refused.
    try:
        return _load_torch(torch, path, weights_only=False, pickle_module=pickles)
    except pickles.Unsafe as error:
        raise ConvertError(pickles.refusal(path, str(error))) from error
    except Exception as error:
        raise ConvertError(f"{path} is not a file that torch.save wrote, or is damaged.") from error


def _load_torch(torch, path, **options):
    # A mapped file is read tensor by tensor, as they are placed.
    return torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path) or None, **options)


def _is_torch(path):
    """Whether `torch.save` wrote a file: a zip archive, or before PyTorch 1.6 a row of pickles."""
    with open(path, "rb") as file:
        return file.read(len(_OLD_TORCH)) == _OLD_TORCH or zipfile.is_zipfile(path)


def _tensorflow_prefix(path):
    """What the files of a TensorFlow checkpoint start with, or `None` if `path` is of none."""
    prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path)
    return prefix if os.path.isfile(f"{prefix}.index") else None


def _read_tensorflow(prefix):
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ConvertError(
            f"Reading the TensorFlow checkpoint {prefix} needs TensorFlow: pip install tensorflow."
        ) from error
    try:
        reader = tf.train.load_checkpoint(prefix)
        types = reader.get_variable_to_dtype_map()
        return {
            # bfloat16 is no type of NumPy's own.
            name: reader.get_tensor(name).astype("float32" if types[name].is_floating else "int64")
            for name in sorted(types)
            if (types[name].is_floating or types[name].is_integer)
            and "/.OPTIMIZER_SLOT/" not in name
        }
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise ConvertError(
            f"{prefix} is no complete TensorFlow checkpoint, or is damaged; it needs its .index "
            f"file and every .data file beside it."
        ) from error


def _as_array(value):
    if hasattr(value, "detach"):  # a torch tensor, in whatever precision
        value = value.detach().cpu()
        if not value.is_floating_point() or str(value.dtype) in ("torch.float32", "torch.float16"):
            return value.numpy()
        return value.float().numpy()
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        return None
    # Half precision stays as it is until it is placed: a file is held once, not twice.
    if value.dtype.kind == "f" and value.dtype != np.float16:
        return value.astype("float32", copy=False)
    return value


def _without_prefixes(name):
    while prefix := next((p for p in _PREFIXES if name.startswith(p)), None):
        name = name[len(prefix) :]
    return name
