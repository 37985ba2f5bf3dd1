"""Motion distillation (MoDist), later called motion-aware contrastive learning (MaCLR)."""

import dataclasses

import keras
from keras import ops

from keras_vssl.data.flow import FlowCache
from keras_vssl.data.motion import VisualMotionClips
from keras_vssl.data.samplers import Spatial
from keras_vssl.distribution import gather, replica_share
from keras_vssl.layers.augmentation import jittered_views
from keras_vssl.layers.heads import Projector
from keras_vssl.layers.momentum import MomentumEncoder
from keras_vssl.layers.motion import FrameDifference
from keras_vssl.layers.queue import MemoryQueue
from keras_vssl.losses.contrastive import info_nce
from keras_vssl.tasks.joint_embedding import JointEmbedding
from keras_vssl.tasks.task import Recipe


@keras.saving.register_keras_serializable(package="keras_vssl")
class MoDist(JointEmbedding):
    """Pulls the embedding of a clip to that of the motion in the same video.

    Telling videos apart can be solved by the background; matching what moves cannot. A visual
    network and a light motion network are trained by momentum contrast, within vision and across;
    the visual one, `backbone`, is what is kept. `MaCLR` is the same class.

    **Views**: "clips", 2 RGB clips (query, key), and "motion", 2 motion clips of the same times
    (`VisualMotionClips`); area 0.3 to 1, aspect 0.5 to 2, flip 0.5; RGB: colour, grey, blur.

    **Objective**: with unit embeddings v, m of the query's clips and v', m' of the key's by the
    momentum networks, and queues Q_v, Q_m of past v', m',
    `L = NCE(v; v', Q_v) + w (NCE(v; m', Q_m) + NCE(m; v', Q_v) [+ NCE(m; m', Q_m)])`,
    `NCE(q; k, Q) = -log(exp(q.k/t) / (exp(q.k/t) + sum_{n in Q} exp(q.n/t)))`.

    Args:
        backbone: `VideoBackbone`, the visual network.
        motion_backbone: `VideoBackbone` or None: the class of `backbone` with its `width` divided
            by `beta_inverse` (which width the paper used is not published).
        motion: a layer of `keras_vssl.layers.motion`: `FrameDifference(pairs=True)` (the default),
            or, from the flow that `keras-vssl flow FOLDER` keeps, `FlowEdges()`, `FlowChannels()`.
        flow: dict or None, arguments of `keras_vssl.data.FlowCache`: which flow is read.
        widths: ints, the layers of each projector, without batch normalisation.
        weight: float, w. motion_motion: bool, the term in brackets (off in the release).
        temperature: float, t. momentum: float, of the networks. queue_size: int, of each queue.
        frames, stride, size, motion_frames, motion_stride, motion_size, offset, fps: the clips, see
            `VisualMotionClips`; sizes in pixels, `motion_size` None is `size`.
        area: (least, most) share of the frame that a crop covers.
        jitter, grayscale, blur: floats, probabilities. Those of pre-training are not published: two
            are of the release's fine-tuning, blur's is this library's. strength: float, of colour.

    `vv_accuracy` and so on: the share of queries that are nearer to their key than to the queue.

    Example:

    ```python
    backbone = keras_vssl.backbones.SlowResNet.from_preset("slow_r50_dense")
    task = keras_vssl.tasks.MoDist(backbone, motion=keras_vssl.layers.FlowEdges())
    task.fit(videos, epochs=200)
    ```

    Reference:
        Xiao, Tighe, Modolo. MaCLR: Motion-aware contrastive learning of representations for
        videos. ECCV 2022 (https://arxiv.org/abs/2106.09703; first version: MoDist).
        Something-Something v2, AVA (R50): better than supervised on Kinetics-400 (abstract).
    """

    # The release holds neither batch, rate nor length of pre-training.
    recipe = Recipe(200, 240000, 512, "Kinetics-400 (240,000 videos)", "this library's choice")
    batch_normalization = "shuffled"  # MoCo's; theirs is not published
    advice = "check the files, compute the missing flow, or learn from frame differences"
    citation = (
        "F. Xiao, J. Tighe, D. Modolo. MaCLR: Motion-aware contrastive learning of "
        "representations for videos. ECCV 2022."
    )

    def __init__(
        self,
        backbone,
        motion_backbone=None,
        motion=None,
        flow=None,
        beta_inverse=8,
        widths=(2048, 128),
        weight=1.0,
        motion_motion=False,
        temperature=0.1,
        momentum=0.999,
        queue_size=65536,
        frames=8,
        stride=8,
        size=224,
        motion_frames=16,
        motion_stride=4,
        motion_size=None,
        offset=(0.5, 10.0),
        fps=30.0,
        area=(0.3, 1.0),
        jitter=0.6,
        grayscale=0.5,
        blur=0.5,
        strength=0.4,
        **kwargs,
    ):
        motion = motion or FrameDifference(pairs=True)
        if not getattr(motion, "pairs", True):
            raise ValueError("Expected FrameDifference(pairs=True), because frames come in pairs.")
        spatial = Spatial(None, size, "random_resized", tuple(area), (0.5, 2.0), flip=0.5)
        sampler = VisualMotionClips(
            frames, stride, motion_frames, motion_stride, tuple(offset), float(fps), spatial,
            dataclasses.replace(spatial, size=motion_size or size),
            FlowCache(**(flow or {})) if motion.source == "flow" else None,
        )  # fmt: skip
        terms = ("vv", "vm", "mv", "mm")[: 4 if motion_motion else 3]
        kwargs["logged"] = [f"{name}_accuracy" for name in terms]
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.terms, self.seed_generator = terms, keras.random.SeedGenerator()
        self.motion, self.flow, self.beta_inverse = motion, flow, int(beta_inverse)
        self.weight, self.temperature = float(weight), float(temperature)
        self.colour = {"jitter": jitter, "grayscale": grayscale, "blur": blur, "strength": strength}
        self.augment = jittered_views(
            strength, strength, strength, 0.0, jitter, grayscale, blur, 3,
            dtype=backbone.dtype_policy,
        )  # fmt: skip
        self.motion_backbone = motion_backbone or narrowed(backbone, self.beta_inverse)
        self.visual_head = _head(widths, backbone, "visual_head")
        self.motion_head = _head(widths, self.motion_backbone, "motion_head")
        networks = backbone, self.visual_head, self.motion_backbone, self.motion_head
        self.teachers = [MomentumEncoder(network, momentum) for network in networks]
        self.visual_queue = MemoryQueue(queue_size, widths[-1], name="visual_queue")
        self.motion_queue = MemoryQueue(queue_size, widths[-1], name="motion_queue")
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Unit embeddings v, m, v', m' `[B, 4, D]`."""
        if not (isinstance(inputs, dict) and "motion" in inputs):
            raise ValueError(
                'Expected a dict of "clips" and "motion", received clips alone; for features call '
                "the task's backbone."
            )
        clips = self.backbone.standardize(self.augment(inputs["clips"], training=training))
        motion = self.motion_backbone.standardize(self.motion(inputs["motion"]))

        def embed(clip, backbone, head):
            features = ops.cast(backbone(clip, training=training), "float32")
            return head(ops.mean(features, axis=(1, 2, 3)), training=training)

        def key(clip, *teachers):
            return self.shuffled(lambda rows: embed(rows, *teachers), clip, self.seed_generator)

        v = embed(clips[:, 0], self.backbone, self.visual_head)
        m = embed(motion[:, 0], self.motion_backbone, self.motion_head)
        keys = key(clips[:, 1], *self.teachers[:2]), key(motion[:, 1], *self.teachers[2:])
        return ops.stack([v, m, *keys], axis=1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        v, m, v_key, m_key = ops.unstack(y_pred, 4, axis=1)
        pairs = {
            "vv": (v, v_key, self.visual_queue),
            "vm": (v, m_key, self.motion_queue),
            "mv": (m, v_key, self.visual_queue),
            "mm": (m, m_key, self.motion_queue),
        }
        loss, accuracies = 0.0, {}
        for name in self.terms:
            query, key, queue = pairs[name]
            key, negatives, valid = ops.stop_gradient(key), queue.keys(), queue.valid()
            term = ops.mean(info_nce(query, key, negatives, valid, self.temperature))
            loss = loss + (1.0 if name == "vv" else self.weight) * term
            accuracies[f"{name}_accuracy"] = _nearest(query, key, negatives, valid)
        self.track(accuracies, v, v_key)
        if training:
            self.visual_queue.enqueue(gather(v_key))
            self.motion_queue.enqueue(gather(m_key))
            for teacher in self.teachers:
                teacher.update()
        return replica_share(loss)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # Ours, but for the release's decay, which PyTorch adds to the gradient, before momentum.
        rate = self.recipe.rates(0.4, 35, steps=steps, batch_size=batch_size, per=512)
        paper = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=1e-4 / (1 - 0.9))
        self.compile(optimizer or paper)

    def chance(self, batch_size):
        return {"vm_accuracy": 1 / (self.motion_queue.size + 1)}

    def get_config(self):
        s, serialize = self.sampler, keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            **self.colour,
            "flow": self.flow and dict(self.flow),
            "beta_inverse": self.beta_inverse,
            "weight": self.weight,
            "motion_motion": len(self.terms) == 4,
            "temperature": self.temperature,
            "motion_backbone": serialize(self.motion_backbone),
            "motion": serialize(self.motion),
            "widths": list(self.visual_head.widths),
            "momentum": self.teachers[0].momentum,
            "queue_size": self.visual_queue.size,
            "frames": s.frames,
            "stride": s.stride,
            "size": s.spatial.size,
            "motion_frames": s.motion_frames,
            "motion_stride": s.motion_stride,
            "motion_size": s.motion_spatial.size,
            "offset": list(s.offset),
            "fps": s.fps,
            "area": list(s.spatial.area),
        }

    @classmethod
    def from_config(cls, config):
        for name in ("motion_backbone", "motion"):
            if isinstance(config.get(name), dict):
                config = {**config, name: keras.saving.deserialize_keras_object(config[name])}
        return super().from_config(config)


MaCLR = MoDist  # the later versions' name of the same method


def narrowed(backbone, divisor):
    """A new network of the same class, `divisor` times narrower, for motion in [0, 1]."""
    config = backbone.get_config()
    if "width" not in config:
        raise ValueError(
            f"Expected motion_backbone=, because a {type(backbone).__name__} has no width to divide."
        )
    changes = {"width": max(config["width"] // divisor, 1), "mean": [0.0] * 3, "std": [1.0] * 3}
    return type(backbone).from_config({**config, **changes, "name": f"{backbone.name}_motion"})


def _head(widths, backbone, name):
    options = {"batch_normalization": False, "normalize": True, "dtype": backbone.dtype_policy}
    head = Projector(widths, name=name, **options)
    head.build((None, backbone.feature_dim))
    return head


def _nearest(query, key, negatives, valid):
    """Whether a query is nearer to its key than to all valid negatives, `[B]`."""
    others = ops.where(valid[None], ops.matmul(query, ops.transpose(negatives)), -2.0)
    return ops.cast(ops.sum(query * key, axis=1) > ops.max(others, axis=1), "float32")
