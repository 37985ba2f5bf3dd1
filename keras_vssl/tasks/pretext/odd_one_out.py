"""Odd-one-out networks (O3N)."""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from keras_vssl.data.plans import plain_size
from keras_vssl.data.samplers import Plan, Sampler, Spatial, View
from keras_vssl.tasks.task import Recipe, Task

SCHEMES = ("constrained", "consecutive", "random")
FUSIONS = ("difference", "concatenation")
_WINDOW = 1.5  # of a clip: where "constrained" takes all clips of a question from


@dataclasses.dataclass(frozen=True)
class OddClips(Sampler):
    """Clips of one video in order, but for one whose frames are shuffled.

    Views `[elements, T, H, W, 3]`; target int, the odd clip's place, uniform.

    Args:
        elements: int, clips of a question (N + 1).
        frames: int, frames of a clip (T).
        scheme: "constrained" (consecutive frames, all clips from one window of 1.5 T frames),
            "consecutive" (consecutive frames from anywhere) or "random" (any frames, in order).
        stride: int, source frames from one clip frame to the next of the first two schemes.
        allow_reversal: bool, the odd clip may be the right one backwards.
        is_crop_shared: bool, one crop and flip for the question, or one for each clip.
        spatial: `Spatial`.
    """

    elements: int = 6
    frames: int = 6
    scheme: str = "constrained"
    stride: int = 1
    allow_reversal: bool = True
    is_crop_shared: bool = True
    spatial: Spatial = dataclasses.field(default_factory=Spatial)
    short: str = "skip"

    def __post_init__(self):
        self._check()
        if self.scheme not in SCHEMES:
            raise ValueError(f"Expected a scheme among {SCHEMES}, received {self.scheme!r}.")
        if self.elements < 2 or self.stride < 1:
            raise ValueError(
                f"Expected 2 elements or more and a stride of 1 or more, received "
                f"{self.elements} and {self.stride}."
            )
        if self.frames < (2 if self.allow_reversal else 3):
            raise ValueError(
                f"Expected clips that can be shuffled: 2 frames, or 3 where allow_reversal=False; "
                f"received {self.frames}."
            )

    @property
    def views(self):
        return self.elements

    def span(self, info):
        if self.scheme == "random":
            return self.frames
        length = math.ceil(_WINDOW * self.frames) if self.scheme == "constrained" else self.frames
        return (length - 1) * self.stride + 1

    def clip(self, start, total, rng):
        """Frame numbers of one clip in order, strictly increasing in a long enough video."""
        if self.scheme == "random":
            pool = max(total, self.frames)
            return np.sort(rng.choice(pool, self.frames, replace=False)).astype(np.int64)
        if self.scheme == "constrained":
            room = math.ceil(_WINDOW * self.frames) - self.frames
            start = start + self.stride * int(rng.integers(room + 1))
        else:
            start = int(rng.integers(max(total - self.span(None), 0) + 1))
        return start + self.stride * np.arange(self.frames, dtype=np.int64)

    def shuffle(self, rng):
        """A permutation that is not the identity, and not its reversal where that is excluded."""
        right = np.arange(self.frames)
        while True:
            order = rng.permutation(self.frames)
            backwards = (order == right[::-1]).all()
            if not (order == right).all() and (self.allow_reversal or not backwards):
                return order

    def plan(self, info, rng):
        odd = int(rng.integers(self.elements))
        start = int(rng.integers(max(info.frames - self.span(info), 0) + 1))
        boxes = [self.spatial.boxes(info, rng)[0] for _ in range(self.elements)]
        if self.is_crop_shared:
            boxes = boxes[:1] * self.elements
        views = []
        for place, (box, flip) in enumerate(boxes):
            frames = self.fill(self.clip(start, info.frames, rng), info.frames)
            if place == odd:
                frames = frames[self.shuffle(rng)]
            views.append(View(frames, box, self.spatial.shape, flip))
        return Plan(tuple(views), np.int64(odd))


def sum_of_differences(features):
    """`sum_{i<j} (v_i - v_j)` of features `[B, n, D]`: `[B, D]`.

    With k from 1 it is `sum_k (n + 1 - 2 k) v_k`: 5, 3, 1, -1, -3, -5 for six.
    """
    count = features.shape[1]
    weights = ops.convert_to_tensor([count - 1.0 - 2.0 * k for k in range(count)], "float32")
    return ops.sum(ops.cast(features, "float32") * weights[:, None], axis=1)


@keras.saving.register_keras_serializable(package="keras_vssl")
class OddOneOut(Task):
    """Says which of a few clips of one video has its frames in a wrong order.

    The odd clip's place is random, so nothing but comparing the clips tells it. One network encodes
    each clip; the features are fused and classified among the places. The paper's network sees a
    clip as one image of its differences (`keras_vssl.backbones.ClipImageNet`); any network on clips
    of `frames` frames does. No code was published: what the paper's abstract does not say is from
    memory, and an argument.

    **Views**: `elements` clips of `frames` frames, one of them shuffled (`OddClips`), with one crop
    and flip for all.

    **Objective**: softmax cross-entropy over the places,
    `L = -log softmax(W relu(U sum_{i<j} (f_i - f_j)))[odd]`.

    Args:
        backbone: `VideoBackbone`.
        elements, frames, scheme, stride, allow_reversal, is_crop_shared: of `OddClips`.
        fusion: "difference" or "concatenation". With an odd number of clips the difference's
            middle coefficient is 0: the clip there would be invisible, so that is refused.
        hidden: int, width of the layer after the fusion.
        resize: (height, width), int or None, the frame the crop is cut from (`Spatial`).
        size: int or (height, width), the crop.
        flip: float, the probability of mirroring.

    Example:

    ```python
    task = keras_vssl.tasks.OddOneOut(keras_vssl.backbones.ClipImageNet.from_preset("odd_one_out"))
    task.fit(videos, epochs=20)
    ```

    Reference:
        Fernando, Bilen, Gavves, Gould. Self-supervised video representation learning with
        odd-one-out networks. CVPR 2017.
        UCF101 / HMDB51 fine-tuning: 60.3 / 32.5 (abstract).
    """

    recipe = Recipe(200, 9537, 64, "UCF101 split 1 (9,537 videos)", "from memory, unverified")
    citation = (
        "B. Fernando, H. Bilen, E. Gavves, S. Gould. Self-supervised video representation learning "
        "with odd-one-out networks. CVPR 2017."
    )

    def __init__(
        self,
        backbone,
        elements=6,
        frames=6,
        scheme="constrained",
        fusion="difference",
        hidden=128,
        stride=1,
        allow_reversal=True,
        is_crop_shared=True,
        resize=(256, 256),
        size=224,
        flip=0.5,
        **kwargs,
    ):
        if fusion not in FUSIONS:
            raise ValueError(f"Expected a fusion among {FUSIONS}, received {fusion!r}.")
        if fusion == "difference" and elements % 2:
            raise ValueError(
                f'Expected an even number of clips with fusion="difference", whose middle '
                f"coefficient else is 0, received elements={elements}; or use "
                '"concatenation".'
            )
        sampler = OddClips(
            elements, frames, scheme, stride, bool(allow_reversal), bool(is_crop_shared),
            Spatial(resize, size, "random", flip=flip),
        )  # fmt: skip
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.fusion = fusion
        width = backbone.feature_dim * (elements if fusion == "concatenation" else 1)
        # In float32: differences of like features lose bfloat16's digits.
        self.hidden = keras.layers.Dense(hidden, "relu", name="hidden", dtype="float32")
        self.hidden.build((None, width))
        self.classify = keras.layers.Dense(elements, name="classify", dtype="float32")
        self.classify.build((None, hidden))
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Logits of the odd clip's place, `[B, elements]`."""
        features = self.encode(self.clips(inputs), training=training)
        if self.fusion == "difference":
            fused = sum_of_differences(features)
        else:
            fused = ops.reshape(features, (-1, features.shape[1] * features.shape[2]))
        return self.classify(self.hidden(fused))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # From 0.01 to 0.0001 in equal ratios; PyTorch's and MatConvNet's decay enters the gradient.
        rate = keras.optimizers.schedules.ExponentialDecay(1e-2, steps or self.recipe.steps, 1e-2)
        paper = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4 / (1 - 0.9))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.compile(optimizer or paper, loss, metrics=["accuracy"])

    def chance(self, batch_size):
        return {"accuracy": 1 / self.sampler.elements}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "elements": s.elements,
            "frames": s.frames,
            "scheme": s.scheme,
            "fusion": self.fusion,
            "hidden": self.hidden.units,
            "stride": s.stride,
            "allow_reversal": s.allow_reversal,
            "is_crop_shared": s.is_crop_shared,
            "resize": plain_size(s.spatial.resize),
            "size": plain_size(s.spatial.size),
            "flip": s.spatial.flip,
        }
