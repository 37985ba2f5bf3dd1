"""A video classifier on a representation: fine-tuning and the end-to-end linear probe."""

import os
import types

import keras
import numpy as np
from keras import ops

from keras_vssl.data.samplers import Clips, Spatial
from keras_vssl.data.videos import Videos
from keras_vssl.downstream import streaming
from keras_vssl.downstream.embedding import last_map, pool
from keras_vssl.metrics import top_k_accuracy
from keras_vssl.optimizers import ScaledOptimizer, layer_decay
from keras_vssl.tasks.task import Recipe, Task

# How a video is read and its outputs are joined at test time: arguments of `predict`.
TEST_PROTOCOLS = {
    "vcop": {"clips": 10, "crops": 1, "reduce": "logits"},
    "slowfast": {"clips": 10, "crops": 3, "reduce": "softmax"},
    "cvrl": {"clips": 10, "crops": 3, "reduce": "softmax"},
}


@keras.saving.register_keras_serializable(package="keras_vssl")
class VideoClassifier(Task):
    """Classifies videos with a linear layer on a backbone's global average features.

    `freeze=False` fine-tunes everything. `freeze=True` is the linear probe: the backbone,
    batch-norm statistics included, stays bit for bit what it was.

    **Views**: one clip `frames` x `stride` a video and epoch at a random place, random crop;
    `predict` averages the logits of 10 equally spaced clips, centre crop.

    **Objective**: softmax cross-entropy, `L = -log softmax(W dropout(f) + b)[class]`; with
    `normalize`, `f` is L2-normalised and batch-normalised first.

    Args:
        backbone: `VideoBackbone`. With `freeze` it is set to `trainable = False`.
        num_classes: int, or None when `class_names` says it.
        class_names: list of str or None: taken from the videos at the first `fit`.
        dropout: float in [0, 1), before the linear layer.
        freeze: bool, train only the head.
        normalize: bool or None (as `freeze`): L2 and batch normalisation before the linear
            layer, as CoCLR's probe has it.
        layer_norm: bool, layer normalisation (epsilon 1e-6) of the pooled features, as fine-tuned
            vision transformers have it in place of the one after their blocks.
        frames, stride, resize, size: the clip's geometry; None takes `backbone.clip`'s.
        flip: float, probability that a training clip is mirrored (VCOP: 0). Leave it 0 where
            left and right are classes.
        layer_decay: float or None. Every block of the backbone learns at this share of the next
            one's rate, and the optimizer is AdamW (5e-4, decay 0.05), as vision transformers are
            fine-tuned (VideoMAE: 0.75). None: 0.75 for a transformer, for other networks and with
            `freeze` SGD at one rate.
        learning_rate: float or a Keras schedule; None: 1e-3, 0.1 with `freeze`, or AdamW's.
        weight_decay: float, L2 as PyTorch's SGD counts it; None: 5e-4, or 1e-3 with `freeze`. With
            `layer_decay` AdamW's.

    Example:

    ```python
    classifier = VideoClassifier.from_preset("hf://me/vcop_r3d_18", num_classes=10)
    classifier.fit(videos.train, epochs=30)
    classifier.predict_labels(["new.mp4"])
    ```

    Reference:
        - [Xu et al., 2019](https://openaccess.thecvf.com/content_CVPR_2019/html/Xu_Self-Supervised_Spatiotemporal_Learning_via_Video_Clip_Order_Prediction_CVPR_2019_paper.html)
          (fine-tuning), [Han et al., 2020](https://arxiv.org/abs/2010.09709) (linear probe).
    """

    recipe = Recipe(150, 8737, 8, "UCF101 split 1 (8,737 videos)", "VCOP's official code")

    def __init__(
        self,
        backbone,
        num_classes=None,
        class_names=None,
        dropout=0.0,
        freeze=False,
        normalize=None,
        layer_norm=False,
        frames=None,
        stride=None,
        resize=None,
        size=None,
        flip=0.0,
        layer_decay=None,
        learning_rate=None,
        weight_decay=None,
        **kwargs,
    ):
        if num_classes is None and class_names is None:
            raise ValueError(
                "Expected num_classes= (the preset holds a backbone and no saved classifier, or a "
                "new head is wanted), received none; e.g. num_classes=10."
            )
        num_classes = len(class_names) if num_classes is None else int(num_classes)
        if num_classes < 2:
            raise ValueError(f"Expected at least two classes, received {num_classes}.")
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(
                f"Expected {num_classes} class names, one a class, received {len(class_names)}."
            )
        clip = {"frames": frames, "stride": stride, "resize": resize, "size": size}
        clip = {**backbone.clip, **{k: v for k, v in clip.items() if v is not None}}
        test = streaming.uniform_clips(clip)
        spatial = Spatial(test.spatial.resize, test.spatial.size, "random", flip=flip)
        sampler = Clips(clip["frames"], clip["stride"], spatial=spatial)
        super().__init__(backbone, sampler=sampler, target="label", **kwargs)
        self.clip = clip
        self.num_classes = num_classes
        self.class_names = tuple(class_names) if class_names is not None else None
        self.freeze = bool(freeze)
        self.normalize = self.freeze if normalize is None else bool(normalize)
        is_transformer = hasattr(backbone, "encode_tokens")
        if layer_decay is None and is_transformer and not self.freeze:
            layer_decay = 0.75
        self.layer_decay = layer_decay
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        if self.freeze:
            backbone.trainable = False
        self.norm = None
        if self.normalize:
            # PyTorch's BatchNorm1d: momentum 0.1, epsilon 1e-5.
            self.norm = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-5, name="head_norm", dtype="float32"
            )
            self.norm.build((None, backbone.feature_dim))
        self.layer_norm = None
        if layer_norm:
            self.layer_norm = keras.layers.LayerNormalization(
                epsilon=1e-6, name="head_layer_norm", dtype="float32"
            )
            self.layer_norm.build((None, backbone.feature_dim))
        self.drop = keras.layers.Dropout(dropout, name="head_dropout", dtype="float32")
        uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        self.head = keras.layers.Dense(
            num_classes, kernel_initializer=uniform, name="head", dtype="float32"
        )
        self.head.build((None, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        # A frozen backbone's statistics must not move, whatever the backend.
        backbone_training = False if self.freeze else training
        features = self.encode(self.clips(inputs), training=backbone_training)  # [B, V, D]
        views = features.shape[1]
        logits = self.classify(ops.reshape(features, (-1, features.shape[-1])), training=training)
        return ops.mean(ops.reshape(logits, (-1, views, self.num_classes)), axis=1)

    def classify(self, features, training=None):
        """Logits `[B, classes]` of global average features `[B, D]`."""
        features = ops.cast(features, "float32")
        if self.layer_norm is not None:
            features = self.layer_norm(features)
        if self.normalize:
            features = self.norm(ops.normalize(features, axis=-1), training=training)
        return self.head(self.drop(features, training=training))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile(optimizer or self._optimizer(), loss, metrics=["accuracy"])

    def _optimizer(self):
        if self.layer_decay is not None:
            # VideoMAE's fine-tuning script, at the rate of its 256 clips a step.
            rate, decay = 5e-4, 0.05
        else:
            # VCOP's ft_classify.py; CoCLR's feature_linear_probe for the frozen backbone.
            rate, decay = (0.1, 1e-3) if self.freeze else (1e-3, 5e-4)
        rate = rate if self.learning_rate is None else self.learning_rate
        decay = decay if self.weight_decay is None else self.weight_decay
        if self.layer_decay is not None:
            adam = keras.optimizers.AdamW(rate, weight_decay=decay)
            return ScaledOptimizer(adam, layer_decay(self.backbone, self.layer_decay))
        # PyTorch adds the decay to the gradient, where momentum accumulates it tenfold; Keras
        # subtracts it beside the gradient.
        return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay / (1 - 0.9))

    def prepare(self, videos):
        """The readable videos with a label; `ValueError` for labels that don't fit."""
        if self.class_names is None:
            self._check_count(videos)
            if len(videos.class_names) == self.num_classes:
                self.class_names = tuple(videos.class_names)
        labelled, unlabelled = self.labelled(videos)
        usable = super().prepare(labelled)
        self._skipped += tuple({"path": p, "reason": "it has no label"} for p in unlabelled)
        return usable

    def labelled(self, videos):
        """(the rows with a label, their ids following `class_names`; paths of those without)."""
        self._check_count(videos)
        has = np.array([label is not None for label in videos.labels], bool)
        if not has.any():
            raise ValueError(
                f"Expected videos with labels, but none of {len(videos)} has one; put the videos "
                "into class folders or give a CSV with a label column."
            )
        part = videos[has]
        if self.class_names is not None:
            strange = sorted(set(part.labels) - set(self.class_names))
            if strange:
                raise ValueError(
                    f"Expected the classes {_few(self.class_names)}, but the videos have "
                    f"{_few(strange)} too; leave those out or build a classifier for them."
                )
            part.class_names = list(self.class_names)
        return part, [videos.relative_path(row) for row in np.flatnonzero(~has)]

    def _check_count(self, videos):
        if self.class_names is None and len(videos.class_names) > self.num_classes:
            raise ValueError(
                f"Expected at most num_classes={self.num_classes} classes, but the videos have "
                f"{len(videos.class_names)} ({_few(videos.class_names)}); build the classifier "
                f"with num_classes={len(videos.class_names)}."
            )

    def _sequence(self, videos, *args, **kwargs):
        return super()._sequence(self.labelled(videos)[0], *args, **kwargs)

    def predict(
        self,
        x,
        clips=10,
        crops=1,
        reduce="logits",
        batch_size=8,
        workers=2,
        progress=False,
        return_rows=False,
        **kwargs,
    ):
        """Scores of videos, averaged over test clips.

        Args:
            x: one path, a list of paths, a `Videos`, or clips `[N, T, H, W, 3]` or
                `[N, V, T, H, W, 3]` (all V views averaged). A dataset goes to Keras' `predict`.
            clips: int, equally spaced clips a video.
            crops: 1 (centre) or 3 (along the longer side).
            reduce: "logits" (their mean) or "softmax" (the mean of probabilities).
            batch_size: int, clips per forward pass.
            workers: int, decoding threads.
            progress: bool.
            return_rows: bool, also return the rows scored (unreadable ones are left out of a
                `Videos`; a path that can't be read raises).

        Returns:
            float32 `[N, classes]`; `[classes]` for one path.
        """
        if reduce not in ("logits", "softmax"):
            raise ValueError(f'Expected reduce "logits" or "softmax", received {reduce!r}.')
        single = isinstance(x, (str, os.PathLike))
        if single or isinstance(x, (Videos, list, tuple)):
            table = streaming.as_videos(x)
            sampler = streaming.uniform_clips(self.clip, clips, crops)
            function = self._compiled(sampler.shape[1:], "uint8")
            videos = streaming.stream(
                function, table, sampler, batch_size, workers, progress, strict=table is not x
            )
        elif isinstance(x, np.ndarray):
            if x.ndim not in (5, 6):
                raise ValueError(
                    "Expected clips [N, T, H, W, 3] or [N, V, T, H, W, 3], received shape "
                    f"{x.shape}."
                )
            x = x if x.ndim == 6 else x[:, None]
            function = self._compiled(x.shape[2:], x.dtype.name)
            videos = streaming.stream_arrays(function, x, batch_size)
        else:
            return super().predict(x, batch_size=batch_size, **kwargs)
        rows, scores = [], []
        for row, (logits,) in videos:
            rows.append(row)
            scores.append((_softmax(logits) if reduce == "softmax" else logits).mean(axis=0))
        if not rows:
            raise ValueError(f"Expected at least one readable video, but none of {len(x)} is.")
        scores = np.stack(scores)
        scores = scores[0] if single else scores
        return (scores, np.array(rows, np.int64)) if return_rows else scores

    def predict_labels(self, x, **kwargs):
        """Class names of videos (str for one path, else a list); args as for `predict`."""
        best = self.predict(x, **kwargs).argmax(axis=-1)
        names = self.class_names or tuple(range(self.num_classes))
        return names[int(best)] if best.ndim == 0 else [names[i] for i in best]

    def evaluate(self, x=None, y=None, **kwargs):
        """Accuracy on labelled `Videos`: dict "top1", "top5" by the test protocol of `predict`.

        Anything else goes to Keras' `evaluate`.
        """
        if not isinstance(x, Videos):
            return super().evaluate(x, y, **kwargs)
        videos, _ = self.labelled(x)
        scores, rows = self.predict(videos, return_rows=True, **kwargs)
        labels = videos.class_ids[rows]
        return {f"top{k}": top_k_accuracy(scores, labels, k) for k in (1, 5)}

    def _compiled(self, shape, dtype):
        if not hasattr(self, "_predictors"):
            object.__setattr__(self, "_predictors", types.SimpleNamespace(known={}))
        known = self._predictors.known
        if (shape, dtype) not in known:
            inputs = keras.Input(shape, dtype=dtype)
            features = pool(last_map(self.backbone, inputs), "average")
            logits = self.classify(features, training=False)
            known[shape, dtype] = streaming.compiled(inputs, [logits])
        return known[shape, dtype]

    def get_config(self):
        rate = self.learning_rate
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            rate = keras.saving.serialize_keras_object(rate)
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "class_names": list(self.class_names) if self.class_names is not None else None,
            "dropout": self.drop.rate,
            "freeze": self.freeze,
            "normalize": self.normalize,
            "layer_norm": self.layer_norm is not None,
            **self.clip,
            "flip": self.sampler.spatial.flip,
            "layer_decay": self.layer_decay,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        rate = config.get("learning_rate")
        if isinstance(rate, dict):
            config["learning_rate"] = keras.saving.deserialize_keras_object(rate)
        return super().from_config(config)

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Loads a saved classifier, or builds a new one on the backbone of any preset.

        Args:
            preset: str, as for `Task.from_preset`.
            load_weights: bool, False leaves all weights random.
            **kwargs: arguments of the class. With `num_classes` or `class_names` the head
                starts anew, whatever the preset held.

        Example:

        ```python
        VideoClassifier.from_preset("run/preset", num_classes=10)  # backbone of a VCOP run
        VideoClassifier.from_preset("my_classifier")               # as it was saved
        ```
        """
        if kwargs.get("num_classes") is None and kwargs.get("class_names") is None:
            return super().from_preset(preset, load_weights=load_weights, **kwargs)
        from keras_vssl.backbones.backbone import VideoBackbone

        dtype = kwargs.pop("dtype", None)
        options = {} if dtype is None else {"dtype": dtype}
        backbone = VideoBackbone.from_preset(preset, load_weights=load_weights, **options)
        return cls(backbone, **kwargs)

    @classmethod
    def heads_match(cls, saved, changed):
        head = {"num_classes", "class_names", "normalize", "layer_norm", "freeze"}
        return not head & set(changed)


def _softmax(logits):
    exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def _few(names):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(str, names[:5])) + more
