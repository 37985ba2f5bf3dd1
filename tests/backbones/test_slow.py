"""The published facts of the Slow networks, plain and dense."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import SlowResNet, VideoBackbone
from keras_vssl.layers import BatchNormalization, Conv3D
from tests.backends import run, to_numpy

BLOCKS = {"slow_r50": (16, 9), "slow_r101": (33, 26), "slow_r152": (50, 39)}


def small(**options):
    return SlowResNet(**{"width": 4, "blocks": (1, 2, 1, 1), "zero_init_last": False, **options})


def clip(frames=5, size=33, batch=1):
    return np.random.RandomState(0).normal(size=(batch, frames, size, size, 3)).astype("float32")


def convolutions(backbone):
    return [layer for layer in backbone.layers if isinstance(layer, Conv3D)]


@pytest.mark.parametrize(
    "name, trainable, total",
    [
        ("slow_r50", 31_634_496, None),
        ("slow_r50_dense", 31_672_128, None),
        ("slow_r50_cvrl", 31_672_128, 31_725_248),
    ],
)
def test_parameter_counts(name, trainable, total):
    backbone = VideoBackbone.from_preset(name)
    assert sum(int(np.prod(w.shape)) for w in backbone.trainable_weights) == trainable
    assert total is None or backbone.count_params() == total


def test_the_published_table_of_r50():
    backbone = VideoBackbone.from_preset("slow_r50", clip_shape=(8, 224, 224, 3))
    shapes = {name: tensor.shape[1:] for name, tensor in backbone.endpoints.items()}
    assert shapes == {
        "stem_conv": (8, 112, 112, 64),
        "stem": (8, 112, 112, 64),
        "stem_pool": (8, 56, 56, 64),
        "layer1": (8, 56, 56, 256),
        "layer2": (8, 28, 28, 512),
        "layer3": (8, 14, 14, 1024),
        "layer4": (8, 7, 7, 2048),
    }
    assert all(not layer.use_bias for layer in convolutions(backbone))
    strided = [layer.name for layer in convolutions(backbone) if layer.strides[1] > 1]
    assert strided == ["stem"] + [
        f"layer{stage}_0_{part}" for stage in (2, 3, 4) for part in ("conv2", "shortcut")
    ]
    norms = [layer for layer in backbone.layers if isinstance(layer, BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_and_how_many_of_them_look_at_time(name):
    backbone = VideoBackbone.from_preset(name, width=2)
    firsts = [c for c in convolutions(backbone) if c.name.endswith("_conv1")]
    assert (len(firsts), sum(c.kernel_size == (3, 1, 1) for c in firsts)) == BLOCKS[name]
    temporal = {c.name.split("_")[0] for c in convolutions(backbone) if c.kernel_size[0] > 1}
    assert temporal == {"layer3", "layer4"}


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 16])
def test_time_is_kept_or_halved_rounding_up_by_the_stem_alone(frames):
    for name, steps in (
        ("slow_r50", frames),
        ("slow_r50_dense", -(-frames // 2)),
        ("slow_r50_cvrl", -(-frames // 2)),
    ):
        backbone = VideoBackbone.from_preset(
            name, width=2, blocks=[1, 1, 1, 1], clip_shape=(frames, 64, 64, 3)
        )
        assert {tensor.shape[1] for tensor in backbone.endpoints.values()} == {steps}


def test_the_width_scales_every_channel_but_the_input():
    narrow, wide = (small(width=width) for width in (4, 12))
    for a, b in zip(narrow.weights, wide.weights):
        is_stem = a.path.startswith("stem/")
        scaled = [3 * n if i >= 3 else n for i, n in enumerate(a.shape)] if len(a.shape) > 1 else []
        if is_stem:
            scaled[3] = 3
        assert list(b.shape) == (scaled or [3 * a.shape[0]])
    assert VideoBackbone.from_preset("slow_r152_2x_cvrl", blocks=[1] * 4).feature_dim == 4096


def test_without_its_residuals_the_network_is_its_shortcuts():
    """The documented start: every block gives relu(shortcut), the identity where there is none."""
    backbone = small(zero_init_last=True)
    gains = [layer.gamma for layer in backbone.layers if layer.name.endswith("_bn3")]
    assert len(gains) == 5 and all(not to_numpy(gain).any() for gain in gains)
    x = to_numpy(keras.Model(backbone.inputs[0], backbone.endpoints["stem_pool"])(clip()))
    for stage, count in enumerate(backbone.blocks, start=1):
        for block in range(count):
            if block == 0:
                x = backbone.get_layer(f"layer{stage}_0_shortcut")(x)
                x = backbone.get_layer(f"layer{stage}_0_shortcut_bn")(x)
            x = np.maximum(to_numpy(x), 0)
    np.testing.assert_allclose(to_numpy(backbone(clip())), x, rtol=1e-5, atol=1e-6)


def test_the_dilated_form_keeps_a_sixteenth_of_the_resolution():
    backbone = small(dilate_last=True, clip_shape=(4, 64, 64, 3))
    assert backbone.endpoints["layer3"].shape == (None, 4, 4, 4, 64)
    assert backbone.endpoints["layer4"].shape == (None, 4, 4, 4, 128)
    conv = backbone.get_layer("layer4_0_conv2")
    assert conv.dilation_rate == (1, 2, 2) and conv.strides == (1, 1, 1)
    plain = small(clip_shape=(4, 64, 64, 3))
    plain.set_weights(backbone.get_weights())  # one checkpoint serves both


def test_temporal_kernels_of_one_make_it_a_network_of_single_frames():
    backbone = small(temporal_kernels=(1, 1, 1, 1))
    x = clip(frames=3)
    alone = np.concatenate([to_numpy(backbone(x[:, t : t + 1])) for t in range(3)], axis=1)
    np.testing.assert_allclose(to_numpy(backbone(x)), alone, rtol=1e-4, atol=1e-5)


def check_paddings():
    """Symmetric and TensorFlow's padding, against zeros put around the clip by hand."""
    x = clip(frames=8, size=32)
    for padding, time, space in (("symmetric", (2, 2), (3, 3)), ("same", (1, 2), (2, 3))):
        backbone = small(stem_kernel=5, stem_stride=2, padding=padding)
        padded = np.pad(x, [(0, 0), time, space, space, (0, 0)])
        kernel = to_numpy(backbone.get_layer("stem").kernel)
        by_hand = ops.conv(padded, kernel, strides=(2, 2, 2), padding="valid")
        got = run(keras.Model(backbone.inputs[0], backbone.endpoints["stem_conv"]), x)
        np.testing.assert_allclose(got, to_numpy(by_hand), rtol=1e-4, atol=1e-5)
        stem, pooled = (
            run(keras.Model(backbone.inputs[0], backbone.endpoints[name]), x)
            for name in ("stem", "stem_pool")
        )
        sides = (1, 1) if padding == "symmetric" else (0, 1)
        around = np.pad(stem, [(0, 0), (0, 0), sides, sides, (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(2, 3))
        np.testing.assert_allclose(pooled, windows[:, :, ::2, ::2].max(axis=(5, 6)))


def check_pixels_and_jit():
    backbone = small(mean=(0.45,) * 3, std=(0.225,) * 3)
    pixels = np.random.RandomState(1).randint(0, 256, (1, 3, 32, 32, 3)).astype("uint8")
    by_hand = ((pixels / 255.0 - 0.45) / 0.225).astype("float32")
    want = run(backbone, by_hand)
    for jit in (False, True):
        np.testing.assert_allclose(run(backbone, pixels, jit=jit), want, rtol=1e-3, atol=1e-4)


def test_the_two_paddings_are_pytorchs_and_tensorflows():
    check_paddings()


def test_pixels_jitted_and_not():
    check_pixels_and_jit()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="of four stages"):
        small(temporal_kernels=(1, 1, 3))
    with pytest.raises(ValueError, match="odd numbers of frames"):
        small(temporal_kernels=(1, 1, 2, 3))
    with pytest.raises(ValueError, match="received 4 and"):
        small(stem_kernel=4)
    with pytest.raises(ValueError, match="padding"):
        small(padding="valid")
    with pytest.raises(ValueError, match="four stages"):
        small(blocks=(3, 4, 6))


def main():
    check_paddings()
    check_pixels_and_jit()
