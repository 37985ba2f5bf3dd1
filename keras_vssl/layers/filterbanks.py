"""Filter matrices from the bins of a spectrum to bands. Pure NumPy, float64 inside."""

import numpy as np

SCALES = ("htk", "slaney")
DOMAINS = ("hz", "mel")
NORMS = (None, "area", "sum")
NYQUIST = ("keep", "drop", "fold")
# Slaney's scale: 200/3 Hz a mel below 1 kHz, then steps of ln(6.4)/27.
_LINEAR, _BREAK, _LOG_STEP = 200.0 / 3, 1000.0, np.log(6.4) / 27.0


def hz_to_mel(hz, scale="htk"):
    """Hz as mel, `"htk"` (1127 ln(1 + f / 700)) or `"slaney"` (linear below 1 kHz)."""
    hz = np.asarray(hz, dtype="float64")
    if scale == "htk":
        return 1127.0 * np.log1p(hz / 700.0)
    above = _BREAK / _LINEAR + np.log(np.maximum(hz, _BREAK) / _BREAK) / _LOG_STEP
    return np.where(hz < _BREAK, hz / _LINEAR, above)


def mel_to_hz(mel, scale="htk"):
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype="float64")
    if scale == "htk":
        return 700.0 * np.expm1(mel / 1127.0)
    turn = _BREAK / _LINEAR
    return np.where(
        mel < turn, mel * _LINEAR, _BREAK * np.exp(_LOG_STEP * (np.maximum(mel, turn) - turn))
    )


def mel_filters(
    bands,
    fft,
    rate,
    fmin=0.0,
    fmax=None,
    scale="htk",
    domain="hz",
    norm=None,
    floored=False,
    bin_step=None,
    least_width=0.0,
    zero_dc=False,
    nyquist="keep",
):
    """Triangular filters, evenly spaced in mel, over the bins of a real Fourier transform.

    The published matrices differ in all of these; a wrong one crashes nothing and costs accuracy.

    Args:
        bands: int, number of filters.
        fft: int, length of the transform; it has `fft // 2 + 1` bins.
        rate: int, Hz.
        fmin, fmax: float, Hz, where the first triangle begins and the last one ends. `fmax=None`
            is half the rate.
        scale: `"htk"` or `"slaney"`, the mel formula that spaces the triangles.
        domain: `"hz"` (the sides are straight over frequency: librosa, torchaudio) or `"mel"`
            (straight over mel: Kaldi, tf.signal).
        norm: `None` (peak 1), `"area"` (times 2 / (right - left), in Hz) or `"sum"` (the weights
            of a filter add up to 1).
        floored: bool, corners rounded down to whole bins `floor((fft + 1) f / rate)`
            (python_speech_features).
        bin_step: float, Hz from bin to bin; `None` is `rate / fft`.
        least_width: float, bins that each side of a triangle has at least (`domain="hz"`).
        zero_dc: bool, give bin 0 no weight.
        nyquist: what becomes of the last bin: `"keep"`, `"drop"` (no weight), or `"fold"` (the
            weights of bin 0, as where a packed transform adds its power to that bin).

    Returns:
        float64 `[fft // 2 + 1, bands]`.

    Raises:
        ValueError: an unknown choice, or frequencies out of order.
    """
    for name, value, choices in (
        ("scale", scale, SCALES),
        ("domain", domain, DOMAINS),
        ("norm", norm, NORMS),
        ("nyquist", nyquist, NYQUIST),
    ):
        if value not in choices:
            raise ValueError(f"`{name}` is one of {choices}, but received {value!r}.")
    fmax = rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax <= rate / 2:
        raise ValueError(
            f"Expected 0 <= fmin < fmax <= {rate / 2:g} Hz, half the rate, but received "
            f"fmin={fmin} and fmax={fmax}."
        )
    corners = np.linspace(hz_to_mel(fmin, scale), hz_to_mel(fmax, scale), bands + 2)
    hertz = mel_to_hz(corners, scale)
    step = rate / fft if bin_step is None else bin_step
    bins = np.arange(fft // 2 + 1, dtype="float64")
    if domain == "mel":
        bins = hz_to_mel(bins * step, scale)
    elif floored:
        corners = np.floor((fft + 1) * hertz / rate)
    else:
        corners = hertz / step
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    tiny = 1e-6  # rounding down may leave a side without width
    rise = np.maximum(np.maximum(centre - left, least_width), tiny)
    fall = np.maximum(np.maximum(right - centre, least_width), tiny)
    off = bins[:, None] - centre
    weights = np.maximum(1.0 - np.where(off < 0, -off / rise, off / fall), 0.0)
    weights *= right > centre
    if norm == "area":
        weights *= 2.0 / (hertz[2:] - hertz[:-2])
    elif norm == "sum":
        total = weights.sum(axis=0)
        weights /= np.where(total > 0, total, 1.0)
    if zero_dc:
        weights[0] = 0.0
    if nyquist == "drop":
        weights[-1] = 0.0
    elif nyquist == "fold":
        weights[-1] = weights[0]
    return weights


def band_centres(bands, rate, fmin=0.0, fmax=None, scale="htk"):
    """The frequencies in Hz, `[bands]`, at which the triangles of `mel_filters` peak."""
    fmax = rate / 2 if fmax is None else fmax
    corners = np.linspace(hz_to_mel(fmin, scale), hz_to_mel(fmax, scale), bands + 2)
    return mel_to_hz(corners[1:-1], scale)


def pair_filters(fft):
    """Bin 0 as it is, then the means of bins 1 and 2, 3 and 4, ...: `[fft // 2 + 1, fft // 4 + 1]`.

    A transform of twice the resolution, averaged back (Morgado et al. CVPR 2021, published code).
    """
    weights = np.zeros((fft // 2 + 1, fft // 4 + 1))
    weights[0, 0] = 1.0
    rows = np.arange(1, 2 * (fft // 4) + 1)
    weights[rows, (rows + 1) // 2] = 0.5
    return weights


def taper_window(kind, window, periodic, frame):
    """A window in the middle of `frame` samples, zeros around it.

    Args:
        kind: `"hann"`, `"povey"` (Kaldi's: Hann to the power 0.85) or `"rectangular"`.
        window: int, its samples.
        periodic: bool, the Hann window's period is `window` (`window - 1` if symmetric).
        frame: int.

    Returns:
        float32 `[frame]`.
    """
    if kind in ("hann", "povey"):
        period = window if periodic else max(window - 1, 1)
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / period)
        if kind == "povey":
            taper = taper**0.85
    else:
        taper = np.ones(window)
    before = (frame - window) // 2
    return np.pad(taper, (before, frame - window - before)).astype("float32")
