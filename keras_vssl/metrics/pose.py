"""How near predicted joints are: PCK, PCKh, and the area under their curves."""

import numpy as np


def pck(predicted, joints, visible, lengths, threshold, per_joint=False):
    """Percentage of correct keypoints, as a share: the mean over joints.

    A joint is right if it is at most `threshold` times the person's length away from where it is.
    With the torso's length this is FLIC's PCK, with the head's (`head_lengths`) it is MPII's PCKh.
    All coordinates are those of the original image.

    Args:
        predicted, joints: float `[N, J, 2]`, x and y.
        visible: bool `[N, J]`; joints that are not annotated are left out.
        lengths: float `[N]`, pixels; persons without one (0, NaN) are left out.
        threshold: float, in lengths: 0.2 for FLIC, 0.5 for MPII.
        per_joint: bool, return the share of each joint.

    Returns:
        float in [0, 1], or float64 `[J]` with NaN for joints that are nowhere visible.
    """
    distances, known = _relative(predicted, joints, visible, lengths)
    return _mean(distances <= threshold, known, per_joint)


def pck_auc(predicted, joints, visible, lengths, largest, per_joint=False):
    """The area under `pck` for thresholds from 0 to `largest`, divided by `largest`.

    The curve of one joint is a step, so the area is computed and not sampled: a toolkit's mean
    over a grid of thresholds is within half a step of the grid of it.

    Args:
        predicted, joints, visible, lengths, per_joint: as for `pck`.
        largest: float, in lengths: 0.2 for FLIC, 0.5 for MPII.
    """
    distances, known = _relative(predicted, joints, visible, lengths)
    return _mean(np.maximum(0.0, 1.0 - distances / largest), known, per_joint)


def torso_lengths(joints, visible, left_shoulder, right_hip):
    """From the left shoulder to the right hip, float64 `[N]`; NaN where one is not visible."""
    joints = np.asarray(joints, np.float64)
    lengths = np.linalg.norm(joints[:, left_shoulder] - joints[:, right_hip], axis=-1)
    seen = np.asarray(visible, bool)[:, [left_shoulder, right_hip]].all(axis=1)
    return np.where(seen, lengths, np.nan)


def head_lengths(boxes):
    """MPII's head size, float64 `[N]`: 0.6 times the diagonal of the head's box.

    Args:
        boxes: float `[N, 4]`, x1, y1, x2, y2.
    """
    boxes = np.asarray(boxes, np.float64)
    return 0.6 * np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=-1)


def _relative(predicted, joints, visible, lengths):
    predicted, joints = np.asarray(predicted, np.float64), np.asarray(joints, np.float64)
    lengths, visible = np.asarray(lengths, np.float64), np.asarray(visible, bool)
    if predicted.shape != joints.shape or visible.shape != joints.shape[:2]:
        raise ValueError(
            f"Expected predictions and joints [N, J, 2] and visibility [N, J], received shapes "
            f"{predicted.shape}, {joints.shape} and {visible.shape}."
        )
    if lengths.shape != joints.shape[:1]:
        raise ValueError(
            f"Expected one length for each of {len(joints)} persons, received shape "
            f"{lengths.shape}."
        )
    usable = lengths > 0  # NaN is not
    known = visible & usable[:, None]
    if not known.any():
        raise ValueError("Expected a visible joint of a person whose length is known, found none.")
    distances = np.linalg.norm(np.where(known[..., None], predicted - joints, 0.0), axis=-1)
    return distances / np.where(usable, lengths, 1.0)[:, None], known


def _mean(values, known, per_joint):
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    shares = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return shares if per_joint else float(np.nanmean(shares))
