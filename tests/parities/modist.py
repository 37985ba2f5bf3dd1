"""The projection heads of MoDist's two pathways."""

from keras import ops

from keras_vssl.convert import convert
from tests.backends import to_numpy


def outputs(meta, weights, inputs, expected):
    model = convert(weights).model
    pooled = {name: x.mean(axis=(2, 3, 4)) for name, x in inputs.items()}  # N C T H W
    got = model({name: ops.convert_to_tensor(x) for name, x in pooled.items()}, training=False)
    return {name: to_numpy(embedding) for name, embedding in got.items()}
