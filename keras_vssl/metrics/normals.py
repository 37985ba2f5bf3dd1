"""Surface normals: angular errors, and the codebook that makes their prediction a classification."""

import numpy as np

LEVELS = (11.25, 22.5, 30.0)


def angular_errors(predicted, normals):
    """Angles between normals in degrees, 0 to 180; NaN where a normal is zero or not finite.

    Args:
        predicted, normals: float `[..., 3]`, of any length.

    Returns:
        float64 `[...]`.
    """
    first, second = _unit(predicted), _unit(normals)
    return np.degrees(np.arccos(np.clip((first * second).sum(axis=-1), -1.0, 1.0)))


def normal_scores(predicted, normals, valid=None, levels=LEVELS):
    """The figures of NYUv2 over all valid pixels.

    Args:
        predicted, normals: float `[..., 3]`.
        valid: bool `[...]` or None: pixels whose depth was measured. Normals of length zero are
            invalid anyway; a predicted one there counts as 180 degrees, so that leaving out what is
            hard does not pay.
        levels: floats, degrees.

    Returns:
        dict: "mean", "median" (degrees), and "within_11.25", ... (shares in [0, 1]).
    """
    known = ~np.isnan(_unit(normals)).any(axis=-1)
    if valid is not None:
        known &= np.asarray(valid, bool)
    errors = angular_errors(predicted, normals)[known]
    if not errors.size:
        raise ValueError("Expected at least one valid pixel, found none; check the mask.")
    errors = np.nan_to_num(errors, nan=180.0)
    scores = {"mean": float(errors.mean()), "median": float(np.median(errors))}
    return scores | {f"within_{level:g}": float((errors <= level).mean()) for level in levels}


class NormalCodebook:
    """A few directions that stand for all normals.

    Args:
        directions: float `[K, 3]`, normalised here.

    Attributes:
        directions: float32 `[K, 3]`, unit vectors.

    Example:

    ```python
    codebook = NormalCodebook.fit(normals, 20)
    ids = codebook.encode(codebook.cells(normals, 20))     # [N, 20, 20], -1 where invalid
    codebook.decode(ids)                                   # [N, 20, 20, 3]
    ```
    """

    def __init__(self, directions):
        directions = _unit(directions)
        if directions.ndim != 2 or directions.shape[1] != 3 or np.isnan(directions).any():
            raise ValueError(
                f"Expected directions [K, 3] that are not zero, received shape {directions.shape}."
            )
        self.directions = directions.astype(np.float32)

    def __len__(self):
        return len(self.directions)

    @classmethod
    def fit(cls, normals, count=20, seed=0, rounds=50):
        """Spherical k-means over the valid normals.

        Args:
            normals: float `[..., 3]`. count: int, directions (20 for NYUv2).
            seed: int. rounds: int, at most.

        Raises:
            ValueError: there are fewer different normals than directions.
        """
        vectors = _unit(normals).reshape(-1, 3)
        vectors = vectors[~np.isnan(vectors).any(axis=1)]
        if len(np.unique(vectors.round(6), axis=0)) < count:
            raise ValueError(
                f"Expected at least {count} different normals for {count} directions; give more "
                "images or a smaller count."
            )
        rng = np.random.default_rng(seed)
        # The next start is drawn by its distance to those there are (k-means++).
        centres = vectors[[rng.integers(len(vectors))]]
        while len(centres) < count:
            far = np.maximum(1.0 - (vectors @ centres.T).max(axis=1), 0.0)
            pick = rng.choice(len(vectors), p=far / far.sum())
            centres = np.concatenate([centres, vectors[[pick]]])
        ids = None
        for _ in range(rounds):
            new = (vectors @ centres.T).argmax(axis=1)
            if ids is not None and np.array_equal(new, ids):
                break
            ids = new
            sums = np.zeros((count, 3))
            np.add.at(sums, ids, vectors)
            empty = np.linalg.norm(sums, axis=1) < 1e-9
            centres = np.where(empty[:, None], centres, _unit(np.where(empty[:, None], 1, sums)))
        return cls(centres)

    def encode(self, normals):
        """The nearest direction of each normal, int32 `[...]`; -1 for those that are invalid."""
        vectors = _unit(normals)
        valid = ~np.isnan(vectors).any(axis=-1)
        ids = (np.where(valid[..., None], vectors, 0.0) @ self.directions.T).argmax(axis=-1)
        return np.where(valid, ids, -1).astype(np.int32)

    def decode(self, codes):
        """Unit vectors float32 `[..., 3]` of ids or of probabilities.

        Args:
            codes: int `[...]`, -1 gives a vector of zeros; or float `[..., K]`, weights of the
                directions: their weighted mean, normalised. All the weight on one direction gives
                exactly that direction.
        """
        codes = np.asarray(codes)
        if np.issubdtype(codes.dtype, np.integer):
            return np.where((codes >= 0)[..., None], self.directions[codes], np.float32(0))
        if codes.shape[-1] != len(self):
            raise ValueError(
                f"Expected a weight for each of {len(self)} directions, received shape "
                f"{codes.shape}."
            )
        mean = codes.astype(np.float64) @ self.directions.astype(np.float64)
        mean = np.nan_to_num(_unit(mean)).astype(np.float32)
        sure = (codes != 0).sum(axis=-1) == 1
        return np.where(sure[..., None], self.directions[codes.argmax(axis=-1)], mean)

    @staticmethod
    def cells(normals, grid=20):
        """The mean normal of each cell of a grid over maps.

        Args:
            normals: float `[..., H, W, 3]`, H and W at least `grid`; zeros or NaN are invalid.
            grid: int, cells along either side.

        Returns:
            float64 `[..., grid, grid, 3]`, unit vectors; NaN in cells without a valid normal.
        """
        vectors = np.nan_to_num(_unit(normals))
        height, width = vectors.shape[-3:-1]
        if min(height, width) < grid:
            raise ValueError(
                f"Expected maps of at least {grid}x{grid} pixels, received {height}x{width}."
            )
        rows = np.arange(grid) * height // grid
        columns = np.arange(grid) * width // grid
        sums = np.add.reduceat(np.add.reduceat(vectors, rows, axis=-3), columns, axis=-2)
        return _unit(sums)


def _unit(vectors):
    """float64, of length one; NaN where that can't be."""
    vectors = np.asarray(vectors, np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    usable = np.isfinite(length) & (length > 1e-9)
    return np.where(usable, vectors / np.where(usable, length, 1.0), np.nan)
