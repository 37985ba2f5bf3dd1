"""Audio-visual temporal synchronization (AVTS)."""

import keras
from keras import ops

from keras_vssl.backbones.audio_backbone import AudioBackbone
from keras_vssl.callbacks.curriculum import Curriculum
from keras_vssl.data.plans import Spatial
from keras_vssl.data.synchronized import SynchronizedClips
from keras_vssl.distribution import replica_share
from keras_vssl.layers.heads import Projector
from keras_vssl.losses.contrastive import margin_contrastive
from keras_vssl.tasks.joint_embedding import JointEmbedding
from keras_vssl.tasks.task import Recipe


@keras.saving.register_keras_serializable(package="keras_vssl")
class AVTS(JointEmbedding):
    """Tells whether a sound belongs to the time that a clip shows.

    A video and an audio network map clip and sound to vectors that are pulled together when both
    are of the same moment and pushed apart when not. Training begins with easy negatives, sounds
    of other videos; later a share of them is hard, of the same video but another time. Afterwards
    each network is used on its own.

    **Views**: 1 clip of `frames` frames over `seconds`, a square multi-scale crop, flip 0.5; its
    sound, and the sound of another time at least `gap` seconds away (`SynchronizedClips`).

    **Objective**: over one positive and one negative pair a clip, Euclidean distance d,
    `L = mean(y d^2 + (1 - y) max(margin - d, 0)^2)`. The negative is the clip's own other sound
    for the share of hard negatives, and otherwise the other sound of the next video of the batch.

    Args:
        backbone: `VideoBackbone`, MC3-18 in the paper.
        audio_backbone: `AudioBackbone`, its preset's name, or None (`audio_vgg_avts`).
        dim: int, width of the common embedding. The paper does not say: this project's choice.
        margin: float > 0, of the distance.
        normalize: bool, unit embeddings; the paper states none.
        frames, seconds, size: the clip. gap: float, seconds.
        super_hard: float, share of other sounds that overlap the clip's time. The paper tried
            them and left them out.
        stages: ((first epoch, share of hard negatives), ...), in epochs of the paper's 90. Another
            number of epochs passes through them at the same shares of its length
            (`keras_vssl.callbacks.Curriculum`). All hard from the start learns next to nothing.
        scales: floats, sides of the square crops in shares of the frame's shorter side.

    `sync_accuracy`, logged, is the share of pairs told rightly when d < margin / 2, where both
    terms of the loss are equal, counts as in sync; `order_accuracy` the share of clips whose own
    sound is nearer than the negative; `hard_negatives` the share of these. `evaluate` uses the
    stage that `hard_share` holds: assign 0 for other videos' sounds, 1 for shifted ones.

    The paper lowers the rate to a tenth when the loss has not fallen for more than 5 epochs: pass
    `keras.callbacks.ReduceLROnPlateau("loss", 0.1, 6)`. A resumed run starts its count anew.

    Example:

    ```python
    task = keras_vssl.tasks.AVTS(keras_vssl.backbones.MC3.from_preset("mc3_18"))
    task.fit(videos_with_sound, epochs=90)
    ```

    Reference:
        Korbar, Tran, Torresani. Cooperative learning of audio and video models from
        self-supervised synchronization. NeurIPS 2018.
        Fine-tuning, MC3, pre-trained on AudioSet: UCF101 89.0, HMDB51 61.6; linear SVM on ESC-50:
        82.3. There is no published code; sizes and schedule are from memory of the paper.
    """

    recipe = Recipe(90, 240000, 32, "Kinetics (about 240,000 videos)", "the paper, from memory")
    advice = "use videos with sound, longer ones, or fewer seconds"
    citation = (
        "B. Korbar, D. Tran, L. Torresani. Cooperative learning of audio and video models from "
        "self-supervised synchronization. NeurIPS 2018."
    )

    def __init__(
        self,
        backbone,
        audio_backbone=None,
        dim=128,
        margin=0.99,
        normalize=False,
        frames=25,
        seconds=1.0,
        gap=0.5,
        super_hard=0.0,
        stages=((0, 0.0), (50, 0.25)),
        size=224,
        scales=(1.0, 0.875, 0.75, 0.66),
        **kwargs,
    ):
        policy = backbone.dtype_policy
        if audio_backbone is None or isinstance(audio_backbone, str):
            name = audio_backbone or "audio_vgg_avts"
            audio_backbone = AudioBackbone.from_preset(name, dtype=policy)
        rate = audio_backbone.sound["rate"]
        if rate is None or not margin > 0:
            raise ValueError(
                f"Expected an audio backbone that says its rate and a margin above 0, received "
                f"sound={audio_backbone.sound} and margin={margin}."
            )
        spatial = Spatial(None, size, "multi_scale", flip=0.5, scales=tuple(scales), most_distort=0)
        sampler = SynchronizedClips(frames, seconds, rate, gap, super_hard, spatial)
        logged = ("sync_accuracy", "order_accuracy", "hard_negatives")
        super().__init__(backbone, sampler=sampler, logged=logged, target="plan", **kwargs)
        self.audio_backbone = audio_backbone
        self.dim, self.margin, self.normalize = int(dim), float(margin), bool(normalize)
        self.stages = tuple((int(first), float(share)) for first, share in stages)
        self.hard_share = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.stages[0][1]),
            trainable=False,
            dtype="float32",
            name="hard_share",
        )
        self.video_head = self._head("video_head", backbone)
        self.audio_head = self._head("audio_head", audio_backbone)
        self.built = True
        self.default_compile()

    def _head(self, name, tower):
        # Free vectors begin about a margin apart: from Glorot's scale they begin ten margins
        # apart, and the first epochs do nothing but shrink them.
        scale = 1.0 if self.normalize else 0.01
        head = Projector(
            (self.dim,),
            normalize=self.normalize,
            kernel_initializer=keras.initializers.VarianceScaling(scale, "fan_avg", "uniform"),
            name=name,
            dtype=tower.dtype_policy,
        )
        head.build((None, None, tower.feature_dim))
        return head

    def call(self, inputs, training=None):
        """Embeddings `[B, 3, D]` of the clip, of its sound and of the other sound."""
        if not isinstance(inputs, dict) or "audio" not in inputs:
            raise ValueError(
                'Expected a dict with "clips" [B, 1, T, H, W, 3] and "audio" [B, 2, n], received '
                f"{sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}."
            )
        video = self.video_head(self.encode(self.clips(inputs), training=training))
        sounds = inputs["audio"]
        maps = self.audio_backbone(ops.reshape(sounds, (-1, *sounds.shape[2:])), training=training)
        features = ops.mean(ops.cast(maps, "float32"), axis=(1, 2))
        width = self.audio_backbone.feature_dim
        audio = self.audio_head(ops.reshape(features, (-1, sounds.shape[1], width)))
        return ops.concatenate([video, audio], axis=1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        video, sound, other = y_pred[:, 0], y_pred[:, 1], y_pred[:, 2]
        ones = ops.ones_like(video[:, 0])
        hard = (ones if y is None else ops.cast(y, "float32")) < self.hard_share
        partner, found = _next_video(x.get("index", ops.arange(ops.shape(video)[0])))
        negative = ops.where(hard[:, None], other, ops.take(other, partner, axis=0))
        # A batch of a single video holds no easy negative: that pair does not count.
        weight = ops.concatenate([ones, ops.cast(ops.logical_or(hard, found), "float32")])
        weight = weight / ops.sum(weight)
        same = ops.concatenate([ones, 0.0 * ones])
        first, second = ops.concatenate([video, video]), ops.concatenate([sound, negative])
        loss = ops.sum(weight * margin_contrastive(first, second, same, self.margin))
        distance = ops.norm(ops.stop_gradient(first - second), axis=-1)
        right = ops.equal(distance < self.margin / 2, same > 0)
        near, far = ops.split(distance, 2)
        logged = {
            "sync_accuracy": ops.sum(weight * ops.cast(right, "float32")),
            "order_accuracy": ops.cast(near < far, "float32"),
            "hard_negatives": ops.cast(hard, "float32"),
        }
        self.track(logged, video, sound)
        return replica_share(loss)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # The paper searched the initial rate on a grid; this one is the project's choice.
        self.compile(optimizer or keras.optimizers.SGD(0.01, momentum=0.9))

    def chance(self, batch_size):
        return {"sync_accuracy": 0.5, "order_accuracy": 0.5}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "audio_backbone": keras.saving.serialize_keras_object(self.audio_backbone),
            "dim": self.dim,
            "margin": self.margin,
            "normalize": self.normalize,
            "frames": s.frames,
            "seconds": s.seconds,
            "gap": s.gap,
            "super_hard": s.super_hard,
            "stages": [list(stage) for stage in self.stages],
            "size": s.spatial.size,
            "scales": list(s.spatial.scales),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("audio_backbone"), dict):
            config["audio_backbone"] = keras.saving.deserialize_keras_object(
                config["audio_backbone"]
            )
        return super().from_config(config)

    @classmethod
    def heads_match(cls, saved, changed):
        return not {"audio_backbone", "dim"} & set(changed)

    def fit(self, x=None, y=None, *, epochs=1, callbacks=None, **kwargs):
        callbacks = list(callbacks or ())
        if not any(isinstance(callback, Curriculum) for callback in callbacks):
            callbacks.append(Curriculum("hard_share", self.stages, epochs, self.recipe.epochs))
        return super().fit(x, y, epochs=epochs, callbacks=callbacks, **kwargs)


def _next_video(index):
    """For each row the next row, cyclically, of another video; and whether there is one."""
    rows = ops.arange(ops.shape(index)[0])
    count = ops.shape(index)[0]
    ahead = (rows[None, :] - rows[:, None]) % count
    other = ops.not_equal(index[:, None], index[None, :])
    return ops.argmin(ops.where(other, ahead, count), axis=1), ops.any(other, axis=1)
