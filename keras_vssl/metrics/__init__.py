"""Scores of predictions, and what embeddings look like."""

from keras_vssl import lazy

_MODULES = {
    "FoundBoxes": "detection",
    "NormalCodebook": "normals",
    "TrueBoxes": "detection",
    "alignment": "embeddings",
    "angular_errors": "normals",
    "average_precision": "detection",
    "box_overlaps": "detection",
    "coco_detection": "detection",
    "auc_judd": "saliency",
    "confusion_matrix": "accuracy",
    "correlation": "saliency",
    "feature_std": "embeddings",
    "head_lengths": "pose",
    "mean_average_precision": "detection",
    "normal_scores": "normals",
    "pck": "pose",
    "pck_auc": "pose",
    "kl_divergence": "saliency",
    "normalized_scanpath_saliency": "saliency",
    "similarity": "saliency",
    "top_k_accuracy": "accuracy",
    "torso_lengths": "pose",
    "uniformity": "embeddings",
    "voc_detection": "detection",
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _MODULES)
