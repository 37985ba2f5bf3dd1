"""Time-equivariant contrastive video representation learning (TEC)."""

import keras
from keras import ops

from keras_vssl.data.samplers import Spatial
from keras_vssl.data.transformed import ORDERS, TransformedClips
from keras_vssl.distribution import gather, replica_id, replica_share
from keras_vssl.layers.augmentation import jittered_views
from keras_vssl.layers.heads import Projector
from keras_vssl.losses.contrastive import nt_xent
from keras_vssl.losses.equivariance import equivariance_accuracy, equivariance_nce
from keras_vssl.tasks.joint_embedding import JointEmbedding
from keras_vssl.tasks.task import Recipe

PARTS = ("equivariance", "instance", "order", "speed", "direction")


@keras.saving.register_keras_serializable(package="keras_vssl")
class TimeEquivariant(JointEmbedding):
    """Tells by two clips' features how time was transformed between them, whatever they show.

    Two clips of a video are cut at two speeds, in two directions, some time apart. A head psi maps
    their features to one vector, which has to match that of another video under the same
    transformations and to differ from those of all others, also from its own with the clips
    swapped. What the video shows is of no help there: only how it changes.

    **Views**: 2 clips of `frames` at 1, 2, 4 or 8 times the speed, forwards or backwards; one draw
    a clip of crop (area 0.3 to 1), flip (at decoding), colour jitter and grayscale (on the device).

    **Objective**: with F the pooled features, videos i and j of a pair and the pairs k of all
    videos whose transformation is another one, `L = L_equi + L_inst + L_order + L_speed + L_dir`,

        L_equi = -log( e(psi_i, psi_j) / (e(psi_i, psi_j) + sum_k e(psi_i, psi_k)) ),
        e(u, v) = exp(cos(u, v) / t),  psi_i = psi([F(a_i), F(b_i)]) and psi([F(b_i), F(a_i)]),

    L_inst is NT-Xent of both clips' embeddings phi(F), L_order the cross-entropy of "overlapping",
    "ordered" or "unordered", L_speed and L_dir those of each clip's speed and direction.

    Args:
        backbone: `VideoBackbone`.
        frames, size: the clip. speeds: int, how many powers of two.
        hidden, dim: ints, psi's hidden layer, and the width of psi and phi.
        classifier: int, hidden layer of the three classifiers.
        temperature: float, t.
        term_weights: 5 floats, of the terms in the order above.
        stop_gradient: bool, whether psi_j and psi_k are constants; each pair is in both places.
        shift_bin: int, frames. Pairs of equal speeds and directions whose shifts differ by less
            have the same transformation: they are no negatives. 1: equal shifts only.
        area: (least, most) share of the frame that a crop covers. flip: float, probability.
        jitter, grayscale: probabilities. strength: float, of the jitter; 1 is 0.4, hue 0.1.
        short: as for `Sampler`, for videos shorter than a clip.

    `fit` on videos reads two neighbours of a batch under one draw; in an odd batch the last video
    has no other one and serves as a negative. Arrays need targets as `TransformedClips` makes them,
    and both videos of a pair in one batch. Logged are the five terms, `equivariance_accuracy` (the
    share of psi whose nearest one, its equals left out, is the other video's) and `order_accuracy`.

    Example:

    ```python
    task = keras_vssl.tasks.TimeEquivariant(keras_vssl.backbones.R3D.from_preset("r3d_18"))
    task.fit(videos, epochs=200, batch_size=128)
    ```

    Reference:
        Jenni, Jin. Time-equivariant contrastive video representation learning. ICCV 2021. Of the
        numbers above most are the project's: no code was published. (US patent 12,061,668
        describes models of this kind; what it covers was not checked.)
    """

    recipe = Recipe(200, 9537, 128, "UCF101 split 1 (9,537 videos)", "project's choice")
    batch_normalization = "synchronized"
    citation = (
        "S. Jenni, H. Jin. Time-equivariant contrastive video representation learning. ICCV 2021."
    )

    def __init__(
        self,
        backbone,
        frames=16,
        size=112,
        speeds=4,
        hidden=1024,
        dim=128,
        classifier=512,
        temperature=0.1,
        term_weights=(1.0, 1.0, 1.0, 1.0, 1.0),
        stop_gradient=True,
        shift_bin=8,
        area=(0.3, 1.0),
        flip=0.5,
        jitter=0.8,
        grayscale=0.2,
        strength=1.0,
        short="loop",
        **kwargs,
    ):
        if len(term_weights) != len(PARTS):
            raise ValueError(
                f"Expected term_weights of {', '.join(PARTS)}, received {len(term_weights)} numbers."
            )
        spatial = Spatial(None, size, "random_resized", tuple(area), flip=flip)
        sampler = TransformedClips(frames, speeds, spatial, short)
        logged = (*PARTS, "equivariance_accuracy", "order_accuracy")
        super().__init__(backbone, sampler=sampler, target="plan", logged=logged, **kwargs)
        self.hidden, self.dim, self.classifier = int(hidden), int(dim), int(classifier)
        self.temperature, self.term_weights = float(temperature), tuple(map(float, term_weights))
        self.stop_gradient, self.shift_bin = bool(stop_gradient), int(shift_bin)
        self.jitter, self.grayscale = float(jitter), float(grayscale)
        self.strength = float(strength)
        strong, dtype = 0.4 * self.strength, backbone.dtype_policy
        self.augment = jittered_views(
            strong, strong, strong, strong / 4, jitter, grayscale, blur=0.0, dtype=dtype
        )
        width = backbone.feature_dim
        outputs = {
            "instance": (width, width, dim),
            "relative": (2 * width, hidden, dim),
            "order": (2 * width, classifier, len(ORDERS)),
            "speed": (width, classifier, speeds),
            "direction": (width, classifier, 2),
        }
        self.heads = {}
        for name, (inputs, *widths) in outputs.items():
            self.heads[name] = Projector(widths, name=f"{name}_head", dtype=dtype)
            self.heads[name].build((None, inputs))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """What the heads say: dict of "instance" and "relative" (of (a, b) and (b, a)) embeddings
        `[B, 2, dim]`, and of logits: "order" `[B, 3]`, "speed" and "direction" `[B, 2, classes]`.
        """
        clips = self.augment(self.clips(inputs), training=training)
        features = self.encode(self.backbone.standardize(clips), training=training)
        pair = ops.concatenate([features[:, 0], features[:, 1]], axis=-1)
        swapped = ops.concatenate([features[:, 1], features[:, 0]], axis=-1)
        seen = {name: features for name in ("instance", "speed", "direction")}
        seen |= {"relative": ops.stack([pair, swapped], axis=1), "order": pair}
        return {name: head(seen[name], training=training) for name, head in self.heads.items()}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        y = ops.cast(y, "float32")
        first, second = y_pred["instance"][:, 0], y_pred["instance"][:, 1]
        offset = replica_id() * ops.shape(first)[0]
        everyone = gather(first), gather(second)
        # Both directions are summed there; NT-Xent is their mean.
        instance = ops.mean(nt_xent(first, second, self.temperature, *everyone, offset)) / 2
        arguments = self._relations(y, y_pred["relative"])
        relative = equivariance_nce(*arguments, self.temperature, self.stop_gradient)
        parts = {
            "equivariance": ops.mean(relative),
            "instance": instance,
            "order": _cross_entropy(y[:, 6], y_pred["order"]),
            "speed": _cross_entropy(y[:, 1:3], y_pred["speed"]),
            "direction": _cross_entropy(y[:, 3:5], y_pred["direction"]),
        }
        right = ops.equal(ops.cast(ops.argmax(y_pred["order"], axis=-1), "float32"), y[:, 6])
        accuracies = {
            "equivariance_accuracy": equivariance_accuracy(*arguments),
            "order_accuracy": ops.cast(right, "float32"),
        }
        self.track({**parts, **accuracies}, first, second)
        total = sum(w * parts[name] for w, name in zip(self.term_weights, PARTS))
        return replica_share(total)

    def _relations(self, y, vectors):
        """The arguments of `equivariance_nce`: rows are (a, b) and (b, a) of this replica's videos."""
        # Each row: the pair's number, which clip is first, and the transformation.
        ahead, behind = ops.zeros_like(y[:, :1]), ops.ones_like(y[:, :1])
        swapped = ops.stack([y[:, 2], y[:, 1], y[:, 4], y[:, 3], -y[:, 5]], axis=1)
        rows = [
            ops.concatenate([y[:, :1], ahead, y[:, 1:6]], axis=1),
            ops.concatenate([y[:, :1], behind, swapped], axis=1),
        ]
        rows = ops.reshape(ops.stack(rows, axis=1), (-1, 7))
        vectors = ops.reshape(vectors, (-1, self.dim))
        others, keys = gather(rows), gather(vectors)
        gap = ops.abs(rows[:, None] - others[None])
        same = ops.all(gap[..., 2:] < ops.convert_to_tensor([1.0] * 4 + [self.shift_bin]), axis=-1)
        number = ops.arange(ops.shape(rows)[0]) + replica_id() * ops.shape(rows)[0]
        itself = ops.equal(number[:, None], ops.arange(ops.shape(others)[0])[None])
        partner = ops.logical_and(ops.all(gap[..., :2] < 1, axis=-1), ops.logical_not(itself))
        return vectors, keys, partner, ops.logical_or(same, itself)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # All of it this project's choice; the paper's was not at hand.
        rate = self.recipe.rates(3e-4, 10, steps=steps, batch_size=batch_size)
        self.compile(optimizer or keras.optimizers.AdamW(rate, weight_decay=1e-4))

    def chance(self, batch_size):
        return {"equivariance_accuracy": 1 / (2 * batch_size - 1)}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "frames": s.frames,
            "size": s.spatial.size,
            "speeds": s.speeds,
            "hidden": self.hidden,
            "dim": self.dim,
            "classifier": self.classifier,
            "temperature": self.temperature,
            "term_weights": list(self.term_weights),
            "stop_gradient": self.stop_gradient,
            "shift_bin": self.shift_bin,
            "area": list(s.spatial.area),
            "flip": s.spatial.flip,
            "jitter": self.jitter,
            "grayscale": self.grayscale,
            "strength": self.strength,
            "short": s.short,
        }


def _cross_entropy(labels, logits):
    losses = keras.losses.sparse_categorical_crossentropy(
        ops.cast(labels, "int32"), logits, from_logits=True
    )
    return ops.mean(losses)
