"""What a representation is for: embedding, retrieval, probes, fine-tuning, and the floors below."""

from keras_vssl import lazy

_NAMES = {
    "AudioClassifier": "audio_classifier",
    "Evaluation": "results",
    "LinearProbe": "probe",
    "TEST_PROTOCOLS": "classifier",
    "TwoStream": "two_stream",
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
    "audio_classifier",
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

__getattr__, __dir__, __all__ = lazy.exports(__name__, _NAMES, _MODULES)
