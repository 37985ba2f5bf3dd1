"""What a preset's folder holds, whether it can be trusted, and what it says of itself."""

import json
import os
import re
import sys

from keras_vssl.hub.errors import PresetError

CONFIG = "config.json"
TASK = "task.json"
WEIGHTS = "model.weights.h5"
SHARDS = "model.weights.json"
CARD = "README.md"

# keras_hub's names for the files of a preset, and this library's records beside them. Nothing
# else is fetched or published, so no name with a folder in it ever reaches the disk.
_KNOWN = re.compile(
    r"(config|task|metadata|record|provenance)\.json|README\.md|LICENSE"
    r"|(model|task)(_\d{5})?\.weights\.h5|(model|task)\.weights\.json"
)
_SHARD = re.compile(r"(model|task)_\d{5}\.weights\.h5")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TRUSTED = ("keras_vssl", "keras_hub", "keras")
# Parts of Keras that hold layers and their settings; keras.utils, for one, reaches files.
_KERAS = re.compile(
    r"keras(\.src)?(\.(layers|models|initializers|regularizers|constraints|activations|losses"
    r"|metrics|optimizers|dtype_policies|quantizers|random|backend)(\.\w+)*)?"
)
# These run a function, a file or another framework's code that their config brings.
_CODE = {
    "Lambda",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "__lambda__",
    "__typespec__",
}


def is_known(name):
    """Whether `name` is a file name that a preset may hold."""
    return _KNOWN.fullmatch(name) is not None


def read_json(path):
    """The JSON object in a file.

    Raises:
        PresetError: the file is absent, is not JSON, or holds something else than an object.
    """
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "not valid JSON"
        raise PresetError(
            f"Can't read {path} of the preset ({why}); save or download the preset again."
        ) from error
    if not isinstance(value, dict):
        raise PresetError(
            f"Expected a JSON object in {path}, got a {type(value).__name__}; save or download "
            "the preset again."
        )
    return value


def read_optional(folder, name):
    """The JSON object in `folder/name`, or {} when there is no such file."""
    path = os.path.join(folder, name)
    return read_json(path) if os.path.exists(path) else {}


def check_files(folder):
    """Checks that the weights which config.json needs are there and are HDF5 files.

    Raises:
        PresetError: a file is missing, or is a stub (Git LFS pointer) or cut at its start.
    """
    names = [WEIGHTS]
    if not os.path.exists(os.path.join(folder, WEIGHTS)):
        if not os.path.exists(os.path.join(folder, SHARDS)):
            raise PresetError(
                f"The preset in {folder} has a {CONFIG} but no {WEIGHTS}; save it again with "
                "save_to_preset, or copy the whole folder."
            )
        names = sorted(_shards(folder, SHARDS))
    names += [name for name in ("task.weights.h5",) if os.path.exists(os.path.join(folder, name))]
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            raise PresetError(
                f"The preset in {folder} lacks {name}, which its {SHARDS} names; copy or "
                "download the whole folder again."
            )
        with open(path, "rb") as file:
            start = file.read(len(_HDF5))
        if start != _HDF5:
            raise PresetError(
                f"Expected an HDF5 file, but {path} ({os.path.getsize(path)} bytes) starts "
                "otherwise; it is damaged or a Git LFS pointer, so fetch the preset again."
            )


def check_config(folder):
    """Checks that a preset names no class but those of keras_vssl, keras_hub and Keras.

    config.json and task.json say by name which classes are built. A preset from elsewhere could
    name a layer that carries code (`Lambda`), or a function of any installed module. This
    looks at every name in both files, without importing anything. A class that the running
    program has itself registered with `keras.saving.register_keras_serializable` is accepted.

    Args:
        folder: str, the preset's folder.

    Raises:
        PresetError: the first name that isn't allowed, and in which file.
    """
    for name in (CONFIG, TASK):
        path = os.path.join(folder, name)
        if name == TASK and not os.path.exists(path):
            continue
        config = read_json(path)
        if not isinstance(config.get("class_name"), str) or not isinstance(
            config.get("config"), dict
        ):
            raise PresetError(
                f"Expected {path} to name a class and its config as Keras writes them, got the "
                f"keys {', '.join(sorted(config)[:6]) or 'none'}; is it a preset of keras_hub's "
                "format?"
            )
        _check_names(config, path)
    for name in (SHARDS, "task.weights.json"):
        if os.path.exists(os.path.join(folder, name)):
            _shards(folder, name)


def _check_names(value, path):
    """Walks nested dicts and lists without recursion, so that depth can't exhaust the stack."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                _check_name(value, path)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _check_name(config, path):
    name, module = config.get("class_name"), config.get("module")
    registered = config.get("registered_name")
    for entry in (name, module, registered):
        if entry is not None and not isinstance(entry, str):
            raise PresetError(
                f"Expected names in {path}, got {str(entry)[:60]!r}; the file is damaged."
            )
    bare = (registered or name or "").split(">")[-1]
    if name in _CODE or bare in _CODE:
        raise PresetError(
            f"{path} asks for a {name} layer, which runs code that the preset brings; presets "
            "hold weights and settings only, so this one isn't loaded."
        )
    package = registered.split(">")[0] if registered and ">" in registered else None
    trusted_module = module is None or module == "builtins" or _is_trusted_module(module)
    trusted_package = package is None or package in _TRUSTED
    # A bare name without a module is looked up among Keras' own and registered names only.
    if trusted_module and trusted_package:
        return
    if registered and _is_registered(registered):
        return
    raise PresetError(
        f"{path} names {registered or name} of {module or package}, which is not a class of "
        f"{', '.join(_TRUSTED[:-1])} or {_TRUSTED[-1]}; if it is your own, import the module "
        "that registers it before loading, otherwise don't load this preset."
    )


def _is_trusted_module(module):
    root = module.split(".")[0]
    return root in ("keras_vssl", "keras_hub") or _KERAS.fullmatch(module) is not None


def _is_registered(name):
    """Whether the running program registered this class; without Keras loaded, it did not."""
    keras = sys.modules.get("keras")
    saving = getattr(keras, "saving", None)
    return saving is not None and saving.get_registered_object(name) is not None


def _shards(folder, index):
    """The file names that an index of sharded weights refers to."""
    path = os.path.join(folder, index)
    table = read_json(path).get("weight_map")
    names = set()
    for value in table.values() if isinstance(table, dict) else [table]:
        names.update(value if isinstance(value, list) else [value])
    for name in names:
        if not isinstance(name, str) or not _SHARD.fullmatch(name):
            raise PresetError(
                f"{path} refers to {str(name)[:60]!r}, which is not the name of a weights file "
                "of this preset; don't load it."
            )
    return names


def describe(folder):
    """What a preset's files say of it, without importing Keras.

    Args:
        folder: str, a preset's folder (see `resolve`).

    Returns:
        dict with "backbone" and "task" (class names, task None for a bare backbone),
        "parameters" (int or None), "clip" (dict or None: frames, stride, resize, size), "method",
        "data", "licence" and "description" (str or None).
    """
    config = read_json(os.path.join(folder, CONFIG))
    task = read_optional(folder, TASK)
    metadata = read_optional(folder, "metadata.json")
    record = read_optional(folder, "record.json")
    provenance = read_optional(folder, "provenance.json")
    data = record.get("data")
    method = record.get("method") or provenance.get("method")
    return {
        "backbone": config.get("class_name"),
        "task": task.get("class_name"),
        "parameters": metadata.get("parameter_count"),
        "clip": (config.get("config") or {}).get("clip"),
        "method": method,
        "data": data.get("name") if isinstance(data, dict) else data,
        "licence": record.get("licence") or provenance.get("licence"),
        "description": record.get("description") or provenance.get("description"),
    }
