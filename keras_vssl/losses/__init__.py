"""Losses: pure functions of tensors, one value a sample."""

from keras_vssl import lazy

_MODULES = {
    "channel_normalized": "pixels",
    "patch_normalized": "pixels",
    "masked_mse": "pixels",
    "cosine_regression": "regression",
    "info_nce": "contrastive",
    "margin_contrastive": "contrastive",
    "multi_positive_nce": "contrastive",
    "nt_xent": "contrastive",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
