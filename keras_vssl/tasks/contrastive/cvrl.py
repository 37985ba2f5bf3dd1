"""Contrastive video representation learning (CVRL)."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_vssl.data.samplers import Plan, Sampler, Spatial, View
from keras_vssl.distribution import gather, replica_id, replica_share
from keras_vssl.layers.augmentation import contrastive_views
from keras_vssl.layers.heads import Projector
from keras_vssl.losses.contrastive import nt_xent, unit
from keras_vssl.tasks.joint_embedding import JointEmbedding
from keras_vssl.tasks.task import Recipe


def clip_distance(u, most, power=1.0):
    """The distance of two clips whose density falls from 0 to `most`, in frames.

    Inverts `F(k) = k (a+1)/(a M) - k^(a+1)/(a M^(a+1))` by the release's integer bisection.

    Args:
        u: float in [0, 1), a uniform draw.
        most: int, M, the number of legal starts.
        power: float, a; 1 is linearly decreasing.

    Returns:
        int in [0, most).
    """
    low, high, k = 0, int(most), int(most) // 2
    while high - low > 1:
        share = k * (power + 1) / (power * most) - k ** (power + 1) / (power * most ** (power + 1))
        if share > u:
            high, k = k, (k + low) // 2
        else:
            low, k = k, (high + k) // 2
    return k


@dataclasses.dataclass(frozen=True)
class NearbyClips(Sampler):
    """Two clips of one video, near ones preferred, each with its own crop and flip.

    Views `[2, T, H, W, 3]`, which clip is the earlier is random; no target. A video shorter than
    a clip is looped, and both clips start anywhere.
    """

    frames: int = 16
    stride: int = 2
    power: float = 1.0
    spatial: Spatial = dataclasses.field(default_factory=Spatial)
    short: str = "loop"

    def __post_init__(self):
        self._check()

    @property
    def views(self):
        return 2

    def span(self, info):
        return (self.frames - 1) * self.stride + 1

    def offsets(self, total, u, rng):
        """First frames of the two clips, in time order where the video is long enough."""
        starts = total - (self.frames - 1) * self.stride
        if starts <= 0:
            return rng.integers(0, total, size=2)
        distance = clip_distance(u, starts, self.power)
        first = rng.integers(0, starts - distance)
        return np.array([first, first + distance])

    def plan(self, info, rng):
        offsets = rng.permutation(self.offsets(info.frames, rng.random(), rng))
        views = []
        for offset in offsets:
            frames = self.fill(offset + self.stride * np.arange(self.frames), info.frames)
            ((box, flip),) = self.spatial.boxes(info, rng)
            views.append(View(frames, box, self.spatial.shape, flip))
        return Plan(tuple(views))


@keras.saving.register_keras_serializable(package="keras_vssl")
class CVRL(JointEmbedding):
    """Tells two clips of one video from the clips of all other videos of the batch.

    The time between the two clips is drawn from a density that falls with the distance, and each
    clip gets one draw of crop, flip, colour and blur for all its frames, so that what moves stays
    what it was. No queue, no momentum encoder, no predictor.

    **Views**: 2 clips of `frames` x `stride`; area 0.3 to 1, aspect 0.5 to 2, flip 0.5 (at
    decoding); colour jitter 0.8, grayscale 0.2, blur, solarisation (on the device).

    **Objective**: with unit embeddings z, z' of the N videos' two clips,
    `L = -log softmax([z_i.z'_j, z_i.z_j (j != i)] / t)[i]` plus the same from z' to z.

    Args:
        backbone: `VideoBackbone`.
        widths: ints, the projector's layers.
        temperature: float, t.
        frames, stride, size: the clip. power: float, of the time distance's density.
        area: (least, most) share of the frame that a crop covers.
        asymmetric: bool, the release's augmentation (view 1 always blurred; view 2 blurred at 0.1
            and solarised at 0.2); False is the paper's (blur 0.5 for both).
        strength: float, of the colour jitter; 1 is the paper's. Small sets and small networks
            learn sooner with less.
        weight_decay: float, `weight_decay * sum(kernel^2) / 2` is added to the loss.

    `contrast_accuracy`, logged, is the share of first clips whose nearest second clip of the batch
    is their own.

    Example:

    ```python
    task = keras_vssl.tasks.CVRL(keras_vssl.backbones.SlowResNet.from_preset("slow_r50_cvrl"))
    task.fit(videos, epochs=200)
    ```

    Reference:
        Qian, Meng, Gong, Yang, Wang, Belongie, Cui. Spatiotemporal contrastive video
        representation learning. CVPR 2021.
        Linear probe, Kinetics-400 (R3D-50, 800 epochs): 66.1 top-1; Kinetics-600: 70.4.
    """

    recipe = Recipe(200, 366016, 1024, "Kinetics-600 (366,016 videos)", "official configuration")
    batch_normalization = "synchronized"
    citation = (
        "R. Qian, T. Meng, B. Gong, M.-H. Yang, H. Wang, S. Belongie, Y. Cui. Spatiotemporal "
        "contrastive video representation learning. CVPR 2021."
    )

    def __init__(
        self,
        backbone,
        widths=(2048, 2048, 2048, 128),
        temperature=0.1,
        frames=16,
        stride=2,
        size=224,
        power=1.0,
        area=(0.3, 1.0),
        asymmetric=True,
        strength=1.0,
        weight_decay=1e-6,
        **kwargs,
    ):
        spatial = Spatial(None, size, "random_resized", tuple(area), (0.5, 2.0), flip=0.5)
        sampler = NearbyClips(frames, stride, power, spatial)
        super().__init__(backbone, sampler=sampler, logged=("contrast_accuracy",), **kwargs)
        self.temperature, self.asymmetric = float(temperature), bool(asymmetric)
        self.strength, self.weight_decay = float(strength), float(weight_decay)
        self.augment = contrastive_views(
            spatial.shape, self.asymmetric, self.strength, dtype=backbone.dtype_policy
        )
        # BN decay 0.997 in the head, 0.9 in the backbone (official configuration).
        self.projector = Projector(
            widths, momentum=0.997, name="projector", dtype=backbone.dtype_policy
        )
        self.projector.build((None, None, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Embeddings `[B, V, D]`, not normalised."""
        clips = self.augment(self.clips(inputs), training=training)
        features = self.encode(self.backbone.standardize(clips), training=training)
        return self.projector(features, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        first, second = y_pred[:, 0], y_pred[:, 1]
        everyone = gather(first), gather(second)
        offset = replica_id() * ops.shape(first)[0]
        loss = ops.mean(nt_xent(first, second, self.temperature, *everyone, offset))
        self.track({"contrast_accuracy": _accuracy(unit(first), unit(second))}, first, second)
        kernels = [v for v in self.trainable_variables if v.path.endswith("kernel")]
        decay = sum(ops.sum(ops.square(ops.convert_to_tensor(v))) for v in kernels)
        return replica_share(loss + 0.5 * self.weight_decay * decay)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # Official configuration: 0.32 for 1,024 videos, 5 epochs of warm-up, then cosine to 0.
        rate = self.recipe.rates(0.32, 5, steps=steps, batch_size=batch_size, per=1024)
        self.compile(optimizer or keras.optimizers.SGD(rate, momentum=0.9))

    def chance(self, batch_size):
        return {"contrast_accuracy": 1 / batch_size}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "widths": list(self.projector.widths),
            "temperature": self.temperature,
            "frames": s.frames,
            "stride": s.stride,
            "size": s.spatial.size,
            "power": s.power,
            "area": list(s.spatial.area),
            "asymmetric": self.asymmetric,
            "strength": self.strength,
            "weight_decay": self.weight_decay,
        }


def _accuracy(first, second):
    """Whether a first clip's nearest second clip of the batch is its own, `[B]`."""
    best = ops.argmax(ops.matmul(first, ops.transpose(second)), axis=1)
    own = ops.arange(ops.shape(first)[0])
    return ops.cast(ops.equal(ops.cast(best, "int32"), own), "float32")
