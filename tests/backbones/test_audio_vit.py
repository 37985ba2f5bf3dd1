"""AST and AudioMAE: counts, orientation, positions, and a network that sees a part of the patches."""

import tempfile

import keras
import numpy as np
import pytest
from keras import ops

from keras_vssl.backbones import AudioBackbone, AudioViT
from keras_vssl.layers import LogMelSpectrogram, visible_patches
from keras_vssl.layers.masking import scatter_tokens
from keras_vssl.losses.pixels import masked_mse
from tests import backends

AST = {
    "stride": 10,
    "extra_tokens": 2,
    "positions": "learned",
    "frequency_major": True,
    "pooling": "tokens",
    "front_end": "ast",
}


def small(seed=0, **options):
    keras.utils.set_random_seed(seed)
    options = {"frames": 48, "bands": 32, "width": 16, "depth": 2, "heads": 2, **options}
    return AudioViT(**options)


def spectrogram(frames=48, bands=32, seed=0):
    return np.random.default_rng(seed).normal(size=(2, frames, bands)).astype("float32")


def array(tensor):
    return backends.to_numpy(tensor)


def check_ten_seconds_are_1024_rows_and_silence_is_finite():
    front_end = LogMelSpectrogram.from_name("audiomae")
    assert LogMelSpectrogram.from_name("audiomae", frames=None).count(160000) == 998
    silence = array(front_end(np.zeros((1, 160000), "float32")))
    assert silence.shape == (1, 1024, 128) and np.isfinite(silence).all()
    backbone = AudioViT(width=8, depth=1, heads=1)
    assert array(backbone(np.zeros((1, 160000), "float32"))).shape == (1, 64, 8, 8)


def check_waveforms_spectrograms_and_endpoints_agree():
    for options in ({}, AST):
        backbone = small(**options)
        wave = np.random.default_rng(0).uniform(-1, 1, (2, 8000)).astype("float32")
        picture = backbone.front_end(wave)
        assert tuple(picture.shape) == (2, 48, 32)
        features = array(backbone(wave))
        assert features.shape == (2, *backbone.grid, 16)
        assert np.array_equal(features, array(backbone(picture)))
        inner = {name: array(backbone.endpoint(name)(wave)) for name in backbone.endpoints}
        extra = backbone.extra_tokens
        patches = inner["tokens"][:, extra:]
        if backbone.frequency_major:
            patches = patches.reshape(2, *backbone.grid[::-1], 16).swapaxes(1, 2)
        assert np.array_equal(inner["map"], patches.reshape(features.shape))
        part = inner["tokens"][:, :extra] if options else inner["tokens"][:, extra:]
        assert np.allclose(inner["pooled"], part.mean(axis=1), atol=1e-6)
        assert list(inner) == ["patches", "block1", "block2", "tokens", "pooled", "map"]


def check_a_part_of_the_patches(jit):
    for options in ({}, AST):
        backbone = small(**options)
        x = spectrogram()
        count = backbone.grid[0] * backbone.grid[1]

        def encode(x, keep, backbone=backbone):
            return backbone.encode_tokens(backbone.embed_tokens(x, keep))

        everything = np.tile(np.arange(count, dtype="int32"), (2, 1))
        whole = array(backbone.endpoint("tokens")(x))
        assert np.allclose(backends.run(encode, x, everything, jit=jit), whole, atol=1e-5)
        keep = array(visible_patches(2, count, 0.5, seed=1))
        seen = backends.run(encode, x, keep, jit=jit)
        assert seen.shape == (2, backbone.extra_tokens + count // 2, 16)
        assert not np.allclose(seen[:, 0], whole[:, 0], atol=1e-3), "what is hidden is missed"
        # Another order of the patches is another order of their tokens, and nothing else.
        turned = backends.run(encode, x, keep[:, ::-1].copy(), jit=jit)
        extra = backbone.extra_tokens
        assert np.allclose(turned[:, extra:][:, ::-1], seen[:, extra:], atol=1e-5)
        assert np.allclose(turned[:, :extra], seen[:, :extra], atol=1e-5)


def check_hidden_patches_have_no_influence():
    backbone, x = small(), spectrogram()
    keep = np.array([[0, 3], [5, 1]], "int32")
    hidden = np.ones((2, 3, 2), bool)
    hidden.reshape(2, -1)[[[0], [1]], keep] = False
    changed = x + 3.0 * hidden.repeat(16, axis=1).repeat(16, axis=2)
    encoded = [
        array(backbone.encode_tokens(backbone.embed_tokens(v.astype("float32"), keep)))
        for v in (x, changed)
    ]
    assert np.array_equal(*encoded)
    assert not np.allclose(array(backbone(x)), array(backbone(changed)), atol=1e-2)


def check_presets_and_precision():
    for options in ({}, AST, {"final_norm": False, "mlp_width": 24, "drop_path": 0.1}):
        backbone = small(**options)
        wave = np.random.default_rng(0).uniform(-1, 1, (2, 8000)).astype("float32")
        want = array(backbone(wave))
        with tempfile.TemporaryDirectory() as folder:
            backbone.save_to_preset(f"{folder}/preset")
            loaded = AudioBackbone.from_preset(f"{folder}/preset")
        assert loaded.get_config() == backbone.get_config()
        assert np.allclose(array(loaded(wave)), want, atol=1e-5)
        half = small(dtype="mixed_bfloat16", **options)
        half.set_weights(backbone.get_weights())
        assert np.abs(array(half(wave)) - want).max() < 0.05 * np.abs(want).max()


def check_gradients_reach_all_that_is_trained():
    backbone = small()
    assert len(backbone.non_trainable_weights) == 1, "the table"
    model = keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D()])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    before = [array(w) for w in backbone.trainable_weights]
    table = array(backbone.get_layer("token_embedding").table)
    model.train_on_batch(spectrogram(), np.ones((2, 16), "float32"))
    after = [array(w) for w in backbone.trainable_weights]
    assert all((a != b).any() for a, b in zip(after, before))
    assert np.array_equal(array(backbone.get_layer("token_embedding").table), table)


CHECKS = [v for k, v in list(globals().items()) if k.startswith("check_") and "part" not in k]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__[6:])
def test_audio_vit(check):
    check()


@pytest.mark.parametrize("jit", [False, True])
def test_tokens_of_a_part_of_the_patches(jit):
    check_a_part_of_the_patches(jit)


def test_the_published_token_counts():
    tiny = {"width": 8, "depth": 1, "heads": 1}
    ast = AudioViT.from_preset("ast_base", **tiny)
    assert ast.endpoints["tokens"].shape[1] == 1214 and ast.grid == (101, 12)
    mae = AudioViT.from_preset("audio_vit_base", **tiny)
    assert mae.endpoints["tokens"].shape[1] == 513 and mae.grid == (64, 8)


@pytest.mark.parametrize("positions", ["sine_cosine", "sine_cosine_turned"])
def test_the_fixed_table_tells_the_column_in_its_first_half(positions):
    backbone = AudioViT(width=16, depth=1, heads=1, positions=positions)
    table = array(backbone.get_layer("token_embedding").table)
    assert table.shape == (513, 16) and not table[0].any()
    # Rows 1 and 2: the same time, neighbouring bands.
    assert not np.allclose(table[1, :8], table[2, :8]) and np.array_equal(
        table[1, 8:], table[2, 8:]
    )
    assert len(np.unique(table.round(5), axis=0)) == 513, "every place has its own"
    # A step in time, eight patches on, keeps the band.
    same_band = np.array_equal(table[1, :8], table[9, :8])
    assert same_band == (positions == "sine_cosine")


def test_102_of_512_patches_stay_and_only_hidden_ones_count():
    keep = visible_patches(2, 512, 0.8, seed=0)
    assert keep.shape == (2, 102) and all(len(set(row)) == 102 for row in array(keep))
    hidden = scatter_tokens(ops.ones((2, 512, 1)), keep, ops.zeros((2, 102, 1)))[..., 0]
    assert array(hidden).sum(axis=1).tolist() == [410, 410]
    rng = np.random.default_rng(0)
    prediction, target = rng.normal(size=(2, 2, 512, 4)).astype("float32")
    visible = 1.0 - array(hidden)[..., None]
    loss = array(masked_mse(prediction, target, hidden))
    assert np.allclose(loss, array(masked_mse(prediction + 9 * visible, target, hidden)))
    assert (array(masked_mse(prediction + 9 * (1 - visible), target, hidden)) > 10 * loss).all()


def test_sound_like_audiosets_has_mean_0_and_deviation_half():
    log_mel = np.random.default_rng(0).normal(-4.2677393, 4.5689974, (1024, 128))
    for name in ("audiomae", "ast"):
        front_end = LogMelSpectrogram.from_name(name)
        x = (log_mel - front_end.mean) / front_end.std
        assert abs(x.mean()) < 0.01 and abs(x.std() - 0.5) < 0.01


@pytest.mark.parametrize("options", [{}, AST])
def test_time_and_frequency_are_not_the_same(options):
    backbone = small(frames=32, bands=32, **options)
    x = spectrogram(32, 32)
    features, turned = array(backbone(x)), array(backbone(x.swapaxes(1, 2)))
    assert not np.allclose(features, turned, atol=1e-2)
    assert not np.allclose(features, turned.swapaxes(1, 2), atol=1e-2)


def test_a_sound_in_time_is_where_the_map_has_it():
    for options in ({}, AST):
        backbone = small(depth=0, final_norm=False, **options)
        quiet = np.zeros((1, 48, 32), "float32")
        loud = quiet.copy()
        loud[:, -1] = 5.0  # the last frame, all bands
        moved = np.abs(array(backbone(loud)) - array(backbone(quiet)))[0].max(axis=-1)
        # Patches of 16 at a stride of 10 end at frame 46: the last frames are not seen.
        rows = {2} if not options else set()
        assert set(np.nonzero(moved.max(axis=1))[0]) == rows
        loud = quiet.copy()
        loud[:, :, 0] = 5.0  # the lowest band, all frames
        moved = np.abs(array(backbone(loud)) - array(backbone(quiet)))[0].max(axis=-1)
        assert set(np.nonzero(moved.max(axis=0))[0]) == {0}


@pytest.mark.parametrize(
    "options, words",
    [
        ({"frames": 8}, "at least a patch"),
        ({"pooling": "tokens", "extra_tokens": 0}, "0 extra tokens"),
        ({"pooling": "max"}, "'max'"),
        ({"positions": "rotary"}, "'rotary'"),
        ({"heads": 3}, "divide the width"),
    ],
)
def test_bad_arguments_are_one_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        small(**options)


def main():
    for check in CHECKS:
        check()
    check_a_part_of_the_patches(jit=True)
