"""XKD's encoders are read from whole checkpoints and from files of one encoder."""

import numpy as np
import pytest

from keras_vssl.backbones import AudioViT, VideoViT
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import ConvertError, convert, xkd
from tests.backends import to_numpy
from tests.convert.check import check_format

WIDTH = 16
VIDEO = {"trained_shape": (4, 16, 16, 3), "patch": (2, 8, 8), "heads": 2}
AUDIO = {"bands": 8, "patch": (4, 2), "heads": 2}
CLIPS = np.random.default_rng(0).normal(size=(2, 4, 16, 16, 3)).astype("float32")
SOUND = np.random.default_rng(1).normal(size=(2, 12, 8)).astype("float32")


def encoder(part, seed=0, depth=2):
    """One encoder's tensors as the pre-training saves them: 2x2x2 cubes, or 4 x 3 patches."""
    random = np.random.RandomState(seed)
    embed, pixels, places = ("cuboid", 384, 8) if part == "video" else ("patch", 8, 12)
    shapes = {
        "cls_token": (1, 1, WIDTH),
        "enc_pos_embed": (1, places + 1, WIDTH),
        f"{embed}_embed.proj.weight": (WIDTH, pixels),
        f"{embed}_embed.proj.bias": (WIDTH,),
        "encoder_norm.weight": (WIDTH,),
        "encoder_norm.bias": (WIDTH,),
    }
    for index in range(depth):
        block = f"encoder.blocks.{index}"
        for name, shape in {
            "norm1": (WIDTH,),
            "attn.qkv": (3 * WIDTH, WIDTH),
            "attn.proj": (WIDTH, WIDTH),
            "norm2": (WIDTH,),
            "mlp.fc1": (4 * WIDTH, WIDTH),
            "mlp.fc2": (WIDTH, 4 * WIDTH),
        }.items():
            shapes[f"{block}.{name}.weight"] = shape
            if name != "attn.qkv":
                shapes[f"{block}.{name}.bias"] = shape[:1]
    return {name: random.normal(0, 0.2, shape).astype("float32") for name, shape in shapes.items()}


def whole():
    """The method's checkpoint: four encoders, heads, decoders, centres."""
    state = {}
    for number, (tower, part) in enumerate((("vid", "video"), ("aud", "audio"))):
        for role in ("teacher", "student"):
            tensors = encoder(part, seed=10 * number + (role == "student"))
            state |= {f"{tower}_{role}.backbone.{k}": v for k, v in tensors.items()}
            for name in ("mlp.0.weight", "mlp.1.bias", "last_layer.weight_g"):
                state[f"{tower}_{role}.head.{name}"] = np.zeros((2, 2), "float32")
        state |= {f"{tower}_ae.encoder.{k}": v for k, v in tensors.items()}
        for name in ("dec_pos_embed", "mask_token", "decoder.blocks.0.norm1.weight",
                     "mid_proj.weight", "out_proj.bias"):  # fmt: skip
            state[f"{tower}_ae.{name}"] = np.zeros((2, 2), "float32")
    for direction in ("vt2as", "at2vs"):
        state[f"{direction}_ce_loss.center"] = np.zeros((1, 4), "float32")
    return state


def renamed(state):
    """As the evaluation code renames an encoder."""
    names = {"enc_pos_embed": "pos_embed", "encoder_norm": "norm", "cuboid_embed": "patch_embed"}
    out = {}
    for name, array in state.items():
        for old, new in names.items():
            name = name.replace(old, new)
        out[name.replace("encoder.", "")] = array
    return out


def test_a_file_of_the_whole_method_becomes_its_video_teacher(tmp_path):
    model = check_format(
        whole(),
        "xkd",
        tmp_path,
        inputs=CLIPS,
        victim="vid_teacher.backbone.encoder.blocks.1.mlp.fc2.bias",
        **VIDEO,
    )
    assert isinstance(model, VideoViT)
    assert (model.width, model.depth, model.qkv_bias, model.epsilon) == (16, 2, "none", 1e-5)
    assert model.class_token and model.grid == (2, 2, 2)


def test_a_file_of_one_audio_encoder(tmp_path):
    model = check_format(
        encoder("audio"), "xkd", tmp_path, inputs=SOUND, victim="encoder_norm.bias", **AUDIO
    )
    assert isinstance(model, AudioViT)
    assert (model.frames, model.bands, model.grid, model.patch) == (12, 8, (3, 4), (4, 2))
    assert model.front_end.hop == 143 and model.frequency_major


@pytest.mark.parametrize(
    "part, inputs, options", [("video", CLIPS, VIDEO), ("audio", SOUND, AUDIO)]
)
def test_every_naming_is_the_same_network(part, inputs, options):
    state = whole()
    tower = {"video": "vid", "audio": "aud"}[part]
    outputs = {}
    for role in ("teacher", "student"):
        prefix = f"{tower}_{role}.backbone."
        alone = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        models = (
            convert(state, part=part, role=role, **options).model,
            convert(alone, **options).model,
            convert(renamed(alone), part=part, **options).model,
        )
        got = [to_numpy(model(inputs)) for model in models]
        assert np.array_equal(got[0], got[1]) and np.array_equal(got[0], got[2])
        outputs[role] = got[0]
    assert not np.allclose(outputs["teacher"], outputs["student"], atol=1e-2)


def test_cubes_and_patches_are_read_in_the_published_order():
    state = encoder("video")
    model = convert(state, **VIDEO).model
    cube = CLIPS[0, 2:4, 0:8, 8:16].reshape(-1)  # (frame, row, column, channel); token (1, 0, 1)
    want = state["cuboid_embed.proj.weight"] @ cube + state["cuboid_embed.proj.bias"]
    want += state["enc_pos_embed"][0, 1 + 4 + 1]
    got = to_numpy(model.embed_tokens(CLIPS))[0]
    np.testing.assert_allclose(got[1 + 5], want, atol=1e-5)
    np.testing.assert_allclose(
        got[0], state["cls_token"][0, 0] + state["enc_pos_embed"][0, 0], atol=1e-6
    )

    state = encoder("audio")
    model = convert(state, **AUDIO).model
    patch = SOUND[0, 8:12, 2:4].T.reshape(-1)  # (band, time); token (band 1, time 2) of 4 x 3
    want = state["patch_embed.proj.weight"] @ patch + state["patch_embed.proj.bias"]
    want += state["enc_pos_embed"][0, 1 + 3 + 2]
    got = to_numpy(model.embed_tokens(SOUND))[0]
    np.testing.assert_allclose(got[1 + 5], want, atol=1e-5)


@pytest.mark.parametrize(
    "source, target, scales",
    [
        ((8, 7, 7), (2, 6, 6), (2.1 / 8, 6.1 / 7, 6.1 / 7)),
        ((8, 7, 7), (8, 14, 14), (8.1 / 8, 14.1 / 7, 14.1 / 7)),
        ((20, 28), (20, 7), (1.0, 7.1 / 28)),
        ((20, 7), (20, 28), (1.0, 28.1 / 7)),
    ],
)
def test_position_tables_are_interpolated_as_published(source, target, scales):
    torch = pytest.importorskip("torch")
    table = np.random.RandomState(0).normal(size=(1, 1 + int(np.prod(source)), 4))
    got = xkd.resize_table(table.astype("float32"), source, target)
    grid = torch.tensor(table[:, 1:].astype("float32")).reshape(1, *source, 4)
    grid = torch.movedim(grid, -1, 1)
    mode = "bicubic" if len(source) == 2 else "trilinear"
    want = torch.nn.functional.interpolate(grid, scale_factor=scales, mode=mode)
    want = torch.movedim(want, 1, -1).reshape(-1, 4).numpy()
    assert got.shape == (1 + int(np.prod(target)), 4)
    np.testing.assert_allclose(got[1:], want, atol=2e-5)
    np.testing.assert_array_equal(got[0], table[0, 0].astype("float32"))


def test_a_table_of_the_same_grid_is_copied_and_other_inputs_fit():
    state = encoder("video")
    np.testing.assert_array_equal(
        xkd.resize_table(state["enc_pos_embed"], (2, 2, 2), (2, 2, 2)), state["enc_pos_embed"][0]
    )
    model = convert(state, clip_shape=(8, 24, 24, 3), **VIDEO).model
    assert model(np.zeros((1, 8, 24, 24, 3), "float32")).shape == (1, 4, 3, 3, WIDTH)
    model = convert(encoder("audio"), frames=28, **AUDIO).model
    assert model(np.zeros((1, 28, 8), "float32")).shape == (1, 7, 4, WIDTH)


def test_what_does_not_fit_is_one_sentence():
    state = encoder("video")
    with pytest.raises(ConvertError, match="give `patch`"):
        convert(state, heads=2)
    with pytest.raises(ConvertError, match="trained_shape"):
        convert(state, **{**VIDEO, "trained_shape": (4, 16, 24, 3)})
    with pytest.raises(ConvertError, match="do not divide"):
        convert(encoder("audio"), **{**AUDIO, "bands": 10})
    with pytest.raises(ConvertError, match='"teacher" or "student"'):
        convert(state, role="pupil", **VIDEO)
    with pytest.raises(ConvertError, match='"video" or "audio"'):
        convert(state, part="text", **VIDEO)
    with pytest.raises(ConvertError, match="no clip"):
        convert(encoder("audio"), clip={"stride": 1}, **AUDIO)
    stranger = whole() | {"vid_teacher.backbone.encoder.blocks.0.attn.qkv.bias": np.zeros(48)}
    convert(whole(), **VIDEO)
    with pytest.raises(ConvertError, match=r"blocks\.7\.norm3"):
        convert(
            stranger | {"aud_student.backbone.encoder.blocks.7.norm3.bias": np.ones(3)}, **VIDEO
        )


def test_the_presets_have_the_published_token_counts():
    tiny = {"width": 16, "depth": 1, "heads": 2}
    video = VideoViT.from_preset("xkd_video", **tiny)
    assert video.endpoints["norm"].shape[1] == 392 + 1 and video.grid == (8, 7, 7)
    audio = AudioViT.from_preset("xkd_audio", **tiny)
    assert audio.endpoints["tokens"].shape[1] == 560 + 1 and audio.grid == (28, 20)
    local = xkd.resize_table(np.zeros((1, 393, 4), "float32"), (8, 7, 7), (2, 6, 6))
    assert len(local) == 72 + 1
    # Masked: 59 of 392 and 112 of 560 are kept.
    assert round(392 * (1 - 0.85)) == 59 and round(560 * (1 - 0.8)) == 112


def test_the_presets_say_their_true_size():
    for name, pixels, places in (("xkd_video", 3072, 392), ("xkd_audio", 64, 560)):
        block = 4 * 768**2 + 2 * 768 * 3072 + 3072 + 2 * 768 + 4 * 768
        count = 12 * block + pixels * 768 + 768 + (places + 2) * 768 + 2 * 768
        assert f"({count / 1e6:.1f}M parameters)" in ARCHITECTURES[name]["description"]


@pytest.mark.parametrize("variant", ["xkd-full", "xkd-full-mats"])
def test_the_teachers_of_whole_fixtures_attend_as_published(shared, variant):
    """The method's losses are another matter; attention of the class token is the encoders'."""
    from tests.parities import audio_visual_transformers as parities
    from tests.parity import _fixture_module

    meta, weights, inputs, expected = _fixture_module(shared / "goldens").load(
        shared / "goldens" / variant
    )
    weights |= {alias: weights[name] for alias, name in meta["aliases"].items()}
    config = meta["config"]
    heads = config["encoder"]["num_heads"]
    video = convert(
        weights,
        patch=(config["vid_patch_temporal"], *config["vid_patch_spatial"]),
        trained_shape=(config["num_frames"], *config["frame_size"][1:], 3),
        heads=heads,
    ).model
    clips = np.moveaxis(inputs["video_global"], 1, -1)
    got = parities._xkd_arrays(video, clips)["cls_attention"]
    np.testing.assert_allclose(got, expected["global.vattn"], atol=2e-4 * got.max())
    audio = convert(
        weights,
        part="audio",
        patch=config["spec_patch_spatial"][::-1],
        bands=config["spec_size"][0],
        heads=heads,
    ).model
    got = parities._xkd_arrays(audio, inputs["audio_global"][:, 0].swapaxes(1, 2))["cls_attention"]
    np.testing.assert_allclose(got, expected["global.aattn"], atol=2e-4 * got.max())
