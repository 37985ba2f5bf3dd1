"""Methods: a backbone, a sampler, heads and a loss, ready to fit. One file a method."""

from keras_vssl import lazy

# Where each method lives; importing the package imports none of them.
_NAMES = {
    "AVTS": "keras_vssl.tasks.cross_modal.avts",
    "CVRL": "keras_vssl.tasks.contrastive.cvrl",
    "CtP": "keras_vssl.tasks.pretext.ctp",
    "JointEmbedding": "keras_vssl.tasks.joint_embedding",
    "MaCLR": "keras_vssl.tasks.contrastive.modist",
    "MoDist": "keras_vssl.tasks.contrastive.modist",
    "OPN": "keras_vssl.tasks.pretext.opn",
    "OddOneOut": "keras_vssl.tasks.pretext.odd_one_out",
    "PRP": "keras_vssl.tasks.pretext.prp",
    "Pace": "keras_vssl.tasks.pretext.pace",
    "PlaybackSpeed": "keras_vssl.tasks.pretext.playback_speed",
    "PlaybackSpeedClassification": "keras_vssl.tasks.pretext.playback_speed",
    "RSPNet": "keras_vssl.tasks.pretext.rspnet",
    "Recipe": "keras_vssl.tasks.task",
    "ShuffleAndLearn": "keras_vssl.tasks.pretext.shuffle_and_learn",
    "SpeedNet": "keras_vssl.tasks.pretext.speednet",
    "Task": "keras_vssl.tasks.task",
    "TimeEquivariant": "keras_vssl.tasks.pretext.time_equivariant",
    "TrackingTriplet": "keras_vssl.tasks.pretext.tracking_triplet",
    "UltrasoundOrder": "keras_vssl.tasks.pretext.ultrasound_order",
    "VideoMAE": "keras_vssl.tasks.generative.videomae",
    "VCOP": "keras_vssl.tasks.pretext.vcop",
}
# The command line's names of the methods that can be pre-trained.
METHODS = {
    "vcop": "VCOP",
    "cvrl": "CVRL",
    "modist": "MoDist",
    "videomae": "VideoMAE",
    "avts": "AVTS",
    "shuffle_and_learn": "ShuffleAndLearn",
    "opn": "OPN",
    "odd_one_out": "OddOneOut",
    "ultrasound_order": "UltrasoundOrder",
    "speednet": "SpeedNet",
    "pace": "Pace",
    "prp": "PRP",
    "ctp": "CtP",
    "rspnet": "RSPNet",
    "playback_speed": "PlaybackSpeed",
    "playback_speed_classify": "PlaybackSpeedClassification",
    "time_equivariant": "TimeEquivariant",
    "tracking_triplet": "TrackingTriplet",
}

__all__ = ["METHODS", *_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(lazy.load(_NAMES[name]), name)
    raise AttributeError(f"module 'keras_vssl.tasks' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
