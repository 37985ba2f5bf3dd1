"""Playback-rate perception (PRP)."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_vssl.data.plans import plain_size
from keras_vssl.data.samplers import Plan, Sampler, Spatial, View
from keras_vssl.distribution import replica_share
from keras_vssl.layers.playback_heads import PlaybackHeads, enlargement
from keras_vssl.losses.pixels import motion_weights
from keras_vssl.optimizers import ScaledOptimizer
from keras_vssl.tasks.task import Recipe, Task

# How the network sees a clip: every other frame of what it has to rebuild.
RATE = 2
# Frames of a part of the clip that its motion is measured on: 0, 5, 10, 15 of 16.
PROBES = 4


@dataclasses.dataclass(frozen=True)
class RatedClip(Sampler):
    """A clip at one of a few steps, with the frames between its own.

    "clips" `[1, 2 T, H, W, 3]`: frames half a step apart, of which every other one is the clip; at
    step 1, where nothing lies between, each frame twice. "motion" `[1, 4 P, H, W, 3]`, P the
    largest step: the run of T * step frames has `step` parts of T; of each, four equally spaced
    frames, and the parts as often repeated as makes P of them. Target int, the step's place in
    `steps`.

    Args:
        frames: int, T. steps: ints, powers of two, ascending, uniformly drawn.
        short: "skip" leaves out videos that can't hold the largest step. "loop" and "clamp" fill
            them, which betrays the step.
        spatial: `Spatial`, one crop for all frames.
    """

    frames: int = 16
    steps: tuple = (1, 2, 4, 8)
    short: str = "skip"
    spatial: Spatial = dataclasses.field(default_factory=lambda: Spatial(mode="centre"))

    def __post_init__(self):
        self._check()
        steps = tuple(int(step) for step in self.steps)
        powers = [step >= 1 and step & (step - 1) == 0 for step in steps]
        if len(steps) < 2 or list(steps) != sorted(set(steps)) or not all(powers):
            raise ValueError(
                f"Expected two or more distinct steps, powers of two, ascending (1, 2, 4, 8), "
                f"received {self.steps}."
            )
        if RATE * self.frames % steps[-1]:
            raise ValueError(
                f"Expected a clip of which {RATE} * frames is a multiple of the largest step "
                f"{steps[-1]}, received {self.frames} frames; change frames or steps."
            )
        object.__setattr__(self, "steps", steps)

    @property
    def views(self):
        return 1

    @property
    def shape(self):
        return (1, RATE * self.frames, *self.spatial.shape, 3)

    @property
    def shapes(self):
        motion = (1, PROBES * self.steps[-1], *self.spatial.shape, 3)
        return {**super().shapes, "motion": (motion, "uint8")}

    def span(self, info):
        return self.frames * self.steps[-1]

    def indices(self, step):
        """Offsets from the start of a run: int64 `[2 T]` of the clip, `[4 P]` of the motion."""
        parts = np.arange(self.steps[-1]) * step // self.steps[-1]
        probes = np.linspace(0, self.frames - 1, PROBES).astype(np.int64)
        motion = parts[:, None] * self.frames + probes
        return np.arange(RATE * self.frames) * step // RATE, motion.reshape(-1)

    def plan(self, info, rng):
        label = int(rng.integers(len(self.steps)))
        room = info.frames - self.frames * self.steps[label]
        start = int(rng.integers(0, max(room, 0) + 1))
        ((box, flip),) = self.spatial.boxes(info, rng)
        clip, motion = (
            View(self.fill(start + offsets, info.frames), box, self.spatial.shape, flip)
            for offsets in self.indices(self.steps[label])
        )
        return Plan((clip,), np.int64(label), groups={"motion": (motion,)})


@keras.saving.register_keras_serializable(package="keras_vssl")
class PRP(Task):
    """Says at which rate a clip is played, and rebuilds the frames that were left out.

    A clip is read at one of a few steps. One head names the step, for which it has to know how
    things move; the other draws the clip at twice its frame rate, for which it has to know what
    lies between. Pixels count more where more moves.

    **Views**: 1 clip of `frames` frames at step 1, 2, 4 or 8, a centre crop, no other augmentation;
    the network sees every other one of the 2T target frames. At step 1 these are repeated frames,
    and only the T true ones count.

    **Objective**: `L = mean_true(m (r - x)^2) + 0.1 CE(step)`, with the target x in [0, 1], its
    reconstruction r and the weights m in [0.8, 2] by the motion of the part of the run that a
    frame lies in (`keras_vssl.losses.motion_weights`: windows of a quarter of the side).

    Args:
        backbone: `VideoBackbone`; 2T, height and width are powers of two times its feature map's.
        frames: int, frames of a clip (T).
        steps: ints, powers of two, ascending.
        classification: float, the weight of the cross-entropy.
        low, high: floats, the weights of the stillest and of the most moved part of a picture.
        resize: (height, width), int or None, the frame the crop is cut from (`Spatial`).
        size: int or (height, width), the crop. mode: "centre" or "random", its place.
        short: "skip" leaves out videos that can't hold the largest step. (The release draws the
            step and then another video.) See `RatedClip`.

    Arrays need "clips" and "motion", as `RatedClip` reads them. Logged: `accuracy` of the step and
    `reconstruction`, the first term of the objective.

    Example:

    ```python
    task = keras_vssl.tasks.PRP(keras_vssl.backbones.C3D.from_preset("c3d_vcop"))
    task.fit(videos, epochs=300)
    ```

    Reference:
        Yao, Liu, Luo, Zhou, Ye. Video playback rate perception for self-supervised
        spatio-temporal representation learning. [CVPR 2020](https://arxiv.org/abs/2006.11476).
        UCF101 / HMDB51, fine-tuned: C3D 69.1 / 34.5, R3D 66.5 / 29.7, R(2+1)D 72.1 / 35.0.
    """

    recipe = Recipe(
        300, 8737, 8, "UCF101 split 1 (9,537 videos, 800 of them held out)", "official code"
    )
    advice = "use longer videos, fewer frames or smaller steps"
    citation = (
        "Y. Yao, C. Liu, D. Luo, Y. Zhou, Q. Ye. Video playback rate perception for "
        "self-supervised spatio-temporal representation learning. CVPR 2020."
    )

    def __init__(
        self,
        backbone,
        frames=16,
        steps=(1, 2, 4, 8),
        classification=0.1,
        low=0.8,
        high=2.0,
        resize=(128, 171),
        size=112,
        mode="centre",
        short="skip",
        **kwargs,
    ):
        sampler = RatedClip(frames, steps, short, Spatial(resize, size, mode))
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.classification = float(classification)
        self.low, self.high = float(low), float(high)
        shape = backbone.compute_output_shape((None, frames, *sampler.spatial.shape, 3))
        self.heads = PlaybackHeads(
            len(sampler.steps),
            enlargement(shape[1:4], sampler.shape[1:4]),
            name="playback_heads",
            dtype=backbone.dtype_policy,
        )
        self.heads.build(shape)
        logged = ("accuracy", "reconstruction")
        self.trackers = {name: keras.metrics.Mean(name=name) for name in logged}
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Dict: "logits" of the steps `[B, steps]`, "reconstruction" `[B, 2 T, H, W, 3]`."""
        features = self.backbone(self.clips(inputs)[:, 0, ::RATE], training=training)
        return self.heads(features, training=training)

    def is_true(self, labels):
        """Which of the target frames are the video's own, not repeated ones: bool `[B, 2 T]`."""
        between = ops.convert_to_tensor([step >= RATE for step in self.sampler.steps])
        own = ops.arange(RATE * self.sampler.frames) % RATE == 0
        return ops.logical_or(ops.take(between, labels)[:, None], own)

    def pixels(self, clips):
        """Clips `[B, T, H, W, 3]` as the backbone takes them, as float32 pixels in [0, 1]."""
        mean, std = (
            ops.convert_to_tensor(v, "float32") for v in (self.backbone.mean, self.backbone.std)
        )
        return ops.cast(self.backbone.normalize(clips), "float32") * std + mean

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        labels, size = ops.cast(y, "int32"), self.sampler.spatial.shape
        target, motion = self.pixels(x["clips"][:, 0]), self.pixels(x["motion"][:, 0])
        motion = ops.reshape(motion, (-1, PROBES, *size, 3))
        window, stride = (tuple(max(1, side // n) for side in size) for n in (4, 16))
        weights = motion_weights(motion, window, stride, size, self.low, self.high)
        # The target frames of a part share its weights: [B, parts, 2 T / parts, H, W, 3].
        shape = (-1, self.sampler.steps[-1], target.shape[1] // self.sampler.steps[-1], *size, 3)
        errors = ops.square(y_pred["reconstruction"] - target)
        errors = ops.reshape(errors, shape) * ops.reshape(weights, (-1, shape[1], 1, *size, 3))
        errors = ops.mean(ops.reshape(errors, (-1, target.shape[1], *size, 3)), axis=(2, 3, 4))
        true = ops.cast(self.is_true(labels), "float32")
        rebuilt = ops.sum(errors * true, axis=1) / ops.sum(true, axis=1)
        logits = y_pred["logits"]
        entropy = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)
        self.trackers["accuracy"].update_state(ops.cast(right, "float32"))
        self.trackers["reconstruction"].update_state(ops.stop_gradient(rebuilt))
        return replica_share(ops.mean(rebuilt) + self.classification * ops.mean(entropy))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # train_predict.py; its rate falls tenfold after 50 epochs without a better validation,
        # which a callback may do here.
        sgd = keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4)
        paper = ScaledOptimizer(
            sgd, {"classify/": 10.0}, no_decay=(), decay_vectors=True, decoupled=False
        )
        self.compile(optimizer or paper)

    def chance(self, batch_size):
        return {"accuracy": 1 / len(self.sampler.steps)}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "frames": s.frames,
            "steps": list(s.steps),
            "classification": self.classification,
            "low": self.low,
            "high": self.high,
            "resize": plain_size(s.spatial.resize),
            "size": plain_size(s.spatial.size),
            "mode": s.spatial.mode,
            "short": s.short,
        }
