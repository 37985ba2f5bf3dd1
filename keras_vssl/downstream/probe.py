"""Linear probe on stored features: regularised logistic regression, no gradient through a net."""

import numpy as np

STRENGTHS = tuple(10.0**e for e in range(-5, 3))


class LinearProbe:
    """L2-regularised multinomial logistic regression on frozen features.

    Features are standardised with the training set's mean and one common or per-feature scale
    (a batch norm without gain and offset at its fixed point). The objective

        mean cross-entropy + strength / 2 * ||W||^2

    (offsets not regularised) is convex and minimised to its optimum by full-batch L-BFGS in
    float64, so the result depends on neither seed nor learning rate. The strength is chosen by
    cross-validation inside the training split, whole groups (source recordings) together; the
    test split is never looked at. With several clips a video (`[videos, clips, D]`) every clip
    is an example and a video's logits are the mean over its clips.

    Args:
        strength: float or None. None: chosen among `strengths`.
        strengths: floats, the grid.
        folds: int, folds of the cross-validation.
        batch_norm: bool. True: each feature to unit variance. False: one scale for all, so
            directions of little variance stay small.

    Attributes:
        strength_: float, the strength used.
        kernel, bias: float64 `[D, classes]`, `[classes]`, acting on raw features.

    Example:

    ```python
    probe = LinearProbe().fit(train_features, labels, groups)
    accuracy = (probe.predict(test_features) == test_labels).mean()
    ```
    """

    def __init__(self, strength=None, strengths=STRENGTHS, folds=5, batch_norm=True):
        self.strength = strength
        self.strengths = tuple(sorted(strengths, reverse=True))
        self.folds = folds
        self.batch_norm = batch_norm

    def fit(self, features, labels, groups=None, classes=None):
        """Fits to `[videos, D]` or `[videos, clips, D]` features; returns self.

        Args:
            features: float array.
            labels: int `[videos]`, 0 .. classes - 1.
            groups: `[videos]` or None; videos of one group are never in two folds.
            classes: int or None (largest label + 1).
        """
        features = np.asarray(features, np.float64)
        labels = np.asarray(labels)
        if len(features) != len(labels) or len(labels) == 0:
            raise ValueError(
                f"Expected one label a video, received {len(features)} videos and "
                f"{len(labels)} labels."
            )
        if labels.min() < 0:
            raise ValueError("Expected labels of 0 or more; leave unlabelled videos out.")
        classes = int(labels.max()) + 1 if classes is None else int(classes)
        if labels.max() >= classes:
            raise ValueError(f"Expected labels below {classes}, received {labels.max()}.")
        if features.ndim == 2:
            features = features[:, None]
        self.strength_ = self.strength
        if self.strength is None:
            self.strength_ = self._choose(features, labels, groups, classes)
        (solution,) = self._path(features, labels, classes, (self.strength_,))
        self.kernel, self.bias = solution
        return self

    def logits(self, features):
        """float64 `[videos, classes]`: mean over clips of features @ kernel + bias."""
        features = np.asarray(features, np.float64)
        if features.ndim == 3:  # linear, so the mean may come first
            features = features.mean(axis=1)
        return features @ self.kernel + self.bias

    def predict(self, features):
        """Class ids int64 `[videos]`."""
        return self.logits(features).argmax(axis=1)

    def _choose(self, features, labels, groups, classes):
        folds = group_folds(labels, groups, self.folds)
        parts = []
        for fold in range(folds.max() + 1):
            kept, held = folds != fold, folds == fold
            path = self._path(features[kept], labels[kept], classes, self.strengths)
            parts.append((path, features[held].mean(axis=1), labels[held]))
        losses = []
        for _ in self.strengths:
            loss = 0.0
            for path, held, wanted in parts:
                kernel, bias = next(path)
                scores = _log_softmax(held @ kernel + bias)
                loss -= scores[np.arange(len(wanted)), wanted].sum()
            losses.append(loss)
            # Weaker regularisation costs most steps; past the best it only gets worse.
            if len(losses) - 1 - int(np.argmin(losses)) >= 2:
                break
        return self.strengths[int(np.argmin(losses))]

    def _path(self, features, labels, classes, strengths):
        """Solutions for falling strengths, each started from the one before."""
        clips = features.shape[1]
        rows = features.reshape(-1, features.shape[-1])
        mean = rows.mean(axis=0)
        rows = rows - mean
        scale = rows.std(axis=0) if self.batch_norm else np.sqrt((rows**2).mean())
        # Dead units (constant features) stay zero instead of being blown up.
        scale = np.where(scale > 1e-6 * max(np.max(scale), 1e-12), scale, np.inf)
        rows = rows / scale
        # An L2-regularised solution lies in the span of the rows: with fewer rows than
        # features the problem is solved in that span, exactly and much faster.
        basis = None
        if len(rows) < rows.shape[1]:
            left, size, basis = np.linalg.svd(rows, full_matrices=False)
            rows = left * size
        targets = np.eye(classes)[np.repeat(labels, clips)]
        solution = np.zeros((rows.shape[1] + 1, classes))
        for strength in strengths:
            solution = _minimise(_objective(rows, targets, strength), solution)
            kernel = solution[:-1] if basis is None else basis.T @ solution[:-1]
            kernel = kernel / np.broadcast_to(scale, mean.shape)[:, None]
            yield kernel, solution[-1] - mean @ kernel


def group_folds(labels, groups, folds):
    """A fold number for each video; groups stay whole and classes are spread evenly.

    Groups are dealt one by one, largest first, to the fold that has fewest videos of the
    group's classes. Deterministic.

    Args:
        labels: int `[videos]`.
        groups: `[videos]` or None (every video its own group).
        folds: int; fewer when there are fewer groups.

    Returns:
        int64 `[videos]`.
    """
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray([str(g) for g in groups])
    names, group = np.unique(groups, return_inverse=True)
    folds = min(int(folds), len(names))
    if folds < 2:
        raise ValueError(
            "Expected videos of at least two groups to choose the regularisation by "
            f"cross-validation, received {len(names)}; give strength=."
        )
    counts = np.zeros((len(names), labels.max() + 1))
    np.add.at(counts, (group, labels), 1)
    held = np.zeros((folds, counts.shape[1]))
    fold_of = np.zeros(len(names), np.int64)
    for name in np.argsort(-counts.sum(axis=1), kind="stable"):
        crowd = held @ counts[name]
        fold_of[name] = np.lexsort((held.sum(axis=1), crowd))[0]
        held[fold_of[name]] += counts[name]
    return fold_of[group]


def _log_softmax(logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def _objective(rows, targets, strength):
    def value_and_gradient(solution):
        kernel, bias = solution[:-1], solution[-1]
        log_probabilities = _log_softmax(rows @ kernel + bias)
        value = -(targets * log_probabilities).sum() / len(rows)
        error = (np.exp(log_probabilities) - targets) / len(rows)
        gradient = np.vstack([rows.T @ error + strength * kernel, error.sum(axis=0)])
        return value + strength / 2 * (kernel**2).sum(), gradient

    return value_and_gradient


def _minimise(function, start, memory=10, steps=300, tolerance=1e-5):
    """L-BFGS (Nocedal & Wright, Algorithm 7.4) with backtracking on Armijo's condition."""
    point = start
    value, gradient = function(point)
    pairs = []
    for _ in range(steps):
        if np.abs(gradient).max() < tolerance:
            break
        direction = -gradient
        weights = []
        for s, y, rho in reversed(pairs):
            weights.append(rho * (s * direction).sum())
            direction = direction - weights[-1] * y
        if pairs:
            s, y, rho = pairs[-1]
            direction = direction / (rho * (y * y).sum())
        for (s, y, rho), weight in zip(pairs, reversed(weights), strict=True):
            direction = direction + (weight - rho * (y * direction).sum()) * s
        slope = (direction * gradient).sum()
        step = 1.0 if pairs else min(1.0, 1.0 / np.abs(gradient).sum())
        while True:
            new_point = point + step * direction
            new_value, new_gradient = function(new_point)
            if new_value <= value + 1e-4 * step * slope or step < 1e-12:
                break
            step /= 2
        s, y = new_point - point, new_gradient - gradient
        if (s * y).sum() > 1e-12 * (y * y).sum():
            pairs = [*pairs, (s, y, 1.0 / (s * y).sum())][-memory:]
        point, value, gradient = new_point, new_value, new_gradient
        if step < 1e-12:
            break
    return point
