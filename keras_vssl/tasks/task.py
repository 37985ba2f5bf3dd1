"""The contract that every method fulfils."""

import contextlib
import dataclasses
import json
import os

import keras
import keras_hub

from keras_vssl.blank import blank_weights
from keras_vssl.data.videos import Videos
from keras_vssl.files import atomic_folder, write_json_atomic


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How long, and on what, the paper trained.

    Args:
        epochs: int. videos: int, videos of the paper's training set. batch_size: int.
        dataset: str. source: str, where in the paper or code this stands.
        is_published: bool, False where the paper's length is not known and this one was chosen.
    """

    epochs: int
    videos: int
    batch_size: int
    dataset: str
    source: str
    is_published: bool = True

    @property
    def steps(self):
        """int, optimizer steps of the paper's training."""
        return self.epochs * (self.videos // self.batch_size)

    def rates(self, base, warmup_epochs=0, *, steps=None, batch_size=None, **options):
        """The paper's warm-up and cosine, stretched or shrunk to a run.

        Args:
            base: float, the highest rate. warmup_epochs: float, of the paper's epochs.
            steps, batch_size: as for `Task.default_compile`.
            **options: of `keras_vssl.optimizers.warmup_cosine`.
        """
        from keras_vssl.optimizers import warmup_cosine

        steps = steps or self.steps
        warmup = min(steps - 1, round(steps * warmup_epochs / self.epochs))
        return warmup_cosine(
            base, steps, warmup, batch_size=batch_size or self.batch_size, **options
        )

    def compare(self, epochs, videos):
        """One sentence: how much of the paper's training a run will be."""
        if not self.is_published:
            return (
                f"This run sees {epochs * videos:,} samples ({epochs} epochs of {videos:,} videos); "
                f"how many the paper took is not known."
            )
        share = 100.0 * epochs * videos / (self.epochs * self.videos)
        return (
            f"This run sees {epochs * videos:,} samples ({epochs} epochs of {videos:,} videos): "
            f"{share:.2g} % of the paper's {self.epochs * self.videos:,} "
            f"({self.epochs} epochs of {self.dataset})."
        )


class Task(keras_hub.models.Task):
    """Base class of the methods and of the downstream classifiers.

    A method declares, in one file: its sampler (what is read and what is predicted), its heads
    (built in `__init__`), `call`, `compute_loss` where the compiled loss does not say it all,
    `default_compile` (the paper's optimizer) and `recipe` (the paper's length). It gets `fit` on
    videos, presets, resuming and the contract test.

    Args:
        backbone: a `VideoBackbone`.
        sampler: `keras_vssl.data.Sampler`, makes the training plans.
        target: "plan" (the sampler's target), "label" (the videos' classes) or None.

    Attributes:
        sampler: `Sampler`.
        skipped: list of {"path", "reason"}, the files that the last `fit` left out.
        record: dict or None, written beside the preset as `record.json` for the model card.

    Call arguments:
        inputs: clips `[B, V, T, H, W, 3]` (uint8, or normalised float), or a dict with these
            as "clips" and the videos' row numbers `[B]` as "index".
    """

    recipe = None
    # What to do where the sampler refuses too many videos.
    advice = "use longer videos, or fewer frames or a smaller gap or stride"

    def __init__(self, backbone, *, sampler, target="plan", name=None, **kwargs):
        super().__init__(compile=False, name=name, **kwargs)
        self.backbone = backbone
        self.dtype_policy = backbone.dtype_policy
        self.sampler = sampler
        self.target = target
        self.record = None
        self._skipped = ()

    @property
    def skipped(self):
        return list(self._skipped)

    @staticmethod
    def clips(inputs):
        """The clips `[B, V, T, H, W, 3]` of either form of input."""
        return inputs["clips"] if isinstance(inputs, dict) else inputs

    def encode(self, clips, training=None):
        """Global average features `[B, V, D]` of clips `[B, V, T, H, W, 3]`."""
        views = clips.shape[1]
        flat = keras.ops.reshape(clips, (-1, *clips.shape[2:]))
        features = self.backbone(flat, training=training)
        features = keras.ops.cast(features, "float32")  # a mean of bfloat16 values loses digits
        features = keras.ops.mean(features, axis=tuple(range(1, len(features.shape) - 1)))
        return keras.ops.reshape(features, (-1, views, self.backbone.feature_dim))

    # Training

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        """Compiles with the paper's optimizer, loss and metrics.

        Args:
            steps: int or None, optimizer steps of the run: schedules keep their shape and are
                stretched or shrunk to it. None: as many as the paper took.
            batch_size: int or None (the paper's): rates that the paper scales with the batch
                are scaled to it.
            optimizer: `keras.optimizers.Optimizer` or None, takes the place of the paper's.
        """
        raise NotImplementedError

    def chance(self, batch_size):
        """What guessing gives in the method's own task.

        Args:
            batch_size: int, videos a step.

        Returns:
            dict of a logged metric to its value for who has learnt nothing; the first is the one a
            table shows. Empty where the loss is all there is.
        """
        return {}

    @property
    def has_schedule(self):
        """Whether the compiled learning rate changes by a schedule."""
        # A schedule is serialised as a dict, a number is not; an optimizer may be around another.
        config = self.optimizer.get_config()
        while isinstance(config.get("optimizer"), dict):
            config = config["optimizer"]["config"]
        return isinstance(config.get("learning_rate"), dict)

    def compile(self, *args, jit_compile="auto", **kwargs):
        """`keras.Model.compile`; "auto" leaves XLA off for TensorFlow on a CPU.

        XLA's 3-D convolutions on a CPU take seven times as long as TensorFlow's own.
        """
        if jit_compile == "auto" and keras.config.backend() == "tensorflow":
            import tensorflow as tf

            jit_compile = bool(tf.config.list_physical_devices("GPU"))
        keras.Model.compile(self, *args, jit_compile=jit_compile, **kwargs)

    def fit(
        self,
        x=None,
        y=None,
        *,
        epochs=1,
        batch_size=None,
        seed=0,
        out=None,
        resume=False,
        save_every=None,
        validation_data=None,
        callbacks=None,
        workers=2,
        cache_bytes=0,
        verbose="auto",
        **kwargs,
    ):
        """Trains on videos, or on anything `keras.Model.fit` takes.

        Args:
            x: `Videos`; or a `tf.data.Dataset` / `keras.utils.PyDataset` of (clips, target);
                or an array of clips `[N, V, T, H, W, 3]`, with the targets as `y`.
            epochs: int, total epochs.
            batch_size: int or None (the recipe's, at most the number of videos).
            seed: int, fixes the plans and the order of the videos.
            out: str or None, a folder for `checkpoints/state.npz` (videos only).
            resume: bool, go on from the checkpoint in `out`, to the same batches.
            save_every: int or None, steps between checkpoints; each epoch's end is always kept.
            validation_data: as `x`, or a tuple.
            workers: int, decoding threads.
            cache_bytes: int, memory for decoded videos (small sets are then decoded once).

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: fewer than two usable videos, or targets that don't fit.
        """
        shared = {"callbacks": list(callbacks or ()), "verbose": verbose, **kwargs}
        if isinstance(validation_data, Videos):
            validation_data = self._sequence(validation_data, batch_size, seed, workers)
        shared["validation_data"] = validation_data
        if not isinstance(x, Videos):
            if resume or out:
                raise ValueError(
                    "Expected Videos with out= or resume=, because only they can be read again from"
                    f" the same place, received {type(x).__name__}; use a Keras callback instead."
                )
            # Not keras_hub's fit, which would map the data through a preprocessor.
            return keras.Model.fit(self, x, y, epochs=epochs, batch_size=batch_size, **shared)
        from keras_vssl.tasks.training import fit_videos

        videos = self.prepare(x)
        return fit_videos(
            self, videos, epochs=epochs, batch_size=batch_size, seed=seed, out=out, resume=resume,
            save_every=save_every, workers=workers, cache_bytes=cache_bytes, shared=shared,
        )  # fmt: skip

    def prepare(self, videos):
        """The videos that this task can use; the others go to `skipped` with the reason.

        Raises:
            ValueError: fewer than two are left.
        """
        usable, left_out = videos.usable(self.sampler)
        self._skipped = tuple(left_out)
        if len(usable) < 2:
            why = f"; the first: {left_out[0]['path']}: {left_out[0]['reason']}" if left_out else ""
            raise ValueError(
                f"Expected at least two usable videos, but {len(usable)} of {len(videos)} can be "
                f"used{why}; {self.advice}."
            )
        return usable

    def _sequence(self, videos, batch_size, seed, workers):
        from keras_vssl.data.pipeline import BatchSequence
        from keras_vssl.data.samples import Samples

        usable, _ = videos.usable(self.sampler)
        if not len(usable):
            raise ValueError(
                f"Expected at least one usable validation video, none of {len(videos)} is."
            )
        samples = Samples(usable, self.sampler, seed + 1, target=self.target)
        size = min(batch_size or self.recipe.batch_size, len(usable))
        return BatchSequence(samples, size, shuffle=False, threads=workers, fixed=True)

    def evaluate(self, x=None, y=None, *, batch_size=None, seed=0, workers=2, **kwargs):
        """`keras.Model.evaluate`, also on `Videos` (one plan a video, drawn from `seed`)."""
        if isinstance(x, Videos):
            x, batch_size = self._sequence(x, batch_size, seed, workers), None
        return keras.Model.evaluate(self, x, y, batch_size=batch_size, **kwargs)

    def predict(self, x, **kwargs):
        """`keras.Model.predict` on clips `[N, V, T, H, W, 3]`."""
        return keras.Model.predict(self, x, **kwargs)

    # Presets

    def get_config(self):
        return {"backbone": keras.saving.serialize_keras_object(self.backbone), "name": self.name}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config["backbone"], dict):
            config["backbone"] = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(**config)

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Loads a task, or builds one around the backbone of a preset.

        Args:
            preset: str, a built-in name, a folder, or "hf://user/name". A preset of this
                class comes back with its heads; of any other preset the backbone is taken and
                the heads start anew.
            load_weights: bool, False leaves all weights random.
            **kwargs: arguments of the class; they take the place of the saved ones.

        Raises:
            keras_vssl.hub.PresetError: no such preset, or it is damaged.
        """
        from keras_vssl import hub
        from keras_vssl.backbones.presets import ARCHITECTURES

        dtype = kwargs.pop("dtype", None)
        options = {} if dtype is None else {"dtype": dtype}
        if preset in ARCHITECTURES:
            return cls(cls.load_backbone(preset, **options), **kwargs)
        folder = hub.resolve(preset)
        backbone = cls.load_backbone(folder, load_weights=load_weights, **options)
        saved = _read_task(folder)
        if saved is None or saved["class_name"] != cls.__name__:
            return cls(backbone, **kwargs)
        config = {**saved["config"], **kwargs, "backbone": backbone}
        weights = os.path.join(folder, "task.weights.h5")
        has_heads = load_weights and os.path.isfile(weights)
        has_heads = has_heads and cls.heads_match(saved["config"], kwargs)
        with blank_weights(has_heads):
            task = cls.from_config(config)
        if has_heads:
            task.load_task_weights(weights)
        return task

    @classmethod
    def load_backbone(cls, preset, **options):
        """The backbone of a preset; tasks on other backbones than video networks override it."""
        from keras_vssl.backbones.backbone import VideoBackbone

        return VideoBackbone.from_preset(preset, **options)

    @classmethod
    def heads_match(cls, saved, changed):
        """Whether saved heads fit a task with these arguments changed."""
        return not changed

    def save_task_weights(self, filepath):
        """Writes the heads' weights alone: a preset holds no optimizer."""
        with self._without_optimizer():
            super().save_task_weights(filepath)

    def load_task_weights(self, filepath):
        """Reads the heads' weights."""
        with self._without_optimizer():
            super().load_task_weights(filepath)

    @contextlib.contextmanager
    def _without_optimizer(self):
        optimizer, self.optimizer = self.optimizer, None
        try:
            yield
        finally:
            self.optimizer = optimizer

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Writes backbone, heads and `record` as a preset folder; complete or not at all."""
        with atomic_folder(preset_dir) as folder:
            super().save_to_preset(folder, max_shard_size=max_shard_size)
            if self.record is not None:
                write_json_atomic(os.path.join(folder, "record.json"), self.record)


def _read_task(folder):
    path = os.path.join(folder, "task.json")
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)
