"""Embeddings on a plane: t-SNE for a few hundred points, started from principal components."""

import numpy as np

MOST = 600


def subset(count, most=MOST):
    """Rows to draw: all, or `most` of them evenly spaced."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).astype(np.int64))


def principal(vectors):
    """The first two principal components, float64 `[N, 2]`; signs fixed, so a rerun agrees."""
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    plane = u[:, :2] * s[:2]
    if plane.shape[1] < 2:
        plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    signs = np.sign(plane[np.abs(plane).argmax(axis=0), np.arange(2)])
    return plane * np.where(signs == 0, 1, signs)


def project(vectors, steps=400, perplexity=25.0):
    """Places vectors on a plane so that neighbours stay neighbours.

    Exact t-SNE on L2-normalised vectors; deterministic, because it starts from the principal
    components. Fewer than 12 vectors are only projected.

    Args:
        vectors: float array `[N, D]`, N up to about 600 (time grows with its square).
        steps: int, gradient steps.
        perplexity: float, the effective number of neighbours.

    Returns:
        float64 array `[N, 2]`.

    Reference:
        - van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 2008.
    """
    vectors = np.nan_to_num(np.asarray(vectors, dtype=np.float64))
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    plane = principal(vectors)
    count = len(vectors)
    if count < 12:
        return plane
    joint = _affinities(vectors, min(perplexity, (count - 1) / 3))
    # Sec. 3.4: a small start, early exaggeration, momentum .5 then .8.
    plane = plane / max(plane[:, 0].std(), 1e-12) * 1e-4
    velocity, gains = np.zeros_like(plane), np.ones_like(plane)
    rate = max(count / 12.0, 50.0)
    for step in range(steps):
        target = joint * (12.0 if step < steps // 4 else 1.0)
        kernel = 1.0 / (1.0 + _distances(plane))
        np.fill_diagonal(kernel, 0.0)
        pull = (target - kernel / kernel.sum()) * kernel
        gradient = 4.0 * (pull.sum(axis=1)[:, None] * plane - pull @ plane)
        same = np.sign(gradient) == np.sign(velocity)
        gains = np.maximum(np.where(same, gains * 0.8, gains + 0.2), 0.01)
        velocity = (0.5 if step < steps // 4 else 0.8) * velocity - rate * gains * gradient
        plane = plane + velocity
        plane -= plane.mean(axis=0)
    return plane


def _distances(points):
    squares = (points**2).sum(axis=1)
    return np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0.0)


def _affinities(vectors, perplexity):
    """Symmetric affinities; each row's width is bisected to the wished perplexity."""
    distances = _distances(vectors)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.min(axis=1, keepdims=True)
    low, high = np.zeros((len(vectors), 1)), np.full((len(vectors), 1), np.inf)
    beta = np.ones((len(vectors), 1))
    for _ in range(60):
        weights = np.exp(-(distances - nearest) * beta)
        share = weights / weights.sum(axis=1, keepdims=True)
        entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(axis=1, keepdims=True)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + np.where(np.isinf(high), 0, high)) / 2)
    joint = share + share.T
    return joint / joint.sum()
