"""What every backbone promises, for every architecture that is small enough to build here."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import C3D, R3D, AlexNetBN, R2Plus1D, SlowResNet, VideoBackbone

SMALL = {
    "c3d": lambda **kw: C3D(width=4, **kw),
    "c3d_dense": lambda **kw: C3D(
        width=4, batch_normalization=False, dense=8, dense_shape=(1, 2, 2), **kw
    ),
    "r3d": lambda **kw: R3D(width=4, blocks=(1, 1, 1, 1), **kw),
    "r3d_pool": lambda **kw: R3D(width=4, blocks=(1, 2, 1, 1), stem_pool=True, epsilon=1e-3, **kw),
    "mc3": lambda **kw: VideoBackbone.from_preset("mc3_18", width=4, **kw),
    "r2plus1d": lambda **kw: R2Plus1D(width=4, blocks=(1, 1, 1, 1), **kw),
    "r2plus1d_mmaction2": lambda **kw: VideoBackbone.from_preset(
        "r2plus1d_34_mmaction2", width=4, blocks=(1, 1, 1, 1), **kw
    ),
    "slow": lambda **kw: SlowResNet(width=4, blocks=(1, 1, 1, 1), **kw),
    "slow_cvrl": lambda **kw: VideoBackbone.from_preset(
        "slow_r50_cvrl", width=4, blocks=(1, 2, 1, 1), dilate_last=True, **kw
    ),
    "alexnet": lambda **kw: AlexNetBN(width=4, **kw),
}


def pixels(backbone, batch=2):
    shape = (64, 64, 3) if isinstance(backbone, AlexNetBN) else (16, 32, 32, 3)
    return np.random.RandomState(0).randint(0, 256, (batch, *shape)).astype("uint8")


@pytest.fixture(params=SMALL)
def make(request):
    return SMALL[request.param]


def test_features_endpoints_configuration_and_preset(make, tmp_path):
    backbone = make()
    x = pixels(backbone)
    features = ops.convert_to_numpy(backbone(x))
    assert features.shape[0] == 2 and features.shape[-1] == backbone.feature_dim
    assert np.isfinite(features).all()
    last = list(backbone.endpoints)[-1]
    np.testing.assert_allclose(
        ops.convert_to_numpy(backbone.endpoint(last)(x)), features, rtol=1e-5, atol=1e-5
    )
    config = backbone.get_config()
    assert type(backbone).from_config(config).get_config() == config
    folder = tmp_path / "preset"
    backbone.save_to_preset(str(folder))
    again = VideoBackbone.from_preset(str(folder))
    assert type(again) is type(backbone)
    np.testing.assert_allclose(ops.convert_to_numpy(again(x)), features, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(make, policy):
    backbone = make(dtype=policy)
    features = backbone(pixels(backbone, batch=1), training=True)
    assert keras.backend.standardize_dtype(features.dtype) == policy.removeprefix("mixed_")
    assert np.isfinite(ops.convert_to_numpy(ops.cast(features, "float32"))).all()
    assert {keras.backend.standardize_dtype(w.dtype) for w in backbone.weights} == {"float32"}


def test_pixels_are_scaled_and_normalised_and_floats_are_not():
    backbone = R3D(width=4, blocks=(1, 1, 1, 1), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    x = pixels(backbone)
    by_hand = ((x / 255.0 - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 0.25, 2.0])).astype(
        "float32"
    )
    for model in (backbone, backbone.endpoint("layer1")):
        np.testing.assert_allclose(
            ops.convert_to_numpy(model(x)),
            ops.convert_to_numpy(model(by_hand)),
            rtol=1e-4,
            atol=1e-4,
        )
    np.testing.assert_allclose(
        backbone.predict(x, verbose=0), ops.convert_to_numpy(backbone(x)), rtol=1e-4, atol=1e-4
    )


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="choose one of stem_conv, stem"):
        R3D(width=4).endpoint("conv9")
    with pytest.raises(ValueError, match="received int32"):
        R3D(width=4)(np.zeros((1, 8, 32, 32, 3), "int32"))
    with pytest.raises(ValueError, match="four stages"):
        R3D(blocks=(2, 2))
    with pytest.raises(ValueError, match="midplanes"):
        R2Plus1D(midplanes="paper")
    with pytest.raises(ValueError, match="padding"):
        R3D(padding="valid")
    with pytest.raises(ValueError, match="`clip` takes"):
        R3D(width=4, clip={"fps": 25})
    with pytest.raises(ValueError, match="positive"):
        R3D(width=4, std=(0, 1, 1))
    with pytest.raises(ValueError, match="is a C3D, not a R3D"):
        R3D.from_preset("c3d_nano")


def test_every_layer_starts_from_weights_of_its_own():
    backbone = R3D(width=4)
    first, second = (backbone.get_layer(f"layer1_{i}_conv1").kernel for i in (0, 1))
    assert not np.allclose(ops.convert_to_numpy(first), ops.convert_to_numpy(second))


def test_kaiming_fan_out_is_the_default_of_residual_networks():
    kernel = ops.convert_to_numpy(R3D(width=32).get_layer("layer4_0_conv1").kernel)
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (27 * 256)), rtol=0.02)


NANO = {
    "c3d_nano": (1, 3, 3, 128),
    "r3d_nano": (1, 3, 3, 128),
    "r2plus1d_nano": (1, 3, 3, 128),
    "slow_nano": (8, 2, 2, 512),
    "slow_nano_dense": (4, 2, 2, 512),
}


@pytest.mark.parametrize("name", NANO)
def test_nano_presets_fit_their_clip(name):
    backbone = VideoBackbone.from_preset(name)
    clip = backbone.clip
    x = np.zeros((1, clip["frames"], clip["size"], clip["size"], 3), "uint8")
    assert backbone(x).shape == (1, *NANO[name])
    assert backbone.count_params() < 2e6
