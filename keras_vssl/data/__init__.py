"""What exists (Videos), which pieces of it (samplers), exactly those (reader), in batches (pipeline)."""

from keras_vssl import lazy

_NAMES = {
    "AudioSpan": "plans",
    "BatchSequence": "pipeline",
    "Clips": "samplers",
    "ConsecutiveClips": "samplers",
    "FlowCache": "flow",
    "Plan": "plans",
    "ReadError": "reader",
    "Sampler": "samplers",
    "Samples": "samples",
    "Spatial": "plans",
    "StridedClip": "samplers",
    "SynchronizedClips": "synchronized",
    "VideoInfo": "reader",
    "VideoReader": "reader",
    "Videos": "videos",
    "View": "plans",
    "Words": "words",
    "VisualMotionClips": "motion",
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

__getattr__, __dir__, __all__ = lazy.exports(__name__, _NAMES, _MODULES)
