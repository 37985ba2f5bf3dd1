"""Speediness: normal speed or sped up (SpeedNet)."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_vssl.data.samplers import Plan, Sampler, Spatial, View
from keras_vssl.distribution import replica_share
from keras_vssl.layers.augmentation.resize_blur import ResizeBlur
from keras_vssl.tasks.task import Recipe, Task

_FULL = (0.0, 0.0, 1.0, 1.0)  # the whole frame is squeezed to the clip's size


def dropped(count, rate, run, rng):
    """Frames that are left when a run is thinned at random.

    Every frame after the first is dropped with probability `1 - 1 / rate` until `count` are left.
    A run that ends too soon gives back some of its dropped frames, drawn at random.

    Args:
        count: int, frames to keep (T). rate: float >= 1, f.
        run: int >= count, frames to choose from.
        rng: `numpy.random.Generator`.

    Returns:
        int64 `[count]`, strictly increasing, the first one 0, all below `run`.
    """
    kept = rng.random(run) < 1.0 / rate
    kept[0] = True
    if (missing := count - int(kept.sum())) > 0:
        kept[rng.choice(np.flatnonzero(~kept), missing, replace=False)] = True
    return np.flatnonzero(kept)[:count]


@dataclasses.dataclass(frozen=True)
class SpeedPair(Sampler):
    """One segment at normal speed and sped up, from the same first frame.

    Views `[2, T, H, W, 3]`: entry 0 is the normal version, entry 1 the sped-up one; no target.
    Flattened, entries 2k and 2k + 1 of a batch show one segment.

    Args:
        frames: int, frames of a clip (T).
        normal, fast: (least, most), the rates of the two versions, drawn uniformly.
        regular: bool. True: every f-th frame, rounded down, instead of random dropping.
        reach: float, the run that is thinned, in clips.
        spatial: `Spatial`, of which the size counts: the whole frame is squeezed to it.
    """

    frames: int = 64
    normal: tuple = (1.0, 1.2)
    fast: tuple = (1.7, 2.2)
    regular: bool = False
    reach: float = 3.0
    spatial: Spatial = dataclasses.field(default_factory=Spatial)
    short: str = "skip"

    def __post_init__(self):
        self._check()
        for name, rates in (("normal", self.normal), ("fast", self.fast)):
            if len(rates) != 2 or not 1 <= rates[0] <= rates[1] <= self.reach:
                raise ValueError(
                    f"Expected {name}=(least, most) with 1 <= least <= most <= {self.reach:g} (the "
                    f"run is {self.reach:g} clips long), received {rates}."
                )

    @property
    def views(self):
        return 2

    def span(self, info):
        return int(np.ceil(self.reach * self.frames))

    def offsets(self, rates, rng):
        """Frames of one version, counted from the start of the run: int64 `[T]`."""
        rate = rng.uniform(*rates)
        if self.regular:
            return np.floor(rate * np.arange(self.frames)).astype(np.int64)
        return dropped(self.frames, rate, self.span(None), rng)

    def plan(self, info, rng):
        start = rng.integers(0, max(info.frames - self.span(info), 0) + 1)
        clips = [start + self.offsets(rates, rng) for rates in (self.normal, self.fast)]
        return Plan(
            tuple(View(self.fill(c, info.frames), _FULL, self.spatial.shape) for c in clips)
        )


@keras.saving.register_keras_serializable(package="keras_vssl")
class SpeedNet(Task):
    """Tells clips at normal speed from sped-up ones.

    Every segment is seen at both speeds in one batch. To tell them apart the network has to know
    how things move, not how far: it has to see that a walk is too fast to be one. Its probability
    of "normal" at several speeds gives a video's speediness, `keras_vssl.downstream.speediness`.

    **Views**: 2 clips of `frames` frames of one segment. Frames are dropped at random so that the
    rate is 1 to 1.2 in the first, 1.7 to 2.2 in the second; the whole frame is squeezed to `size`.
    One resize to N x N pixels and back for the batch, on the device.

    **Objective**: with the features F of a clip `[T', h, w, D]`,
    `logit = w . mean_t(max_{y,x} F) + b`; `L = -log sigmoid(logit)` of a normal clip,
    `-log sigmoid(-logit)` of a sped-up one, mean over the batch.

    `accuracy`, logged, is the share of clips whose logit has the right sign; its chance is 0.5.

    Args:
        backbone: `VideoBackbone`. The paper's, `s3dg_speednet`, keeps all T time steps.
        frames: int, frames of a clip (T).
        size: int or (height, width), the clip in pixels.
        normal, fast: (least, most), rates of the two classes.
        regular: bool, True: constant steps instead of random dropping, which lets a network read
            the step. For comparison only.
        reach: float, the source frames of a segment, in clips. Shorter videos are left out.
        sizes: (least, most) N in pixels, or None: 2/7 and 3/2 of `size`, which are the paper's 64
            and 336 for 224.

    Example:

    ```python
    task = keras_vssl.tasks.SpeedNet(keras_vssl.backbones.S3D.from_preset("s3dg_speednet"))
    task.fit(videos, epochs=20)
    curve = keras_vssl.downstream.speediness(task, "dance.mp4")
    ```

    Reference:
        Benaim, Ephrat, Lang, Mosseri, Freeman, Rubinstein, Irani, Dekel. SpeedNet: learning the
        speediness in videos. CVPR 2020.
        UCF101 / HMDB51 fine-tuning (S3D-G, 64 frames, Kinetics-400): 81.1 / 48.8.
    """

    recipe = Recipe(
        100, 246_000, 16, "Kinetics-400 (about 246,000 videos)", "not known; the project's default"
    )
    citation = (
        "S. Benaim, A. Ephrat, O. Lang, I. Mosseri, W. T. Freeman, M. Rubinstein, M. Irani, "
        "T. Dekel. SpeedNet: Learning the speediness in videos. CVPR 2020."
    )
    advice = "use longer videos, or fewer frames"

    def __init__(
        self,
        backbone,
        frames=64,
        size=224,
        normal=(1.0, 1.2),
        fast=(1.7, 2.2),
        regular=False,
        reach=3.0,
        sizes=None,
        **kwargs,
    ):
        spatial = Spatial(None, size)
        rates = tuple(map(float, normal)), tuple(map(float, fast))
        sampler = SpeedPair(frames, *rates, bool(regular), float(reach), spatial)
        super().__init__(backbone, sampler=sampler, target=None, **kwargs)
        side = max(spatial.shape)
        self.blur = ResizeBlur(
            sizes or (max(1, round(side * 2 / 7)), round(side * 3 / 2)),
            name="resize_blur", dtype=backbone.dtype_policy,
        )  # fmt: skip
        # In float32: a logit of bfloat16 loses the loss's last digits.
        self.classify = keras.layers.Dense(1, name="classify", dtype="float32")
        self.classify.build((None, backbone.feature_dim))
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Logits of "normal speed", `[B, V]`."""
        # Blurring is linear: pixels may be normalised before.
        clips = self.blur(self.backbone.normalize(self.clips(inputs)), training=training)
        return self.classify(self.pool(clips, training))[..., 0]

    def pool(self, clips, training=None):
        """The mean over time of the maximum over space: `[B, V, T, H, W, 3]` to `[B, V, D]`."""
        maps = self.backbone(ops.reshape(clips, (-1, *clips.shape[2:])), training=training)
        frames, height, width, channels = maps.shape[1:]
        # Not `ops.max` over both axes: compiled by XLA for a CPU, its gradient became NaN within two
        # steps (JAX 0.10 and TensorFlow 2.21).
        planes = ops.reshape(maps, (-1, height, width, channels))
        highest = ops.max_pool(planes, (height, width), (height, width))
        highest = ops.reshape(ops.cast(highest, "float32"), (-1, frames, channels))
        features = ops.mean(highest, axis=1)
        return ops.reshape(features, (-1, clips.shape[1], self.backbone.feature_dim))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        # The pair is its own label: normal, sped up.
        signs = ops.convert_to_tensor([1.0, -1.0], "float32")
        margins = y_pred * signs
        self.accuracy.update_state(ops.cast(margins > 0, "float32"))
        return replica_share(ops.mean(ops.softplus(-margins)))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # The paper's optimizer is not known; the project's default.
        self.compile(optimizer or keras.optimizers.Adam(1e-4))

    def chance(self, batch_size):
        return {"accuracy": 0.5}

    def get_config(self):
        s, size = self.sampler, self.sampler.spatial.size
        return {
            **super().get_config(),
            "frames": s.frames,
            "size": list(size) if isinstance(size, (tuple, list)) else size,
            "normal": list(s.normal),
            "fast": list(s.fast),
            "regular": s.regular,
            "reach": s.reach,
            "sizes": list(self.blur.sizes),
        }
