"""What a motion-world video sounds like: a hum that follows the shape, clicks where it hits."""

import numpy as np

RATE = 16000  # Hz


def sing(look, motion, fps, rng):
    """Renders the sound of a track.

    The pitch follows the height (an octave from the bottom of the frame to the top), the overtones
    the horizontal place, a tremolo the angle, and the loudness the size: every motion is heard, and
    a single moment tells no more about the class than a single frame does.

    Args:
        look: `Appearance`, for the timbre.
        motion: `Track`.
        fps: frames a second.
        rng: generator for the noise in the clicks.

    Returns:
        float32 [round(T / fps * 16000)] in -1..1.
    """
    frames = len(motion.x)
    count = round(frames / fps * RATE)
    at = np.arange(count) / RATE * fps  # in frames
    # Past the last frame the state is held.
    x, y, angle, size = (
        np.interp(at, np.arange(frames), s) for s in (motion.x, motion.y, motion.angle, motion.size)
    )
    pitch = 2 * np.pi * np.cumsum(220 * 2 ** (1 - y % 1)) / RATE
    bright = look.timbre * 0.5 * (1 + np.cos(2 * np.pi * x))
    loud = (0.1 + 0.15 * (size % 1)) * (1 + 0.4 * np.cos(2 * np.pi * angle))
    wave = loud * (np.sin(pitch) + bright * (0.5 * np.sin(3 * pitch) + 0.3 * np.sin(5 * pitch)))
    click = 0.6 * rng.uniform(-1, 1, RATE // 40) * np.exp(-np.arange(RATE // 40) / (RATE / 200))
    for hit in motion.hits:
        first = round(hit / fps * RATE)
        part = click[: max(0, count - first)]
        wave[first : first + len(part)] += part
    return np.clip(wave, -1, 1).astype(np.float32)
