"""RAVEn's and AV-HuBERT's files: encoders, fine-tuned recognisers, front ends and heads alone."""

import numpy as np
import pytest

from keras_vssl.backbones import AVHuBERTEncoder, LipResNet, RAVEnEncoder, WaveResNet
from keras_vssl.convert import ConvertError, av_hubert, convert, raven, read_state_dict
from keras_vssl.layers import ClusterHead
from tests.backends import to_numpy
from tests.convert.check import check_format, save_torch
from tests.convert.test_audio_visual import convs, draw, norms

RANDOM = np.random.RandomState(5)
CLIPS = RANDOM.normal(size=(1, 3, 32, 32, 1)).astype("float32")
WAVE = RANDOM.normal(size=(1, 1920)).astype("float32")
AUDIO = RANDOM.normal(size=(1, 3, 12)).astype("float32")
WIDTH = 8


def vector(name, *shape):
    return {name: draw(name).normal(0, 0.3, shape).astype("float32")}


def affine(name, width):
    return vector(f"{name}.weight", width) | vector(f"{name}.bias", width)


def linear(name, inputs, outputs):
    return vector(f"{name}.weight", outputs, inputs) | vector(f"{name}.bias", outputs)


def front_end(prefix, rank=2, slopes=False):
    """A front end of width 4 with one block a stage."""
    if rank == 2:
        state = convs(f"{prefix}frontend3D.0", 4, 1, 5, 7, 7) | norms(f"{prefix}frontend3D.1", 4)
        if slopes:
            state |= vector(f"{prefix}frontend3D.2.weight", 4)
    else:
        state = convs(f"{prefix}trunk.conv1", 4, 1, 80) | norms(f"{prefix}trunk.bn1", 4)
    before = 4
    for stage, width in enumerate((4, 8, 16, 32), start=1):
        block = f"{prefix}trunk.layer{stage}.0"
        state |= convs(f"{block}.conv1", width, before, *[3] * rank) | norms(f"{block}.bn1", width)
        state |= convs(f"{block}.conv2", width, width, *[3] * rank) | norms(f"{block}.bn2", width)
        if slopes:
            state |= vector(f"{block}.relu1.weight", width) | vector(f"{block}.relu2.weight", width)
        if stage > 1:
            state |= convs(f"{block}.downsample.0", width, before, *[1] * rank)
            state |= norms(f"{block}.downsample.1", width)
        before = width
    return state


def raven_state(prefix="", rank=2, depth=2):
    state = front_end(f"{prefix}frontend.", rank) | linear(f"{prefix}embed.0", 32, WIDTH)
    for index in range(depth):
        block = f"{prefix}encoders.{index}"
        for part in "qkv":
            state |= linear(f"{block}.self_attn.linear_{part}", WIDTH, WIDTH)
        state |= linear(f"{block}.self_attn.linear_out", WIDTH, WIDTH)
        state |= vector(f"{block}.self_attn.linear_pos.weight", WIDTH, WIDTH)
        state |= vector(f"{block}.self_attn.pos_bias_u", 2, WIDTH // 2)
        state |= vector(f"{block}.self_attn.pos_bias_v", 2, WIDTH // 2)
        state |= linear(f"{block}.feed_forward.w_1", WIDTH, 12)
        state |= linear(f"{block}.feed_forward.w_2", 12, WIDTH)
        state |= norms(f"{block}.norm_ff", WIDTH) | affine(f"{block}.norm_mha", WIDTH)
        state |= vector(f"{block}.gamma_ff", WIDTH) | vector(f"{block}.gamma_mha", WIDTH)
    return state | affine(f"{prefix}after_norm", WIDTH)


def hubert_state(prefix="", masked=WIDTH, head=True):
    video = f"{prefix}feature_extractor_video"
    state = front_end(f"{video}.resnet.", slopes=True) | linear(f"{video}.proj", 32, WIDTH)
    state |= linear(f"{prefix}feature_extractor_audio.proj", 12, WIDTH)
    state |= affine(f"{prefix}layer_norm", 2 * WIDTH)
    state |= linear(f"{prefix}post_extract_proj", 2 * WIDTH, WIDTH)
    state |= vector(f"{prefix}mask_emb", masked)
    state |= vector(f"{prefix}encoder.pos_conv.0.weight_g", 1, 1, 6)
    state |= vector(f"{prefix}encoder.pos_conv.0.weight_v", WIDTH, 2, 6)
    state |= vector(f"{prefix}encoder.pos_conv.0.bias", WIDTH)
    for index in range(2):
        block = f"{prefix}encoder.layers.{index}"
        for part in ("q", "k", "v", "out"):
            state |= linear(f"{block}.self_attn.{part}_proj", WIDTH, WIDTH)
        state |= affine(f"{block}.self_attn_layer_norm", WIDTH)
        state |= linear(f"{block}.fc1", WIDTH, 12) | linear(f"{block}.fc2", 12, WIDTH)
        state |= affine(f"{block}.final_layer_norm", WIDTH)
    state |= affine(f"{prefix}encoder.layer_norm", WIDTH)
    if head:
        state |= linear(f"{prefix}final_proj", WIDTH, 5) | vector(
            f"{prefix}label_embs_concat", 7, 5
        )
    return state


def text_state():
    """What RAVEn's fine-tuning adds, in part."""
    state = linear("ctc.ctc_lo", WIDTH, 5) | vector("decoder.embed.0.weight", 5, WIDTH)
    state |= linear("decoder.decoders.0.src_attn.linear_q", WIDTH, WIDTH)
    return state | affine("decoder.decoders.0.norm1", WIDTH) | affine("decoder.after_norm", WIDTH)


def save_fairseq(state, folder):
    """As fairseq writes it: the weights as `model`, the task's state beside them."""
    torch = pytest.importorskip("torch")
    path = folder / "checkpoint.pt"
    tensors = {name: torch.tensor(array) for name, array in state.items()}
    torch.save({"cfg": {"model": {"width": 8}}, "model": tensors, "task_state": {}}, path)
    return path


@pytest.mark.parametrize("rank, x", [(2, CLIPS), (1, WAVE)])
def test_ravens_encoder(rank, x, tmp_path):
    model = check_format(raven_state(rank=rank), "raven", tmp_path, inputs=x)
    assert isinstance(model, RAVEnEncoder)
    assert (model.width, model.heads, model.mlp_width, model.depth) == (WIDTH, 2, 12, 2)
    assert isinstance(model.frame_network, LipResNet if rank == 2 else WaveResNet)
    assert model.frame_network.activation == "swish"


def test_a_fine_tuned_recogniser_is_ravens_encoder(tmp_path):
    state = raven_state("encoder.", rank=1) | text_state()
    victim = "encoder.encoders.1.gamma_mha"
    model = check_format(state, "raven", tmp_path, inputs=WAVE, victim=victim)
    plain = convert(raven_state(rank=1)).model
    assert model.depth == plain.depth
    front = convert(state, part="front_end").model
    assert isinstance(front, WaveResNet)
    np.testing.assert_array_equal(
        to_numpy(front.get_layer("stem").kernel),
        to_numpy(model.frame_network.get_layer("stem").kernel),
    )
    with pytest.raises(ConvertError, match="'encoder' or 'front_end'"):
        convert(state, part="decoder")


@pytest.mark.parametrize(
    "state, format, kind, x",
    [
        (front_end(""), "raven", LipResNet, CLIPS),
        (front_end("", rank=1), "raven", WaveResNet, WAVE),
        (front_end("", slopes=True), "av_hubert", LipResNet, CLIPS),
    ],
    ids=["raven_video", "raven_audio", "av_hubert"],
)
def test_a_front_end_alone(state, format, kind, x, tmp_path):
    model = check_format(state, format, tmp_path, inputs=x)
    assert type(model) is kind and model.width == 4 and model.blocks == (1, 1, 1, 1)
    if kind is LipResNet:
        assert tuple(model(x).shape) == (1, 3, 32)
        assert model.activation == ("prelu" if format == "av_hubert" else "swish")
        np.testing.assert_allclose((model.mean, model.std), ([0.421], [0.165]))


@pytest.mark.parametrize("prefix", ["", "encoder.w2v_model."])
@pytest.mark.parametrize("save", [save_torch, save_fairseq])
def test_av_huberts_encoder(prefix, save, tmp_path):
    state = hubert_state(prefix)
    if prefix:
        state |= vector("decoder.embed_tokens.weight", 9, WIDTH)
        state |= linear("decoder.layers.0.encoder_attn.k_proj", WIDTH, WIDTH)
    model = check_format(
        state,
        "av_hubert",
        tmp_path,
        save=save,
        inputs={"clips": CLIPS, "audio": AUDIO},
        victim=f"{prefix}encoder.layer_norm.weight",
        heads=2,
    )
    assert isinstance(model, AVHuBERTEncoder)
    assert (model.width, model.heads, model.mlp_width, model.depth) == (WIDTH, 2, 12, 2)
    assert (model.audio_dim, model.position_kernel, model.position_groups) == (12, 6, 4)
    assert not model.mask_audio


def test_the_last_iteration_masks_sound():
    assert convert(hubert_state(masked=12), heads=2).model.mask_audio


def test_pytorchs_new_names_of_weight_normalisation_are_the_same():
    state = hubert_state()
    renamed = {
        name.replace("0.weight_g", "0.parametrizations.weight.original0").replace(
            "0.weight_v", "0.parametrizations.weight.original1"
        ): array
        for name, array in state.items()
    }
    assert set(renamed) != set(state)
    for new, old in zip(convert(renamed).model.weights, convert(state).model.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(new.value), to_numpy(old.value))


def test_av_huberts_parts(tmp_path):
    state = hubert_state()
    head = convert(state, part="head").model
    assert isinstance(head, ClusterHead) and (head.classes, head.width) == (7, 5)
    alone = {k: v for k, v in state.items() if k.startswith(("final_proj", "label_embs"))}
    x = RANDOM.normal(size=(2, 3, WIDTH)).astype("float32")
    model = check_format(alone, "av_hubert", tmp_path, inputs=x, victim="final_proj.bias")
    logits = to_numpy(model(x))
    np.testing.assert_allclose(to_numpy(head(x)), logits, atol=1e-5)
    assert logits.shape == (2, 3, 7) and np.abs(logits).max() <= 10
    front = convert(state, part="front_end").model
    assert isinstance(front, LipResNet) and front.pooled
    with pytest.raises(ConvertError, match="encoder, front_end, head"):
        convert(state, part="decoder")
    with pytest.raises(ConvertError, match="no.such"):
        convert({**state, "encoder.no.such": x}, part="front_end", format="av_hubert")


def test_a_file_is_of_one_format():
    states = {
        raven: (raven_state(), raven_state("encoder.", 1), front_end(""), front_end("", 1)),
        av_hubert: (hubert_state(), hubert_state("encoder.w2v_model."), front_end("", slopes=True)),
    }
    for module, examples in states.items():
        for other in states:
            assert {other.recognizes(state) for state in examples} == {other is module}


def test_fairseqs_nest_is_opened(tmp_path):
    state = hubert_state()
    assert set(read_state_dict(save_fairseq(state, tmp_path))) == set(state)
