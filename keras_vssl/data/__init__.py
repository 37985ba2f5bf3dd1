"""What exists (Videos), which pieces of it (samplers), exactly those (reader), in batches (pipeline)."""

from keras_vssl import lazy

_NAMES = {
    "AudioSpan": "plans",
    "BatchSequence": "pipeline",
    "Clips": "samplers",
    "ConsecutiveClips": "samplers",
    "FlowCache": "flow",
    "MotionProfile": "mining",
    "PatchPairs": "patch_pairs",
    "Plan": "plans",
    "ReadError": "reader",
    "Sampler": "samplers",
    "Samples": "samples",
    "SortedSpeedClips": "speeds",
    "Spatial": "plans",
    "SpeedClips": "speeds",
    "StridedClip": "samplers",
    "TrackCache": "tracking",
    "TrackMiner": "tracking",
    "TrackedPatches": "tracking",
    "make_tracker": "trackers",
    "mine_tracks": "tracking",
    "SynchronizedClips": "synchronized",
    "TransformedClips": "transformed",
    "VideoInfo": "reader",
    "VideoReader": "reader",
    "Videos": "videos",
    "View": "plans",
    "Words": "words",
    "VisualMotionClips": "motion",
    "iterate_plans": "pipeline",
    "plan_rng": "plans",
    "probe_file": "probe",
    "read_pairs": "patch_pairs",
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
