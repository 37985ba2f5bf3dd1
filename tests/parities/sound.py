"""Fixtures of the spectrogram front-ends: log-mels, filter matrices, resampling, test windows."""

import types

import numpy as np

from keras_vssl.data.audio import resample
from keras_vssl.data.samplers import Clips
from keras_vssl.layers import LogMelSpectrogram, mel_filters
from tests.backends import to_numpy

# Output: front-end, samples that it reads, changes to the front-end, rows kept.
SPECTROGRAMS = {
    "crisscross": ("crisscross", 32000, {}, 1),
    "xkd_local": ("xkd", 16000, {}, 1),
    "replai": ("replai", 32000, {}, 1),
    "avid_1s": ("avid", 24000, {"frames": 100}, 1),
    "gdt_1s": ("gdt", 24000, {"gain": 1.0}, 1),
    "vmz": ("vmz", 16250, {}, 1),
    "lavish_vit": ("lavish-vit", 16000, {"frames": None}, 1),
    "lavish_swin.rows_every_4": ("lavish-swin", 16000, {"frames": None}, 4),
    "vggish": ("vggish", 15600, {}, 1),
    "fakeout": ("fakeout", 24000, {}, 1),
}
# Output: arguments of `mel_filters`.
FILTERS = {
    "slaney_80x513": ((80, 1024, 16000, 0, 8000), {"scale": "slaney", "norm": "area"}),
    "torchaudio_htk_257x80": ((80, 512, 16000, 0, 8000), {}),
    "vmz_40x129": ((40, 256, 16000), {"norm": "sum", "bin_step": 8000 / 129, "least_width": 1}),
    "kaldi_128x256": ((128, 512, 16000, 20), {"domain": "mel", "nyquist": "drop"}),
    "vggish_257x64": ((64, 512, 16000, 125, 7500), {"domain": "mel", "zero_dc": True}),
    "tf_1025x80": ((80, 2048, 44100), {"domain": "mel", "zero_dc": True}),
}


def outputs(meta, weights, inputs, expected):
    wave = inputs["waveform"]
    if meta["name"].startswith("backbone_audio_vit-fbank"):
        length = int(inputs["target_length"])
        return {
            "fbank": spectrogram("ast", wave, frames=None, mean=0.0, std=1.0),
            "padded_normalised": spectrogram("audiomae", wave, frames=length),
        }
    got = {"resample_44100_16000": resample(wave[:13230], 44100, 16000)}
    for output, (name, samples, changes, every) in SPECTROGRAMS.items():
        got[output] = spectrogram(name, wave[:samples], **changes)[::every]
    for output, (arguments, switches) in FILTERS.items():
        matrix = mel_filters(*arguments, **switches)
        if output.startswith("kaldi"):
            matrix = matrix[:-1]  # the fixture leaves the dropped bin out
        reference = expected[f"filters.{output}"]
        got[f"filters.{output}"] = matrix if matrix.shape == reference.shape else matrix.T
    for output, reference in expected.items():
        if output.startswith("fakeout_windows_"):
            frames = int(output.removeprefix("fakeout_windows_").removesuffix("frames"))
            got[output] = _windows(frames, *reference.shape)
    return got


def spectrogram(name, wave, **changes):
    return to_numpy(LogMelSpectrogram.from_name(name, **changes)(wave))


def _windows(frames, count, length):
    """The frames of evenly spaced test clips of stride 2."""
    sampler = Clips(length, 2, None, count, "uniform", "loop")
    info = types.SimpleNamespace(frames=frames, fps=25.0, height=128, width=171)
    return np.stack([view.frames for view in sampler.plan(info, np.random.default_rng(0)).views])
