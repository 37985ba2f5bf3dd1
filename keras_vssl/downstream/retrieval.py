"""Nearest-neighbour video retrieval: VCOP's protocol (A) and CoCLR's centred one (B)."""

import numpy as np

from keras_vssl.data.samplers import linspace_starts

KS = (1, 5, 10, 20, 50)  # VCOP, Sec. 4.3
_PRODUCTS = 2**24  # held at a time: 64 MB


def uniform_starts(total, span=16, clips=10):
    """Starts of protocol A's clips: `int(linspace(span/2, total - span/2, clips) - span/2)`.

    Args:
        total: int, frames of the video.
        span: int, consecutive frames of a clip.
        clips: int, clips a video.

    Returns:
        int64 `[clips]`, non-decreasing; zeros for a video no longer than `span`.
    """
    return linspace_starts(total, span, clips)


def sliding_windows(total, frames=32, stride=1):
    """Frame numbers of protocol B's windows: half overlapping, over the whole video.

    The step is `frames * stride // 2 - 1`. A video of `frames * stride` frames or fewer gives
    one window whose beginning repeats frame 0, as CoCLR's released code does.

    Args:
        total: int, frames of the video.
        frames: int, frames of a window.
        stride: int, source frames from one to the next.

    Returns:
        int64 `[windows, frames]`.
    """
    if total < 1:
        raise ValueError(f"Expected a video with at least one frame, received {total}.")
    span = frames * stride
    if total - span <= 0:
        shown = np.arange(0, total, stride)[:frames]
        return np.concatenate([np.zeros(frames - len(shown), np.int64), shown])[None]
    starts = np.arange(0, total - span + 1, max(span // 2 - 1, 1))
    return starts[:, None] + np.arange(frames) * stride


def video_features(clips, normalise_clips=False):
    """The mean over a video's clips: `[videos, clips, D]` -> `[videos, D]`.

    Args:
        clips: float array. `[videos, D]` is returned as it is.
        normalise_clips: bool. Protocol B L2-normalises each clip first; A does not.
    """
    clips = np.asarray(clips, np.float32)
    if normalise_clips:
        clips = unit(clips)
    return clips.mean(axis=1) if clips.ndim == 3 else clips


def unit(features):
    """Features divided by their L2 norm; an all-zero feature stays zero."""
    features = np.asarray(features, np.float32)
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.maximum(norm, np.finfo(np.float32).tiny)


def unit_features(features, centre=False):
    """What the two protocols take dot products of.

    Args:
        features: `[videos, D]`, one set: the queries or the gallery.
        centre: bool. False: protocol A, features as they are. True: protocol B, which
            subtracts the set's own mean first.

    Returns:
        float32 `[videos, D]` of unit length.
    """
    features = np.asarray(features, np.float32)
    if features.ndim != 2:
        raise ValueError(
            f"Expected video features [videos, D], received shape {features.shape}; "
            "average the clips first with video_features."
        )
    return unit(features - features.mean(axis=0, dtype=np.float64) if centre else features)


def similarity(query, gallery, centre=False):
    """Cosine similarity `[queries, gallery]` float32; VCOP's distance is one minus it."""
    return unit_features(query, centre) @ unit_features(gallery, centre).T


def neighbours(query, gallery, k=50, centre=False, block=1024):
    """The `k` gallery videos most similar to each query, best first.

    The similarity matrix is made in blocks, so 3,783 x 9,537 videos of 9,216 values need little
    beside the features. Ties go to the earlier gallery video. For many calls with one large gallery,
    see `GalleryIndex`.

    Args:
        query: `[queries, D]`.
        gallery: `[videos, D]`.
        k: int; a gallery smaller than `k` is returned whole.
        centre: bool, protocol B.
        block: int, queries at a time.

    Returns:
        (indices int64 `[queries, k]`, similarities float32 `[queries, k]`).
    """
    query, gallery = unit_features(query, centre), unit_features(gallery, centre)
    if len(gallery) == 0:
        raise ValueError("Expected a gallery with at least one video, received none.")
    return neighbours_of_unit(query, gallery, min(int(k), len(gallery)), block)


def neighbours_of_unit(query, gallery, k, block=1024):
    """`neighbours` of features that have unit length, with `k` at most the gallery's."""
    indices = np.empty((len(query), k), np.int64)
    values = np.empty((len(query), k), np.float32)
    for start in range(0, len(query), block):
        part = slice(start, start + block)
        indices[part], values[part] = largest_products(query[part], gallery, k)
    return indices, values


def largest_products(query, gallery, k):
    """The `k` rows of a gallery that have the largest dot products with each query, best first.

    The gallery is gone through block by block; of a block only what is larger than the `k`-th
    largest so far is looked at again, so that a million rows cost little more than their products.
    Ties go to the earlier row.

    Args:
        query: float32 `[queries, D]`.
        gallery: float32 `[rows, D]`, at least `k` of them.
        k: int.

    Returns:
        (rows int64 `[queries, k]`, products float32 `[queries, k]`).
    """
    count, start, size = len(query), 0, max(4096, k)
    most = max(size, _PRODUCTS // count)
    # Kept from block to block: fresh memory costs as much as filling it.
    room = np.empty(count * min(most, len(gallery)), np.float32)
    is_larger = np.empty(len(room), bool)
    owners, rows = np.zeros(0, np.int64), np.zeros(0, np.int64)
    values, low = np.zeros(0, np.float32), None
    while start < len(gallery):
        part = gallery[start : start + size]
        width = len(part)
        products = room[: count * width].reshape(count, width)
        larger = is_larger[: count * width].reshape(count, width)
        np.matmul(query, part.T, out=products)
        if low is not None:
            np.greater(products, low, out=larger)
        if low is None or np.count_nonzero(larger) > 4 * count * k:
            own = min(k, width)  # the last block may be shorter
            kth = -np.partition(-products, own - 1, axis=1)[:, own - 1 : own]
            larger = ~(products < kth)  # not `>=`: what is no number counts as least of all
        flat = np.flatnonzero(larger)  # of two axes, `nonzero` takes several times as long
        owners = np.concatenate([owners, flat // width])
        rows = np.concatenate([rows, flat % width + start])
        values = np.concatenate([values, products.ravel()[flat]])
        order = np.lexsort((rows, -values, owners))
        owners, rows, values = owners[order], rows[order], values[order]
        firsts = np.searchsorted(owners, np.arange(count))
        kept = np.arange(len(owners)) - firsts[owners] < k
        owners, rows, values = owners[kept], rows[kept], values[kept]
        low = np.nan_to_num(values.reshape(count, k)[:, -1:], nan=-np.inf)
        start, size = start + size, min(2 * size, most)  # later blocks have few candidates
    return rows.reshape(count, k), values.reshape(count, k)


def hit_at_k(indices, query_labels, gallery_labels, ks=KS):
    """Share of queries with at least one video of their class among the k nearest.

    Recall-style: it is not divided by k and grows with k.

    Args:
        indices: int `[queries, k_max]`, from `neighbours`.
        query_labels: `[queries]`.
        gallery_labels: `[videos]`.
        ks: ints. A k beyond the columns of `indices` counts all of them.

    Returns:
        dict of k -> float in [0, 1].
    """
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    indices = np.asarray(indices)
    if len(query_labels) != len(indices):
        raise ValueError(
            f"Expected one label a query ({len(indices)}), received {len(query_labels)}."
        )
    if len(indices) == 0:
        raise ValueError("Expected at least one query, received none.")
    hits = gallery_labels[indices] == query_labels[:, None]
    return {int(k): float(hits[:, :k].any(axis=1).mean()) for k in ks}


def retrieval_scores(query, gallery, query_labels, gallery_labels, ks=KS, centre=False):
    """`neighbours` and `hit_at_k` in one call: dict of k -> share of queries.

    Example:

    ```python
    train = backbone.embed(videos.train, pooling="retrieval")
    test = backbone.embed(videos.test, pooling="retrieval")
    scores = retrieval_scores(test, train, videos.test.labels, videos.train.labels)
    ```

    Reference:
        - [Xu et al., 2019: Self-supervised spatiotemporal learning via video clip order
          prediction](https://openaccess.thecvf.com/content_CVPR_2019/html/Xu_Self-Supervised_Spatiotemporal_Learning_via_Video_Clip_Order_Prediction_CVPR_2019_paper.html)
        - [Han et al., 2020: Self-supervised co-training for video representation
          learning](https://arxiv.org/abs/2010.09709)
    """
    indices, _ = neighbours(query, gallery, max(ks), centre)
    return hit_at_k(indices, query_labels, gallery_labels, ks)
