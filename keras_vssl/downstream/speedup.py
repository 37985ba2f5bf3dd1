"""Adaptive speed-up: how fast each moment of a video may be played and still look natural."""

import collections
import dataclasses
import math
import os

import numpy as np

from keras_vssl.data.plans import View
from keras_vssl.data.reader import VideoReader, crop

RATES = tuple(1.25**i for i in range(7))  # 1 to 3.8
_WHOLE = (0.0, 0.0, 1.0, 1.0)
_ROUNDS = 50  # of holding speeds at their bounds; a handful are usual
_OPEN = 120.0  # seconds that listing the packets of a long file may take


@dataclasses.dataclass(frozen=True)
class Speediness:
    """How a video looks at several rates.

    Args:
        seconds: float64 `[n]`, the frames' times.
        rates: float64 `[k]`, X_i, the rates that the video is long enough for.
        normal: float32 `[k, n]`, P_i(t): how probably the moment looks normal at rate X_i.
        threshold: float, rho.

    Attributes:
        values: float64 `[n]`, V(t): the largest rate at which the moment still looks normal, 1
            where it does at none.
    """

    seconds: np.ndarray
    rates: np.ndarray
    normal: np.ndarray
    threshold: float = 0.5

    @property
    def values(self):
        return natural_rates(self.normal, self.rates, self.threshold)


def natural_rates(normal, rates, threshold=0.5):
    """V(t) `[n]`: the largest of `rates` `[k]` whose `normal` `[k, n]` reaches the threshold, or 1."""
    reached = np.where(np.asarray(normal) >= threshold, np.asarray(rates, float)[:, None], 1.0)
    return reached.max(axis=0)


def thinned(total, rate):
    """Frame numbers of a video of `total` frames at `rate`: the nearest to 0, X, 2X, ..."""
    return _nearest(np.arange(int((total - 1) / rate) + 1) * rate)


def speediness(
    task, video, *, rates=RATES, threshold=0.5, step=None, batch_size=8, timeout=20.0, progress=None
):
    """The speediness curve of a video.

    The video is read once. Of every rate the last T frames are held, as small as the network takes
    them, and nothing more: memory does not grow with the video but for a few numbers a frame.

    Args:
        task: a task that gives one logit of "normal speed" a clip (`SpeedNet`).
        video: str, the file.
        rates: floats >= 1, increasing, X_i. Those at which the video has fewer than T frames are
            left out: a still tail would look slow.
        threshold: float in (0, 1), rho, from which P_i(t) counts as normal.
        step: int or None (T / 8), frames of the thinned video from one window to the next.
        batch_size: int, windows a forward pass.
        timeout: float, seconds that one frame may take to be read.
        progress: None or a function called with `(done, total)` frames.

    Returns:
        `Speediness`.

    Raises:
        ValueError: the video is shorter than T frames, or a wrong argument.
        keras_vssl.data.ReadError: the video can't be read.
    """
    rates = [float(rate) for rate in rates]
    if not rates or rates[0] < 1 or any(b <= a for a, b in zip(rates, rates[1:])):
        raise ValueError(f"Expected increasing rates of 1 or more, received {rates}.")
    if not 0 < threshold < 1:
        raise ValueError(f"Expected a threshold between 0 and 1, received {threshold}.")
    frames, size = task.sampler.frames, task.sampler.spatial.shape
    step = max(1, frames // 8) if step is None else int(step)
    if step < 1:
        raise ValueError(f"Expected a step of 1 frame or more, received {step}.")
    with VideoReader(video, timeout=_OPEN) as reader:
        total = reader.info.frames
        if total < frames:
            raise ValueError(
                f"Expected a video of at least {frames} frames, one clip of the network, but "
                f"{reader.path} has {total}; use a longer video."
            )
        tracks = [_Track(rate, total, frames, step) for rate in rates]
        tracks = [track for track in tracks if len(track.sources) >= frames]
        windows = _Windows(_network(task, batch_size), (batch_size, 1, frames, *size, 3))
        for number in range(tracks[0].sources[-1] + 1):
            small = None
            for track in tracks:
                if not track.wants(number):
                    continue
                if small is None:
                    (frame,) = reader.frames([number])
                    small = crop(frame, View(np.array([number]), _WHOLE, size))
                if (clip := track.add(small)) is not None:
                    windows.add(track.found, clip)
            if progress is not None:
                progress(number + 1, total)
        windows.run()
        seconds = reader.timestamps.copy()
    normal = np.stack([track.curve(total) for track in tracks]).astype(np.float32)
    return Speediness(seconds, np.array([t.rate for t in tracks]), normal, float(threshold))


class _Track:
    """The video thinned to one rate: its last frames, and what was found in its windows."""

    def __init__(self, rate, total, frames, step):
        self.rate, self.frames, self.step = rate, frames, step
        self.sources = thinned(total, rate)
        self.recent = collections.deque(maxlen=frames)
        self.seen = 0
        self.found = []  # P of the windows, in order

    def wants(self, number):
        return self.seen < len(self.sources) and self.sources[self.seen] == number

    def add(self, frame):
        """Takes the next frame; the window that ends with it, if one does."""
        self.recent.append(frame)
        self.seen += 1
        past = self.seen - self.frames
        return np.stack(self.recent) if past >= 0 and past % self.step == 0 else None

    def curve(self, total):
        """P on the frames of the original: windows count for their middles, ends are held."""
        middles = np.arange(len(self.found)) * self.step + (self.frames - 1) / 2
        return np.interp(np.arange(total), middles * self.rate, self.found)


class _Windows:
    """Collects windows into batches of one shape and hands the probabilities back."""

    def __init__(self, function, shape):
        self.function, self.batch, self.owners = function, np.zeros(shape, np.uint8), []

    def add(self, owner, clip):
        self.batch[len(self.owners), 0] = clip
        self.owners.append(owner)
        if len(self.owners) == len(self.batch):
            self.run()

    def run(self):
        if self.owners:
            logits = np.asarray(self.function(self.batch)[0], np.float64).reshape(-1)
            for owner, logit in zip(self.owners, logits):
                owner.append(0.5 * (1.0 + math.tanh(0.5 * logit)))  # the sigmoid, without overflow
            self.owners.clear()


def _network(task, batch_size):
    import keras

    from keras_vssl.downstream.streaming import compiled

    shape = (1, task.sampler.frames, *task.sampler.spatial.shape, 3)
    inputs = keras.Input(shape, batch_size=batch_size, dtype="uint8")
    return compiled(inputs, [task(inputs, training=False)])


# The plan


def plan_speed(values, rate, alpha=100.0, beta=math.inf, most=None):
    """The smooth speed S(t) >= 1 that is near V(t) and whose mean is near R.

    Minimises `sum_t (S(t) - V(t))^2 + beta n (mean(S) - R)^2 + alpha sum_t (S(t+1) - S(t))^2`. The
    paper has the same three terms; this algebra and the solver are the project's. The gradient is
    0 where `(I + alpha D'D + beta/n 11') S = V + beta R 1`, D the forward difference: a tridiagonal
    system and a rank-one part, solved in O(n) by Thomas' algorithm. Where S would leave [1, most]
    it is held at the bound and the rest is solved again.

    Args:
        values: float `[n]`, V(t). rate: float >= 1, R.
        alpha: float >= 0, smoothness: speeds are smoothed over about sqrt(alpha) frames.
        beta: float >= 0, weight of the mean; infinity: the mean is R.
        most: float or None, the highest speed.

    Returns:
        float64 `[n]`.

    Raises:
        ValueError: an argument is out of range.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"Expected finite values [n], received an array {values.shape}.")
    if not rate >= 1 or not math.isfinite(rate):
        raise ValueError(f"Expected a rate of 1 or more, received {rate}; videos are sped up only.")
    if not 0 <= alpha < math.inf or not beta >= 0:
        raise ValueError(f"Expected alpha and beta of 0 or more, received {alpha} and {beta}.")
    if most is not None and most < rate:
        raise ValueError(f"Expected most to be at least the rate {rate}, received {most}.")
    high = math.inf if most is None else float(most)
    held = np.full(len(values), np.nan)  # where S is at a bound: the bound
    for _ in range(_ROUNDS):
        speed = _minimum(values, rate, alpha, beta, held)
        outside = np.isnan(held) & ((speed < 1) | (speed > high))
        if not outside.any():
            break
        # One bound a round: those below 1 raise the mean of the rest when they are held.
        low = outside & (speed < 1)
        chosen = low if low.any() else outside
        held[chosen] = np.clip(speed[chosen], 1.0, high)
    return np.clip(speed, 1.0, high)


def _minimum(values, rate, alpha, beta, held):
    """The minimiser with the entries of `held` that are not NaN fixed."""
    count, fixed = len(values), ~np.isnan(held)
    free = ~fixed
    known = np.where(fixed, held, 0.0)
    # A = I + alpha D'D, with the rows of fixed entries replaced by S(t) = bound.
    neighbours = np.full(count, 2.0)
    neighbours[[0, -1]] -= 1.0  # of one entry alone: 0
    off = np.full(count - 1, -alpha)
    right = values.copy()
    right[1:] -= off * known[:-1]
    right[:-1] -= off * known[1:]
    off = np.where(free[1:] & free[:-1], off, 0.0)
    diagonal = np.where(free, 1.0 + alpha * neighbours, 1.0)
    right = np.where(free, right, known)
    base = thomas(off, diagonal, off, right)
    if not free.any():
        return base
    # (A + beta/n uu') S = right + u (beta R - beta/n sum(held)), by Sherman and Morrison.
    push = thomas(off, diagonal, off, free.astype(float))
    lack = rate * count - known.sum() - base[free].sum()
    reach = push[free].sum()
    gain = lack / reach if math.isinf(beta) else beta / count * lack / (1 + beta / count * reach)
    return base + gain * push


def thomas(lower, diagonal, upper, right):
    """Solves a tridiagonal system that its diagonal dominates, in O(n).

    Args:
        lower: `[n - 1]`, left of the diagonal. diagonal: `[n]`. upper: `[n - 1]`. right: `[n]`.

    Returns:
        float64 `[n]`.
    """
    lower, diagonal, upper, right = (
        np.asarray(x, dtype=np.float64).tolist() for x in (lower, diagonal, upper, right)
    )
    pivot, value = diagonal[0], right[0]
    factors, x = [], [value / pivot]
    for low, middle, up, known in zip(lower, diagonal[1:], upper, right[1:]):
        factors.append(up / pivot)
        pivot = middle - low * factors[-1]
        x.append((known - low * x[-1]) / pivot)
    for i in range(len(factors) - 1, -1, -1):
        x[i] -= factors[i] * x[i + 1]
    return np.array(x)


def positions(speed):
    """Where in the video each output frame lies: q_0 = 0, q_{m+1} = q_m + S(q_m), up to n - 1.

    Args:
        speed: float `[n]`, S(t) >= 1; linear between frames.

    Returns:
        float64 `[m]`, in frames. The frame shown is the nearest.
    """
    speed = np.asarray(speed, dtype=np.float64).tolist()
    place, last, found = 0.0, len(speed) - 1, []
    speed.append(speed[-1])
    while place <= last:
        found.append(place)
        i = int(place)
        place += speed[i] + (place - i) * (speed[i + 1] - speed[i])
    return np.array(found)


def fit_speed(values, rate, alpha=100.0):
    """`plan_speed` whose rendered video is `rate` times as short.

    Frames are shown as long as each other, so the rate that a viewer gets is the harmonic mean of
    S, below the mean. R is found by trying.

    Args, returns, raises: as `plan_speed`.
    """
    if rate == 1:
        return np.ones(len(values))
    wanted = max(1, round(len(values) / rate))
    low, high, mean = 1.0, math.inf, float(rate)
    for _ in range(60):
        speed = plan_speed(values, mean, alpha)
        made = len(positions(speed))
        # A long video's last frame is not worth another round.
        if abs(made - wanted) <= wanted // 5000 or high - low < 1e-9 * low:
            break
        low, high = (mean, high) if made > wanted else (low, mean)
        mean *= made / wanted  # the length is nearly inverse to the mean
        if not low < mean < high:
            mean = 2 * low if math.isinf(high) else (low + high) / 2
    return speed


# The video


def render(source, target, speed, *, timeout=20.0, progress=None):
    """Writes a video at a varying speed, its sound in step and at its own pitch.

    One frame and a few seconds of sound are held at a time. The sound is mixed to one channel. The
    result has the source's mean number of frames a second, also where the source's varies.

    Args:
        source: str, the video. target: str, the file to write (see `VideoWriter`).
        speed: float `[n]`, S(t) for each frame of the source.
        timeout: float, seconds that one frame may take to be read.
        progress: None or a function called with `(done, total)` output frames.

    Returns:
        float64 `[m]`, the `positions` that were shown.

    Raises:
        ValueError: `speed` is not of the video's length, or `target` can't be written.
        keras_vssl.data.ReadError: the video can't be read.
    """
    from keras_vssl.data.stretch import Stretcher
    from keras_vssl.data.writer import VideoWriter, sound_rate

    places = positions(speed)
    shown = _nearest(places)
    with VideoReader(source, timeout=_OPEN) as reader, VideoReader(source, timeout=_OPEN) as ears:
        info = reader.info
        if len(speed) != info.frames:
            raise ValueError(
                f"Expected a speed for each of {info.frames} frames, received {len(speed)}."
            )
        rate = info.audio_rate and sound_rate(info.audio_rate)
        if rate:
            # The last frame is shown until the end: one step more.
            knots = np.arange(len(places) + 1) / info.fps
            times = np.interp(places, np.arange(info.frames), reader.timestamps)
            times = np.append(times, times[-1] + speed[-1] / info.fps)
            sound = Stretcher(
                lambda start, length: ears.audio(start, length, rate),
                lambda seconds: np.interp(seconds, knots, times),
                rate,
            )
        heard = 0
        with VideoWriter(target, info.fps, (info.height, info.width), rate) as writer:
            for m, number in enumerate(shown.tolist()):
                (frame,) = reader.frames([number])
                writer.frame(frame)
                if rate:
                    due = round((m + 1) / info.fps * rate)
                    writer.sound(sound.take(due - heard))
                    heard = due
                if progress is not None:
                    progress(m + 1, len(shown))
    return places


def speed_up(task, source, target, rate=2.0, *, smooth=0.5, progress=None, **options):
    """Writes a video `rate` times as short, faster where that looks natural and slower elsewhere.

    Args:
        task: a trained `SpeedNet`. source, target: str, the video and the file to write.
        rate: float >= 1, how many times as short the result is.
        smooth: float >= 0, seconds over which the speed is smoothed.
        progress: None or a function called with `(stage, done, total)`, stage "look" or "write".
        **options: of `speediness`.

    Returns:
        (`Speediness`, float64 `[n]` speed of each frame, float64 `[m]` places of the output's
        frames in the source).

    Raises:
        ValueError: an argument is out of range, or the video is too short.
        keras_vssl.data.ReadError: the video can't be read.

    Example:

    ```python
    task = keras_vssl.tasks.SpeedNet.from_preset("run/")
    keras_vssl.downstream.speed_up(task, "dance.mp4", "short.mp4", rate=2)
    ```

    Reference:
        Benaim, Ephrat, Lang, Mosseri, Freeman, Rubinstein, Irani, Dekel. SpeedNet: learning the
        speediness in videos. CVPR 2020.
    """
    from keras_vssl.data.writer import check_target

    check_target(target)
    if os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError(f"Expected another file to write than the one to read, {source}.")
    if not (math.isfinite(rate) and rate >= 1) or not smooth >= 0:
        raise ValueError(
            f"Expected a rate of 1 or more and a smoothness of 0 or more, received {rate} and "
            f"{smooth}; videos are sped up only."
        )

    def report(stage):
        return None if progress is None else lambda done, total: progress(stage, done, total)

    curve = speediness(task, source, progress=report("look"), **options)
    fps = (len(curve.seconds) - 1) / max(curve.seconds[-1], 1e-6)
    speed = fit_speed(curve.values, rate, (smooth * fps) ** 2)
    places = render(source, target, speed, progress=report("write"))
    return curve, speed, places


def _nearest(places):
    return np.floor(np.asarray(places) + 0.5).astype(np.int64)
