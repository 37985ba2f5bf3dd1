"""Packages whose names are imported when they are first used."""

import gc
import importlib
import sys


def load(module):
    """`importlib.import_module`, with no garbage collection meanwhile.

    A framework is a million objects that stay: walking over them again and again while they come
    into being takes a sixth of the import of Keras, TensorFlow and KerasHub.
    """
    if module in sys.modules or not gc.isenabled():
        return importlib.import_module(module)
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.enable()


def exports(package, names, modules=()):
    """What a package's `__init__` needs to import nothing until it is asked.

    Args:
        package: str, the package's `__name__`.
        names: dict of public name to the submodule that defines it, `"queue"`.
        modules: submodules that are public themselves.

    Returns:
        `(__getattr__, __dir__, __all__)` for the package (PEP 562).

    Example:

    ```python
    __getattr__, __dir__, __all__ = lazy.exports(__name__, {"MemoryQueue": "queue"})
    ```
    """

    def __getattr__(name):
        if name in names:
            return getattr(load(f"{package}.{names[name]}"), name)
        if name in modules:
            return load(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    public = [*names, *modules]
    return __getattr__, lambda: sorted(public), public
