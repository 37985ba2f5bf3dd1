"""Methods: a backbone, a sampler, heads and a loss, ready to fit. One file a method."""

import importlib

# Where each method lives; importing the package imports none of them.
_NAMES = {
    "AVTS": "keras_vssl.tasks.cross_modal.avts",
    "CVRL": "keras_vssl.tasks.contrastive.cvrl",
    "JointEmbedding": "keras_vssl.tasks.joint_embedding",
    "MaCLR": "keras_vssl.tasks.contrastive.modist",
    "MoDist": "keras_vssl.tasks.contrastive.modist",
    "Recipe": "keras_vssl.tasks.task",
    "Task": "keras_vssl.tasks.task",
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
}

__all__ = ["METHODS", *_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'keras_vssl.tasks' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
