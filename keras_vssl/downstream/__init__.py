"""What a representation is for: embedding, retrieval, probes, fine-tuning, and the floors below."""

import importlib

_NAMES = {
    "Evaluation": "results",
    "LinearProbe": "probe",
    "TEST_PROTOCOLS": "classifier",
    "VideoClassifier": "classifier",
    "embed": "embedding",
    "evaluate": "evaluation",
    "knn_accuracy": "knn",
    "knn_scores": "knn",
    "neighbours": "retrieval",
    "retrieval_scores": "retrieval",
    "summary": "results",
}
_MODULES = (
    "classifier",
    "embedding",
    "evaluation",
    "floors",
    "knn",
    "probe",
    "results",
    "retrieval",
    "streaming",
)

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"keras_vssl.downstream.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"keras_vssl.downstream.{name}")
    raise AttributeError(f"module 'keras_vssl.downstream' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
