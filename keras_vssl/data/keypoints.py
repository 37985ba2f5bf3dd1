"""Points of a picture, where they go in the next one, and what the camera did. Pure NumPy."""

import numpy as np

from keras_vssl.data.trackers import bilinear


def corners(image, most=400, quality=0.01, distance=5, margin=4):
    """Shi and Tomasi's corners: points whose surroundings differ from what is beside them.

    Args:
        image: float `[H, W]`, grey levels.
        most: int, the best so many.
        quality: float, the least strength in shares of the strongest.
        distance: int, pixels, a square of twice this size around a point holds no better one.
        margin: int, pixels at the edges without corners.

    Returns:
        float64 `[N, 2]`, x and y in pixels, the strongest first.

    Reference:
        Shi, Tomasi. Good features to track. CVPR 1994.
    """
    down, across = np.gradient(image.astype(np.float32))
    xx, yy, xy = (_summed(product, 2) for product in (across**2, down**2, across * down))
    # The smaller eigenvalue of the gradients' second moments.
    strength = (xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy**2)) / 2
    inner = np.zeros(image.shape, bool)
    inner[margin : image.shape[0] - margin, margin : image.shape[1] - margin] = True
    # A least strength of its own: the strongest corner of a flat picture is noise.
    least = max(quality * strength[inner].max(initial=0.0), 25.0)
    rows, columns = np.nonzero(inner & (strength >= _highest(strength, 1)) & (strength >= least))
    order = np.argsort(-strength[rows, columns], kind="stable")
    taken, found = np.zeros(image.shape, bool), []
    for y, x in zip(rows[order].tolist(), columns[order].tolist()):
        if taken[y, x]:
            continue
        found.append((x, y))
        if len(found) == most:
            break
        taken[max(y - distance, 0) : y + distance + 1, max(x - distance, 0) : x + distance + 1] = 1
    return np.array(found, np.float64).reshape(-1, 2)


def displacements(before, after, points, radius=5, levels=3, steps=8):
    """Where points of one picture are in the next, by pyramidal Lucas-Kanade.

    Args:
        before, after: float `[H, W]`, grey levels.
        points: `[N, 2]`, x and y in pixels.
        radius: int, pixels around a point that move with it.
        levels: int, pictures of the pyramid, each half of the one before.
        steps: int, at each level.

    Returns:
        (float64 `[N, 2]`, bool `[N]`: which were found: inside the picture, like what they were,
        and led back to where they were by the way back).

    Reference:
        Bouguet. Pyramidal implementation of the Lucas Kanade feature tracker. Intel, 2000;
        forward-backward test: Kalal, Mikolajczyk, Matas. ICPR 2010.
    """
    if not len(points):
        return np.zeros((0, 2)), np.zeros(0, bool)
    pyramids = _pyramid(before, levels), _pyramid(after, levels)
    moved, error = _lucas_kanade(*pyramids, points, radius, steps)
    back, _ = _lucas_kanade(*pyramids[::-1], moved, radius, steps)
    height, width = before.shape
    inside = ((moved >= 0) & (moved <= (width - 1, height - 1))).all(axis=1)
    return moved, inside & (np.hypot(*(back - points).T) < 0.5) & (error < 20.0)


def _lucas_kanade(first, second, points, radius, steps):
    around = np.arange(-radius, radius + 1)
    down, across = (part.ravel()[None] for part in np.meshgrid(around, around, indexing="ij"))
    shift = np.zeros_like(points)
    for level in reversed(range(len(first))):
        one, other = first[level], second[level]
        # Pixel centres: the middle of the larger picture's four is the smaller one's pixel.
        x, y = ((points + 0.5) / 2**level - 0.5).T[..., None]
        x, y = x + across, y + down
        patch = bilinear(one, x, y)
        by_y, by_x = np.gradient(one)
        by_x, by_y = bilinear(by_x, x, y), bilinear(by_y, x, y)
        xx, yy, xy = ((p * q).sum(axis=1) for p, q in ((by_x, by_x), (by_y, by_y), (by_x, by_y)))
        scale = np.maximum(xx * yy - xy**2, 1e-3)
        shift = shift * 2
        for _ in range(steps):
            gap = patch - bilinear(other, x + shift[:, :1], y + shift[:, 1:])
            along_x, along_y = (gap * by_x).sum(axis=1), (gap * by_y).sum(axis=1)
            step_x = (yy * along_x - xy * along_y) / scale
            step_y = (xx * along_y - xy * along_x) / scale
            shift = shift + np.clip(np.stack([step_x, step_y], axis=1), -radius, radius)
            if np.abs(step_x).max() < 0.01 and np.abs(step_y).max() < 0.01:
                break
    return points + shift, np.abs(gap).mean(axis=1)


def homography(points, moved, tolerance=0.5, tries=200, seed=0):
    """The projective map that most points obey, by RANSAC and least squares over its inliers.

    Args:
        points, moved: `[N, 2]`, N of at least 4.
        tolerance: float, pixels that an inlier may be off.
        tries: int, samples of four points. seed: int, of these.

    Returns:
        float64 `[3, 3]`; for `transfer`.
    """
    rng = np.random.default_rng(seed)
    picks = rng.random((tries, len(points))).argsort(axis=1)[:, :4]
    maps = _fitted(points[picks], moved[picks])
    gaps = np.linalg.norm(transfer(maps, points) - moved, axis=-1)
    inliers = (gaps < tolerance).sum(axis=1)
    best = gaps[np.argmax(inliers)] < tolerance
    for _ in range(2):
        if best.sum() < 4:
            return np.eye(3)
        found = _fitted(points[best][None], moved[best][None])[0]
        best = np.linalg.norm(transfer(found, points) - moved, axis=-1) < tolerance
    return found


def transfer(maps, points):
    """`points` `[N, 2]` through one homography `[3, 3]` or several `[M, 3, 3]`."""
    ends = points @ np.swapaxes(maps[..., :2], -1, -2) + maps[..., None, :, 2]
    depth = ends[..., 2:]
    return ends[..., :2] / np.where(np.abs(depth) < 1e-9, 1e-9, depth)


def _fitted(points, moved):
    """Homographies `[M, 3, 3]` of point sets `[M, n, 2]`: Hartley's normalised direct solution."""
    (start, before), (end, after) = _normalised(points), _normalised(moved)
    x, y, u, v = *np.moveaxis(start, -1, 0), *np.moveaxis(end, -1, 0)
    one, zero = np.ones_like(x), np.zeros_like(x)
    upper = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=-1)
    lower = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=-1)
    rows = np.concatenate([upper, lower], axis=1)
    _, vectors = np.linalg.eigh(np.swapaxes(rows, 1, 2) @ rows)
    maps = vectors[..., 0].reshape(-1, 3, 3)  # of the smallest eigenvalue
    maps = np.linalg.inv(after) @ maps @ before
    last = maps[:, 2:, 2:]
    return maps / np.where(np.abs(last) < 1e-12, 1e-12, last)


def _normalised(points):
    """Points moved to their mean and scaled to a distance of sqrt(2), and what does that."""
    middle = points.mean(axis=1, keepdims=True)
    spread = np.linalg.norm(points - middle, axis=-1).mean(axis=1)
    scale = np.sqrt(2) / np.maximum(spread, 1e-9)
    maps = np.zeros((len(points), 3, 3))
    maps[:, 0, 0] = maps[:, 1, 1] = scale
    maps[:, :2, 2] = -scale[:, None] * middle[:, 0]
    maps[:, 2, 2] = 1
    return (points - middle) * scale[:, None, None], maps


def _pyramid(image, levels):
    images = [image.astype(np.float32)]
    for _ in range(levels - 1):
        last = images[-1]
        height, width = last.shape[0] // 2 * 2, last.shape[1] // 2 * 2
        if min(height, width) < 32:
            break
        quarters = last[:height, :width].reshape(height // 2, 2, width // 2, 2)
        images.append(quarters.mean(axis=(1, 3)))
    return images


def _summed(x, radius):
    """Sums over squares of `2 radius + 1`, the edge repeated."""
    side = 2 * radius + 1
    total = np.pad(x.astype(np.float64), radius, mode="edge").cumsum(axis=0).cumsum(axis=1)
    total = np.pad(total, ((1, 0), (1, 0)))
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]


def _highest(x, radius):
    """Maxima over squares of `2 radius + 1`."""
    side = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, radius, mode="edge"), (side, side))
    return windows.max(axis=(2, 3))
