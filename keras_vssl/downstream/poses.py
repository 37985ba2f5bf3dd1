"""Persons and their joints: tables of them, and the crops that a pose is learnt from."""

import csv
import dataclasses
import json
import os

import numpy as np

from keras_vssl.data.plans import Spatial, View
from keras_vssl.data.samplers import Sampler
from keras_vssl.downstream.images import folder
from keras_vssl.metrics.pose import head_lengths, torso_lengths

FLIC_JOINTS = (
    "left wrist", "left elbow", "left shoulder", "head", "right shoulder", "right elbow",
    "right wrist",
)  # fmt: skip
FLIC_SWAPS = ((0, 6), (1, 5), (2, 4))
MPII_JOINTS = (
    "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle", "pelvis",
    "thorax", "upper neck", "head top", "right wrist", "right elbow", "right shoulder",
    "left shoulder", "left elbow", "left wrist",
)  # fmt: skip
MPII_SWAPS = ((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13))
# Head, shoulders, elbows, wrists; the whole body has hips, knees and ankles too.
MPII_UPPER = (8, 9, 10, 11, 12, 13, 14, 15)
MPII_FULL = (0, 1, 2, 3, 4, 5, *MPII_UPPER)


@dataclasses.dataclass(frozen=True)
class Poses:
    """Persons in images, one a row.

    Args:
        paths: tuple of str, the images; several persons may share one.
        joints: float64 `[N, J, 2]`, x and y in pixels of the image.
        visible: bool `[N, J]`: joints that are not annotated are False.
        lengths: float64 `[N]` or None: what errors are measured in, in pixels (FLIC's torso,
            MPII's head). NaN where it is not known.
        name: str, the data set's.

    Raises:
        ValueError: shapes don't fit, or a person has no visible joint.
    """

    paths: tuple
    joints: np.ndarray
    visible: np.ndarray
    lengths: np.ndarray | None = None
    name: str = "poses"

    def __post_init__(self):
        joints, visible = np.asarray(self.joints, np.float64), np.asarray(self.visible, bool)
        lengths = None if self.lengths is None else np.asarray(self.lengths, np.float64)
        count = len(self.paths)
        if joints.ndim != 3 or joints.shape[::2] != (count, 2) or visible.shape != joints.shape[:2]:
            raise ValueError(
                f"Expected joints [N, J, 2] and visibility [N, J] for {count} persons, received "
                f"shapes {joints.shape} and {visible.shape}."
            )
        if lengths is not None and lengths.shape != (count,):
            raise ValueError(
                f"Expected one length for each of {count} persons, received shape {lengths.shape}."
            )
        if not visible.any(axis=1).all():
            row = int(visible.any(axis=1).argmin())
            raise ValueError(
                f"Expected a visible joint of every person, but row {row} ({self.paths[row]}) has "
                "none; leave it out."
            )
        for name, value in (("joints", joints), ("visible", visible), ("lengths", lengths)):
            object.__setattr__(self, name, value)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, rows):
        """The table of those rows (a slice, a mask or row numbers)."""
        rows = np.atleast_1d(np.arange(len(self))[rows])
        lengths = None if self.lengths is None else self.lengths[rows]
        paths = tuple(self.paths[i] for i in rows)
        return dataclasses.replace(
            self, paths=paths, joints=self.joints[rows], visible=self.visible[rows], lengths=lengths
        )

    @classmethod
    def from_csv(cls, path, images=None, torso=None, name=None):
        """Rows `FILE,x1,y1,x2,y2,...` without a header: DeepPose's and Shuffle and Learn's FLIC.

        Args:
            path: str, `train_joints.csv` or `test_joints.csv`. A joint with a negative coordinate
                (-1,-1) or NaN is not annotated.
            images: str or None (the folder `images` beside the file).
            torso: (left shoulder, right hip) or None: the joints between which the torso's length
                is measured. FLIC's file of 7 joints has no hips: give their lengths with
                `dataclasses.replace(poses, lengths=...)`.
            name: str or None (the file's).
        """
        path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        if not os.path.isfile(path):
            raise FileNotFoundError(f"Expected a CSV file of joints, but there is no {path}.")
        images = images or os.path.join(os.path.dirname(path), "images")
        images = folder(images, "the folder of the images")
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
        try:
            numbers = np.array([[float(value) for value in row[1:]] for row in rows])
            joints = numbers.reshape(len(rows), -1, 2)
        except ValueError as error:
            raise ValueError(
                f"Expected rows 'FILE,x1,y1,x2,y2,...' of equal length in {path}: {error}."
            ) from error
        if not joints.size:
            raise ValueError(f"Expected at least one row of joints in {path}, received none.")
        visible = (joints >= 0).all(axis=-1)  # NaN is not
        lengths = None if torso is None else torso_lengths(joints, visible, *torso)
        name = name or os.path.splitext(os.path.basename(path))[0]
        paths = tuple(os.path.join(images, row[0]) for row in rows)
        return cls(paths, joints, visible, lengths, name)

    @classmethod
    def from_mpii(cls, path, images, train=None, name="mpii"):
        """MPII's annotations as DeepPose's `data.json` has them, a person a line.

        Args:
            path: str. A line is `{"filename", "train", "head_rect": [x1, y1, x2, y2],
                "joint_pos": {"0": [x, y], ...}}`; joints that are not named are not annotated.
            images: str, the folder of the images.
            train: bool or None: the persons with that mark, or all.
        """
        images = folder(images, "the folder of MPII's images")
        paths, heads, joints = [], [], []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    entry = json.loads(line)
                    row = np.full((len(MPII_JOINTS), 2), np.nan)
                    for joint, place in entry["joint_pos"].items():
                        row[int(joint)] = place
                    head = np.array(entry["head_rect"], np.float64).reshape(4)
                    marked = bool(entry["train"])
                    file_name = entry["filename"]
                except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                    raise ValueError(
                        f"Expected a person with filename, train, head_rect and joint_pos in line "
                        f"{number} of {path}: {error!r}."
                    ) from error
                if train is None or marked == train:
                    paths.append(os.path.join(images, file_name))
                    heads.append(head)
                    joints.append(row)
        if not paths:
            raise ValueError(f"Expected at least one person in {path} with train={train}.")
        joints = np.stack(joints)
        visible = ~np.isnan(joints).any(axis=-1)
        lengths = head_lengths(np.stack(heads))
        return cls(tuple(paths), np.where(visible[..., None], joints, -1), visible, lengths, name)


@dataclasses.dataclass(frozen=True)
class PoseCrops(Sampler):
    """The crop around a person, and the joints in it.

    The box of the visible joints is enlarged, moved, cut at the image's edges and stretched to a
    square. For training, width and height are enlarged by factors of their own; a test has one
    factor and no shift. The box comes from the annotated joints at test time too, as in the
    published code: what is measured is where in a known box the joints are.

    Args:
        size: int, side of the crop.
        enlarge: (least, most), factor for training. test_enlarge: float (mitmul/deeppose: 1.5).
        shift: float, pixels of the image, at most, either way.
        flip: float, probability that a training crop is mirrored.
        swaps: pairs of joints that a mirror swaps.

    Reference:
        imisra/shuffle-tuple, `pose_data_layer.py`. Departures: that layer cuts a box at the image's
        edge without making it narrower, cuts coordinates to whole pixels, and takes the nearest
        pixel; here the box is intersected with the image and resized bilinearly.
    """

    size: int = 227
    enlarge: tuple = (1.5, 2.0)
    test_enlarge: float = 1.5
    shift: float = 5.0
    flip: float = 0.5
    swaps: tuple = FLIC_SWAPS

    frames = 1
    views = 1

    @property
    def spatial(self):
        return Spatial(self.size, self.size, "centre")

    def crop(self, joints, visible, shape, rng=None):
        """A person's crop.

        Args:
            joints: `[J, 2]`. visible: bool `[J]`. shape: (height, width) of the image.
            rng: `numpy.random.Generator`; None for a test.

        Returns:
            (`View`, float32 `[J, 3]`): x and y from the crop's centre in its sides, -0.5 to 0.5
            within it, and 1 for visible joints; those that are not are zeros.
        """
        seen = joints[visible]
        low, high = seen.min(axis=0), seen.max(axis=0) + 1  # both pixels belong to the box
        factor, shift, mirrored = np.full(2, self.test_enlarge), np.zeros(2), False
        if rng is not None:
            factor = rng.uniform(*self.enlarge, 2)
            shift = rng.uniform(-self.shift, self.shift, 2)
            mirrored = bool(rng.random() < self.flip)
        centre, half = (low + high) / 2 + shift, (high - low) / 2 * factor
        extent = np.array(shape[::-1], np.float64)
        # A joint annotated outside of the image must not leave an empty box.
        low = np.clip(centre - half, 0, extent - 1)
        high = np.maximum(np.clip(centre + half, 0, extent), low + 1)
        target = np.zeros((len(joints), 3), np.float32)
        target[:, :2] = np.where(visible[:, None], (joints - low) / (high - low) - 0.5, 0)
        target[:, 2] = visible
        box = (*(low / extent), *(high / extent))
        view = View(np.zeros(1, np.int64), box, (self.size, self.size), mirrored)
        return view, mirror(target, self.swaps) if mirrored else target

    def place(self, outputs, view, shape):
        """Where outputs `[J, 2]` on a crop are in its image, float64 `[J, 2]` pixels."""
        outputs = mirror(outputs, self.swaps) if view.flip else np.asarray(outputs)
        extent = np.array(shape[::-1], np.float64)
        low, high = np.array(view.box[:2]) * extent, np.array(view.box[2:]) * extent
        return low + (outputs[:, :2] + 0.5) * (high - low)


def mirror(joints, swaps):
    """The joints of a mirrored crop: x changes its sign, left and right their places.

    Args:
        joints: `[J, 2]` or `[J, 3]`, from the centre. swaps: pairs of joints.
    """
    order = np.arange(len(joints))
    for left, right in swaps:
        order[[left, right]] = order[[right, left]]
    mirrored = np.array(joints)[order]
    mirrored[:, 0] = -mirrored[:, 0]
    return mirrored
