"""Average precision: of ranked images, and of boxes by the rules of PASCAL VOC and of COCO."""

import dataclasses

import numpy as np

COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)
COCO_RECALLS = np.linspace(0.0, 1.0, 101)
# Areas in pixels, both ends included.
COCO_AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}


@dataclasses.dataclass(frozen=True)
class TrueBoxes:
    """The annotated objects of some images, an object a row.

    Args:
        images: int `[M]`, which image. labels: int `[M]`, which class.
        boxes: float `[M, 4]`, left, top, right, bottom in pixels.
        ignored: bool `[M]`, VOC's "difficult" and COCO's "iscrowd" objects; None: none is.
        areas: float `[M]` or None: COCO's area of the object's mask. None: the box's.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    ignored: np.ndarray | None = None
    areas: np.ndarray | None = None

    def __post_init__(self):
        boxes = np.asarray(self.boxes, np.float64).reshape(-1, 4)
        _set(self, boxes, images=np.int64, labels=np.int64)
        if self.ignored is None:
            object.__setattr__(self, "ignored", np.zeros(len(boxes), bool))
        if self.areas is None:
            object.__setattr__(self, "areas", _areas(boxes))
        _set(self, boxes, ignored=bool, areas=np.float64)


@dataclasses.dataclass(frozen=True)
class FoundBoxes:
    """What a detector found, a box a row.

    Args:
        images, labels, boxes: as for `TrueBoxes`.
        scores: float `[M]`, higher is surer.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self):
        boxes = np.asarray(self.boxes, np.float64).reshape(-1, 4)
        _set(self, boxes, images=np.int64, labels=np.int64, scores=np.float64)


def precision_recall(hits, positives):
    """Precision and recall after each row of a ranking.

    Args:
        hits: bool `[N]`, best first: whether the row is right.
        positives: int, how many there are to find.

    Returns:
        (precision, recall), float64 `[N]`.
    """
    found = np.cumsum(np.asarray(hits, bool))
    return found / np.arange(1, len(found) + 1), found / positives


def interpolated_precision(precision, recall, points=None):
    """Average precision of a precision-recall curve.

    Args:
        precision, recall: float `[N]`, recall does not fall.
        points: 11 for the mean over the recall levels 0, 0.1, ..., 1 of the highest precision at
            that recall or above (PASCAL VOC up to 2009), any other number of levels alike, or None
            for the area under that curve (VOC from 2010 on).

    Returns:
        float in [0, 1].
    """
    precision, recall = np.asarray(precision, np.float64), np.asarray(recall, np.float64)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if points is None:
        return float(np.sum(np.diff(recall, prepend=0.0) * best))
    # 3 of 10 and the level 0.3 are not the same number in binary.
    place = np.searchsorted(recall, np.linspace(0.0, 1.0, points) - 1e-12)
    return float(np.append(best, 0.0)[np.minimum(place, len(best))].mean())


def average_precision(scores, labels, points=None):
    """Average precision of images ranked for one class.

    Args:
        scores: float `[N]`. Equal scores keep their order.
        labels: int `[N]`: 1 for images of the class, 0 for others, -1 for those that are neither
            (only "difficult" objects of the class): they are left out.
        points: as for `interpolated_precision`.

    Returns:
        float in [0, 1]; NaN where no image is of the class.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.shape != labels.shape or scores.ndim != 1:
        raise ValueError(
            f"Expected one label for each score, received shapes {labels.shape} and {scores.shape}."
        )
    scores, labels = scores[labels >= 0], labels[labels >= 0]
    positives = int((labels > 0).sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    return interpolated_precision(*precision_recall(labels[order] > 0, positives), points)


def mean_average_precision(scores, labels, points=None):
    """Mean of `average_precision` over the classes that have an image.

    Args:
        scores: float `[N, C]`. labels: int `[N, C]`. points: as for `interpolated_precision`.
    """
    values = [average_precision(s, t, points) for s, t in zip(np.transpose(scores), labels.T)]
    return _mean(values)


def voc_detection(found, true, classes, threshold=0.5, points=11):
    """PASCAL VOC's average precision of each class.

    Boxes are taken in the order of their scores. One belongs to the object of its image and class
    that it overlaps most; it is right if that overlap is at least `threshold` and the object has
    not been found before. A box on a difficult object counts neither way. Pixels are counted as
    VOC's devkit counts them: both edges belong to the box.

    Args:
        found: `FoundBoxes`. true: `TrueBoxes`. classes: int.
        threshold: float, the least intersection over union.
        points: 11 (VOC 2007) or None (all points, VOC 2010 on).

    Returns:
        float64 `[classes]`, NaN for a class without an object that is not difficult.
    """
    values = np.full(classes, np.nan)
    for label in range(classes):
        objects = {}
        for row in np.flatnonzero(true.labels == label):
            objects.setdefault(int(true.images[row]), []).append(row)
        positives = int((~true.ignored[true.labels == label]).sum())
        if not positives:
            continue
        rows = np.flatnonzero(found.labels == label)
        rows = rows[np.argsort(-found.scores[rows], kind="stable")]
        taken, hits = set(), []
        for row in rows:
            candidates = objects.get(int(found.images[row]), [])
            best = -1
            if candidates:
                overlap = box_overlaps(found.boxes[[row]], true.boxes[candidates], edge=1.0)[0]
                if overlap.max() >= threshold:
                    best = candidates[int(overlap.argmax())]
            if best >= 0 and true.ignored[best]:
                continue
            hits.append(best >= 0 and best not in taken)
            if best >= 0:
                taken.add(best)
        values[label] = interpolated_precision(*precision_recall(hits, positives), points)
    return values


def coco_detection(found, true, classes):
    """COCO's twelve figures for boxes.

    At each of ten thresholds of intersection over union (0.5 to 0.95) the 100 best boxes of an
    image and class take, in the order of their scores, the free object that they overlap most. A
    crowd may be found many times and counts neither way, as does whatever is not of the size that
    is asked for; overlap with a crowd is the share of the box. Precision is read at 101 recalls.

    Args:
        found: `FoundBoxes`. true: `TrueBoxes`; their areas decide the size of an object.
        classes: int.

    Returns:
        dict: "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar_1", "ar_10", "ar_100",
        "ar_small", "ar_medium", "ar_large"; NaN where no object is of that size. AR is the recall
        reached with so many boxes an image, averaged over thresholds.
    """
    pairs = [[] for _ in range(classes)]
    boxes, objects = _by_pair(found), _by_pair(true)
    for label, image in sorted(set(boxes) | set(objects)):
        if not 0 <= label < classes:
            raise ValueError(f"Expected labels from 0 to {classes - 1}, received {label}.")
        none = np.zeros(0, np.int64)
        rows, owned = boxes.get((label, image), none), objects.get((label, image), none)
        rows = rows[np.argsort(-found.scores[rows], kind="stable")][:100]
        crowd = true.ignored[owned]
        overlaps = box_overlaps(found.boxes[rows], true.boxes[owned], crowd=crowd)
        pairs[label].append(
            (found.scores[rows], _areas(found.boxes[rows]), overlaps, crowd, true.areas[owned])
        )
    figures = {}
    for size, limits in COCO_AREAS.items():
        tables = {best: [] for best in ((1, 10, 100) if size == "all" else (100,))}
        for own in pairs:
            matched = [_match_coco(*pair, limits) for pair in own]
            for best, rows in tables.items():
                rows.append(_coco_curves(matched, best))
        precision, recall = (
            [row[i] for row in tables[100] if row is not None] for i in (0, 1)
        )  # each [T, R] and [T]
        tail = "" if size == "all" else f"_{size}"
        figures[f"ap{tail}"] = _mean(precision)
        if size == "all":
            for place, name in ((0, "ap50"), (5, "ap75")):
                figures[name] = _mean([p[place] for p in precision])
            for best, rows in tables.items():
                figures[f"ar_{best}"] = _mean([row[1] for row in rows if row is not None])
        else:
            figures[f"ar{tail}"] = _mean(recall)
    order = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    order += ("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large")
    return {name: figures[name] for name in order}


def box_overlaps(first, second, edge=0.0, crowd=None):
    """Intersection over union of each box with each other.

    Args:
        first: float `[N, 4]`, left, top, right, bottom. second: float `[M, 4]`.
        edge: float, what a side is longer than the difference of its ends: 1 where the last pixel
            belongs to the box (VOC), 0 elsewhere.
        crowd: bool `[M]` or None; for these the intersection is divided by the first box's area.

    Returns:
        float64 `[N, M]`.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    left_top = np.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.maximum(right_bottom - left_top + edge, 0.0), axis=-1)
    own = _areas(first, edge)[:, None]
    union = own + _areas(second, edge)[None] - common
    if crowd is not None:
        union = np.where(crowd[None], own, union)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _by_pair(table):
    """Row numbers of each (label, image), in the table's order."""
    order = np.lexsort((table.images, table.labels))
    keys = np.stack([table.labels[order], table.images[order]], axis=1)
    starts = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    parts = np.split(order, starts) if len(order) else []
    return {(int(table.labels[p[0]]), int(table.images[p[0]])): p for p in parts}


def _match_coco(scores, sizes, overlaps, crowd, areas, limits):
    """One image and class: scores `[D]`, hit and left-out tables `[T, D]`, objects that count."""
    left_out = crowd | (areas < limits[0]) | (areas > limits[1])
    outside = (sizes < limits[0]) | (sizes > limits[1])
    hit = np.zeros((len(COCO_THRESHOLDS), len(scores)), bool)
    drop = np.zeros_like(hit)
    for t, threshold in enumerate(COCO_THRESHOLDS):
        free = np.ones(len(crowd), bool)
        for d in range(len(scores)):
            able = (free | crowd) & (overlaps[d] >= min(threshold, 1 - 1e-10))
            # An object that counts is taken before any that does not, whatever they overlap.
            choice = np.flatnonzero(able & ~left_out)
            choice = choice if len(choice) else np.flatnonzero(able)
            if not len(choice):
                drop[t, d] = outside[d]
                continue
            # Of equal overlaps the last object, as the published loop finds it.
            best = choice[::-1][overlaps[d, choice[::-1]].argmax()]
            free[best], hit[t, d], drop[t, d] = False, True, left_out[best]
    return scores, hit, drop, int((~left_out).sum())


def _coco_curves(matched, best):
    """(precision `[T, 101]`, recall `[T]`) of one class; None where it has no object."""
    positives = sum(count for *_, count in matched)
    if not positives:
        return None
    scores = np.concatenate([s[:best] for s, *_ in matched])
    order = np.argsort(-scores, kind="stable")
    hit = np.concatenate([h[:, :best] for _, h, _, _ in matched], axis=1)[:, order]
    drop = np.concatenate([d[:, :best] for _, _, d, _ in matched], axis=1)[:, order]
    right, wrong = np.cumsum(hit & ~drop, axis=1), np.cumsum(~hit & ~drop, axis=1)
    precision = np.zeros((len(hit), len(COCO_RECALLS)))
    recall = right / positives
    for t in range(len(hit)):
        curve = right[t] / (right[t] + wrong[t] + np.spacing(1))
        curve = np.append(np.maximum.accumulate(curve[::-1])[::-1], 0.0)
        precision[t] = curve[np.searchsorted(recall[t], COCO_RECALLS)]
    return precision, recall[:, -1] if recall.shape[1] else np.zeros(len(hit))


def _areas(boxes, edge=0.0):
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2] + edge, 0.0), axis=1)


def _mean(values):
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")


def _set(table, boxes, **kinds):
    object.__setattr__(table, "boxes", boxes)
    for name, kind in kinds.items():
        column = np.asarray(getattr(table, name), kind).reshape(-1)
        if len(column) != len(boxes):
            raise ValueError(
                f"Expected one of {name} for each of {len(boxes)} boxes, received {len(column)}."
            )
        object.__setattr__(table, name, column)
