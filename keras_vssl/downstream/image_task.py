"""What the transfers of frame networks to still images share."""

import keras
from keras import ops

from keras_vssl.data.samplers import Clips, Spatial
from keras_vssl.tasks.task import Task


class ImageTask(Task):
    """Fully connected layers on a frame network's last map.

    The image is a clip of one frame. The map (pool5 of a CaffeNet without its own fully connected
    layers, `convolutional_part`) is flattened, goes through `hidden` layers with ReLU and dropout,
    which start anew as in the early methods' transfers, and ends in one linear layer of `outputs`.

    A subclass says how an image is cropped (`sample`), with which loss, and what it predicts.

    Args:
        backbone: `VideoBackbone` that takes clips of one frame. All of it is trained.
        outputs: int, of the last layer.
        sampler: `Sampler` of one view of one frame.
        hidden: ints, widths of the fully connected layers; `()` for a linear one alone.
        dropout: float in [0, 1), after each of `hidden`.
        pooling: "flatten" (positions keep their own weights) or "average".

    Attributes:
        transfer: dict, what was done to the network before: "folded", "rescaled". It belongs beside
            every figure: with and without can't be compared.
    """

    def __init__(
        self, backbone, outputs, *, sampler, hidden=(4096, 4096), dropout=0.5, pooling="flatten",
        **kwargs,
    ):  # fmt: skip
        if pooling not in ("flatten", "average"):
            raise ValueError(f'Expected pooling "flatten" or "average", received {pooling!r}.')
        super().__init__(backbone, sampler=sampler, **kwargs)
        policy = backbone.dtype_policy
        self.hidden, self.dropout, self.pooling = tuple(map(int, hidden)), float(dropout), pooling
        self._transfer = {}
        self.layers_fc = [
            keras.layers.Dense(
                width, kernel_initializer="he_normal", name=f"head_fc{i}", dtype=policy
            )
            for i, width in enumerate(self.hidden, start=6)
        ]
        self.drop = keras.layers.Dropout(self.dropout, dtype=policy)
        self.last = keras.layers.Dense(
            outputs,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name="head_last",
            dtype="float32",
        )
        shape = backbone.compute_output_shape((None, *sampler.shape[1:]))
        width = shape[-1]
        if pooling == "flatten":
            for side in shape[1:-1]:
                width *= side
        for layer in (*self.layers_fc, self.last):
            layer.build((None, width))
            width = layer.units
        self.built = True
        self.default_compile()

    @property
    def transfer(self):
        return dict(self._transfer)

    def note_transfer(self, **done):
        """Adds to `transfer`; the record of a preset has it too."""
        self._transfer.update(done)
        self.record = {**(self.record or {}), "transfer": self.transfer}

    def frames(self, clips):
        """Clips `[B, 1, H, W, 3]` as the backbone is to see them."""
        return clips

    def call(self, inputs, training=None):
        clips = self.clips(inputs)[:, 0]
        return self.head(self.backbone(self.frames(clips), training=training), training=training)

    def head(self, feature_map, training=None):
        """The outputs `[B, outputs]` of feature maps `[B, T, H, W, C]`."""
        if self.pooling == "average":
            x = ops.mean(ops.cast(feature_map, "float32"), axis=(1, 2, 3))
        else:
            width = (self.layers_fc or [self.last])[0].kernel.shape[0]
            x = ops.reshape(feature_map, (-1, width))
        for layer in self.layers_fc:
            x = self.drop(ops.relu(layer(x)), training=training)
        return self.last(x)

    def chain(self):
        """The network at inference as one functional model on the backbone's normalised input.

        Its layers are those of the task, so that what is done to their weights is done to it.
        """
        return keras.Model(self.backbone.input, self.head(self.backbone.output))

    # Images

    def sample(self, images, row, shape, rng):
        """(`View`, target) of a row of a table; `shape` (height, width), `rng` None for a test."""
        raise NotImplementedError

    def fit(self, x=None, y=None, *, batch_size=None, seed=0, workers=2, **kwargs):
        """Trains on a table of images, or on whatever `Task.fit` takes but videos.

        Args:
            x: the table; or arrays of clips `[N, 1, 1, H, W, 3]` and `y`.
            batch_size: int or None (the recipe's, at most the number of images).
            seed: int, fixes the crops and the order. workers: int, decoding threads.
        """
        if not hasattr(x, "paths"):
            return super().fit(x, y, batch_size=batch_size, **kwargs)
        if hasattr(x, "probe"):
            self.prepare(x)
        from keras_vssl.data.pipeline import BatchSequence

        samples = self.samples(x, seed)
        size = min(batch_size or self.recipe.batch_size, len(x))
        sequence = BatchSequence(samples, size, threads=workers)
        history = super().fit(sequence, **kwargs)
        self._skipped = tuple({"path": p, "reason": r} for p, r in samples.skipped.items())
        return history

    def samples(self, images, seed=0):
        """The `ImageSamples` of a table, for training."""
        from keras_vssl.downstream.images import ImageSamples

        def plan(row, shape, rng):
            return self.sample(images, row, shape, rng)

        return ImageSamples(images, plan, self.sampler, seed)

    def prepare(self, videos):
        raise ValueError(
            f"Expected a table of images, because {type(self).__name__} reads no videos, received "
            f"a {type(videos).__name__}; read one with voc_images, Poses.from_csv or the like."
        )

    def get_config(self):
        return {
            **super().get_config(),
            "hidden": list(self.hidden),
            "dropout": self.dropout,
            "pooling": self.pooling,
        }


def image_sampler(backbone, resize, size, flip):
    """One frame, cropped at random; what is None is the backbone's."""
    resize = backbone.clip["resize"] if resize is None else resize
    size = backbone.clip["size"] if size is None else size
    resize = tuple(resize) if isinstance(resize, (list, tuple)) else resize
    return Clips(1, 1, spatial=Spatial(resize, size, "random", flip=flip))
