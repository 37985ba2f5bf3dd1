"""Published checkpoints as presets; each source is one file."""

from keras_vssl import lazy

_MODULES = {
    "convert": "conversion",
    "Converted": "conversion",
    "ConvertError": "mapping",
    "read_state_dict": "checkpoint",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
