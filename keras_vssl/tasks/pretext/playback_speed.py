"""Variable playback speed prediction: clips sorted, or named, by their signed speeds (PSP)."""

import math

import keras

from keras_vssl.data.plans import plain_size
from keras_vssl.data.samplers import Spatial
from keras_vssl.data.speeds import SPEEDS, SortedSpeedClips, SpeedClips
from keras_vssl.layers.heads import OrderHead
from keras_vssl.tasks.task import Recipe, Task


class _SpeedTask(Task):
    """What both objectives share: the sampler's arguments, the recipe."""

    # No code and no recipe of the paper is public: this is the one its networks were shown with.
    recipe = Recipe(300, 9537, 8, "UCF101 split 1 (9,537 videos)", "VCOP's; the paper's is unknown")
    citation = (
        "H. Cho, T. Kim, H. J. Chang, W. Hwang. Self-supervised visual learning by variable "
        "playback speeds prediction of a video. IEEE Access 2021."
    )

    def __init__(self, backbone, sampler, **kwargs):
        bound = getattr(backbone, "clip_shape", (None,))[0]
        if bound not in (None, sampler.frames):
            raise ValueError(
                f"Expected frames={bound}, for which this {type(backbone).__name__} was built, "
                f"received {sampler.frames}; give one of them the other's."
            )
        super().__init__(backbone, sampler=sampler, **kwargs)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # VCOP's, Sec. 4.1. PyTorch's momentum accumulates the decay tenfold, Keras' does not.
        paper = keras.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4 / (1 - 0.9))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile(optimizer or paper, loss, metrics=["accuracy"])

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "clips": s.clips,
            "frames": s.frames,
            "speeds": list(s.speeds),
            "resize": plain_size(s.spatial.resize),
            "size": plain_size(s.spatial.size),
            "flip": s.spatial.flip,
            "short": s.short,
        }


@keras.saving.register_keras_serializable(package="keras_vssl")
class PlaybackSpeed(_SpeedTask):
    """Sorts clips of one video by the signed speeds they are played at.

    A few clips are cut anywhere in a video and played at different speeds, some of them backwards,
    which is a negative speed. One 3-D network encodes each clip; the features are joined pairwise
    and classified among the n! orders. This is the paper's first version; its second one names
    each speed (`PlaybackSpeedClassification`).

    The paper's networks normalise by groups of time steps: give the backbone `temporal_groups`.

    **Views**: `clips` clips of `frames` frames, each with its own speed, start, crop and flip;
    scaled to [0, 1], no other augmentation (the paper's is unknown; crops are VCOP's).

    **Objective**: softmax cross-entropy over n! classes,
    `L = -log softmax(classify([relu(pair([f_i, f_j]))]_{i<j}))[ranks]`, with the ranks of the
    signed speeds in the order of presentation; the head is VCOP's, the paper's is unknown.

    Args:
        backbone: `VideoBackbone`.
        clips: int, clips n to sort, 2 to 6 (3 in the paper's figure: 6 classes).
        frames: int, frames of a clip.
        speeds: distinct ints, ascending, negative backwards. The paper's set is unknown.
        hidden: int, width of the pair layer.
        dropout: float, before the classifier.
        resize: (height, width), int or None, the frame the crop is cut from (`Spatial`).
        size: int or (height, width), the crop.
        flip: float, probability that a clip is mirrored.
        short: what happens to videos that hold fewer than `clips` of the speeds: see `SpeedClips`.

    Example:

    ```python
    videos = keras_vssl.data.Videos.from_folder("clips/")
    backbone = keras_vssl.backbones.R3D(blocks=(1, 1, 1, 1), temporal_groups=4)  # of 16 frames
    task = keras_vssl.tasks.PlaybackSpeed(backbone)
    task.fit(videos, epochs=20)
    ```

    Reference:
        Cho, Kim, Chang, Hwang. Self-supervised spatio-temporal representation learning using
        variable playback speed prediction. [arXiv:2003.02692v1](https://arxiv.org/abs/2003.02692),
        2020. No code or weights were released; its figures could not be verified.
    """

    def __init__(
        self,
        backbone,
        clips=3,
        frames=16,
        speeds=SPEEDS,
        hidden=512,
        dropout=0.5,
        resize=(128, 171),
        size=112,
        flip=0.5,
        short="loop",
        **kwargs,
    ):
        if not 2 <= clips <= 6:
            raise ValueError(
                f"Expected 2 to 6 clips (n! classes: 720 for 6), received clips={clips}."
            )
        spatial = Spatial(resize, size, "random", flip=flip)
        sampler = SortedSpeedClips(clips, frames, speeds, short, spatial)
        super().__init__(backbone, sampler, **kwargs)
        self.head = OrderHead(hidden, dropout, name="order_head", dtype=backbone.dtype_policy)
        self.head.build((None, clips, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        return self.head(self.encode(self.clips(inputs), training=training), training=training)

    def chance(self, batch_size):
        return {"accuracy": 1 / math.factorial(self.sampler.clips)}

    def get_config(self):
        config = {"hidden": self.head.hidden, "dropout": self.head.dropout}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_vssl")
class PlaybackSpeedClassification(_SpeedTask):
    """Names the speed and the direction that each clip of a video is played at.

    The second version of the paper: clips as for `PlaybackSpeed`, each classified by itself.

    `clips=1, speeds=(-4, -2, -1, 0, 1, 2, 4), fitting=False, short="clamp", dropout=0.5` is what
    CtP's code compares with as "SpeedNet": one clip, speed 0 being a frozen frame.

    **Views**: as `PlaybackSpeed`'s.

    **Objective**: softmax cross-entropy over the signed speeds, averaged over all clips,
    `L = -log softmax(W f_i + b)[s_i]`. Whether the paper has one softmax or a head for speed and
    one for direction is unknown.

    Args:
        backbone, frames, speeds, resize, size, flip: see `PlaybackSpeed`.
        clips: int, clips a video, at most one of each speed.
        short, fitting: see `SpeedClips`.
        dropout: float, before the classifier.

    Reference:
        Cho, Kim, Chang, Hwang. Self-supervised visual learning by variable playback speeds
        prediction of a video. [IEEE Access 2021](https://doi.org/10.1109/ACCESS.2021.3084840),
        [arXiv:2003.02692v2](https://arxiv.org/abs/2003.02692).
        Wang, Zhou, Luo, Xie, Zeng, Xiong. Unsupervised visual representation learning by tracking
        patches in video (CtP). [CVPR 2021](https://arxiv.org/abs/2105.02545), official code.
    """

    def __init__(
        self,
        backbone,
        clips=3,
        frames=16,
        speeds=SPEEDS,
        resize=(128, 171),
        size=112,
        flip=0.5,
        short="loop",
        fitting=True,
        dropout=0.0,
        **kwargs,
    ):
        spatial = Spatial(resize, size, "random", flip=flip)
        sampler = SpeedClips(clips, frames, speeds, short, spatial, bool(fitting))
        super().__init__(backbone, sampler, **kwargs)
        self.dropout = float(dropout)
        self.drop = keras.layers.Dropout(self.dropout)
        # Logits in float32: the softmax of a bfloat16 head loses the loss's last digits.
        self.head = keras.layers.Dense(len(sampler.speeds), name="speed_head", dtype="float32")
        self.head.build((None, clips, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        features = self.encode(self.clips(inputs), training=training)
        return self.head(self.drop(features, training=training))

    def chance(self, batch_size):
        return {"accuracy": 1 / len(self.sampler.speeds)}

    def get_config(self):
        config = {"fitting": self.sampler.fitting, "dropout": self.dropout}
        return {**super().get_config(), **config}
