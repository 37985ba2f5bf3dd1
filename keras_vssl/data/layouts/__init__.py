"""Official layouts and split files of the data sets the papers use."""

from keras_vssl.data.layouts.hmdb51 import hmdb51
from keras_vssl.data.layouts.ucf101 import ucf101

__all__ = ["hmdb51", "ucf101"]
