"""LAVISH's files: a frozen ViT or Swin V2, its adapters, its classifier."""

import keras
import numpy as np
import pytest

from keras_vssl.backbones import AudioVisualBackbone, LavishSwin, LavishViT, SwinV2, VideoViT
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import ConvertError, convert
from tests.backbones.test_swin import swin_state
from tests.backends import to_numpy
from tests.convert.check import check_format
from tests.convert.test_audio_vit import Checkpoint

RNG = np.random.default_rng(0)
PAIR = {
    "clips": RNG.normal(size=(2, 3, 16, 16, 3)).astype("float32"),
    "audio": RNG.normal(size=(2, 3, 11, 24)).astype("float32"),
}
VIT = {"heads": 2, "clip_shape": (3, 16, 16, 3), "sound_shape": (11, 24)}
SQUARE = {
    "clips": RNG.normal(size=(2, 3, 32, 32, 3)).astype("float32"),
    "audio": RNG.normal(size=(2, 3, 32, 32)).astype("float32"),
}
SWIN = {"clip_shape": (3, 32, 32, 3)}


def adapters(state, widths, gate_tk=False, latents=3, batch_norm=True):
    for stream in ("audio", "vis"):
        for part in (1, 2):
            for index, width in enumerate(widths):
                name = f"{stream}_adapter_blocks_p{part}.{index}"
                state.put(f"{name}.my_tokens", latents, width)
                for gate in ("gate", "gate_av", *(["gate_tk"] if gate_tk else [])):
                    state.put(f"{name}.{gate}", 1)
                state.put(f"{name}.down_sampler.weight", width // 4, width // 2, 1, 1)
                state.put(f"{name}.up_sampler.weight", width, width // 8, 1, 1)
                for norm, size in (("bn1", width // 4), ("bn2", width)) if batch_norm else ():
                    state.layer(f"{name}.{norm}", size)
                    state.put(f"{name}.{norm}.running_mean", size)
                    state[f"{name}.{norm}.running_var"] = np.ones(size, "float32")
                state.layer(f"{name}.ln_before", width)
                state.layer(f"{name}.ln_post", width)


def vit_state(width=16, depth=2, classes=5, **options):
    state = Checkpoint()
    state.put("ViT.v.cls_token", 1, 1, width)
    state.put("ViT.v.pos_embed", 1, 17, width)
    state.layer("ViT.v.patch_embed.proj", width, 3, 4, 4)
    state.blocks("ViT.v.blocks", depth, width)
    state.layer("ViT.v.norm", width)
    state.layer("ViT.v.head", 7, width)
    adapters(state, [width] * depth, **options)
    if classes:
        state.layer("mlp_class", 12, 2 * width)
        state.layer("mlp_class_2", classes, 12)
    return dict(state)


def lavish_swin_state(width=8, classes=5):
    state = Checkpoint()
    state.update(swin_state("swin."))
    adapters(state, [width, 2 * width, 2 * width])
    state.put("adapter_token_downsampler.0.weight", width, width)
    if classes:
        state.layer("mlp_class", 12, 4 * width)
        state.layer("mlp_class_2", classes, 12)
    return dict(state)


def test_a_vits_file(tmp_path):
    model = check_format(
        vit_state(), "lavish", tmp_path, inputs=PAIR,
        victim="audio_adapter_blocks_p2.1.ln_post.bias", **VIT,
    )  # fmt: skip
    assert isinstance(model, LavishViT) and model.classes == 5 and model.hidden == 12
    assert model.adapter["latents"] == 3 and model.adapter["reduction"] == 4
    probabilities = to_numpy(model(PAIR))
    assert probabilities.shape == (2, 3, 5)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0, atol=1e-5)


def test_a_swins_file(tmp_path):
    model = check_format(
        lavish_swin_state(), "lavish", tmp_path, inputs=SQUARE,
        victim="vis_adapter_blocks_p1.2.bn2.bias", **SWIN,
    )  # fmt: skip
    assert isinstance(model, LavishSwin) and model.window == 4 and model.depths == (1, 2)


def test_the_second_version_and_the_segmentation_network():
    both = [convert(vit_state(depth=1, gate_tk=g), **VIT).model for g in (False, True)]
    assert [m.adapter["latent_gate"] for m in both] == [False, True]
    state = vit_state(depth=1, batch_norm=False, classes=None)
    for part in (1, 2):
        del state[f"audio_adapter_blocks_p{part}.0.gate"]
    model = convert(state, form="avs", **VIT).model
    assert model.classes is None and to_numpy(model(PAIR)).shape == (2, 3, 32)
    assert model.adapter["gate_first"] and not model.adapter["norm_before"]
    assert model.adapter["gate"] and not model.audio_adapter["gate"]
    with pytest.raises(ConvertError, match='"ave" or "avs"'):
        convert(state, form="avqa", **VIT)


def test_untrained_adapters_leave_the_frozen_vit_alone():
    model = LavishViT(
        16, 2, 2, patch=4, clip_shape=(3, 16, 16, 3), sound_shape=(16, 16),
        adapter={"reduction": 4},
    )  # fmt: skip
    plain = VideoViT(
        16, 2, 2, patch=(1, 4, 4), positions="learned", class_token=True, output="class",
        qkv_bias="all", clip_shape=(1, 16, 16, 3),
    )  # fmt: skip
    for name in ("patch_embed", "class_token", "norm"):
        plain.get_layer(name).set_weights(model.get_layer(name).get_weights())
    plain.get_layer("positions").set_weights(model.get_layer("positions").get_weights())
    for index in (1, 2):
        weights = model.get_layer(f"adapted{index}").block.get_weights()
        plain.get_layer(f"block{index}").set_weights(weights)
    grey = np.repeat(RNG.normal(size=(2, 3, 16, 16, 1)), 3, axis=-1).astype("float32")
    feature = to_numpy(model({"clips": PAIR["clips"], "audio": grey[..., 0]}))
    for clips, part in ((grey, slice(0, 16)), (PAIR["clips"], slice(16, 32))):  # sound first
        want = to_numpy(plain(clips.reshape(6, 1, 16, 16, 3))).reshape(2, 3, 16)
        np.testing.assert_allclose(feature[..., part], want, atol=1e-5)


def test_untrained_adapters_leave_the_frozen_swin_alone():
    options = {"width": 8, "depths": (1, 2), "heads": (1, 2), "window": 4}
    model = LavishSwin(**options, **SWIN, sound_shape=(32, 32), adapter={"reduction": 4})
    plain = SwinV2(**options, **SWIN)
    number = 0
    for layer in plain.layers:
        if "_block" in layer.name:
            number += 1
            layer.set_weights(model.get_layer(f"adapted{number}").block.get_weights())
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    want = to_numpy(plain(SQUARE["clips"])).mean(axis=(2, 3))
    np.testing.assert_allclose(to_numpy(model(SQUARE))[..., :16], want, atol=1e-5)


def test_only_adapters_and_the_classifier_are_trained():
    model = convert(vit_state(depth=1), **VIT).model
    owners = {weight.path.split("/")[-2] for weight in model.trainable_weights}
    blocks = [model.get_layer("adapted1").block]
    layers = [model.get_layer(n) for n in ("patch_embed", "class_token", "positions", "norm")]
    assert not [w for layer in (*layers, *blocks) for w in layer.trainable_weights]
    assert {"head1", "head2"} <= owners
    before = {w.path: to_numpy(w.value) for w in model.weights}
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    model.train_on_batch(PAIR, np.eye(5, dtype="float32")[np.zeros((2, 3), int)])
    changed = {w.path for w in model.weights if (to_numpy(w.value) != before[w.path]).any()}
    assert changed and not changed & {w.path for layer in (*layers, *blocks) for w in layer.weights}
    # A batch's statistics take out what `ln_before` adds to every token.
    idle = {w.path for w in model.trainable_weights} - changed
    assert all(path.endswith("ln_before/beta") for path in idle)


def test_the_positions_of_sound_are_the_pictures_stretched():
    torch = pytest.importorskip("torch")
    state = vit_state()
    model = convert(state, **VIT).model
    tokens = to_numpy(model.endpoint("audio_tokens")(PAIR))  # 2 x 6 patches and the class token
    assert tokens.shape == (6, 13, 16)
    table = torch.tensor(state["ViT.v.pos_embed"]).permute(0, 2, 1)
    want = torch.nn.functional.interpolate(table, 13, mode="linear")[0].T.numpy()
    np.testing.assert_allclose(
        tokens[:, 0], np.tile(want[0] + state["ViT.v.cls_token"][0, 0], (6, 1)), atol=1e-5
    )
    picture = np.repeat(PAIR["audio"][0, 0, 4:8, 8:12, None], 3, axis=-1)  # row 1, column 2
    kernel = state["ViT.v.patch_embed.proj.weight"]
    embedded = np.einsum("hwc,ochw->o", picture, kernel) + state["ViT.v.patch_embed.proj.bias"]
    np.testing.assert_allclose(tokens[0, 1 + 6 + 2], embedded + want[1 + 6 + 2], atol=1e-4)


@pytest.mark.parametrize("make", [lambda: convert(vit_state(depth=1), **VIT).model,
                                  lambda: convert(lavish_swin_state(), **SWIN).model])  # fmt: skip
def test_a_preset_round_trip(tmp_path, make):
    model = make()
    pair = PAIR if isinstance(model, LavishViT) else SQUARE
    model.save_to_preset(tmp_path / "preset")
    again = AudioVisualBackbone.from_preset(str(tmp_path / "preset"))
    assert again.get_config() == model.get_config()
    np.testing.assert_allclose(to_numpy(again(pair)), to_numpy(model(pair)), atol=1e-5)
    assert [w.shape for w in again.trainable_weights] == [w.shape for w in model.trainable_weights]


def trained(widths, latents, reduction, groups, hidden, classes):
    """Adapters (four a block) and classifier, by the card's formula."""
    count = 0
    for c in widths:
        h = c // reduction
        count += 4 * (latents * c + 2 + 2 * c * h // groups + 2 * h + 2 * c + 4 * c)
    feature = 2 * widths[-1]
    return count + feature * hidden + hidden + hidden * classes + classes


def test_the_presets_train_as_few_parameters_as_published():
    widths = [192] * 2 + [384] * 2 + [768] * 18 + [1536] * 2
    count = trained(widths, 2, 8, 2, 512, 29)
    # The published 10.1M count linear layers too that its code makes and never calls.
    unused = sum(c // 16 * (c // 8) for c in (384, 768, 1536))
    assert round((count + unused) / 1e6, 1) == 10.1
    entries = {"lavish_swin_v2_large": count}
    entries["lavish_vit_base"] = trained([768] * 12, 2, 8, 2, 512, 29)
    entries["lavish_vit_large"] = trained([1024] * 24, 2, 8, 2, 512, 29)
    for name, value in entries.items():
        assert f"{value / 1e6:.1f}M are trained" in ARCHITECTURES[name]["description"]
    model = LavishViT(16, 1, 2, patch=4, classes=5, hidden=6, clip_shape=(1, 8, 8, 3),
                      sound_shape=(8, 8), adapter={"reduction": 4})  # fmt: skip
    got = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert got == trained([16], 2, 4, 2, 6, 5)


def test_sizes_that_do_not_fit_are_one_sentence():
    with pytest.raises(ValueError, match="of one size"):
        LavishSwin(clip_shape=(1, 32, 32, 3), sound_shape=(32, 16))
    with pytest.raises(ValueError, match="a frame a segment"):
        LavishViT(clip_shape=(None, 32, 32, 3))
    state = vit_state()
    state["vis_adapter_blocks_p1.0.down_sampler.weight"] = np.zeros((4, 7, 1, 1), "float32")
    with pytest.raises(ConvertError, match="takes 7 of 16 channels"):
        convert(state, **VIT)


def test_the_published_adapters_output(shared):
    """Its gradients in the fixture are not those of its outputs, where batch normalisation is on:
    PyTorch's CPU kernel takes input and gradient of two memory layouts for one."""
    from keras_vssl.convert import lavish
    from keras_vssl.convert.vit import ViTMapping
    from keras_vssl.layers import LatentAdapter
    from tests.parity import _fixture_module

    _, weights, inputs, expected = _fixture_module(shared / "goldens").load(
        shared / "goldens" / "lavish-adapter-ave"
    )
    adapter = LatentAdapter(**lavish.adapter_options(weights, ""))
    adapter.build(inputs["x"].shape, inputs["y"].shape)
    mapping = ViTMapping(weights)
    lavish.map_adapter(mapping, "", adapter)
    mapping.place(weights, adapter)
    got = to_numpy(adapter(inputs["x"], inputs["y"], training=False))
    np.testing.assert_allclose(got, expected["y"], atol=1e-5)
