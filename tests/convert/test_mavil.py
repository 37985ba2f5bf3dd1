"""MAViL's checkpoints become either tower, or both with their fusion."""

import numpy as np
import pytest

from keras_vssl.backbones import AudioVisualBackbone, AudioViT, FusionViT, VideoViT
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import ConvertError, convert
from keras_vssl.downstream import AudioClassifier, VideoClassifier
from tests.backends import to_numpy
from tests.convert.check import check_format
from tests.convert.test_audio_vit import Checkpoint

WIDTH = 16
OPTIONS = {"heads": 2, "frames": 8, "bands": 8, "clip_shape": (4, 8, 8, 3)}
CLIPS = np.random.default_rng(0).normal(size=(2, 4, 8, 8, 3)).astype("float32")
SOUND = np.random.default_rng(1).normal(size=(2, 8, 8)).astype("float32")


def checkpoint(fusion=2, fine_tuned=True):
    """4x4 patches of sound, 2x4x4 cubes of video."""
    state = Checkpoint()
    state.layer("patch_embed.proj", WIDTH, 1, 4, 4)
    state.layer("patch_embed_v.proj", WIDTH, 3, 2, 4, 4)
    for suffix, places in (("", 4), ("_v", 8)):
        state.put(f"cls_token{suffix}", 1, 1, WIDTH)
        state.put(f"pos_embed{suffix}", 1, places + 1, WIDTH)
        state.blocks(f"blocks{suffix}", 2, WIDTH)
    state.blocks("blocks_av", fusion, WIDTH)
    heads = ([("av", 2 * WIDTH)] if fusion else [("a", WIDTH), ("v", WIDTH)]) if fine_tuned else []
    for suffix, width in heads:
        state.layer(f"fc_norm_{suffix}", width)
        state.layer(f"head_{suffix}", 5, width)
    return dict(state)


def test_a_file_becomes_the_video_network_unless_told(tmp_path):
    model = check_format(
        checkpoint(), "mavil", tmp_path, inputs=CLIPS, victim="blocks_v.1.norm2.bias", **OPTIONS
    )
    assert isinstance(model, VideoViT) and model.qkv_bias == "all" and not model.final_norm
    assert model.grid == (2, 2, 2) and model.class_token


def test_the_sound_of_a_file(tmp_path):
    model = check_format(
        checkpoint(),
        "mavil",
        tmp_path,
        inputs=SOUND,
        victim="blocks.1.norm2.bias",
        part="audio",
        **OPTIONS,
    )
    assert isinstance(model, AudioViT) and model.grid == (2, 2)


def test_both_with_their_fusion(tmp_path, fusion=3):
    pair = {"clips": CLIPS, "audio": SOUND}
    model = check_format(
        checkpoint(fusion),
        "mavil",
        tmp_path,
        inputs=pair,
        victim="fc_norm_av.bias",
        part="both",
        **OPTIONS,
    )
    assert isinstance(model, FusionViT) and model.fusion == fusion
    assert model(pair).shape == (2, 5)
    plain = convert(checkpoint(fusion), part="both", backbone_only=True, **OPTIONS).model
    assert plain(pair).shape == (2, 2 * WIDTH) and plain.feature_dim == 2 * WIDTH
    towers = {
        "audio_tokens": convert(checkpoint(fusion), part="audio", **OPTIONS).model.endpoint(
            "tokens"
        )(SOUND),
        "video_tokens": convert(checkpoint(fusion), **OPTIONS).model.endpoint("block2")(CLIPS),
    }
    for name, tokens in towers.items():
        np.testing.assert_allclose(
            to_numpy(plain.endpoint(name)(pair)), to_numpy(tokens), atol=1e-5
        )
    plain.save_to_preset(tmp_path / "preset")
    again = AudioVisualBackbone.from_preset(str(tmp_path / "preset"))
    assert again.get_config() == plain.get_config()
    np.testing.assert_allclose(to_numpy(again(pair)), to_numpy(plain(pair)), atol=1e-5)


def test_towers_without_a_fusion_keep_their_own_classifiers():
    state = checkpoint(fusion=0)
    audio = convert(state, part="audio", **OPTIONS).model
    assert isinstance(audio, AudioClassifier) and audio(SOUND).shape == (2, 5)
    video = convert(state, **OPTIONS).model
    assert isinstance(video, VideoClassifier) and video(CLIPS[:, None]).shape == (2, 5)
    assert isinstance(convert(state, backbone_only=True, **OPTIONS).model, VideoViT)
    both = convert(state, part="both", **OPTIONS).model
    assert both.fusion == 0 and both({"clips": CLIPS, "audio": SOUND}).shape == (2, 2 * WIDTH)


def test_decoders_are_left_out_and_strangers_are_not():
    state = checkpoint(fine_tuned=False)
    decoder = {"mask_token": np.zeros((1, 1, 8)), "decoder_blocks.0.norm1.bias": np.zeros(8)}
    convert(state | decoder, part="both", **OPTIONS)
    for part in ("video", "audio", "both"):
        with pytest.raises(ConvertError, match=r"blocks_x\.0"):
            convert(state | {"blocks_x.0.norm1.bias": np.zeros(8)}, part=part, **OPTIONS)
    with pytest.raises(ConvertError, match="video, audio, both"):
        convert(state, part="fusion", **OPTIONS)
    with pytest.raises(ConvertError, match="pos_embed_v has 8 cubes"):
        convert(state, **{**OPTIONS, "clip_shape": (8, 8, 8, 3)})


def fused(seed=0, fusion=1):
    import keras

    keras.utils.set_random_seed(seed)
    audio = AudioViT(frames=8, bands=8, patch=4, width=WIDTH, depth=1, heads=2, front_end=None)
    video = VideoViT(
        width=WIDTH, depth=1, heads=2, patch=(2, 4, 4), positions="learned", class_token=True,
        clip_shape=(4, 8, 8, 3), mean=(0.5,) * 3, std=(0.5,) * 3,
    )  # fmt: skip
    return FusionViT(audio, video, fusion=fusion)


def test_another_video_changes_the_sounds_tokens_only_through_the_fusion():
    model = fused()
    pair, other = ({"clips": clips, "audio": SOUND} for clips in (CLIPS, CLIPS[::-1].copy()))
    count = model.endpoints["audio_tokens"].shape[1]
    before, after = (to_numpy(model.endpoint("audio_tokens")(p)) for p in (pair, other))
    assert np.array_equal(before, after)
    before, after = (to_numpy(model.endpoint("fusion1")(p))[:, :count] for p in (pair, other))
    assert not np.allclose(before, after, atol=1e-3)
    without = fused(fusion=0)
    before, after = (to_numpy(without(p))[:, :WIDTH] for p in (pair, other))
    assert np.array_equal(before, after)


def test_class_tokens_take_no_part_in_the_feature():
    model = fused(fusion=0)
    pair = {"clips": CLIPS, "audio": SOUND}
    tokens = [to_numpy(model.endpoint(name)(pair)) for name in ("audio_tokens", "video_tokens")]
    want = np.concatenate([array[:, 1:].mean(axis=1) for array in tokens], axis=1)
    np.testing.assert_allclose(to_numpy(model(pair)), want, atol=1e-5)
    # uint8 pixels are normalised as the video network says.
    pixels = np.random.default_rng(2).integers(0, 256, CLIPS.shape, dtype=np.uint8)
    scaled = ((pixels / 255.0 - 0.5) / 0.5).astype("float32")
    got = [to_numpy(model({"clips": clips, "audio": SOUND})) for clips in (pixels, scaled)]
    np.testing.assert_allclose(*got, atol=1e-4)


def test_one_input_alone_or_two_widths_are_one_sentence():
    model = fused()
    with pytest.raises(ValueError, match='dict of "clips" and "audio"'):
        model({"clips": CLIPS})
    with pytest.raises(ValueError, match="one width"):
        FusionViT(AudioViT(width=32, depth=1, heads=2), model.video)


def test_the_presets_have_the_published_tokens_and_say_their_size():
    tiny = {"width": 16, "depth": 1, "heads": 2}
    audio = AudioViT.from_preset("mavil_audio", **tiny)
    assert audio.endpoints["tokens"].shape[1] == 512 + 1 and not audio.final_norm
    video = VideoViT.from_preset("mavil_video", **tiny)
    assert video.endpoints["block1"].shape[1] == 784 + 1 and video.grid == (4, 14, 14)
    for name, pixels, places in (("mavil_video", 1536, 784), ("mavil_audio", 256, 512)):
        block = 4 * 768**2 + 4 * 768 + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
        count = 12 * block + pixels * 768 + 768 + (places + 2) * 768
        assert f"({count / 1e6:.1f}M parameters)" in ARCHITECTURES[name]["description"]
