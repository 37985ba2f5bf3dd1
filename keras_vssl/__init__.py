"""keras_vssl: a Keras 3 model zoo for learning from video without labels.

Nothing heavy is imported until it is used: `import keras_vssl` loads neither Keras nor a
decoder.
"""

from keras_vssl import lazy

__version__ = "0.1.0"

_MODULES = (
    "backbones",
    "callbacks",
    "convert",
    "data",
    "distribution",
    "downstream",
    "hub",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "report",
    "tasks",
)
_NAMES = {
    "upload_preset": "keras_vssl.hub",
    "list_presets": "keras_vssl.hub",
    "doctor": "keras_vssl.checkup",
}

__all__ = ["__version__", *_MODULES, *_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(lazy.load(_NAMES[name]), name)
    if name in _MODULES:
        return lazy.load(f"keras_vssl.{name}")
    raise AttributeError(f"module 'keras_vssl' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
