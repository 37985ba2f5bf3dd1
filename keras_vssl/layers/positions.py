"""Positions of tokens: fixed tables, and the layers that add a table to tokens."""

import dataclasses

import keras
import numpy as np
from keras import layers, ops


def sinusoid(count, width):
    """The interleaved table of a flat index: `sin, cos, sin, cos, ...`.

    `angle(p, j) = p / 10000^(2 floor(j/2) / width)`; even columns sine, odd ones cosine.

    Args:
        count: int, positions. width: int, channels.

    Returns:
        float32 `[count, width]`, from float64: float32 angles are off by 1e-4 at large positions.

    Reference:
        Vaswani et al. NeurIPS 2017, Sec. 3.5; VideoMAE's encoder and decoder.
    """
    column = np.arange(width)
    angle = np.arange(count)[:, None] / 10000.0 ** (2 * (column // 2) / width)
    return np.where(column % 2, np.cos(angle), np.sin(angle)).astype("float32")


def sine_cosine_1d(positions, width):
    """The half-and-half table of given positions: all sines, then all cosines.

    Args:
        positions: array `[N]`, any real numbers. width: even int.

    Returns:
        float64 `[N, width]`.
    """
    if width % 2:
        raise ValueError(
            f"Expected an even number of channels for sines and cosines, received {width}."
        )
    omega = 10000.0 ** (-np.arange(width // 2) / (width / 2))
    angle = np.asarray(positions, "float64").reshape(-1)[:, None] * omega
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def sine_cosine_2d(grid, width, class_token=False):
    """The table of a plane: first half of the channels the COLUMN, second half the row.

    Args:
        grid: (height, width) in tokens, in row-major order.
        width: int, a multiple of 4.
        class_token: bool, one row of zeros in front.

    Returns:
        float32 `[N, width]`.

    Reference:
        He et al. CVPR 2022 (MAE), and AudioMAE, where the columns are frequency.
    """
    rows, columns = _indices(grid)
    table = [sine_cosine_1d(columns, width // 2), sine_cosine_1d(rows, width - width // 2)]
    return _finish(table, width, class_token)


def sine_cosine_3d(grid, width, split="equal", class_token=False):
    """The table of a volume of time, rows and columns, time slowest.

    Args:
        grid: (time, height, width) in tokens.
        width: int, channels.
        split: which channels say what:
            "equal": `2 ceil(width / 6)` each of time, row, column, cut off at `width` (V-JEPA);
            "time_half": a half of time, a quarter each of row and column (V-JEPA without
            `uniform_power`);
            "time_quarter": a quarter of time, three eighths each of COLUMN and row (MAViL).
        class_token: bool, one row of zeros in front.

    Returns:
        float32 `[N, width]`.
    """
    time, rows, columns = _indices(grid)
    if split == "equal":
        part = 2 * -(-width // 6)
        table = [sine_cosine_1d(axis, part) for axis in (time, rows, columns)]
    elif split == "time_half":
        shares = zip((time, rows, columns), (width // 2, width // 4, width // 4))
        table = [sine_cosine_1d(axis, part) for axis, part in shares]
    elif split == "time_quarter":
        part = width // 4
        space = (width - part) // 2
        table = [sine_cosine_1d(time, part), *(sine_cosine_1d(x, space) for x in (columns, rows))]
    else:
        raise ValueError(
            f'Expected split "equal", "time_half" or "time_quarter", received {split!r}.'
        )
    return _finish(table, width, class_token)


METHODS = ("nearest", "linear", "cubic", "spline")


@dataclasses.dataclass(frozen=True)
class TableGrid:
    """What the rows of a learned table of positions are.

    Attributes:
        grid: ints, tokens along each axis, the last one fastest.
        extra: int, rows before the grid's (class tokens); they stay as they are.
        methods: str for each axis or one for all, how the axis is interpolated: "nearest",
            "linear", "cubic" or "spline"; or "fixed" for a table that is computed and not learned.
    """

    grid: tuple
    extra: int = 0
    methods: str | tuple = "linear"

    def resize(self, table, grid):
        """`[extra + N, D]` for another grid; see `resize_table`."""
        return resize_table(table, self.grid, grid, self.extra, self.methods)


def resize_table(table, old, new, extra=0, methods="linear"):
    """Interpolates a table of positions to another grid, one axis after the other.

    Samples lie at the middle of their cells and the outermost ones are continued, as PyTorch's
    `interpolate(align_corners=False)` does it; "cubic" is its bicubic kernel (a = -0.75). "spline"
    is another thing: the polyharmonic spline of order 3 through samples at i / n, VATT's.

    Args:
        table: array `[extra + N, D]`.
        old, new: ints, tokens along each axis, now and then.
        extra, methods: see `TableGrid`.

    Returns:
        float32 array `[extra + N', D]`; with equal grids the table itself.

    Raises:
        ValueError: the table has not the rows of the old grid.
    """
    table, old, new = np.asarray(table, "float32"), tuple(old), tuple(new)
    if len(old) != len(new) or table.ndim != 2 or len(table) != extra + int(np.prod(old)):
        raise ValueError(
            f"Expected a table of {extra} + {' x '.join(map(str, old))} rows to fit to the grid "
            f"{new}, received one of shape {table.shape}."
        )
    methods = (methods,) * len(old) if isinstance(methods, str) else methods
    x = table[extra:].reshape(*old, -1)
    for axis, (before, after, method) in enumerate(zip(old, new, methods)):
        if before != after:
            weights = _interpolation(before, after, method)
            x = np.moveaxis(np.tensordot(weights, x, axes=(1, axis)), 0, axis)
    return np.concatenate([table[:extra], x.reshape(-1, table.shape[1])]).astype("float32")


def _interpolation(before, after, method):
    """The matrix `[after, before]` that interpolates an axis."""
    if method not in METHODS:
        raise ValueError(f"Expected methods among {METHODS}, received {method!r}.")
    identity = np.eye(before)
    if method == "nearest":
        return identity[np.arange(after) * before // after]
    if method == "spline":
        return _spline(np.arange(before) / before, np.arange(after) / after)
    place = (np.arange(after) + 0.5) * before / after - 0.5
    if method == "linear":
        place = np.maximum(place, 0.0)
    below = np.floor(place).astype(int)
    share = (place - below)[:, None]
    if method == "linear":
        taps = {0: 1 - share, 1: share}
    else:
        taps = {step: _cubic(np.abs(share - step)) for step in (-1, 0, 1, 2)}
    last = before - 1
    return sum(w * identity[np.clip(below + step, 0, last)] for step, w in taps.items())


def _spline(known, wanted):
    """The matrix `[wanted, known]` of the spline of |r|^3 and a straight line through all points."""
    count = len(known)
    if count == 1:
        return np.ones((len(wanted), 1))
    line = np.stack([known, np.ones(count)], axis=1)
    system = np.zeros((count + 2, count + 2))
    system[:count, :count] = np.abs(known[:, None] - known) ** 3
    system[:count, count:], system[count:, :count] = line, line.T
    weights = np.linalg.solve(system, np.eye(count + 2)[:, :count])
    basis = np.abs(wanted[:, None] - known) ** 3
    return (
        np.concatenate([basis, np.stack([wanted, np.ones(len(wanted))], axis=1)], axis=1) @ weights
    )


def _cubic(distance, a=-0.75):
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)


@keras.saving.register_keras_serializable(package="keras_vssl")
class FixedPositions(layers.Layer):
    """Adds a fixed table to tokens `[B, N, D]`. The table is no weight.

    Args:
        kind: "sinusoid", "sine_cosine_2d" or "sine_cosine_3d": the functions of this module.
        grid: ints, tokens along each axis; the class token not counted.
        width: int, D.
        **options of the table: `split`, `class_token`.

    Attributes:
        table: float32 array `[N, D]`.
    """

    def __init__(self, kind, grid, width, split="equal", class_token=False, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.grid, self.width = kind, tuple(int(n) for n in grid), int(width)
        self.split, self.class_token = split, bool(class_token)
        count = int(np.prod(self.grid))
        if kind == "sinusoid":
            self.table = sinusoid(count + self.class_token, self.width)
        elif kind == "sine_cosine_2d":
            self.table = sine_cosine_2d(self.grid, self.width, self.class_token)
        elif kind == "sine_cosine_3d":
            self.table = sine_cosine_3d(self.grid, self.width, split, self.class_token)
        else:
            raise ValueError(
                'Expected kind "sinusoid", "sine_cosine_2d" or "sine_cosine_3d", received '
                f"{kind!r}."
            )
        self.built = True

    def call(self, x):
        return x + ops.cast(ops.convert_to_tensor(self.table), x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "grid": list(self.grid),
            "width": self.width,
            "split": self.split,
            "class_token": self.class_token,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class LearnedPositions(layers.Layer):
    """Adds a learned table to tokens `[B, N, D]`.

    With `times` the table has two parts, one of space and one of time, each token gets the sum
    (TimeSformer), and a class token gets its own row of the space table and no time.

    Args:
        times: int or `None`. Tokens are then `times` slots of the same places, time slowest,
            after the class token if there is one.
        class_token: bool, the first token is a class token; only told apart with `times`.
        initializer: Keras initializer of the (space) table; the time table starts from zeros.
    """

    def __init__(self, times=None, class_token=False, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.times, self.class_token = times, bool(class_token)
        default = keras.initializers.TruncatedNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer or default)

    def build(self, input_shape):
        count, width = input_shape[1:]
        if self.times:
            places, left = divmod(count - self.class_token, self.times)
            if left:
                raise ValueError(
                    f"Expected {self.times} time slots of equally many tokens, received "
                    f"{count - self.class_token} tokens."
                )
            count = places + self.class_token
            self.time = self.add_weight(name="time", shape=(self.times, width), initializer="zeros")
        self.space = self.add_weight(
            name="space", shape=(count, width), initializer=self.initializer
        )
        self.built = True

    def call(self, x):
        space = ops.convert_to_tensor(self.space)
        if not self.times:
            return x + ops.cast(space, x.dtype)
        first = int(self.class_token)
        table = space[None, first:] + ops.convert_to_tensor(self.time)[:, None]
        table = ops.reshape(table, (-1, space.shape[-1]))
        return x + ops.cast(ops.concatenate([space[:first], table]), x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "times": self.times,
            "class_token": self.class_token,
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class AxisPositions(layers.Layer):
    """Adds the layer-normalised sum of a learned table of each axis to tokens `[B, N, D]`.

    Args:
        grid: ints, tokens along each axis, the last one fastest.
        epsilon: float, of the normalisation.

    Attributes:
        tables: list of a variable `[n, D]` for each axis; truncated normal of deviation D^-0.5.

    Reference:
        Akbari et al. NeurIPS 2021 (VATT), Sec. 3.1; the normalisation is the official code's.
    """

    def __init__(self, grid, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.grid, self.epsilon = tuple(int(n) for n in grid), float(epsilon)
        self.norm = layers.LayerNormalization(
            epsilon=self.epsilon, name="norm", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        width = input_shape[-1]
        initializer = keras.initializers.TruncatedNormal(stddev=width**-0.5)
        self.tables = [
            self.add_weight(
                name=f"axis{axis}",
                shape=(count, width),
                initializer=initializer.clone(),
            )
            for axis, count in enumerate(self.grid)
        ]
        self.norm.build((int(np.prod(self.grid)), width))
        self.built = True

    def call(self, x):
        total = 0.0
        for axis, table in enumerate(self.tables):
            shape = [1] * len(self.grid)
            shape[axis] = self.grid[axis]
            total = total + ops.reshape(ops.convert_to_tensor(table), (*shape, table.shape[-1]))
        positions = self.norm(ops.reshape(total, (-1, total.shape[-1])))
        return x + ops.cast(positions, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "grid": list(self.grid), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="keras_vssl")
class ClassToken(layers.Layer):
    """Puts one learned token before tokens `[B, N, D]`: `[B, 1 + N, D]`.

    Args:
        initializer: Keras initializer. Default: truncated normal of deviation 0.02.
    """

    def __init__(self, initializer=None, **kwargs):
        super().__init__(**kwargs)
        default = keras.initializers.TruncatedNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer or default)

    def build(self, input_shape):
        self.token = self.add_weight(
            name="token", shape=(1, input_shape[-1]), initializer=self.initializer
        )
        self.built = True

    def call(self, x):
        token = ops.cast(ops.convert_to_tensor(self.token), x.dtype)[None]
        token = ops.broadcast_to(token, (ops.shape(x)[0], 1, token.shape[-1]))
        return ops.concatenate([token, x], axis=1)

    def compute_output_shape(self, input_shape):
        batch, count, width = input_shape
        return batch, None if count is None else count + 1, width

    def get_config(self):
        return {
            **super().get_config(),
            "initializer": keras.initializers.serialize(self.initializer),
        }


def _indices(grid):
    return [axis.reshape(-1) for axis in np.meshgrid(*map(np.arange, grid), indexing="ij")]


def _finish(parts, width, class_token):
    table = np.concatenate(parts, axis=1)[:, :width]
    if table.shape[1] < width:
        raise ValueError(
            f"A width of {width} can't be shared by the axes of this table; take a multiple of 4 "
            "(of 8 for three axes with a quarter of time)."
        )
    if class_token:
        table = np.concatenate([np.zeros((1, width)), table])
    return table.astype("float32")
