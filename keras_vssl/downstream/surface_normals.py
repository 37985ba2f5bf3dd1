"""Surface normals of an image, by a network from video: directions classified on a grid."""

import keras
import numpy as np
from keras import ops

from keras_vssl.downstream.image_task import ImageTask, image_sampler
from keras_vssl.metrics.normals import NormalCodebook, normal_scores
from keras_vssl.tasks.task import Recipe


@keras.saving.register_keras_serializable(package="keras_vssl")
class SurfaceNormals(ImageTask):
    """Classifies the surface normal of each cell of a grid over the image.

    Normals are quantised to the directions of a codebook; a fully connected layer gives a score for
    every direction in every cell.

    **Views**: whole images of the size that they are given in; arrays, no augmentation.

    **Objective**: softmax cross-entropy over the directions, mean over the cells that have one.

    Args:
        backbone: `VideoBackbone` for clips of one frame, `convolutional_part(...)` of a CaffeNet.
        directions: `[K, 3]`, of a `NormalCodebook` (20 on NYUv2).
        grid: int, cells along either side (20 on NYUv2).
        hidden, dropout, pooling: see `ImageTask`.
        size: int or (height, width) of the images; None takes `backbone.clip`'s.
        learning_rate: float, of SGD with momentum 0.9. What was published is not known.

    Call arguments:
        inputs: clips `[B, 1, 1, H, W, 3]`.

    Returns:
        Logits, float32 `[B, grid, grid, K]`.

    Example:

    ```python
    codebook = kv.metrics.NormalCodebook.fit(normals, 20)      # normals [N, H, W, 3]
    task = SurfaceNormals(backbone, codebook.directions)
    task.fit(images[:, None, None], task.targets(normals), epochs=20)
    task.evaluate_normals(images[:, None, None], normals)      # {"mean": degrees, ...}
    ```

    Reference:
        - [Wang and Gupta ICCV 2015](https://arxiv.org/abs/1505.00687). Codebook, grid and the head
          are from memory of its protocol and not verified; they are arguments.
    """

    recipe = Recipe(100, 795, 32, "NYUv2 (795 images)", "this project's; the paper's is not known")

    def __init__(
        self, backbone, directions, grid=20, hidden=(4096, 4096), dropout=0.5, pooling="flatten",
        size=None, learning_rate=1e-3, **kwargs,
    ):  # fmt: skip
        codebook = NormalCodebook(directions)
        self.grid, self.learning_rate = int(grid), float(learning_rate)
        size = backbone.clip["size"] if size is None else size
        super().__init__(
            backbone, self.grid**2 * len(codebook), sampler=image_sampler(backbone, size, size, 0.0),
            hidden=hidden, dropout=dropout, pooling=pooling, **kwargs,
        )  # fmt: skip
        self.codebook = codebook

    def call(self, inputs, training=None):
        logits = super().call(inputs, training=training)
        return ops.reshape(logits, (-1, self.grid, self.grid, len(self.codebook)))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
        self.compile(optimizer or keras.optimizers.SGD(self.learning_rate, momentum=0.9), loss)

    def targets(self, normals):
        """The cells' directions, int32 `[N, grid, grid]`, -1 where no normal is valid."""
        return self.codebook.encode(self.codebook.cells(normals, self.grid))

    def predict_normals(self, clips, shape=None, batch_size=32):
        """Unit normals of clips `[N, 1, 1, H, W, 3]`.

        Args:
            shape: (height, width) or None: each pixel gets its cell's normal; None: a cell a pixel.

        Returns:
            float32 `[N, height, width, 3]`, the directions weighted by their probabilities.
        """
        logits = np.asarray(self.predict(clips, batch_size=batch_size, verbose=0), np.float64)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        normals = self.codebook.decode(weights / weights.sum(axis=-1, keepdims=True))
        if shape is None:
            return normals
        # The cells of `NormalCodebook.cells`.
        rows, columns = (
            np.searchsorted(np.arange(1, self.grid) * side // self.grid, np.arange(side), "right")
            for side in shape
        )
        return normals[:, rows][:, :, columns]

    def evaluate_normals(self, clips, normals, valid=None, batch_size=32):
        """`normal_scores` at the resolution of the true normals `[N, H, W, 3]`."""
        predicted = self.predict_normals(clips, normals.shape[1:3], batch_size)
        return normal_scores(predicted, normals, valid)

    def get_config(self):
        size = self.sampler.spatial.size
        return {
            **super().get_config(),
            "directions": self.codebook.directions.tolist(),
            "grid": self.grid,
            "size": list(size) if isinstance(size, (list, tuple)) else size,
            "learning_rate": self.learning_rate,
        }

    @classmethod
    def heads_match(cls, saved, changed):
        return not {"directions", "grid", "hidden", "pooling", "size"} & set(changed)
