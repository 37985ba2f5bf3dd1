"""The page that says what a run did: one HTML file, no network, no scripts."""

import importlib

__all__ = ["write", "protocol_table"]

_NAMES = {"write": "page", "protocol_table": "tables"}


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"keras_vssl.report.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'keras_vssl.report' has no attribute {name!r}")
