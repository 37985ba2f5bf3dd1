"""The spectrograms of published methods: names and arguments of `LogMelSpectrogram`, nothing else.

A waveform is float in [-1, 1] at the front-end's rate. Where an entry differs from its paper or
leaves something to the caller, the line says so. All follow published code but `avts`.
"""

import math

# float32's epsilon, the floor of Kaldi's and CrissCross's logarithms.
_EPSILON = 1.1920929e-07

_SLANEY = {
    "rate": 16000,
    "window": 1024,
    "fft": 1024,
    "hop": 160,
    "centre": True,
    "bands": 80,
    "fmax": 8000.0,
    "mel_scale": "slaney",
    "norm": "area",
    "log": "add",
    "floor": _EPSILON,
    "mean": -5.3688107,
    "std": 4.410007,
    "layout": "frequency_time",
}
_KALDI = {
    "rate": 16000,
    "window": 0.025,
    "hop": 0.01,
    "periodic": False,
    "remove_mean": True,
    "remove_dc": True,
    "preemphasis": 0.97,
    "bands": 128,
    "fmin": 20.0,
    "triangle_domain": "mel",
    "nyquist": "drop",
    "log": "max",
    "floor": _EPSILON,
}
_AUDIOSET = {**_KALDI, "frames": 1024, "mean": -4.2677393, "std": 2 * 4.5689974}

FRONT_ENDS = {
    # 2 s: 80 x 201.
    "crisscross": _SLANEY,
    # 4 s: 80 x 448, 1 s: 80 x 112, multiples of the patch's 16 frames.
    "xkd": {**_SLANEY, "hop": 143},
    # 2 s: 124 frames, of which 125 are drawn. The published code resamples from 44.1 kHz.
    "replai": {
        "rate": 16000,
        "window": 512,
        "hop": 256,
        "bands": 80,
        "fmax": 8000.0,
        "log": "max",
        "floor": 1e-10,
        "frames": 125,
        "frames_mode": "subsample",
        "mean": -7.03,
        "std": 4.66,
    },
    # 2 s: 200 x 257, decibel. The published code standardises each bin with statistics of its
    # training set: give them as `mean` and `std` (257 numbers each, std + 1e-5).
    "avid": {
        "rate": 24000,
        "window": 1024,
        "hop": 240,
        "centre": True,
        "filters": "pairs",
        "log": "decibel",
        "floor": 1e-10,
        "top_db": 100.0,
        "frames": 200,
    },
    # 1 s: 40 x 99. The published code feeds int16 samples without scaling: the gain.
    "gdt": {
        "rate": 24000,
        "gain": 32768.0,
        "window": 0.02,
        "fft": 1024,
        "hop": 0.01,
        "taper": "rectangular",
        "pad_end": True,
        "preemphasis": 0.97,
        "preemphasis_over": "signal",
        "scale": 1 / 1024,
        "bands": 40,
        "floored": True,
        "log": "max",
        "floor": 2.220446049250313e-16,
        "mean": 1.93,
        "std": 17.89,
        "layout": "frequency_time",
    },
    # 1 s: 99 x 26, python_speech_features' `logfbank` of int16 samples: the gain.
    "av_hubert": {
        "rate": 16000,
        "gain": 32768.0,
        "window": 0.025,
        "fft": 512,
        "hop": 0.01,
        "taper": "rectangular",
        "pad_end": True,
        "preemphasis": 0.97,
        "preemphasis_over": "signal",
        "scale": 1 / 512,
        "bands": 26,
        "floored": True,
        "log": "max",
        "floor": 2.220446049250313e-16,
    },
    # 1 s: 98 x 23, what Kaldi takes cepstra of.
    "kaldi-mfcc": {**_KALDI, "taper": "povey", "remove_mean": False, "bands": 23},
    # 1 s and 250 samples: 100 x 40. Bin 0 of its packed transform holds DC^2 + Nyquist^2.
    "vmz": {
        "rate": 16000,
        "window": 256,
        "hop": 160,
        "periodic": False,
        "scale": 1080674186.3482928,
        "bands": 40,
        "fmax": 8000.0,
        "bin_step": 8000 / 129,
        "least_width": 1.0,
        "norm": "sum",
        "nyquist": "fold",
        "log": "linear_below",
        "floor": math.e,
    },
    # At the file's own rate: give `rate`.
    "lavish-vit": {**_KALDI, "frames": 102, "mean": -4.1426, "std": 2 * 3.2001},
    "lavish-swin": {
        **_KALDI,
        "hop": 0.0052,
        "bands": 192,
        "frames": 192,
        "mean": -4.9848,
        "std": 2 * 3.7080,
    },
    # 0.96 s and 15 ms: 96 x 64.
    "vggish": {
        "rate": 16000,
        "window": 400,
        "hop": 160,
        "power": 1,
        "bands": 64,
        "fmin": 125.0,
        "fmax": 7500.0,
        "triangle_domain": "mel",
        "zero_dc": True,
        "log": "add",
        "floor": 0.01,
    },
    # 48662 samples: 183 x 80. The maximum of 0 dB is that of all windows of a sample together.
    "fakeout": {
        "rate": 44100,
        "window": 2048,
        "hop": 256,
        "bands": 80,
        "fmax": 22050.0,
        "triangle_domain": "mel",
        "zero_dc": True,
        "log": "decibel",
        "floor": 1e-16,
        "reference": "max",
        "top_db": 80.0,
    },
    # 10 s: 998 frames, zeros (before normalisation) up to 1024.
    "ast": _AUDIOSET,
    "audiomae": _AUDIOSET,
    # The same with other data sets' statistics: 5 s of ESC-50, 1 s of Speech Commands.
    "ast-esc50": {**_AUDIOSET, "frames": 512, "mean": -6.6268077, "std": 2 * 5.358466},
    "ast-speech": {**_AUDIOSET, "frames": 128, "mean": -6.845978, "std": 2 * 5.5654526},
    # Unverified: no published code. Window, step and bands as the paper is remembered (Sec. 3);
    # the rest is this project's choice. 1 s: 99 x 40.
    "avts": {
        "rate": 16000,
        "window": 0.02,
        "fft": 1024,
        "hop": 0.01,
        "bands": 40,
        "log": "max",
        "floor": 1e-10,
    },
}
FRONT_ENDS["mmv"] = FRONT_ENDS["fakeout"]


def front_end_config(front_end):
    """The arguments of a front-end given by name, as arguments or as a `LogMelSpectrogram`.

    Raises:
        ValueError: no front-end has that name.
    """
    if hasattr(front_end, "get_config"):
        config = front_end.get_config()
        return {k: v for k, v in config.items() if k not in ("name", "dtype", "trainable")}
    if isinstance(front_end, str):
        if front_end not in FRONT_ENDS:
            raise ValueError(
                f"There is no front-end {front_end!r}; choose one of {', '.join(FRONT_ENDS)}."
            )
        front_end = FRONT_ENDS[front_end]
    return dict(front_end)
