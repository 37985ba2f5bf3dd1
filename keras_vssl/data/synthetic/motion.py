"""The classes: how a shape's place, angle and size move over time."""

from dataclasses import dataclass

import numpy as np

# What each class does, as captions say it. The first 12 are constant rates of the state, the cleanest.
PHRASES = {
    "move_up": "moves up",
    "move_down": "moves down",
    "move_left": "moves left",
    "move_right": "moves right",
    "rotate_clockwise": "rotates clockwise",
    "rotate_counterclockwise": "rotates counter-clockwise",
    "grow": "grows",
    "shrink": "shrinks",
    "move_up_left": "moves up and left",
    "move_up_right": "moves up and right",
    "move_down_left": "moves down and left",
    "move_down_right": "moves down and right",
    "circle_clockwise": "circles clockwise",
    "circle_counterclockwise": "circles counter-clockwise",
    "bounce": "bounces along",
    "swing": "swings from side to side",
    "accelerate": "speeds up",
    "brake": "slows down",
    "fast": "moves fast",
    "slow": "moves slowly",
}
CLASSES = tuple(PHRASES)

# Rounds (frame width, turn, size range) per frame that a class moves the state by:
# right, down, clockwise, larger.
_SPEED, _TURN, _GROWTH = 0.03, 0.05, 0.05
_RATES = {
    "move_up": (0, -_SPEED, 0, 0),
    "move_down": (0, _SPEED, 0, 0),
    "move_left": (-_SPEED, 0, 0, 0),
    "move_right": (_SPEED, 0, 0, 0),
    "rotate_clockwise": (0, 0, _TURN, 0),
    "rotate_counterclockwise": (0, 0, -_TURN, 0),
    "grow": (0, 0, 0, _GROWTH),
    "shrink": (0, 0, 0, -_GROWTH),
    "move_up_left": (-_SPEED, -_SPEED, 0, 0),
    "move_up_right": (_SPEED, -_SPEED, 0, 0),
    "move_down_left": (-_SPEED, _SPEED, 0, 0),
    "move_down_right": (_SPEED, _SPEED, 0, 0),
}
# On top of its class's motion every shape is carried along, the same in all classes, so that it names
# none: to the right and clockwise in the first half of a video, at a rate that falls from these to
# nothing, and down and larger in the second half, at a rate that rises from nothing to these. It tells
# the order of clips, but only to who sees which way things go, in place, angle and size apart.
_EARLY = (0.02, 0.0, 0.04, 0.0)
_LATE = (0.0, 0.02, 0.0, 0.035)
_CIRCLE_RADIUS, _CIRCLE_PERIOD = 0.1, 11.0
_HOP_HEIGHT, _HOP_PERIOD = 0.22, 10.0
_SWING_WIDTH, _SWING_PERIOD = 0.1, 9.0


@dataclass(frozen=True)
class Track:
    """A shape's state at each frame.

    Args:
        x: float64 [T], horizontal place of the centre in frame widths, not wrapped (right is more).
        y: float64 [T], vertical place in frame heights, not wrapped (down is more).
        angle: float64 [T], turns, clockwise.
        size: float64 [T], place in the size range, not wrapped; its fraction counts.
        hits: float64 [K], times in frames at which a bounce hits.
    """

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    size: np.ndarray
    hits: np.ndarray


def track(name, frames, rng):
    """Draws one trajectory of class `name`.

    The same random numbers are drawn for every class, in the same order, so that no class differs
    from another in anything but the displacement.

    Args:
        name: one of `CLASSES`.
        frames: length T.
        rng: `numpy.random.Generator`.

    Returns:
        A `Track`.
    """
    start = rng.random(4)
    phase = rng.random()
    sign_x, sign_y = rng.choice((-1.0, 1.0), size=2)
    pace = rng.uniform(0.9, 1.1)
    t = np.arange(frames, dtype=np.float64)
    done = t / max(frames - 1, 1)
    gain = {"accelerate": 0.9, "brake": -0.9}.get(name, 0.0)
    time = pace * t * (1 + gain * (done - 1))
    x, y, angle, size = np.outer(_RATES.get(name, (0, 0, 0, 0)), time)
    way = _SPEED * time
    hits = np.zeros(0)
    if name in ("circle_clockwise", "circle_counterclockwise"):
        turn = 1.0 if name == "circle_clockwise" else -1.0
        around = 2 * np.pi * (phase + turn * time / _CIRCLE_PERIOD)
        x, y = _CIRCLE_RADIUS * np.cos(around), _CIRCLE_RADIUS * np.sin(around)
    elif name == "bounce":
        hop = phase + time / _HOP_PERIOD
        x, y = sign_x * way, -4 * _HOP_HEIGHT * (hop % 1) * (1 - hop % 1)
        hits = np.interp(np.arange(1, int(hop[-1]) + 1), hop, t)
    elif name == "swing":
        x = _SWING_WIDTH * np.sin(2 * np.pi * (phase + time / _SWING_PERIOD))
    elif name in ("accelerate", "brake", "fast", "slow"):
        way = way * {"fast": 1.5, "slow": 0.4}.get(name, 1.0)
        x, y = sign_x * way, sign_y * way
    half = frames / 2
    early = np.minimum(t, half) * (1 - np.minimum(t, half) / frames)
    late = np.maximum(t - half, 0) ** 2 / frames
    carried = np.outer(_EARLY, early) + np.outer(_LATE, late)
    x, y, angle, size = start[:, None] + np.stack([x, y, angle, size]) + carried
    return Track(x, y, angle, size, hits)
