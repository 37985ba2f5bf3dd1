"""Scores of predictions, in NumPy."""

from keras_vssl.metrics.accuracy import confusion_matrix, top_k_accuracy

__all__ = ["confusion_matrix", "top_k_accuracy"]
