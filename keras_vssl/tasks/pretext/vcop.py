"""Video clip order prediction (VCOP)."""

import dataclasses
import itertools
import math

import keras
import numpy as np

from keras_vssl.data.plans import plain_size
from keras_vssl.data.samplers import ConsecutiveClips, Plan, Spatial
from keras_vssl.layers.heads import OrderHead
from keras_vssl.tasks.task import Recipe, Task


def encode_order(order):
    """The class of an order: its position among all orders in lexicographic order."""
    label, rest = 0, list(range(len(order)))
    for item in order:
        label += rest.index(item) * math.factorial(len(rest) - 1)
        rest.remove(item)
    return label


def decode_order(label, count):
    """The order of a class, `encode_order`'s inverse."""
    return next(itertools.islice(itertools.permutations(range(count)), int(label), None))


@dataclasses.dataclass(frozen=True)
class ShuffledClips(ConsecutiveClips):
    """Consecutive clips in a random order.

    Views `[clips, T, H, W, 3]`; target int, the class of `order`, where `order[j]` is the place
    in the video of the clip that the network sees at position j.
    """

    def plan(self, info, rng):
        views = super().plan(info, rng).views
        order = rng.permutation(self.clips)
        return Plan(tuple(views[i] for i in order), np.int64(encode_order(order.tolist())))


@keras.saving.register_keras_serializable(package="keras_vssl")
class VCOP(Task):
    """Predicts the order of shuffled clips of one video.

    A few clips are cut from a video at equal gaps and shuffled. One 3-D network encodes each
    clip; the features are joined pairwise and classified among the n! orders. To tell the order
    the network has to see what moves and where to.

    **Views**: `clips` clips of `frames` consecutive frames, `gap` frames apart, each with its own
    crop; scaled to [0, 1], no other augmentation.

    **Objective**: softmax cross-entropy over n! classes,
    `L = -log softmax(fc8(dropout([relu(fc7([f_i, f_j]))]_{i<j})))[order]`.

    Args:
        backbone: `VideoBackbone`.
        clips: int, tuple length n (3 in the paper: 6 classes).
        frames: int, frames of a clip.
        gap: int, frames between clips.
        stride: int, source frames from one clip frame to the next.
        hidden: int, width of the pair layer (fc7).
        dropout: float, before the classifier.
        resize: (height, width), int or None, the frame the crop is cut from (`Spatial`).
        size: int or (height, width), the crop.
        short: "skip" leaves out videos shorter than the tuple, as the paper does; "loop" or
            "clamp" fill them.

    Example:

    ```python
    videos = keras_vssl.data.Videos.from_folder("clips/")
    task = keras_vssl.tasks.VCOP(keras_vssl.backbones.R2Plus1D.from_preset("r2plus1d_18"))
    task.fit(videos, epochs=20)
    task.save_to_preset("vcop_r2plus1d_18")
    ```

    Reference:
        Xu, Xiao, Zhao, Shao, Xie, Zhuang. Self-supervised spatiotemporal learning via video
        clip order prediction. CVPR 2019.
        UCF101 fine-tuning (mean of 3 splits): C3D 65.6, R3D 64.9, R(2+1)D 72.4; retrieval
        top-1 (split 1): 12.5, 14.1, 10.7.
    """

    recipe = Recipe(300, 9537, 8, "UCF101 split 1 (9,537 videos)", "Sec. 4.1 and official code")
    citation = (
        "D. Xu, J. Xiao, Z. Zhao, J. Shao, D. Xie, Y. Zhuang. Self-supervised spatiotemporal "
        "learning via video clip order prediction. CVPR 2019."
    )

    def __init__(
        self,
        backbone,
        clips=3,
        frames=16,
        gap=8,
        stride=1,
        hidden=512,
        dropout=0.5,
        resize=(128, 171),
        size=112,
        short="skip",
        **kwargs,
    ):
        if not 2 <= clips <= 6:
            raise ValueError(
                f"Expected 2 to 6 clips (n! classes: 720 for 6), received clips={clips}."
            )
        spatial = Spatial(resize, size, "random")
        sampler = ShuffledClips(clips, frames, gap, stride, short=short, spatial=spatial)
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.head = OrderHead(hidden, dropout, name="order_head", dtype=backbone.dtype_policy)
        self.head.build((None, clips, backbone.feature_dim))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        features = self.encode(self.clips(inputs), training=training)
        return self.head(features, training=training)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # Sec. 4.1: SGD 1e-3, momentum 0.9, weight decay 5e-4, constant rate. PyTorch adds the decay
        # to the gradient, where momentum accumulates it tenfold; Keras subtracts it beside it.
        paper = keras.optimizers.SGD(1e-3, momentum=0.9, weight_decay=5e-4 / (1 - 0.9))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile(optimizer or paper, loss, metrics=["accuracy"])

    def chance(self, batch_size):
        return {"accuracy": 1 / math.factorial(self.sampler.clips)}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "clips": s.clips,
            "frames": s.frames,
            "gap": s.gap,
            "stride": s.stride,
            "hidden": self.head.hidden,
            "dropout": self.head.dropout,
            "resize": plain_size(s.spatial.resize),
            "size": plain_size(s.spatial.size),
            "short": s.short,
        }
