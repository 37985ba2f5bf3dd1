"""Presets: found by name, read from a folder or the Hugging Face hub, described, published.

Importing this package loads neither Keras nor the hub's client.
"""

from keras_vssl.hub.card import model_card, write_card
from keras_vssl.hub.errors import PresetError
from keras_vssl.hub.folder import check_config, describe
from keras_vssl.hub.presets import list_presets, resolve
from keras_vssl.hub.upload import upload_preset

__all__ = [
    "PresetError",
    "check_config",
    "describe",
    "list_presets",
    "model_card",
    "resolve",
    "upload_preset",
    "write_card",
]
