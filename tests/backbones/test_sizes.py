"""Presets load for inputs of other sizes than those that they were saved for."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AudioViT, FactorisedViT, VideoBackbone, VideoViT
from keras_vssl.layers.positions import resize_table
from tests import backends
from tests.contract import video_vit

CLIP, LONG = (8, 16, 16, 3), (16, 24, 16, 3)
DIVIDED = {"attention": "divided", "class_token": True, "output": "class", "qkv_bias": "all"}


def made(positions, **options):
    keras.utils.set_random_seed(0)
    backbone = video_vit(CLIP, (2, 8, 8), positions=positions, clip={"stride": 1}, **options)
    rng = np.random.default_rng(0)
    backbone.set_weights([rng.normal(0, 0.3, w.shape).astype("float32") for w in backbone.weights])
    return backbone


def weights_of(backbone):
    return {w.path: backends.to_numpy(w) for w in backbone.weights}


@pytest.mark.parametrize(
    "positions, options",
    [
        ("sinusoid", {}),
        ("sine_cosine_3d", {}),
        ("rotary", {"qkv_bias": "all"}),
        ("learned", {"class_token": True}),
        ("space_time", DIVIDED),
    ],
)
def test_a_preset_loads_for_twice_the_frames(positions, options, tmp_path):
    saved = made(positions, **options)
    saved.save_to_preset(tmp_path / "preset")
    loaded = VideoBackbone.from_preset(tmp_path / "preset", clip_shape=LONG)
    assert loaded.grid == (8, 3, 2) and loaded.clip_shape == LONG
    assert loaded.clip == {"frames": 16, "stride": 1, "resize": 16, "size": [24, 16]}
    before, after = weights_of(saved), weights_of(loaded)
    tables = saved.position_tables()
    assert len(tables) == {"learned": 1, "space_time": 2}.get(positions, 0)
    for path, value in before.items():
        if path not in tables:
            assert np.array_equal(after[path], value), path
    if positions == "learned":
        (path,) = tables
        want = resize_table(before[path], (4, 2, 2), (8, 3, 2), 1, ("linear", "cubic", "cubic"))
        assert np.array_equal(after[path], want)
        assert np.array_equal(after[path][0], before[path][0]), "the class token's row"
    if positions == "space_time":
        time = next(path for path in tables if path.endswith("time"))
        assert np.array_equal(after[time], np.repeat(before[time], 2, axis=0))
    clips = np.zeros((1, *LONG), "float32")
    built = VideoViT.from_config(loaded.get_config())
    built.set_weights(loaded.get_weights())
    assert np.array_equal(backends.to_numpy(built(clips)), backends.to_numpy(loaded(clips)))
    again = VideoViT.from_preset(tmp_path / "preset", clip_shape=CLIP)
    for path, value in weights_of(again).items():
        assert np.array_equal(value, before[path]), path


def test_a_preset_of_one_size_alone_changes_nothing_else(tmp_path):
    saved = made("learned")
    saved.save_to_preset(tmp_path / "preset")
    loaded = VideoViT.from_preset(tmp_path / "preset", clip_shape=LONG, mean=[0.5] * 3)
    assert loaded.mean == [0.5] * 3
    random = VideoViT.from_preset(tmp_path / "preset", load_weights=False, clip_shape=LONG)
    path = "block1/attention/qkv/kernel"
    assert not np.array_equal(weights_of(random)[path], weights_of(saved)[path])
    assert np.array_equal(weights_of(loaded)[path], weights_of(saved)[path])


def test_what_is_no_table_can_not_change_its_shape():
    with pytest.raises(ValueError, match=r"patch_embed.*shape \(96, 48\), received \(384, 48\)"):
        video_vit((8, 16, 16, 3), (2, 4, 4)).fit_weights(made("sinusoid"))
    with pytest.raises(ValueError, match="weights of this VideoViT, received"):
        video_vit(CLIP, (2, 8, 8), class_token=True).fit_weights(made("sinusoid"))


def test_a_wrong_clip_is_answered_with_both_shapes():
    backbone = made("learned")
    words = r"shape \(None, 8, 16, 16, 3\), received \(2, 16, 24, 16, 3\).*pass clip_shape="
    clips = np.zeros((2, *LONG), "float32")
    for call in (backbone, backbone.endpoint("block1"), backbone.embed_tokens):
        with pytest.raises(ValueError, match=words):
            call(keras.ops.convert_to_tensor(clips))


def test_a_factorised_preset_fits_space_and_time(tmp_path):
    keras.utils.set_random_seed(0)
    saved = FactorisedViT(48, 1, 3, 1, patch=(2, 8, 8), clip_shape=CLIP)
    saved.save_to_preset(tmp_path / "preset")
    loaded = FactorisedViT.from_preset(tmp_path / "preset", clip_shape=LONG)
    before, after = weights_of(saved), weights_of(loaded)
    name = "time_positions/space"
    assert np.array_equal(after[name], resize_table(before[name], (4,), (8,), 1))
    name = "positions/space"
    assert np.array_equal(after[name], resize_table(before[name], (2, 2), (3, 2), 1, "cubic"))


@pytest.mark.parametrize("positions", ["learned", "sine_cosine"])
@pytest.mark.parametrize("frequency_major", [False, True])
def test_a_network_of_sound_loads_for_other_lengths(positions, frequency_major, tmp_path):
    saved = AudioViT(32, 16, 8, width=24, depth=1, heads=2, positions=positions, front_end=None,
                     frequency_major=frequency_major)  # fmt: skip
    saved.save_to_preset(tmp_path / "preset")
    loaded = AudioViT.from_preset(tmp_path / "preset", frames=64)
    assert loaded.grid == (8, 2)
    path = "token_embedding/table"
    before, got = weights_of(saved)[path], weights_of(loaded)[path]
    if positions == "learned":
        old, new = ((2, 4), (2, 8)) if frequency_major else ((4, 2), (8, 2))
        assert np.array_equal(got, resize_table(before, old, new, 1))
    else:
        fresh = AudioViT.from_config(loaded.get_config())
        assert np.array_equal(got, weights_of(fresh)[path])
    with pytest.raises(ValueError, match="frames= or bands="):
        loaded(np.zeros((1, 32, 16), "float32"))
