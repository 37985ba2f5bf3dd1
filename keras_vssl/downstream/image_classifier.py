"""Classification of still images by a network from video: PASCAL VOC's protocol."""

import types

import keras
import numpy as np
from keras import ops

from keras_vssl.data.plans import Spatial, View, plan_rng
from keras_vssl.data.reader import crop
from keras_vssl.downstream.image_task import ImageTask, image_sampler
from keras_vssl.downstream.images import LabelledImages, read_image
from keras_vssl.metrics.detection import mean_average_precision
from keras_vssl.tasks.task import Recipe


@keras.saving.register_keras_serializable(package="keras_vssl")
class LabelCrossEntropy(keras.losses.Loss):
    """Sigmoid cross-entropy of each class, summed over the classes; labels below 0 count nothing.

    The published code sums over classes and averages over images, and its rate is tuned to that.

    Call arguments:
        y_true: `[B, C]`, 1, 0 or -1. y_pred: logits `[B, C]`.
    """

    def call(self, y_true, y_pred):
        logits, labels = ops.cast(y_pred, "float32"), ops.cast(y_true, "float32")
        known = ops.cast(labels >= 0, "float32")
        losses = ops.relu(logits) - logits * labels + ops.softplus(-ops.abs(logits))
        return ops.sum(losses * known, axis=-1)


@keras.saving.register_keras_serializable(package="keras_vssl")
class ImageClassifier(ImageTask):
    """Fine-tunes a frame network on labelled images, of which each may show several classes.

    **Views**: a random crop of the resized image, mirrored half of the time. `predict` averages the
    outputs of 10 random crops.

    **Objective**: `L = sum_c -t_c log s(z_c) - (1 - t_c) log(1 - s(z_c))` over the classes that are
    not only "difficult" in the image (`multi_label`); softmax cross-entropy otherwise.

    Args:
        backbone: `VideoBackbone` for clips of one frame, `convolutional_part(...)` of a CaffeNet.
        num_classes: int, or None when `class_names` says it.
        class_names: strs or None: taken from the images at the first `fit`.
        multi_label: bool, targets `[B, C]` of 1, 0 and -1; else class numbers `[B]`.
        hidden, dropout, pooling: see `ImageTask`.
        resize, size: the frame that is cropped from and the crop; None takes `backbone.clip`'s.
        flip: float, probability that a training crop is mirrored.

    Example:

    ```python
    from keras_vssl import downstream as d

    images = d.voc_images("VOCdevkit/VOC2007", "trainval")
    backbone = d.convolutional_part(kv.backbones.CaffeNet.from_preset("caffenet_shuffle_learn"))
    task = d.ImageClassifier(backbone, class_names=images.class_names)
    d.rescale(task, images)
    task.fit(images, epochs=100)
    task.evaluate(d.voc_images("VOCdevkit/VOC2007", "test"))   # {"map11": ..., "map": ...}
    ```

    Reference:
        - [Krähenbühl et al. ICLR 2016](https://arxiv.org/abs/1511.06856) and philkr/voc-classification.
          That code resizes by random factors of 0.5 to 2; here the frame has one size.
    """

    recipe = Recipe(255, 5011, 16, "VOC 2007 trainval (5,011 images)", "philkr/voc-classification")

    def __init__(
        self, backbone, num_classes=None, class_names=None, multi_label=True, hidden=(4096, 4096),
        dropout=0.5, pooling="flatten", resize=None, size=None, flip=0.5, **kwargs,
    ):  # fmt: skip
        if num_classes is None and class_names is None:
            raise ValueError("Expected num_classes= or class_names=, received neither.")
        count = len(class_names) if num_classes is None else int(num_classes)
        if class_names is not None and len(class_names) != count:
            raise ValueError(f"Expected {count} class names, received {len(class_names)}.")
        self.num_classes, self.multi_label = count, bool(multi_label)
        self.class_names = None if class_names is None else tuple(class_names)
        sampler = image_sampler(backbone, resize, size, flip)
        super().__init__(
            backbone, count, sampler=sampler, target="label", hidden=hidden, dropout=dropout,
            pooling=pooling, **kwargs,
        )  # fmt: skip

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # voc-classification: 80,000 steps, the rate halved every 10,000, gradients clipped at 10.
        steps = steps or self.recipe.steps
        rate = keras.optimizers.schedules.ExponentialDecay(
            1e-3, max(1, steps // 8), 0.5, staircase=True
        )
        # Keras subtracts the decay beside the gradient, Caffe adds it where momentum grows it.
        paper = keras.optimizers.SGD(
            rate, momentum=0.9, weight_decay=1e-6 / (1 - 0.9), global_clipnorm=10.0
        )
        if self.multi_label:
            self.compile(optimizer or paper, LabelCrossEntropy())
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            self.compile(optimizer or paper, loss, metrics=["accuracy"])

    def chance(self, batch_size):
        return {} if self.multi_label else {"accuracy": 1 / self.num_classes}

    def sample(self, images, row, shape, rng):
        spatial = self.sampler.spatial
        if rng is None:
            spatial = Spatial(spatial.resize, spatial.size, "centre")
        info = types.SimpleNamespace(height=shape[0], width=shape[1])
        ((box, flip),) = spatial.boxes(info, rng)
        labels = images.labels[row]
        target = labels if self.multi_label else np.int64(labels.argmax())
        return View(np.zeros(1, np.int64), box, spatial.shape, flip), target

    def fit(self, x=None, y=None, **kwargs):
        if isinstance(x, LabelledImages):
            self.check(x)
            self.class_names = self.class_names or tuple(x.class_names)
        return super().fit(x, y, **kwargs)

    def check(self, images):
        """`ValueError` unless the images have the classes of this task."""
        expected = self.class_names or tuple(images.class_names)
        if tuple(images.class_names) != expected or len(expected) != self.num_classes:
            raise ValueError(
                f"Expected {self.num_classes} classes ({', '.join(expected[:5])}, ...), but the "
                f"images have {len(images.class_names)} ({', '.join(images.class_names[:5])}, ...)."
            )

    def predict(self, x, crops=10, batch_size=8, seed=0, **kwargs):
        """Logits of images, averaged over crops.

        Args:
            x: `LabelledImages`; or clips `[N, 1, 1, H, W, 3]`, for Keras' `predict`.
            crops: int, random crops of an image as in training; 1 is the centre.
            batch_size: int, images at a time. seed: int, fixes the crops.

        Returns:
            float32 `[N, C]`.

        Raises:
            ReadError: an image can't be read.
        """
        if not isinstance(x, LabelledImages):
            return super().predict(x, batch_size=batch_size, **kwargs)
        parts = []
        for start in range(0, len(x), batch_size):
            rows = range(start, min(start + batch_size, len(x)))
            clips = []
            for row in rows:
                image = read_image(x.paths[row])
                for i in range(crops):
                    rng = plan_rng(seed, i, row) if crops > 1 else None
                    clips.append(crop(image, self.sample(x, row, image.shape[:2], rng)[0]))
            outputs = self.predict_on_batch(np.stack(clips)[:, None, None])
            parts.append(np.asarray(outputs, np.float32).reshape(len(rows), crops, -1).mean(axis=1))
        return np.concatenate(parts)

    def evaluate(self, x=None, y=None, **kwargs):
        """Mean average precision on `LabelledImages`, by the protocol of `predict`.

        Anything else goes to Keras' `evaluate`.

        Returns:
            dict: "map11" (VOC 2007's, 11 points) and "map" (all points).
        """
        if not isinstance(x, LabelledImages):
            return super().evaluate(x, y, **kwargs)
        self.check(x)
        scores = self.predict(x, **kwargs)
        return {
            "map11": mean_average_precision(scores, x.labels, 11),
            "map": mean_average_precision(scores, x.labels),
        }

    def get_config(self):
        spatial = self.sampler.spatial
        plain = (list(v) if isinstance(v, tuple) else v for v in (spatial.resize, spatial.size))
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "class_names": None if self.class_names is None else list(self.class_names),
            "multi_label": self.multi_label,
            **dict(zip(("resize", "size"), plain)),
            "flip": spatial.flip,
        }

    @classmethod
    def heads_match(cls, saved, changed):
        head = {"num_classes", "class_names", "hidden", "pooling", "size"}
        return not head & set(changed)


def chance_precision(labels):
    """What a random ranking has: the mean share of images that are of a class.

    Args:
        labels: int `[N, C]`, 1, 0 and -1.
    """
    labels = np.asarray(labels)
    known = (labels >= 0).sum(axis=0)
    present = (labels > 0).sum(axis=0)
    return float(np.mean(present[present > 0] / known[present > 0]))
