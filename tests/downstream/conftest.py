"""A tiny network and a tiny data set."""

import pytest


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """24 videos of 3 motion classes in 6 groups, 32 pixels square, 20 frames."""
    from keras_vssl.data import Videos, synthetic

    root = tmp_path_factory.mktemp("motion") / "clips"
    synthetic.write(root, videos=24, classes=3, frames=20, size=32, workers=2)
    return Videos.from_folder(root).probe(progress=False, cache=False)


@pytest.fixture
def backbone():
    """R3D of width 4 for clips of 8 frames of 32 pixels."""
    import keras

    from keras_vssl.backbones import R3D

    keras.utils.set_random_seed(0)
    clip = {"frames": 8, "stride": 1, "resize": [32, 32], "size": 32}
    return R3D(width=4, blocks=[1, 1, 1, 1], clip=clip, dtype="float32")
