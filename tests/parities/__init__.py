"""What answers for each parity fixture; one module a family of fixtures.

A module has `outputs(meta, weights, inputs, expected)`, which returns a dict of arrays with the
names of `expected`. `meta` is the fixture's JSON object and its `name`; `weights` are named as in
the published checkpoint, and go through `keras_vssl.convert` wherever a checkpoint would.
"""

import importlib

# Start of a fixture's name -> module here; the longest start that fits answers.
FIXTURES = {
    "vcop": "residual",
    "shuffle_and_learn": "caffe",
    "opn": "caffe",
    "tracking_triplet-embed": "caffe",
    "tracking_triplet-rank_hard_loss": "ranking",
    "xdc": "audio_visual",
    "crisscross": "audio_visual",
    "replai-video": "audio_visual",
    "replai-audio": "audio_visual",
    "replai-loss": "audio_visual",
    "slic-model": "audio_visual",
    "tgn-layer": "temporal_groups",
    "vtdl-r2p1d": "audio_visual",
    "vtdl-r3d18": "audio_visual",
    "vtdl-i3d": "audio_visual",
    "backbone_c3d": "residual",
    "backbone_r3d": "residual",
    "audio_frontends": "sound",
    "backbone_audio_vit": "audio_vit",
    "backbone_audio_vit-fbank": "sound",
    "backbone_slow_r50": "slow",
    "cvrl-r3d": "slow",
    "cvrl-loss": "cvrl",
    "cvrl-sampler": "cvrl",
    "modist-dense_slow": "slow",
    "modist-head": "modist",
    "rspnet": "rspnet",
    "prp": "prp",
    "videomae": "video_vit",
    "backbone_video_vit": "video_vit",
    "vjepa": "vjepa",
    "xkd-video": "audio_visual_transformers",
    "mavil": "audio_visual_transformers",
    "lavish-adapter-avs": "audio_visual_transformers",
    "lavish-vit": "audio_visual_transformers",
    "xkd-audio": "audio_visual_transformers",
    "backbone_i3d-inception": "inception",
    "mil_nce-text": "text",
    "mil_nce-tokenizer": "text",
    "everything_at_once-audio_cnn": "text",
    "everything_at_once-model": "text",
    "backbone_i3d-mmaction2": "slow",
    "backbone_tsm_resnet-mmaction2": "frames",
    "backbone_tsm_resnet-shift": "frames",
    "mmv-temporal_shift": "frames",
    "mmv-audio": "mmv",
    "mmv-tsm": "mmv",
    "mmv-full": "mmv",
    "backbone_tsm_resnet-mmv": "mmv",
    "downstream_tsn-mmaction2": "frames",
    "backbone_s3d": "inception",
    "mil_nce-s3d": "inception",
    "mmv-s3d": "inception",
    "backbone_lip_resnet": "speech",
    "raven": "speech",
    "av_hubert": "speech",
}

# What every run of the tests compares on the other back ends: for each module here, the fixtures
# that cost least there. `make parity` compares all fixtures on all back ends.
EVERY_RUN = (
    "vcop-head",
    "vcop-r21d",
    "opn-head",
    "tracking_triplet-rank_hard_loss",
    "crisscross-audio",
    "replai-loss",
    "tgn-layer",
    "backbone_audio_vit-ast",
    "backbone_audio_vit-fbank",
    "modist-dense_slow_r50",
    "modist-head",
    "cvrl-loss",
    "cvrl-sampler",
    "rspnet-loss",
    "prp-decoder",
    "prp-mask",
    "videomae-classifier",
    "vjepa-v2-rope",
    "vjepa-probe",
    "xkd-audio-encoder",
    "lavish-adapter-avs",
    "backbone_s3d-torchvision",
    "mil_nce-text",
    "everything_at_once-model",
    "backbone_tsm_resnet-shift_mmv",
    "mmv-temporal_shift",
    "mmv-audio_resnet50",
    "av_hubert-audio",
    "av_hubert-clusterhead",
    "raven-relattention",
    "raven-predictor",
)


class ParityError(ValueError):
    """A fixture that can't be compared, and why."""


def find(name):
    """The module that answers for a fixture.

    Args:
        name: the fixture's name, `slug-variant`.

    Raises:
        ParityError: none does.
    """
    module = module_name(name)
    if module is None:
        raise ParityError(
            f"No network here answers for fixture {name}: its name starts with none of "
            f"{', '.join(FIXTURES)}."
        )
    return importlib.import_module(f"tests.parities.{module}")


def module_name(name):
    """The entry of `FIXTURES` for a fixture's name, or `None`."""
    slug = name.split("-")[0]
    fitting = [key for key in FIXTURES if key.split("-")[0] == slug and name.startswith(key)]
    return FIXTURES[max(fitting, key=len)] if fitting else None
