"""An inflated image network sees a still video as the image network sees the image."""

import keras
import keras_hub
import numpy as np
import pytest

import keras_vssl as kv
from tests import contract

RANDOM = np.random.default_rng(0)
FRAMES = 9


def part_of(model, layer):
    return keras.Model(model.input, model.get_layer(layer).output)


def resnet():
    model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(40, 40, 3))
    return part_of(model, "conv2_block2_out")


def mobilenet():  # depthwise convolutions, a size that is odd
    model = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(33, 33, 3), alpha=0.35
    )
    return part_of(model, "block_2_add")


def efficientnet():  # channel attention, rescaling and normalisation inside
    model = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    return part_of(model, "block2b_add")


def hub_resnet():
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[8],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 8],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="bottleneck_block",
        image_shape=(None, None, 3),
    )


NETWORKS = {f.__name__: f for f in (resnet, mobilenet, efficientnet, hub_resnet)}


def randomized(model):
    """Weights in which nothing is 0 or 1, running statistics included."""
    for weight in model.weights:
        if "float" not in keras.backend.standardize_dtype(weight.dtype):
            continue
        values = 0.05 * RANDOM.normal(size=weight.shape)
        if "variance" in weight.path or "gamma" in weight.path:
            values = 1.0 + np.abs(values)
        elif "kernel" in weight.path:
            values = RANDOM.normal(size=weight.shape) / np.sqrt(np.prod(weight.shape[:-1]))
        weight.assign(values)
    return model


def image_for(model):
    shape = [size or 36 for size in model.inputs[0].shape[1:]]
    return RANDOM.uniform(size=(1, *shape)).astype("float32")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_still_video_gives_the_images_output_away_from_the_ends(name):
    model = randomized(NETWORKS[name]())
    image = image_for(model)
    expected = contract.outputs(model, image)
    video = np.repeat(image[:, None], FRAMES, axis=1)

    alone = contract.outputs(kv.backbones.inflate(model, temporal_kernel=1), video)
    bound = 1e-5 * np.abs(expected).max()
    assert alone.shape == (1, FRAMES, *expected.shape[1:])
    assert np.abs(alone - expected[:, None]).max() < bound

    seen = contract.outputs(kv.backbones.inflate(model, temporal_kernel=3), video)
    assert np.abs(seen[:, FRAMES // 2] - expected).max() < bound
    # The ends see frames of zeros: a network that ignored its neighbours would not.
    assert np.abs(seen[:, 0] - expected).max() > 10 * bound


def test_the_default_is_i3ds_rule_and_a_stride_in_time_shortens():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 5, padding="same", name="five")(image)
    x = keras.layers.Conv2D(4, 1, name="one")(x)
    model = randomized(keras.Model(image, keras.layers.MaxPooling2D(2, name="pool")(x)))
    inflated = kv.backbones.inflate(model, temporal_strides={"five": 2, "pool": 2})
    assert tuple(inflated.get_layer("five").kernel.shape) == (5, 5, 5, 3, 4)
    assert tuple(inflated.get_layer("one").kernel.shape) == (1, 1, 1, 4, 4)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(inflated.get_layer("five").kernel)[2] * 5,
        keras.ops.convert_to_numpy(model.get_layer("five").kernel),
        rtol=1e-6,
    )
    assert inflated(np.zeros((1, 8, 8, 8, 3), "float32")).shape == (1, 2, 4, 4, 4)


@pytest.mark.parametrize("wrap", [kv.backbones.inflate, kv.backbones.FrameWise])
@pytest.mark.parametrize("name", ["mobilenet", "hub_resnet"])
def test_a_preset_brings_the_network_back(tmp_path, wrap, name):
    model = randomized(NETWORKS[name]())
    backbone = wrap(model, mean=[0.5] * 3, std=[0.5] * 3, clip={"frames": 4})
    size = model.inputs[0].shape[1] or 36
    clips = RANDOM.integers(0, 256, (2, 3, size, size, 3), dtype="uint8")
    expected = contract.outputs(backbone, clips)
    scaled = ((clips / 255.0 - 0.5) / 0.5).astype("float32")
    np.testing.assert_allclose(contract.outputs(backbone, scaled), expected, atol=1e-4)
    backbone.save_to_preset(tmp_path / "preset")
    loaded = kv.backbones.VideoBackbone.from_preset(str(tmp_path / "preset"))
    assert type(loaded) is type(backbone) and loaded.clip == backbone.clip
    np.testing.assert_allclose(contract.outputs(loaded, clips), expected, atol=1e-5)


def test_frames_are_seen_by_themselves():
    model = randomized(mobilenet())
    backbone = kv.backbones.FrameWise(model)
    assert backbone.clip["size"] == 33
    frames = RANDOM.uniform(size=(2, 3, 33, 33, 3)).astype("float32")
    expected = contract.outputs(model, frames.reshape(6, 33, 33, 3))
    got = contract.outputs(backbone, frames)
    np.testing.assert_allclose(got.reshape(expected.shape), expected, atol=1e-5)


def test_it_trains():
    image = keras.Input((8, 8, 3))
    x = keras.layers.DepthwiseConv2D(3, padding="same")(image)
    model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same")(x))
    backbone = kv.backbones.inflate(model, clip=contract.CLIP)
    task = kv.downstream.VideoClassifier(backbone, num_classes=2)
    task.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = backbone.get_weights()
    task.fit(
        RANDOM.integers(0, 256, (4, 1, 4, 8, 8, 3), dtype="uint8"), np.arange(4) % 2, verbose=0
    )
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, backbone.get_weights()))


def test_what_can_not_be_inflated_is_named():
    image = keras.Input((8, 8, 3))
    transposed = keras.layers.Conv2DTranspose(4, 3, name="grow")(image)
    with pytest.raises(ValueError, match=r"grow \(Conv2DTranspose\) has no counterpart"):
        kv.backbones.inflate(keras.Model(image, transposed))
    with pytest.raises(ValueError, match="include_top=False"):
        kv.backbones.inflate(keras.Model(image, keras.layers.Flatten()(image)))
    with pytest.raises(ValueError, match="no layer conv9"):
        kv.backbones.inflate(resnet(), temporal_kernels={"conv9": 3})
    with pytest.raises(ValueError, match="functional Keras image model"):
        kv.backbones.FrameWise(keras.layers.Dense(3))
