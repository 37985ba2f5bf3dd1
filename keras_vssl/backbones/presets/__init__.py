"""The named architectures: a class, its arguments, one line each. Imports no framework."""

from keras_vssl.backbones.presets import (
    audio_visual,
    caffe,
    frames,
    inception,
    mmv,
    plain,
    residual,
    slow,
    sound,
    speech,
    text,
    video_transformers,
)
from keras_vssl.backbones.presets.shared import KAIMING_FAN_OUT, PYTORCH_DEFAULT  # noqa: F401

# In the order that lists show.
_FAMILIES = (
    plain,
    caffe,
    residual,
    slow,
    inception,
    frames,
    mmv,
    video_transformers,
    audio_visual,
    sound,
    speech,
    text,
)

ARCHITECTURES = {
    name: entry for family in _FAMILIES for name, entry in family.ARCHITECTURES.items()
}
