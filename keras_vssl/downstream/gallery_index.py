"""A gallery of features made ready for many queries. Imports faiss, alone in this package."""

import math

import numpy as np

from keras_vssl.downstream.retrieval import neighbours_of_unit, unit, unit_features

KINDS = ("exact", "approximate")
_LEAST = 39  # videos a cell, below which Faiss warns that cells are ill-defined
_BLOCK = 65536  # videos that are prepared at a time


class GalleryIndex:
    """Nearest neighbours in a gallery that is asked many times, exact or nearly so.

    The gallery is prepared once; `keras_vssl.downstream.neighbours` does it in every call.
    "approximate" sorts it into about sqrt(N) cells besides and looks into the `probes` cells that are
    nearest to a query (Faiss' IndexIVFFlat; `pip install keras-vssl[index]`).

    Args:
        gallery: float `[videos, D]`, also a `numpy.memmap`. It is copied into memory.
        kind: "exact" or "approximate".
        centre: bool, protocol B: the gallery's own mean is subtracted first.
        probes: int, cells that a query looks into. More find more and take longer.
        seed: int, of the cells.

    Attributes:
        count, dim: int, the gallery's shape.

    Raises:
        ImportError: "approximate", and Faiss is not installed.
        ValueError: an unknown kind, or no features `[videos, D]`.

    Example:

    ```python
    index = keras_vssl.downstream.GalleryIndex(np.load("gallery.npy", mmap_mode="r"), "approximate")
    rows, similarities = index.neighbours(queries, k=10)
    ```

    Reference:
        [Douze et al., 2024: The Faiss library](https://arxiv.org/abs/2401.08281)
    """

    def __init__(self, gallery, kind="exact", centre=False, probes=64, seed=0):
        if kind not in KINDS:
            raise ValueError(f"Expected kind to be one of {KINDS}, received {kind!r}.")
        if getattr(gallery, "ndim", 0) != 2 or not len(gallery):
            raise ValueError(
                "Expected features [videos, D] of at least one video, received shape "
                f"{np.shape(gallery)}; average the clips first with video_features."
            )
        self.kind, self.centre = kind, centre
        self.count, self.dim = gallery.shape
        self._mean = gallery.mean(axis=0, dtype=np.float64) if centre else None
        if kind == "exact":
            self._gallery = self._prepared(gallery)
            return
        faiss = _faiss()
        cells = max(1, min(round(math.sqrt(self.count)), self.count // _LEAST))
        self._index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(self.dim), self.dim, cells, faiss.METRIC_INNER_PRODUCT
        )
        self._index.cp.seed = seed
        self._index.nprobe = min(int(probes), cells)
        # Cells are drawn from a sample: with more videos they are hardly better, and take longer.
        chosen = np.random.default_rng(seed).permutation(self.count)[: 2 * _LEAST * cells]
        self._index.train(self._prepared(gallery[np.sort(chosen)]))
        for start in range(0, self.count, _BLOCK):
            self._index.add(self._prepared(gallery[start : start + _BLOCK]))

    def neighbours(self, query, k=50):
        """The `k` gallery videos most similar to each query, best first.

        Args:
            query: `[queries, D]`; with `centre` their own mean is subtracted.
            k: int; a gallery smaller than `k` is returned whole.

        Returns:
            (indices int64 `[queries, k]`, cosine similarities float32 `[queries, k]`). "approximate"
            fills up with -1 where the cells it looks into hold fewer than `k`.
        """
        query = unit_features(query, self.centre)
        if query.shape[1] != self.dim:
            raise ValueError(
                f"Expected queries of {self.dim} values like the gallery, received {query.shape[1]}."
            )
        k = min(int(k), self.count)
        if self.kind == "exact":
            return neighbours_of_unit(query, self._gallery, k)
        values, indices = self._index.search(np.ascontiguousarray(query), k)
        return indices, values

    def _prepared(self, features):
        features = np.asarray(features, np.float32)
        return np.ascontiguousarray(unit(features if self._mean is None else features - self._mean))


def _faiss():
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "An approximate GalleryIndex needs Faiss, which is not installed; pip install keras-vssl[index]."
        ) from error
    return faiss
