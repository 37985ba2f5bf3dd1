"""XDC's, CrissCross's and RepLAI's files: one tower, the other, or the heads."""

import zlib

import numpy as np
import pytest

from keras_vssl.backbones import AudioResNet, AudioVGG, R2Plus1D
from keras_vssl.backbones.presets import ARCHITECTURES
from keras_vssl.convert import ConvertError, avid, convert, crisscross, replai, xdc
from keras_vssl.convert import torchvision_video as torchvision
from keras_vssl.downstream import VideoClassifier
from tests.backends import to_numpy
from tests.convert.check import check_format
from tests.convert.test_conversion import linear, residual

RANDOM = np.random.RandomState(3)
CLIP = RANDOM.normal(size=(1, 5, 18, 21, 3)).astype("float32")
SOUND = RANDOM.normal(size=(2, 30, 20)).astype("float32")
_AVID = {k: v for k, v in ARCHITECTURES["r2plus1d_18_replai"]["config"].items() if k != "clip"}


def video():
    """AVID's network: width 4, two blocks in the second stage."""
    return residual(R2Plus1D(width=4, blocks=(1, 2, 1, 1), **_AVID), avid._Names(""))


def draw(name):
    return np.random.RandomState(zlib.crc32(name.encode()))


def norms(prefix, width):
    parts = ("weight", "bias", "running_mean", "running_var")
    names = (f"{prefix}.{part}" for part in parts)
    return {name: draw(name).uniform(0.5, 1, width).astype("float32") for name in names}


def convs(prefix, *shape):
    name = f"{prefix}.weight"
    return {name: draw(name).normal(0, 0.2, shape).astype("float32")}


def crisscross_audio():
    """A ResNet of one block a stage but the first, as CrissCross names it."""
    state = convs("conv1.0", 4, 1, 7, 7) | norms("conv1.1", 4)
    before = 4
    for stage, width in enumerate((4, 6, 8, 10), start=1):
        for index in range(2 if stage == 1 else 1):
            block = f"block{stage}.{index}"
            state |= convs(f"{block}.conv1", width, before, 3, 3) | norms(f"{block}.bn1", width)
            state |= convs(f"{block}.conv2", width, width, 3, 3) | norms(f"{block}.bn2", width)
            if stage > 1:
                state |= convs(f"{block}.downsample.0", width, before, 1, 1)
                state |= norms(f"{block}.downsample.1", width)
            before = width
    return state


def replai_audio():
    state = convs("conv1.0", 3, 1, 7, 7) | norms("conv1.1", 3)
    before = 3
    for block, width in enumerate((3, 4, 5, 6), start=1):
        for part in (1, 2):
            state |= convs(f"block{block}.conv{part}", width, before, 3, 3)
            state |= norms(f"block{block}.bn{part}", width)
            before = width
    return state


def crisscross_heads(width=10):
    state = {}
    for modality in ("video", "audio"):
        before = width
        for layer in (1, 2, 3):
            name = f"{modality}_projector.layer{layer}"
            state |= linear(6, before, f"{name}.0") | norms(f"{name}.1", 6)
            before = 6
        name = f"{modality}_predictor"
        state |= linear(4, 6, f"{name}.layer1.0") | norms(f"{name}.layer1.1", 4)
        state |= linear(6, 4, f"{name}.layer2")
    return state


def replai_heads(width=6):
    state = {}
    for head in replai._HEADS:
        inputs = 3 if head == "aot_diff" else width
        state |= linear(5, inputs, f"mlp.{head}.0") | linear(3, 5, f"mlp.{head}.2")
    return state


def under(prefix, state):
    return {f"{prefix}{name}": array for name, array in state.items()}


def crisscross_training():
    """As the training saves it: the encoders repeat the networks and the projectors."""
    heads = crisscross_heads()
    state = dict(heads)
    for modality, network in (("video", video()), ("audio", crisscross_audio())):
        state |= under(f"{modality}_backbone.", network)
        state |= under(f"{modality}_encoder.0.", network)
        own = f"{modality}_projector."
        projector = {k.removeprefix(own): v for k, v in heads.items() if k.startswith(own)}
        state |= under(f"{modality}_encoder.2.", projector)
    return state


def replai_training():
    networks = under("backbone.video.", video()) | under("backbone.audio.", replai_audio())
    return networks | replai_heads()


def same(model, other):
    for got, wanted in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(got.value), to_numpy(wanted.value))


def test_crisscross_video_file(tmp_path):
    state = video()
    model = check_format(state, "crisscross", tmp_path, inputs=CLIP)
    assert type(model) is R2Plus1D and model.blocks == (1, 2, 1, 1) and model.width == 4
    assert model.norm_after_sum and not model.factored_stem and model.midplanes == "out"
    assert model.clip["frames"] == 8
    kernel = to_numpy(model.get_layer("layer2_0_shortcut").kernel.value)
    expected = state["conv3x.0.res_conv.weight"].transpose(2, 3, 4, 1, 0)
    np.testing.assert_array_equal(kernel, expected)


def test_crisscross_audio_file_has_its_pictures_turned(tmp_path):
    state = crisscross_audio()
    model = check_format(
        state,
        "crisscross",
        tmp_path,
        inputs=SOUND[:, :, :16].repeat(5, 2),
        victim="block3.0.bn2.bias",
    )
    assert type(model) is AudioResNet and model.channels == (4, 6, 8, 10)
    assert model.blocks == (2, 1, 1, 1) and model.front_end.bands == 80
    kernel = to_numpy(model.get_layer("layer2_0_conv1").kernel.value)
    for time, band in np.ndindex(3, 3):
        want = state["block2.0.conv1.weight"][:, :, band, time].T
        np.testing.assert_array_equal(kernel[time, band], want)


def test_a_crisscross_training_file_gives_each_part(tmp_path):
    state = crisscross_training()
    victim = "video_backbone.conv5x.0.out_bn.bias"
    model = check_format(state, "crisscross", tmp_path, victim=victim)
    same(model, convert(video()).model)
    same(convert(state, part="audio").model, convert(crisscross_audio()).model)
    same(convert(state, part="heads").model, convert(crisscross_heads()).model)
    stranger = {**state, "video_predictor.layer9.weight": np.zeros(2, "float32")}
    for part in ("video", "audio", "heads"):
        with pytest.raises(ConvertError, match="video_predictor.layer9.weight"):
            convert(stranger, part=part)


@pytest.mark.parametrize("layers", [(1, 2, 3), (1, 3)])
def test_crisscross_heads_are_the_layers_written_out(layers):
    state = crisscross_heads()
    model = convert(state, projector_layers=len(layers)).model
    x = {k: RANDOM.normal(size=(3, 10)).astype("float32") for k in ("video", "audio")}
    got = model(x, training=False)

    def normalize(x, name):
        gain, offset, mean, variance = (
            state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gain + offset

    def dense(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    for modality, y in x.items():
        for layer in layers:
            name = f"{modality}_projector.layer{layer}"
            y = normalize(dense(y, f"{name}.0"), f"{name}.1")
            y = np.maximum(y, 0) if layer < 3 else y
        np.testing.assert_allclose(to_numpy(got[f"{modality}_projection"]), y, atol=1e-5)
        name = f"{modality}_predictor"
        y = np.maximum(normalize(dense(y, f"{name}.layer1.0"), f"{name}.layer1.1"), 0)
        y = dense(y, f"{name}.layer2")
        np.testing.assert_allclose(to_numpy(got[f"{modality}_prediction"]), y, atol=1e-5)


def test_a_replai_file_gives_each_part(tmp_path):
    state = replai_training()
    victim = "video.conv5x.0.out_bn.bias"
    model = check_format(state, "replai", tmp_path, victim=victim)
    same(model, convert(video(), format="replai").model)
    ears = convert(state, part="audio").model
    same(ears, convert(replai_audio()).model)
    assert type(ears) is AudioVGG and ears.channels == (3, 3, 3, 4, 4, 5, 5, 6, 6)
    same(convert(state, part="heads").model, convert(replai_heads()).model)
    for part in ("video", "audio", "heads"):
        with pytest.raises(ConvertError, match="mlp.other.0.weight"):
            convert({**state, "mlp.other.0.weight": np.zeros(2, "float32")}, part=part)


def test_replai_audio_file_and_avids_names(tmp_path):
    state = replai_audio()
    pictures = SOUND[:, :, :16].repeat(5, 2)
    model = check_format(
        state, "replai", tmp_path, inputs=pictures, victim="block4.bn2.running_mean"
    )
    projections = {}
    for modality in ("video", "audio"):
        for layer in (0, 2, 4):
            projections |= linear(3, 3, f"{modality}_proj.projection.{layer}")
    whole = under("video_model.", video()) | under("audio_model.", state) | projections
    assert convert(whole).provenance["format"] == "replai"
    same(convert(whole).model, convert(video()).model)
    same(convert(whole, part="audio").model, model)


def test_replai_heads_take_features_and_a_difference():
    state = replai_heads()
    model = convert(state).model
    x = {"video": (2, 6), "audio": (2, 6), "difference": (2, 3)}
    x = {name: RANDOM.normal(size=shape).astype("float32") for name, shape in x.items()}
    got = model(x, training=False)
    assert set(got) == set(replai._HEADS)
    for head, source in zip(replai._HEADS, ("video", "audio", "video", "audio", "difference")):
        y = x[source] @ state[f"mlp.{head}.0.weight"].T + state[f"mlp.{head}.0.bias"]
        y = np.maximum(y, 0) @ state[f"mlp.{head}.2.weight"].T + state[f"mlp.{head}.2.bias"]
        np.testing.assert_allclose(to_numpy(got[head]), y, atol=1e-5)


def test_replai_heads_have_the_cards_sizes():
    # Card, "Must hold" 7.
    state = {}
    for head in replai._HEADS:
        inputs = 128 if head == "aot_diff" else 512
        state |= linear(512, inputs, f"mlp.{head}.0") | linear(128, 512, f"mlp.{head}.2")
    model = convert(state).model
    for head in replai._HEADS:
        count = 131_712 if head == "aot_diff" else 328_320
        assert model.get_layer(head).count_params() == count


def test_what_is_not_there_or_not_theirs_is_refused():
    with pytest.raises(ConvertError, match="does not hold CrissCross's audio; it holds video"):
        convert(video(), part="audio")
    with pytest.raises(ConvertError, match="does not hold RepLAI's heads; it holds audio"):
        convert(replai_audio(), part="heads")
    with pytest.raises(ConvertError, match="`part` is one of video, audio, heads"):
        convert(video(), part="text")
    with pytest.raises(ConvertError, match="Only the video network has clip"):
        convert(replai_audio(), clip={"frames": 4})
    short = {k: v for k, v in replai_audio().items() if not k.startswith("block4")}
    with pytest.raises(ConvertError, match="has 3 blocks; AVID's has 4"):
        convert(short)


def xdc_state(**options):
    options = {"width": 4, "blocks": (2, 2, 2, 2), "midplanes": "conv", **options}
    return residual(R2Plus1D(**options), torchvision._Names(True))


def test_xdcs_files_are_told_from_vmzs(tmp_path, monkeypatch):
    # At the published width the middle has 288 channels; this one is 1/16 as wide.
    monkeypatch.setattr(xdc, "_MIDDLE", ("layer2.0.conv2.0.0.weight", 18))
    state = xdc_state()
    victim = "layer4.1.conv2.1.bias"
    model = check_format(state, "xdc", tmp_path, inputs=CLIP, victim=victim)
    assert model.midplanes == "conv" and model.epsilon == 1e-3 and model.clip["frames"] == 32
    assert convert(state).provenance["licence"].startswith("MIT")
    classes = state | linear(5, 32, "fc")
    other_widths = xdc_state(blocks=(1, 1, 1, 1), midplanes="block", stem_midplanes=6)
    for other in (classes, other_widths, xdc_state(blocks=(1, 1, 1, 1))):
        assert torchvision.recognizes(other) and not xdc.recognizes(other)
    tuned = convert(classes, format="xdc").model
    assert type(tuned) is VideoClassifier and tuned.backbone.epsilon == 1e-3


def test_at_full_width_xdcs_middle_is_288():
    name, width = xdc._MIDDLE
    shape = ARCHITECTURES["r2plus1d_18_xdc"]["config"]
    backbone = R2Plus1D(blocks=(1, 1, 1, 1), midplanes=shape["midplanes"])
    assert backbone.get_layer("layer2_0_conv2_spatial").kernel.shape[-1] == width
    assert torchvision._Names(True).factored((2, 0, 2))[0] + ".weight" == name


def test_listed_checkpoints_name_their_architecture():
    listed = [c for module in (crisscross, replai, xdc) for c in module.CHECKPOINTS]
    assert len(listed) == 6 + 8 + 5
    assert len({c.name for c in listed}) == len(listed)
    assert {c.backbone for c in listed} <= set(ARCHITECTURES)
