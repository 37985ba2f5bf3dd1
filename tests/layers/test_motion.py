"""Motion inputs: frame differences and edges of optical flow, on every back end."""

import keras
import numpy as np
import pytest

from keras_vssl.layers import FlowChannels, FlowEdges, FrameDifference
from tests import backends


def pixels(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (2, frames, 6, 8, 3), dtype=np.uint8)


def flow(seed=0, scale=2.0):
    return np.random.default_rng(seed).normal(0, scale, (2, 3, 6, 8, 2)).astype("float32")


def seen(layer, x):
    plain = backends.run(layer, x)
    assert np.allclose(plain, backends.run(layer, x, jit=True), atol=1e-5)
    return plain


def sobel(plane):
    """Both derivatives of `[H, W]` by the kernels written out, borders repeated."""
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(plane, 1, mode="edge"), (3, 3))
    return [(windows * k).sum(axis=(2, 3)) for k in (kernel, kernel.T)]


def check_a_difference_is_the_mean_over_rgb_in_three_equal_channels_from_0_to_1():
    clips = pixels(5)
    got = seen(FrameDifference(), clips)
    assert got.shape == (2, 4, 6, 8, 3) and got.min() >= 0 and got.max() <= 1
    assert (got[..., :1] == got).all()
    want = np.abs(np.diff(clips.astype("float32"), axis=1)).mean(axis=-1) / 255
    assert np.allclose(got[..., 0], want, atol=1e-6)
    scaled = seen(FrameDifference(), (clips / 255).astype("float32"))
    assert np.allclose(got, scaled, atol=1e-5), "float pixels are in [0, 1] already"
    extremes = np.zeros((1, 2, 2, 2, 3), np.uint8)
    extremes[:, 1] = 255
    assert (seen(FrameDifference(), extremes) == 1).all()


def check_pairs_are_the_differences_of_a_stride():
    clips = pixels(9)
    every = seen(FrameDifference(), clips)[:, ::4]
    pairs = seen(FrameDifference(pairs=True), clips[:, [0, 1, 4, 5]])
    assert np.allclose(pairs, every[:, :2], atol=1e-6)


def check_a_still_video_has_no_difference():
    assert not seen(FrameDifference(), np.repeat(pixels(1), 4, axis=1)).any()


def check_constant_flow_has_no_edges_and_a_moving_patch_has_only_those_of_its_outline():
    still = np.broadcast_to(np.array([3.0, -2.0], "float32"), (1, 2, 9, 9, 2)).copy()
    for of_magnitude in (True, False):
        assert not seen(FlowEdges(of_magnitude), still).any()
    still[:, :, 3:7, 3:7] += 2.0
    edges = seen(FlowEdges(False), still)[0, 0, :, :, 0]
    assert edges[3, 3] > 0 and edges[2, 5] > 0
    assert not edges[4:6, 4:6].any() and not edges[0].any(), "inside and outside nothing changes"


def check_edges_are_the_sobel_gradient_clamped_and_scaled():
    maps = flow()
    plane = np.hypot(maps[1, 2, :, :, 0], maps[1, 2, :, :, 1])
    dx, dy = sobel(plane)
    want = np.minimum(np.hypot(dx, dy), 5.0) / 2.0
    got = seen(FlowEdges(clamp=5.0, scale=2.0), maps)
    assert got.shape == (2, 3, 6, 8, 3) and (got[..., :1] == got).all()
    assert np.allclose(got[1, 2, :, :, 0], want, atol=1e-5)
    assert got.max() == 2.5 and got.min() < 2.5, "some are clamped, some are not"
    parts = [sobel(maps[1, 2, :, :, c]) for c in (0, 1)]
    want = np.minimum(np.sqrt(sum(d**2 for part in parts for d in part)), 50.0)
    got = seen(FlowEdges(False, clamp=50.0, scale=1.0), maps)
    assert np.allclose(got[1, 2, :, :, 0], want, atol=1e-4)


def check_mirrored_flow_has_mirrored_edges_and_u_of_the_other_sign():
    maps = flow()
    mirrored = maps[:, :, :, ::-1] * np.array([-1, 1], "float32")
    for of_magnitude in (True, False):
        layer = FlowEdges(of_magnitude, clamp=100.0)
        assert np.allclose(seen(layer, mirrored), seen(layer, maps)[:, :, :, ::-1], atol=1e-5)
    got, turned = (seen(FlowChannels(100.0, 1.0), x) for x in (maps, mirrored))
    assert np.allclose(turned[:, :, :, ::-1], got * np.array([-1, 1, 1]), atol=1e-6)


def check_flow_channels_are_u_v_and_magnitude():
    maps = np.array([[3.0, -4.0], [-30.0, 0.0]], "float32").reshape(1, 1, 2, 2)
    got = seen(FlowChannels(), maps)[0, 0]
    assert np.allclose(got, [[0.3, -0.4, 0.5], [-1.0, 0.0, 1.0]])


def check_half_precision_flow_is_computed_in_float32():
    maps = flow(scale=0.01)
    layer = FlowEdges(dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(maps).dtype) == "bfloat16"
    full, half = seen(FlowEdges(), maps), backends.run(layer, maps.astype("float16"))
    assert np.abs(full - half).max() < 0.005 * full.max()


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_motion(check):
    check()


@pytest.mark.parametrize(
    "layer", [FrameDifference(True), FlowChannels(5.0, 2.0), FlowEdges(False, 4.0, 3.0)]
)
def test_configs_come_back_and_shapes_are_known(layer):
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == layer.get_config()
    x = pixels(4) if layer.source == "frames" else flow()
    assert layer.compute_output_shape(x.shape) == tuple(layer(x).shape)


def test_wrong_input_is_one_sentence():
    with pytest.raises(ValueError, match="two frames"):
        FrameDifference()(pixels(1))
    with pytest.raises(ValueError, match="even number"):
        FrameDifference(pairs=True)(pixels(3))
    with pytest.raises(ValueError, match="u and v"):
        FlowEdges()(pixels(3))
    with pytest.raises(ValueError, match="clamp above 0"):
        FlowEdges(clamp=0.0)


def main():
    for check in CHECKS:
        check()
