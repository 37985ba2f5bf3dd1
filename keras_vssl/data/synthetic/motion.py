"""The classes: how a shape's place, angle and size move over time."""

from dataclasses import dataclass

import numpy as np

CLASSES = (
    "move_up",
    "move_down",
    "move_left",
    "move_right",
    "rotate_clockwise",
    "rotate_counterclockwise",
    "circle_clockwise",
    "circle_counterclockwise",
    "grow",
    "shrink",
    "bounce",
    "swing",
    "accelerate",
    "brake",
    "fast",
    "slow",
)

PHRASES = {
    "move_up": "moves up",
    "move_down": "moves down",
    "move_left": "moves left",
    "move_right": "moves right",
    "rotate_clockwise": "rotates clockwise",
    "rotate_counterclockwise": "rotates counter-clockwise",
    "circle_clockwise": "circles clockwise",
    "circle_counterclockwise": "circles counter-clockwise",
    "grow": "grows",
    "shrink": "shrinks",
    "accelerate": "speeds up",
    "brake": "slows down",
    "bounce": "bounces along",
    "swing": "swings from side to side",
    "fast": "moves fast",
    "slow": "moves slowly",
}

# Speeds are shares of a full round (frame width, turn, size range) per frame.
_SPEED, _TURN, _GROWTH = 0.03, 0.05, 0.05
# On top of its class's motion every shape sways: at first it drifts right and down, turns clockwise
# and grows, by the middle it has stopped doing so, and at last it goes back at the same rate. The sway
# is the same in all classes, so it names none, but it orders clips, and only for who sees which way
# things go: how much they move is the same at both ends.
_SWAY, _SWAY_TURN, _SWAY_GROWTH = 0.015, 0.03, 0.025
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
    gain = {"accelerate": 0.9, "brake": -0.9}.get(name, 0.0)
    done = t / max(frames - 1, 1)
    time = pace * t * (1 + gain * (done - 1))
    way = _SPEED * time
    x, y, angle, size = (np.zeros(frames) for _ in range(4))
    hits = np.zeros(0)
    if name == "move_up":
        y = -way
    elif name == "move_down":
        y = way
    elif name == "move_left":
        x = -way
    elif name == "move_right":
        x = way
    elif name == "rotate_clockwise":
        angle = _TURN * time
    elif name == "rotate_counterclockwise":
        angle = -_TURN * time
    elif name == "grow":
        size = _GROWTH * time
    elif name == "shrink":
        size = -_GROWTH * time
    elif name in ("circle_clockwise", "circle_counterclockwise"):
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
    else:
        raise ValueError(f"Unknown motion class {name!r}: expected one of {', '.join(CLASSES)}.")
    there_and_back = t * (1 - done)
    return Track(
        start[0] + x + _SWAY * there_and_back,
        start[1] + y + _SWAY * there_and_back,
        start[2] + angle + _SWAY_TURN * there_and_back,
        start[3] + size + _SWAY_GROWTH * there_and_back,
        hits,
    )
