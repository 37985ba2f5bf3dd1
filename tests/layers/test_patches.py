"""Cubes are cut, put back and embedded in the published order."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import TokenMap, TubeletEmbedding
from keras_vssl.layers.patches import grid_of, patchify, unpatchify
from tests import backends

CLIPS = np.random.default_rng(0).normal(size=(2, 4, 6, 8, 3)).astype("float32")
PATCH = (2, 3, 4)


@pytest.mark.parametrize("jit", [False, True])
def test_tokens_are_time_major_and_channels_fastest(jit):
    cubes = backends.run(lambda x: patchify(x, PATCH), CLIPS, jit=jit)
    assert cubes.shape == (2, 8, 72)
    for token, (t, r, c) in enumerate(np.ndindex(2, 2, 2)):
        cube = CLIPS[:, 2 * t : 2 * t + 2, 3 * r : 3 * r + 3, 4 * c : 4 * c + 4]
        assert np.array_equal(cubes[:, token], cube.reshape(2, -1))
    back = backends.run(lambda x: unpatchify(x, (2, 2, 2), PATCH), cubes, jit=jit)
    assert np.array_equal(back, CLIPS)


def test_the_embedding_is_a_strided_convolution():
    layer = TubeletEmbedding(5, PATCH)
    layer.build(CLIPS.shape)
    kernel, bias = layer.get_weights()
    want = keras.ops.conv(
        CLIPS, kernel.reshape(*PATCH, 3, 5), strides=PATCH, data_format="channels_last"
    )
    got = backends.run(layer, CLIPS)
    assert np.abs(got - backends.to_numpy(want).reshape(2, 8, 5) - bias).max() < 1e-5
    assert layer.compute_output_shape(CLIPS.shape) == (2, 8, 5)
    assert np.abs(kernel).max() <= 1 / np.sqrt(72), "PyTorch's bound"
    copy = TubeletEmbedding.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def test_the_map_leaves_the_class_token_out():
    tokens = np.arange(2 * 9 * 1, dtype="float32").reshape(2, 9, 1)
    found = backends.run(TokenMap((2, 2, 2), first=1), tokens)
    assert found.shape == (2, 2, 2, 2, 1)
    assert np.array_equal(found.reshape(2, 8), tokens[:, 1:, 0])


def test_a_clip_that_cubes_do_not_fill_is_refused():
    assert grid_of((16, 224, 224), (2, 16, 16)) == (8, 14, 14)
    with pytest.raises(ValueError, match="choose multiples"):
        grid_of((16, 224, 225), (2, 16, 16))
