"""Video pace prediction (Pace)."""

import dataclasses

import keras
import numpy as np

from keras_vssl.data.plans import plain_size
from keras_vssl.data.samplers import Plan, Sampler, Spatial, View
from keras_vssl.layers.augmentation import jittered_views
from keras_vssl.tasks.task import Recipe, Task


def wrapped(start, pace, count, total):
    """Every `pace`-th frame of a video from `start` on; past the end it goes on at frame 0.

    The stride starts anew there, whatever was left of it.

    Args:
        start: int in [0, total). pace, count, total: ints, 1 or more; total is the video's frames.

    Returns:
        int64 `[count]`.
    """
    first, turn = -(-(total - start) // pace), -(-total // pace)  # frames until the end
    k = np.arange(count)
    return np.where(k < first, start + k * pace, (k - first) % turn * pace).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class PacedClip(Sampler):
    """A clip of which every p-th frame is shown, p uniform on 1 to `paces`.

    Views `[1, T, H, W, 3]`; target int, p - 1. With `short` "loop" the clip starts at any frame and
    wraps (`wrapped`). With "skip" it lies inside the video, its first frame drawn alike for every
    pace, and a video shorter than the fastest clip is left out.
    """

    frames: int = 16
    paces: int = 4
    short: str = "loop"
    spatial: Spatial = dataclasses.field(default_factory=Spatial)

    def __post_init__(self):
        self._check()
        if self.paces < 2:
            raise ValueError(
                f"Expected at least 2 paces to tell from one another, received {self.paces}."
            )
        if self.short == "clamp":
            raise ValueError(
                'Expected short to be "loop" or "skip", received "clamp": a frame that is held '
                "betrays the pace."
            )

    @property
    def views(self):
        return 1

    def span(self, info):
        return (self.frames - 1) * self.paces + 1

    def plan(self, info, rng):
        pace = int(rng.integers(1, self.paces + 1))
        starts = info.frames if self.short == "loop" else info.frames - self.span(info) + 1
        frames = wrapped(int(rng.integers(0, max(starts, 1))), pace, self.frames, info.frames)
        ((box, flip),) = self.spatial.boxes(info, rng)
        return Plan((View(frames, box, self.spatial.shape, flip),), np.int64(pace - 1))


@keras.saving.register_keras_serializable(package="keras_vssl")
class Pace(Task):
    """Predicts how fast a clip is played.

    A clip is read at one of a few strides, and the network says which. To tell a walk at four times
    its pace from a run it has to know how things move. Colour is changed anew for every frame, so
    that the pace can't be read from how much neighbouring pixels differ.

    **Views**: 1 clip of `frames` frames, stride 1 to `paces`; one crop and flip for the clip;
    colour jitter drawn for each frame with probability `jitter` (on the device).

    **Objective**: softmax cross-entropy over the paces, `L = -log softmax(W mean(F) + b)[p - 1]`.
    (The paper's contrastive term is not in its release and not here.)

    Args:
        backbone: `VideoBackbone`.
        frames: int, frames of a clip.
        paces: int, the largest stride, and the number of classes.
        resize: (height, width), int or None, the frame the crop is cut from (`Spatial`).
        size: int or (height, width), the crop.
        short: "loop", the release's: clips start anywhere and go on at the video's first frame when
            they pass its end. In short videos that jump tells the pace: the more often, the
            faster. "skip": clips lie inside the video, videos too short for it are left out.
        jitter: float, the probability that a frame's colours change.
        strength: float, of the change; 1 is the release's.

    Example:

    ```python
    task = keras_vssl.tasks.Pace(keras_vssl.backbones.R2Plus1D.from_preset("r2plus1d_18"))
    task.fit(videos, epochs=180)
    ```

    Reference:
        Wang, Jiao, Liu. Self-supervised video representation learning by pace prediction.
        ECCV 2020.
        Fine-tuning (R(2+1)D, Kinetics-400): UCF101 77.1, HMDB51 36.6, as a later paper has them.
    """

    recipe = Recipe(
        180, 9537, 30, "UCF101 split 1 (9,537 videos)", "official code: 18 epochs of a tenfold list"
    )
    advice = 'use longer videos, fewer frames or paces, or short="loop"'
    citation = (
        "J. Wang, J. Jiao, Y.-H. Liu. Self-supervised video representation learning by pace "
        "prediction. ECCV 2020."
    )

    def __init__(
        self,
        backbone,
        frames=16,
        paces=4,
        resize=(128, 171),
        size=112,
        short="loop",
        jitter=0.8,
        strength=1.0,
        **kwargs,
    ):
        sampler = PacedClip(frames, paces, short, Spatial(resize, size, "random", flip=0.5))
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.jitter, self.strength = float(jitter), float(strength)
        colour = 0.8 * self.strength
        self.augment = jittered_views(
            colour, colour, colour, 0.2 * self.strength, self.jitter, grayscale=0.0, blur=0.0,
            per="frame", dtype=backbone.dtype_policy,
        )  # fmt: skip
        # Logits in float32: the softmax of a bfloat16 head loses the loss's last digits.
        self.classify = keras.layers.Dense(paces, name="classify", dtype="float32")
        self.classify.build((None, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Logits of the paces, `[B, paces]`."""
        clips = self.augment(self.clips(inputs), training=training)
        features = self.encode(self.backbone.standardize(clips), training=training)
        return self.classify(features[:, 0])

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # The readme's rate and the release's decay, a tenth of the rate after every third of the
        # run. PyTorch adds the decay to the gradient, where momentum accumulates it tenfold.
        steps = steps or self.recipe.steps
        thirds = [max(1, steps // 3), max(2, 2 * steps // 3)]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(thirds, [1e-3, 1e-4, 1e-5])
        paper = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-3 / (1 - 0.9))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile(optimizer or paper, loss, metrics=["accuracy"])

    def chance(self, batch_size):
        return {"accuracy": 1 / self.sampler.paces}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "frames": s.frames,
            "paces": s.paces,
            "resize": plain_size(s.spatial.resize),
            "size": plain_size(s.spatial.size),
            "short": s.short,
            "jitter": self.jitter,
            "strength": self.strength,
        }
