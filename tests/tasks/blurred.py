"""A frame network that knows little more than where the light is, and samples as arrays."""

import keras
import numpy as np

import keras_vssl as kv


def backbone(size=24, width=32):
    """`FrameWise` over a blurred picture of equal brightness and one linear layer."""
    image = keras.Input((size, size, 3))
    x = keras.layers.AveragePooling2D(3)(image)
    # One channel shown in all three is brighter or darker than another.
    x = keras.layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False)(x)
    x = keras.layers.Conv2D(width, size // 3)(x)
    return kv.backbones.FrameWise(keras.Model(image, x))


def drawn(task, videos, seed, draws):
    """`draws` samples of every video: inputs and targets as arrays."""
    samples = kv.data.Samples(videos, task.sampler, seed, cache_bytes=2**30)
    found = [samples(row, epoch) for epoch in range(draws) for row in range(len(samples))]
    inputs = {name: np.stack([data[name] for data, _ in found]) for name in found[0][0]}
    return inputs, np.stack([target for _, target in found])
