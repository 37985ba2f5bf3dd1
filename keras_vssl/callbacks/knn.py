"""How good the representation is, while it is being learned."""

import keras

from keras_vssl.downstream.embedding import embed
from keras_vssl.downstream.knn import knn_accuracy


class KNNCallback(keras.callbacks.Callback):
    """Adds `knn_top1`, k-nearest-neighbour accuracy of the backbone's features, to the logs.

    The labels are used for this number alone; nothing is trained with them. The number can be
    watched, and a model chosen by it has seen these labels.

    Args:
        train: `Videos` with labels, the gallery.
        test: `Videos` with labels, the queries (of other groups than `train`).
        every: int, epochs between measurements (the last one measured is repeated between).
        k: int, neighbours.
        clips: int, clips a video; fewer than the final protocol's 10, to be quick.
        batch_size, workers: as for `embed`.

    Example:

    ```python
    task.fit(videos.train, epochs=20, callbacks=[KNNCallback(videos.train, videos.test)])
    ```
    """

    def __init__(self, train, test, every=1, k=10, clips=2, batch_size=8, workers=2):
        super().__init__()
        if every < 1:
            raise ValueError(f"Expected every to be 1 epoch or more, received {every}.")
        self.gallery, self.queries = _labelled(train, "train"), _labelled(test, "test")
        self.every, self.k = every, k
        self.options = {"clips": clips, "batch_size": batch_size, "workers": workers}
        self.value = None

    def on_epoch_end(self, epoch, logs=None):
        if self.value is None or (epoch + 1) % self.every == 0:
            self.value = self.measure(self.model.backbone)
        if logs is not None:
            logs["knn_top1"] = self.value

    def measure(self, backbone):
        """The accuracy of a backbone's features, in [0, 1]."""
        gallery, rows = embed(backbone, self.gallery, return_rows=True, **self.options)
        queries, asked = embed(backbone, self.queries, return_rows=True, **self.options)
        labels = self.gallery.labels[rows], self.queries.labels[asked]
        names = {name: i for i, name in enumerate(sorted({*labels[0], *labels[1]}))}
        known, wanted = ([names[label] for label in column] for column in labels)
        return knn_accuracy(queries, gallery, wanted, known, self.k)


def _labelled(videos, name):
    kept = videos[[label is not None for label in videos.labels]]
    if not len(kept):
        raise ValueError(
            f"Expected labelled videos for {name}=, received {len(videos)} without labels; put "
            "them into class folders or leave KNNCallback out."
        )
    return kept
