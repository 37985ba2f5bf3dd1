"""Pose of a person from one image, by a network from video: DeepPose's regression."""

import keras
import numpy as np
from keras import ops

from keras_vssl.data.reader import crop
from keras_vssl.downstream.image_task import ImageTask
from keras_vssl.downstream.images import read_image
from keras_vssl.downstream.poses import FLIC_SWAPS, PoseCrops, Poses
from keras_vssl.metrics.pose import pck, pck_auc
from keras_vssl.tasks.task import Recipe


@keras.saving.register_keras_serializable(package="keras_vssl")
class VisibleJointError(keras.losses.Loss):
    """Mean squared error of the coordinates of visible joints.

    Call arguments:
        y_true: `[B, J, 3]`, x, y and 1 for visible joints. y_pred: `[B, J, 2]`.
    """

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        seen = y_true[..., 2]
        squares = ops.sum(ops.square(y_pred - y_true[..., :2]), axis=-1)
        return ops.sum(squares * seen, axis=-1) / ops.maximum(2.0 * ops.sum(seen, axis=-1), 1.0)


@keras.saving.register_keras_serializable(package="keras_vssl")
class PoseRegressor(ImageTask):
    """Regresses where a person's joints are in the crop around them.

    **Views**: the box of the joints, enlarged and shifted at random (`PoseCrops`), mirrored half of
    the time with left and right joints swapped; each channel of a crop to mean 0 and deviation 1
    (the layer's "local contrast normalisation").

    **Objective**: mean squared error of the visible joints' coordinates, in sides of the crop from
    its centre.

    Args:
        backbone: `VideoBackbone` for clips of one frame, `convolutional_part(...)` of a CaffeNet.
        joints: int: 7 for FLIC, 16 for MPII.
        swaps: pairs of joints that a mirror swaps: `FLIC_SWAPS`, `MPII_SWAPS`.
        hidden, dropout, pooling: see `ImageTask`.
        size: int or None (`backbone.clip`'s), side of the square crop.
        enlarge, test_enlarge, shift, flip: see `PoseCrops`.
        standardize: bool, each crop's channels to mean 0 and deviation 1. False leaves the
            backbone's own normalisation, whose scale its first layer knows.
        learning_rate: float, of Adam. The paper's optimizer is not known.

    Example:

    ```python
    from keras_vssl import downstream as d

    poses = d.Poses.from_csv("FLIC-full/train_joints.csv")
    task = d.PoseRegressor(d.convolutional_part(backbone))
    task.fit(poses, epochs=100)
    task.predict(poses)      # [N, 7, 2], pixels of the original images
    ```

    Reference:
        - [Toshev and Szegedy CVPR 2014](https://arxiv.org/abs/1312.4659) (DeepPose, first stage)
        - [Misra et al. ECCV 2016](https://arxiv.org/abs/1603.08561), whose repository gives: FLIC
          mean PCK 84.7, AUC 49.6; MPII PCKh@0.5 upper 87.7, full 85.8, AUC 47.6.
    """

    recipe = Recipe(2000, 3987, 32, "FLIC (3,987 persons)", "imisra/shuffle-tuple, data layer")

    def __init__(
        self, backbone, joints=7, swaps=FLIC_SWAPS, hidden=(4096, 4096), dropout=0.5,
        pooling="flatten", size=None, enlarge=(1.5, 2.0), test_enlarge=1.5, shift=5.0, flip=0.5,
        standardize=True, learning_rate=1e-3, **kwargs,
    ):  # fmt: skip
        self.joints, self.standardize = int(joints), bool(standardize)
        self.learning_rate = float(learning_rate)
        swaps = tuple((int(a), int(b)) for a, b in swaps)
        if any(not 0 <= joint < self.joints for pair in swaps for joint in pair):
            raise ValueError(
                f"Expected swaps of joints 0 to {self.joints - 1}, received {swaps}; give those of "
                "your joints, () for none."
            )
        size = backbone.clip["size"] if size is None else size
        if not isinstance(size, int):
            raise ValueError(f"Expected one number for the side of the crop, received {size}.")
        sampler = PoseCrops(size, tuple(enlarge), float(test_enlarge), float(shift), flip, swaps)
        super().__init__(
            backbone, 2 * self.joints, sampler=sampler, hidden=hidden, dropout=dropout,
            pooling=pooling, **kwargs,
        )  # fmt: skip

    def frames(self, clips):
        if not self.standardize:
            return clips
        x = ops.cast(clips, "float32")
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        return (x - mean) / (ops.std(x, axis=(1, 2, 3), keepdims=True) + 1e-5)

    def call(self, inputs, training=None):
        return ops.reshape(super().call(inputs, training=training), (-1, self.joints, 2))

    def default_compile(self, steps=None, batch_size=None, optimizer=None):
        self.compile(optimizer or keras.optimizers.Adam(self.learning_rate), VisibleJointError())

    def sample(self, images, row, shape, rng):
        return self.sampler.crop(images.joints[row], images.visible[row], shape, rng)

    def fit(self, x=None, y=None, **kwargs):
        if isinstance(x, Poses):
            self.check(x)
        return super().fit(x, y, **kwargs)

    def check(self, poses):
        """`ValueError` unless the persons have the joints of this task."""
        if poses.joints.shape[1] != self.joints:
            raise ValueError(
                f"Expected persons of {self.joints} joints, received {poses.joints.shape[1]}; build "
                f"the task with joints={poses.joints.shape[1]} and their swaps."
            )

    def predict(self, x, batch_size=32, **kwargs):
        """Joints float64 `[N, J, 2]` in pixels of the original images, of `Poses`.

        Clips `[N, 1, 1, H, W, 3]` go to Keras' `predict`: outputs from the crop's centre.

        Raises:
            ReadError: an image can't be read.
        """
        if not isinstance(x, Poses):
            return super().predict(x, batch_size=batch_size, **kwargs)
        self.check(x)
        places = []
        for start in range(0, len(x), batch_size):
            clips, views = [], []
            for row in range(start, min(start + batch_size, len(x))):
                image = read_image(x.paths[row])
                view, _ = self.sample(x, row, image.shape[:2], None)
                views.append((view, image.shape[:2]))
                clips.append(crop(image, view))
            outputs = np.asarray(self.predict_on_batch(np.stack(clips)[:, None, None]))
            places += [self.sampler.place(o, *view) for o, view in zip(outputs, views)]
        return np.stack(places)

    def evaluate(self, x=None, y=None, threshold=0.2, largest=None, subset=None, **kwargs):
        """PCK and its area on `Poses` with lengths; anything else goes to Keras' `evaluate`.

        Args:
            threshold: float, in lengths: 0.2 for FLIC's PCK, 0.5 for MPII's PCKh.
            largest: float or None (`threshold`), the end of the curve of "auc".
            subset: joints that count, `MPII_UPPER` or `MPII_FULL`; None: all.

        Returns:
            dict: "pck" and "auc", in [0, 1].
        """
        if not isinstance(x, Poses):
            return super().evaluate(x, y, **kwargs)
        return pose_scores(self.predict(x, **kwargs), x, threshold, largest, subset)

    def get_config(self):
        s = self.sampler
        return {
            **super().get_config(),
            "joints": self.joints,
            "swaps": [list(pair) for pair in s.swaps],
            "size": s.size,
            "enlarge": list(s.enlarge),
            "test_enlarge": s.test_enlarge,
            "shift": s.shift,
            "flip": s.flip,
            "standardize": self.standardize,
            "learning_rate": self.learning_rate,
        }

    @classmethod
    def heads_match(cls, saved, changed):
        return not {"joints", "hidden", "pooling", "size"} & set(changed)


def pose_scores(predicted, poses, threshold=0.2, largest=None, subset=None):
    """The "pck" and "auc" of predicted joints `[N, J, 2]`; arguments as for `evaluate`."""
    if poses.lengths is None:
        raise ValueError(
            "Expected poses with lengths, because errors are measured in torsos or heads; give "
            "torso= to from_csv, or set lengths with dataclasses.replace."
        )
    joints = slice(None) if subset is None else list(subset)
    columns = predicted[:, joints], poses.joints[:, joints], poses.visible[:, joints]
    return {
        "pck": pck(*columns, poses.lengths, threshold),
        "auc": pck_auc(*columns, poses.lengths, threshold if largest is None else largest),
    }


def mean_pose(train, test, sampler):
    """The floor that needs no image: the training persons' mean pose, put into each test box.

    Args:
        train, test: `Poses`, whose images are opened for their size. sampler: `PoseCrops`.

    Returns:
        float64 `[N, J, 2]`, pixels of the test images.
    """
    targets = []
    for row in range(len(train)):
        shape = read_image(train.paths[row]).shape[:2]
        targets.append(sampler.crop(train.joints[row], train.visible[row], shape)[1])
    targets = np.stack(targets).astype(np.float64)
    seen = targets[..., 2:]
    mean = (targets[..., :2] * seen).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    places = []
    for row in range(len(test)):
        shape = read_image(test.paths[row]).shape[:2]
        view, _ = sampler.crop(test.joints[row], test.visible[row], shape)
        places.append(sampler.place(mean, view, shape))
    return np.stack(places)
