"""Scores of predictions, and what embeddings look like."""

from keras_vssl import lazy

_MODULES = {
    "alignment": "embeddings",
    "confusion_matrix": "accuracy",
    "feature_std": "embeddings",
    "top_k_accuracy": "accuracy",
    "uniformity": "embeddings",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
