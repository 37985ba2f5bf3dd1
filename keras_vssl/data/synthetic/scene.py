"""What a motion-world video looks like: shapes, colours, textures, distractors, camera."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from keras_vssl.data.synthetic.motion import PHRASES

LEVELS = ("plain", "textured", "distractors")

# Shapes are light and grounds dark: what moves carries the light, so a small network sees motion
# before it sees the ground. (With free contrast, clip order was not learnt in 500 steps of 32
# tuples; with dark grounds it leaves chance after 100.)
COLOURS = {
    "red": (235, 95, 85),
    "orange": (245, 165, 75),
    "yellow": (245, 230, 110),
    "green": (110, 205, 120),
    "turquoise": (100, 220, 220),
    "blue": (110, 145, 245),
    "purple": (180, 125, 230),
    "pink": (250, 175, 205),
    "white": (240, 240, 240),
}
GROUNDS = {
    "black": (14, 14, 14),
    "dark grey": (38, 38, 38),
    "dark red": (48, 14, 14),
    "dark green": (14, 42, 18),
    "dark blue": (14, 18, 52),
    "dark purple": (38, 14, 46),
    "brown": (46, 30, 14),
}
_RADII = (0.12, 0.34)  # of the frame width; the size state runs through them on a log scale
_GRID, _REACH = 96, 1.25  # a shape's distance field: side in cells, half side in shape radii


def _arc(start, stop, radius=1.0, centre=(0.0, 0.0), points=24):
    turns = 2 * np.pi * np.linspace(start, stop, points)
    return [(centre[0] + radius * np.cos(a), centre[1] + radius * np.sin(a)) for a in turns]


def _heart():
    a = 2 * np.pi * np.linspace(0, 1, 40, endpoint=False)
    y = 13 * np.cos(a) - 5 * np.cos(2 * a) - 2 * np.cos(3 * a) - np.cos(4 * a)
    return list(zip(16 * np.sin(a) ** 3, -y, strict=True))


# Outlines, each without rotational symmetry: a rotation is seen for a full turn.
SHAPES = {
    "triangle": [(0, -1), (0.62, 0.8), (-0.62, 0.8)],
    "arrow": [(0, -1), (0.8, 0), (0.3, 0), (0.3, 1), (-0.3, 1), (-0.3, 0), (-0.8, 0)],
    "heart": _heart(),
    "crescent": _arc(0.15, 0.85) + _arc(0.75, 0.25, 0.8, (0.42, 0.0)),
    "drop": [(0, -1.0)] + _arc(-0.08, 0.58, 0.55, (0, 0.4)),
    "half disc": _arc(0.0, 0.5),
    "hook": [(-0.6, -1), (-0.05, -1), (-0.05, 0.4), (0.7, 0.4), (0.7, 0.95), (-0.6, 0.95)],
    "wedge": [(0, 0)] + _arc(0.12, 0.88),
}


@cache
def _distance_field(shape):
    """Signed distance to a shape's outline (negative inside), [96, 96], in shape radii."""
    p = np.asarray(SHAPES[shape], np.float64)
    q = np.roll(p, -1, axis=0)
    cross = p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]
    centroid = ((p + q) * cross[:, None]).sum(0) / (3 * cross.sum())
    p = p - centroid
    p /= np.linalg.norm(p, axis=1).max()
    edge = np.roll(p, -1, axis=0) - p
    axis = (np.arange(_GRID) + 0.5) / _GRID * 2 * _REACH - _REACH
    at = np.stack(np.meshgrid(axis, axis), -1)[:, :, None]  # [96, 96, 1, (x, y)]
    rel = at - p
    along = np.clip((rel * edge).sum(-1) / (edge**2).sum(-1), 0, 1)
    away = np.linalg.norm(rel - along[..., None] * edge, axis=-1).min(-1)
    end = p + edge
    straddles = (p[:, 1] > at[..., 1]) != (end[:, 1] > at[..., 1])
    slope = np.where(edge[:, 1] == 0, 1.0, edge[:, 1])
    right = at[..., 0] < p[:, 0] + edge[:, 0] * rel[..., 1] / slope
    inside = (straddles & right).sum(-1) % 2 == 1
    return np.where(inside, -away, away).astype(np.float32)


@dataclass(frozen=True)
class Texture:
    """A sum of cosines that repeats every round, so that it fits a torus.

    Args:
        waves: float64 [K, 3], cycles to the right, cycles down and phase in turns.
    """

    waves: np.ndarray

    def __call__(self, x, y):
        """Shade in about -1..1 at places `x`, `y` (in rounds; any shapes that broadcast)."""
        return sum(np.cos(2 * np.pi * (a * x + b * y + c)) for a, b, c in self.waves) / np.sqrt(
            2 * len(self.waves)
        )


def _texture(rng, low, high):
    cycles = rng.integers(low, high + 1, size=(5, 2)) * rng.choice((-1, 1), size=(5, 2))
    return Texture(np.column_stack([cycles, rng.random(5)]))


@dataclass(frozen=True)
class Appearance:
    """Everything about a video that is not motion; shared by the videos of one group."""

    shape: str
    colour_name: str
    ground_name: str
    colour: np.ndarray  # float64 [3], 0..255
    ground: np.ndarray
    grain: Texture
    ground_grain: Texture
    timbre: float  # share of the overtones in the hum, 0..1

    @classmethod
    def draw(cls, rng):
        name = tuple(COLOURS)[rng.integers(len(COLOURS))]
        ground_name = tuple(GROUNDS)[rng.integers(len(GROUNDS))]
        colour = np.array(COLOURS[name]) + rng.uniform(-10, 10, 3)
        ground = np.array(GROUNDS[ground_name]) + rng.uniform(-8, 8, 3)
        shape = tuple(SHAPES)[rng.integers(len(SHAPES))]
        grain, ground_grain = _texture(rng, 0, 3), _texture(rng, 1, 6)
        return cls(
            shape, name, ground_name, colour, ground, grain, ground_grain, rng.uniform(0.2, 0.8)
        )

    def caption(self, motion, level):
        """One English sentence that says what is to be seen."""
        article = "an" if level == "plain" and self.colour_name == "orange" else "a"
        pattern = "" if level == "plain" else "patterned "
        others = " among smaller shapes" if level == "distractors" else ""
        return (
            f"{article} {pattern}{self.colour_name} {self.shape} {PHRASES[motion]}{others} "
            f"on a {pattern}{self.ground_name} ground"
        )


def _paint(canvas, shape, colour, x, y, angle, radius, grain=None):
    """Draws one anti-aliased shape into `canvas` (float32 [T, S, S, 3]) on the torus, in place."""
    side = canvas.shape[1]
    centres = (np.arange(side) + 0.5) / side
    dx = (centres - x[:, None] + 0.5) % 1 - 0.5  # [T, S]
    dy = (centres - y[:, None] + 0.5) % 1 - 0.5
    reach = (radius * 1.15 + 1 / side)[:, None]
    t, i, j = np.nonzero((abs(dy) < reach)[:, :, None] & (abs(dx) < reach)[:, None, :])
    cos, sin = np.cos(2 * np.pi * angle)[t], np.sin(2 * np.pi * angle)[t]
    across, down, scale = dx[t, j], dy[t, i], radius[t]
    u, v = (across * cos + down * sin) / scale, (down * cos - across * sin) / scale
    # Bilinear look-up in the distance field.
    field = _distance_field(shape)
    c = np.clip((u + _REACH) * (_GRID / (2 * _REACH)) - 0.5, 0, _GRID - 1.001)
    r = np.clip((v + _REACH) * (_GRID / (2 * _REACH)) - 0.5, 0, _GRID - 1.001)
    c0, r0 = c.astype(np.intp), r.astype(np.intp)
    fc, fr = c - c0, r - r0
    away = (1 - fr) * ((1 - fc) * field[r0, c0] + fc * field[r0, c0 + 1]) + fr * (
        (1 - fc) * field[r0 + 1, c0] + fc * field[r0 + 1, c0 + 1]
    )
    cover = np.clip(0.5 - away * scale * side, 0, 1)
    seen = cover > 0
    t, i, j, cover = t[seen], i[seen], j[seen], cover[seen][:, None]
    ink = np.broadcast_to(colour, (len(t), 3))
    if grain is not None:
        ink = ink + 40 * grain(u[seen] / 2, v[seen] / 2)[:, None]
    canvas[t, i, j] += (cover * (ink - canvas[t, i, j])).astype(np.float32)


def _camera(frames, rng):
    """A slow pan: displacement [2, T] in frame widths, at most 0.006 a frame."""
    t = np.arange(frames)
    heading, phase = 2 * np.pi * rng.random(2)
    drift = 0.004 * t + 0.03 * (np.sin(2 * np.pi * t / 90 + phase) - np.sin(phase))
    return np.stack([np.cos(heading) * drift, np.sin(heading) * drift])


def draw(look, motion, level, size, rng):
    """Renders a video.

    Args:
        look: `Appearance`.
        motion: `Track` of the main shape.
        level: one of `LEVELS`.
        size: side of the square frame in pixels.
        rng: generator for what is neither appearance nor the main motion (distractors, camera).

    Returns:
        uint8 [T, size, size, 3].
    """
    frames = len(motion.x)
    textured = level != "plain"
    pan = _camera(frames, rng) if level == "distractors" else np.zeros((2, frames))
    canvas = np.empty((frames, size, size, 3), np.float32)
    canvas[:] = look.ground
    if textured:
        centres = (np.arange(size) + 0.5) / size
        moving = frames if level == "distractors" else 1  # a still ground is shaded once
        shade = look.ground_grain(
            centres[None, None, :] - pan[0, :moving, None, None],
            centres[None, :, None] - pan[1, :moving, None, None],
        )
        canvas += (16 * (1 + shade))[..., None].astype(np.float32)
    if level == "distractors":
        t = np.arange(frames)
        for _ in range(3):
            x, y, angle, heading = rng.random(4)
            pace, spin = rng.choice((0.0, 0.012)), rng.choice((0.0, -0.015, 0.015))
            _paint(
                canvas,
                tuple(SHAPES)[rng.integers(len(SHAPES))],
                np.array(tuple(COLOURS.values())[rng.integers(len(COLOURS))]),
                x + pan[0] + pace * np.cos(2 * np.pi * heading) * t,
                y + pan[1] + pace * np.sin(2 * np.pi * heading) * t,
                angle + spin * t,
                np.full(frames, rng.uniform(0.06, 0.09)),
            )
    radius = _RADII[0] * (_RADII[1] / _RADII[0]) ** (motion.size % 1)
    _paint(
        canvas,
        look.shape,
        look.colour,
        motion.x + pan[0],
        motion.y + pan[1],
        motion.angle,
        radius,
        look.grain if textured else None,
    )
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
