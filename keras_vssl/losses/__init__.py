"""Losses: pure functions of tensors, one value a sample."""

from keras_vssl import lazy

_MODULES = {
    "channel_normalized": "pixels",
    "patch_normalized": "pixels",
    "masked_mse": "pixels",
    "motion_weights": "pixels",
    "cosine_regression": "regression",
    "equivariance_accuracy": "equivariance",
    "equivariance_nce": "equivariance",
    "info_nce": "contrastive",
    "margin_contrastive": "contrastive",
    "mine_negatives": "ranking",
    "multi_positive_nce": "contrastive",
    "nt_xent": "contrastive",
    "rank_hard_loss": "ranking",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
