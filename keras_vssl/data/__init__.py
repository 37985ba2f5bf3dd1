"""What exists (Videos), which pieces of it (samplers), exactly those (reader), in batches (pipeline)."""

import importlib

_NAMES = {
    "AudioSpan": "plans",
    "BatchSequence": "pipeline",
    "Clips": "samplers",
    "ConsecutiveClips": "samplers",
    "Plan": "plans",
    "ReadError": "reader",
    "Sampler": "samplers",
    "Samples": "samples",
    "Spatial": "plans",
    "VideoInfo": "reader",
    "VideoReader": "reader",
    "Videos": "videos",
    "View": "plans",
    "iterate_plans": "pipeline",
    "plan_rng": "plans",
    "probe_file": "probe",
    "probe_files": "probe",
    "read_plan": "reader",
    "tf_dataset": "pipeline",
}
_MODULES = (
    "layouts",
    "pipeline",
    "plans",
    "probe",
    "reader",
    "samplers",
    "samples",
    "synthetic",
    "videos",
)

__all__ = [*_NAMES, *_MODULES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"keras_vssl.data.{_NAMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"keras_vssl.data.{name}")
    raise AttributeError(f"module 'keras_vssl.data' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
