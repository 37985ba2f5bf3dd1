"""Relative speed perception (RSPNet)."""

import dataclasses

import keras
from keras import ops

from keras_vssl.data.samplers import Plan, Sampler, Spatial, View
from keras_vssl.distribution import gather, replica_share
from keras_vssl.layers.augmentation import jittered_views
from keras_vssl.layers.heads import Projector
from keras_vssl.layers.momentum import MomentumEncoder
from keras_vssl.layers.queue import MemoryQueue
from keras_vssl.losses.contrastive import info_nce
from keras_vssl.tasks.joint_embedding import JointEmbedding
from keras_vssl.tasks.task import Recipe


@dataclasses.dataclass(frozen=True)
class BothSpeeds(Sampler):
    """Two runs of consecutive frames of one video, each long enough to be shown at both speeds.

    Views `[2, speed * T, H, W, 3]` (query, key), each from a start and with a crop of its own; no
    target. The first T frames are the clip at normal speed, every `speed`-th the fast one. A video
    shorter than a run is repeated from its start.
    """

    frames: int = 16
    speed: int = 2
    spatial: Spatial = dataclasses.field(default_factory=Spatial)
    short: str = "loop"

    def __post_init__(self):
        self._check()
        if self.speed < 2:
            raise ValueError(f"Expected a speed of 2 or more, received {self.speed}.")

    @property
    def views(self):
        return 2

    @property
    def shape(self):
        return (2, self.span(None), *self.spatial.shape, 3)

    def span(self, info):
        return self.frames * self.speed

    def plan(self, info, rng):
        views = []
        for start in rng.integers(0, max(info.frames - self.span(info), 0) + 1, size=2):
            ((box, flip),) = self.spatial.boxes(info, rng)
            frames = self.fill(range(start, start + self.span(info)), info.frames)
            views.append(View(frames, box, self.spatial.shape, flip))
        return Plan(tuple(views))


def at_speeds(clips, normal, speed):
    """Runs of frames `[B, speed * T, ...]` as clips `[B, T, ...]`.

    Args:
        normal: bool `[B]`: the run's first T frames; else every `speed`-th frame.
    """
    slow, fast = clips[:, : clips.shape[1] // speed], clips[:, ::speed]
    return ops.where(ops.reshape(normal, (-1, *[1] * (len(clips.shape) - 1))), slow, fast)


def discrimination_and_ranking(embeddings, keys, valid=None, temperature=0.07, margin=2.0):
    """The two terms of the objective.

    Args:
        embeddings: `[B, 3, 2, D]`, unit rows of query, k and k', each of appearance and of motion.
        keys: `[N, D]`, the queue. valid: bool `[N]` or None, which of it counts.

    Returns:
        (`[B]`, `[B]`): the sum of both InfoNCE terms, and the hinge.
    """
    query, same, other = ops.unstack(embeddings, 3, axis=1)
    same, other = ops.stop_gradient(same), ops.stop_gradient(other)
    appearance = sum(
        info_nce(query[:, 0], key[:, 0], keys, valid, temperature) for key in (same, other)
    )
    lead = ops.sum(query[:, 1] * (same - other)[:, 1], axis=1)
    return appearance, ops.relu(margin - lead / temperature)


@keras.saving.register_keras_serializable(package="keras_vssl")
class RSPNet(JointEmbedding):
    """Says which of two clips is played at the speed of a third.

    What is fast depends on who moves, so speeds are only compared: the motion embedding of a query
    has to be nearer to the key clip at the query's speed than to the same key clip at another one.
    Since both keys show the same, only motion tells them apart. A second embedding, of appearance,
    tells videos from one another at whatever speed.

    **Views**: 2 runs of `frames * speed` frames; area 0.4 to 1, flip 0.5. In training a random half
    of the batch's queries, floor(B / 2), is at normal speed and the others at `speed` times that
    (otherwise every second one); colour is changed alike in a whole run (on the device).

    **Objective**: with unit embeddings a (appearance) and m (motion) of the query, of the key k at
    the query's speed and k' at the other one, both by the momentum networks, and a queue Q,
    `L = A (NCE(a; a_k, Q) + NCE(a; a_k', Q)) + M max(0, margin - (m.m_k - m.m_k') / t)`. The queue
    holds past a_k'.

    Args:
        backbone: `VideoBackbone`.
        dim: int, width of both embeddings, each one linear layer on the pooled features.
        appearance, motion: floats, the weights A and M.
        margin: float; on similarities that are divided by the temperature already. 2 is of the
            release's script; its class has 1.
        temperature: float, t. momentum: float, of the networks. queue_size: int.
        frames: int, frames of a clip. speed: int, the faster speed. size: int, the crop.
        area: (least, most) share of the frame that a crop covers.
        jitter, grayscale: floats, probabilities. strength: float, of the colour jitter.

    Logged: `speed_accuracy`, the share of queries nearer to the key of their own speed (0.5 by
    chance), and `appearance_accuracy`, of those nearer to it than to all keys of the queue.

    Example:

    ```python
    task = keras_vssl.tasks.RSPNet(keras_vssl.backbones.R3D.from_preset("r3d_18"))
    task.fit(videos, epochs=200)
    ```

    Reference:
        Chen, Huang, He, Long, Zeng, Wen, Tan, Gan. RSPNet: relative speed perception for
        unsupervised video representation learning. AAAI 2021.
        Kinetics-400, 200 epochs, then UCF101 / HMDB51: C3D 76.7 / 44.6, R3D-18 74.3 / 41.8,
        R(2+1)D 81.1 / 44.6, S3D-G 89.9 / 59.6 (93.7 / 64.7 after 1,000 epochs).
    """

    recipe = Recipe(200, 240000, 64, "Kinetics-400 (240,000 videos)", "official code, one GPU")
    batch_normalization = "shuffled"
    citation = (
        "P. Chen, D. Huang, D. He, X. Long, R. Zeng, S. Wen, M. Tan, C. Gan. RSPNet: Relative "
        "speed perception for unsupervised video representation learning. AAAI 2021."
    )

    def __init__(
        self,
        backbone,
        dim=128,
        appearance=1.0,
        motion=1.0,
        margin=2.0,
        temperature=0.07,
        momentum=0.999,
        queue_size=16384,
        frames=16,
        speed=2,
        size=112,
        area=(0.4, 1.0),
        jitter=1.0,
        grayscale=0.2,
        strength=1.0,
        **kwargs,
    ):
        spatial = Spatial(None, size, "random_resized", tuple(area), flip=0.5)
        logged = ("speed_accuracy", "appearance_accuracy")
        sampler = BothSpeeds(frames, speed, spatial)
        super().__init__(backbone, sampler=sampler, logged=logged, **kwargs)
        self.weights_of = {"appearance": float(appearance), "motion": float(motion)}
        self.margin, self.temperature = float(margin), float(temperature)
        self.colour = {"jitter": jitter, "grayscale": grayscale, "strength": strength}
        self.augment = jittered_views(
            *[0.4 * strength] * 4, jitter, grayscale, blur=0.0, dtype=backbone.dtype_policy
        )
        self.heads = [_head(dim, backbone, f"{name}_head") for name in self.weights_of]
        networks = backbone, *self.heads
        self.teachers = [MomentumEncoder(network, momentum) for network in networks]
        self.queue = MemoryQueue(queue_size, dim, name="queue")
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Unit embeddings of query, k and k' `[B, 3, 2, D]`, of appearance and of motion."""
        clips = self.backbone.standardize(self.augment(self.clips(inputs), training=training))
        count = ops.shape(clips)[0]
        normal = self.normal(count) if training else ops.arange(count) % 2 == 1
        speed, other = self.sampler.speed, ops.logical_not(normal)

        def embed(clip, backbone, *heads):
            features = ops.cast(backbone(clip, training=training), "float32")
            features = ops.mean(features, axis=tuple(range(1, len(features.shape) - 1)))
            return ops.stack([head(features, training=training) for head in heads], axis=1)

        def key(normal):
            clip = at_speeds(clips[:, 1], normal, speed)
            return self.shuffled(lambda x: embed(x, *self.teachers), clip, self.seed_generator)

        query = embed(at_speeds(clips[:, 0], normal, speed), self.backbone, *self.heads)
        return ops.stack([query, key(normal), key(other)], axis=1)

    def normal(self, count):
        """Which of `count` queries are at normal speed: floor(count / 2) of them, bool `[count]`."""
        draws = keras.random.uniform((count,), seed=self.seed_generator)
        return ops.argsort(ops.argsort(draws)) < count // 2

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        keys, valid = self.queue.keys(), self.queue.valid()
        terms = discrimination_and_ranking(y_pred, keys, valid, self.temperature, self.margin)
        query, same, other = ops.unstack(y_pred, 3, axis=1)
        nearest = ops.max(ops.where(valid, ops.matmul(query[:, 0], ops.transpose(keys)), -2.0), 1)
        hits = {
            "speed_accuracy": ops.sum(query * (same - other), axis=-1)[:, 1] > 0,
            "appearance_accuracy": ops.sum(query * same, axis=-1)[:, 0] > nearest,
        }
        self.track({k: ops.cast(v, "float32") for k, v in hits.items()}, query[:, 0], same[:, 0])
        if training:
            self.queue.enqueue(gather(other[:, 0]))
            for teacher in self.teachers:
                teacher.update()
        weighted = zip(self.weights_of.values(), terms)
        return replica_share(sum(weight * ops.mean(term) for weight, term in weighted))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # 0.1 (for S3D-G and R(2+1)D the release has 0.05), which it scales with the batch; that it
        # is meant for 64 videos is this library's reading. PyTorch adds the decay to the gradient,
        # where momentum accumulates it tenfold.
        rate = self.recipe.rates(0.1, steps=steps, batch_size=batch_size, per=64)
        self.compile(optimizer or keras.optimizers.SGD(rate, momentum=0.9, weight_decay=1e-3))

    def chance(self, batch_size):
        return {"speed_accuracy": 0.5, "appearance_accuracy": 1 / (self.queue.size + 1)}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            **self.weights_of,
            **self.colour,
            "dim": self.queue.dim,
            "margin": self.margin,
            "temperature": self.temperature,
            "momentum": self.teachers[0].momentum,
            "queue_size": self.queue.size,
            "frames": s.frames,
            "speed": s.speed,
            "size": s.spatial.size,
            "area": list(s.spatial.area),
        }


def _head(dim, backbone, name):
    head = Projector((dim,), normalize=True, name=name, dtype=backbone.dtype_policy)
    head.build((None, backbone.feature_dim))
    return head
