"""Floors: nearest neighbours that learn nothing, which a representation has to beat."""

import concurrent.futures

import numpy as np

from keras_vssl.data.reader import ReadError, read_plan
from keras_vssl.data.samplers import Plan, View

FLOORS = ("floor_thumbnail", "floor_difference")
_GRID = 8


def thumbnail(frames):
    """The mean frame, 8x8 colour: what a video looks like.

    Args:
        frames: uint8 or float `[T, 16, 16, 3]`.

    Returns:
        float32 `[192]`.
    """
    return _cells(frames).mean(axis=0).ravel()


def difference(frames):
    """The mean absolute difference of successive frames, 8x8 colour: where it moves.

    Args and result as for `thumbnail`; zeros for a single frame.
    """
    cells = _cells(frames)
    if len(cells) < 2:
        return np.zeros(cells[0].size, np.float32)
    return np.abs(np.diff(cells, axis=0)).mean(axis=0).ravel()


def floor_features(videos, workers=2, skipped=None):
    """Both floors' features of every video, from all of its frames, in one pass.

    Args:
        videos: `Videos`.
        workers: int, threads.
        skipped: list or None, receives {"path", "reason"} of videos left out.

    Returns:
        (dict of floor name to float32 `[N, 192]`, int64 rows `[N]`).
    """
    videos.probe()

    def read(row):
        try:
            frames = _read(videos.paths[row], videos.infos[row])
        except ReadError as error:
            return {"path": videos.relative_path(row), "reason": error.reason}
        return thumbnail(frames), difference(frames)

    with concurrent.futures.ThreadPoolExecutor(max(1, workers)) as pool:
        results = list(pool.map(read, range(len(videos))))
    rows = [i for i, result in enumerate(results) if not isinstance(result, dict)]
    if skipped is not None:
        skipped.extend(result for result in results if isinstance(result, dict))
    if not rows:
        raise ValueError(f"Expected at least one readable video, but none of {len(videos)} is.")
    columns = zip(*(results[i] for i in rows), strict=True)
    features = {name: np.stack(column) for name, column in zip(FLOORS, columns, strict=True)}
    return features, np.array(rows, np.int64)


def nearest(query, gallery, k=50):
    """The `k` nearest gallery rows of each query by Euclidean distance, int64 `[queries, k]`.

    Euclidean, not cosine: brightness and amount of motion are part of these features.
    """
    query, gallery = np.asarray(query, np.float64), np.asarray(gallery, np.float64)
    distance = (gallery**2).sum(axis=1) - 2 * query @ gallery.T
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


def standardise(query, gallery):
    """Both sets with the gallery's mean and standard deviation taken out, value by value."""
    mean, scale = gallery.mean(axis=0), np.maximum(gallery.std(axis=0), 1e-6)
    return (query - mean) / scale, (gallery - mean) / scale


def _cells(frames):
    # Resized to twice the grid and then averaged 2x2: bilinear resizing alone lets the cells
    # overlap, averaging alone lets noise at the cells' edges through.
    frames = np.asarray(frames, np.float32)
    side = 2 * _GRID
    if frames.shape[1:] != (side, side, 3) or len(frames) == 0:
        raise ValueError(f"Expected frames [T, {side}, {side}, 3], received {frames.shape}.")
    return frames.reshape(-1, _GRID, 2, _GRID, 2, 3).mean(axis=(2, 4))


def _read(path, info):
    if info.frames < 1:
        raise ReadError(path, info.error or "it has no frames")
    side = 2 * _GRID
    view = View(np.arange(info.frames), (0.0, 0.0, 1.0, 1.0), (side, side))
    return read_plan(path, Plan((view,)), timeout=60.0)["clips"][0]
