"""Catch the patch (CtP): tracking pasted patches."""

import keras
from keras import ops

from keras_vssl.data.patch_tracks import PatchTracks
from keras_vssl.data.plans import plain_size
from keras_vssl.data.samplers import Spatial
from keras_vssl.distribution import replica_share
from keras_vssl.layers.augmentation import jittered_views
from keras_vssl.layers.augmentation.augmentation import unit
from keras_vssl.layers.convolution import Conv3D
from keras_vssl.layers.pasting import paste_patches
from keras_vssl.layers.roi_align import ROIAlign
from keras_vssl.tasks.task import Recipe, Task

# What shifts in pixels and logarithms of sizes are divided by (official configuration).
SCALES = (0.8, 0.8, 0.04, 0.04)


@keras.saving.register_keras_serializable(package="keras_vssl")
class CtP(Task):
    """Tracks patches that were pasted onto a clip.

    A few patches are cut out of a clip and pasted onto it, each moving and growing along a smooth
    track. From a patch's place in the first frame the network has to say where it is in all frames.
    On some frames a patch is not shown: there its place has to be guessed from the others.

    **Views**: 1 clip of `frames` frames, its stride drawn from `strides`, a crop of 112 pixels out
    of a frame whose shorter side is 112, 128 or 144, flip 0.5; patches pasted on the device
    (`keras_vssl.data.patch_tracks`, `keras_vssl.layers.pasting`), then hue and saturation changed
    for the clip, brightness and contrast over time (in training).

    **Objective**: for each patch and frame, with the box's shift d and the logarithm s of its size,
    both against the first frame's box (pixels), `L = mean(huber(p_d, d / 0.8) + huber(p_s, s /
    0.04))`, summed over x and y. The map is convolved over all its time, RoIAlign cuts the first
    box out of it, and two layers predict all frames.

    Args:
        backbone: `VideoBackbone`. The paper's keeps a spatial stride of 8; any is taken.
        frames: int, frames of a clip (T). strides: ints.
        patches: int. sides: pixels, their sizes (geometric means of width and height).
        velocity: float, pixels a frame at most. growth: float, of a side's logarithm.
        shown: float, the probability that a patch is shown on a frame.
        hidden: int, width of the head. bins: int, RoIAlign's along a side.
        size: int or (height, width), the crop. flip: float.
        jitter: float, the probability that hue and saturation change. light: float, that of
            brightness, and of contrast.

    Arrays need "clips", "tracks", "patches" and "light", as `PatchTracks` draws them. Logged:
    `explained`, 1 for perfect tracks and 0 for patches that are said to stay where they were. A
    little is explained without looking: what is near an edge can but go away from it.

    Example:

    ```python
    task = keras_vssl.tasks.CtP(keras_vssl.backbones.R3D.from_preset("r3d_18"))
    task.fit(videos, epochs=300)
    ```

    Reference:
        Wang, Zhou, Luo, Xie, Zeng, Xiong. Unsupervised visual representation learning by tracking
        patches in video. [CVPR 2021](https://arxiv.org/abs/2105.02545).
    """

    recipe = Recipe(300, 9537, 32, "UCF101 split 1 (9,537 videos)", "official code")
    citation = (
        "G. Wang, Y. Zhou, C. Luo, W. Xie, W. Zeng, Z. Xiong. Unsupervised visual representation "
        "learning by tracking patches in video. CVPR 2021."
    )

    def __init__(
        self,
        backbone,
        frames=16,
        strides=(1, 2, 3, 4, 5),
        patches=3,
        sides=(16, 24, 28, 32, 48, 64),
        velocity=3.0,
        growth=0.025,
        shown=0.8,
        hidden=512,
        bins=5,
        size=112,
        flip=0.5,
        jitter=0.25,
        light=0.5,
        **kwargs,
    ):
        sampler = PatchTracks(
            frames, tuple(strides), patches, tuple(sides), velocity=velocity, growth=growth,
            shown=shown, light=light, spatial=Spatial(None, size, flip=flip),
        )  # fmt: skip
        super().__init__(backbone, sampler=sampler, **kwargs)
        self.hidden, self.jitter, policy = int(hidden), float(jitter), backbone.dtype_policy
        # Hue of 12 in 180 steps, saturation of e^0.1.
        self.augment = jittered_views(
            0.0, 0.0, 0.1, 12 / 180, self.jitter, grayscale=0.0, blur=0.0, dtype=policy
        )
        height, width = sampler.spatial.shape
        shape = backbone.compute_output_shape((None, frames, height, width, 3))
        _, steps, rows, columns, _ = shape
        self.stride = (width / columns, height / rows) * 2  # of left, top, right, bottom
        self.over_time = Conv3D(
            self.hidden, (steps, 1, 1), activation="relu", name="over_time", dtype=policy,
            kernel_initializer="he_normal",
        )  # fmt: skip
        self.over_time.build(shape)
        self.cut = ROIAlign(bins, name="cut")
        # The release draws these weights as small as the last ones; short runs are long in leaving
        # the plateau that two small layers make.
        self.join = keras.layers.Dense(self.hidden, "relu", name="join", dtype=policy)
        self.join.build((None, patches, bins * bins * self.hidden))
        # At first patches stay where they are. In float32, as what a loss compares is.
        small = keras.initializers.RandomNormal(stddev=0.001)
        self.track = keras.layers.Dense(
            4 * frames, kernel_initializer=small, name="track", dtype="float32"
        )
        self.track.build((None, patches, self.hidden))
        self.explained = keras.metrics.Mean(name="explained")
        self.built = True
        self.default_compile()

    def call(self, inputs, training=None):
        """Shifts and changes of size over `SCALES`, `[B, patches, T, 4]`."""
        if not isinstance(inputs, dict) or not set(self.sampler.shapes) <= set(inputs):
            raise ValueError(
                f"Expected a dict with {', '.join(self.sampler.shapes)}, as PatchTracks draws them, "
                f"received {sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}."
            )
        clips = self.pasted(inputs, training)
        features = self.over_time(self.backbone(clips, training=training))[:, 0]
        boxes = ops.cast(inputs["tracks"][:, :, 0, :4], "float32")
        boxes = boxes / ops.convert_to_tensor(self.stride, "float32")
        cut = self.cut(features, boxes)
        cut = ops.reshape(cut, (-1, cut.shape[1], self.join.kernel.shape[0]))
        tracks = self.track(self.join(cut))
        return ops.reshape(tracks, (-1, tracks.shape[1], self.sampler.frames, 4))

    def pasted(self, inputs, training=None):
        """The clips `[B, T, H, W, 3]` that the network sees, normalised."""
        clips = unit(self.clips(inputs)[:, 0])
        clips = paste_patches(clips, inputs["tracks"], inputs["patches"])
        clips = self.augment(clips[:, None], training=training)[:, 0]
        if training:
            light = ops.cast(inputs["light"], clips.dtype)[:, :, None, None, None]
            clips = ops.clip(clips + light[..., 0], 0.0, 1.0)
            clips = ops.clip(clips * (1.0 + light[..., 1]), 0.0, 1.0)
        return self.backbone.standardize(clips)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        target = track_targets(ops.cast(x["tracks"][..., :4], "float32"))

        def error(predicted):
            return 4 * ops.mean(keras.losses.huber(target, predicted))  # of the mean of four

        loss, still = error(y_pred), error(ops.zeros_like(target))
        self.explained.update_state(1.0 - ops.stop_gradient(loss / ops.maximum(still, 1e-6)))
        return replica_share(loss)

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        # The official UCF101 run: a tenth of the rate after every third. PyTorch adds the decay to
        # the gradient, where momentum accumulates it tenfold.
        steps = steps or self.recipe.steps
        thirds = [max(1, steps // 3), max(2, 2 * steps // 3)]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(thirds, [1e-2, 1e-3, 1e-4])
        paper = keras.optimizers.SGD(
            rate, momentum=0.9, weight_decay=1e-4 / (1 - 0.9), global_clipnorm=40.0
        )
        self.compile(optimizer or paper)

    def chance(self, batch_size):
        return {"explained": 0.0}

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "frames": s.frames,
            "strides": list(s.strides),
            "patches": s.patches,
            "sides": list(s.sides),
            "velocity": s.velocity,
            "growth": s.growth,
            "shown": s.shown,
            "hidden": self.hidden,
            "bins": self.cut.size,
            "size": plain_size(s.spatial.size),
            "flip": s.spatial.flip,
            "jitter": self.jitter,
            "light": s.light,
        }


def track_targets(boxes):
    """What is predicted of tracks `[..., T, 4]`: shifts and changes of size over `SCALES`.

    Sizes count as 1 pixel or more.
    """
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = ops.log(ops.maximum(boxes[..., 2:] - boxes[..., :2], 1.0))
    changes = ops.concatenate([centre, size], axis=-1)
    return (changes - changes[..., :1, :]) / ops.convert_to_tensor(SCALES, "float32")
