"""Still images: tables of them with labels or boxes, and samples read from them."""

import dataclasses
import os
import sys
import threading

import numpy as np
from PIL import Image

from keras_vssl.data.frame_index import ReadError
from keras_vssl.data.plans import plan_rng
from keras_vssl.data.reader import crop
from keras_vssl.metrics.detection import TrueBoxes

_TRIES = 16


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images and the classes that are in them, an image a row.

    Args:
        paths: tuple of str.
        labels: int8 `[N, C]`: 1 for a class that is there, 0 for one that is not, -1 for one of
            which only "difficult" objects are there. Training and evaluation leave those out.
        class_names: tuple of C str.
        name: str, the data set's.
    """

    paths: tuple
    labels: np.ndarray
    class_names: tuple
    name: str = "images"

    def __post_init__(self):
        labels = np.asarray(self.labels, np.int8)
        if labels.shape != (len(self.paths), len(self.class_names)):
            raise ValueError(
                f"Expected labels for {len(self.paths)} images and {len(self.class_names)} classes,"
                f" received shape {labels.shape}."
            )
        object.__setattr__(self, "labels", labels)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, rows):
        """The table of those rows (a slice, a mask or row numbers)."""
        rows = np.arange(len(self))[rows]
        paths = tuple(self.paths[i] for i in np.atleast_1d(rows))
        return dataclasses.replace(self, paths=paths, labels=self.labels[np.atleast_1d(rows)])


@dataclasses.dataclass(frozen=True)
class BoxedImages:
    """Images and the objects in them.

    Args:
        paths: tuple of str. ids: tuple, what the data set calls them.
        true: `keras_vssl.metrics.TrueBoxes`, whose image numbers are places in `paths`.
        class_names: tuple of str, whose places are the labels.
        class_ids: tuple, what result files call the classes.
        name: str, the data set's.
    """

    paths: tuple
    ids: tuple
    true: TrueBoxes
    class_names: tuple
    class_ids: tuple
    name: str = "images"

    def __len__(self):
        return len(self.paths)

    def labelled(self):
        """The same as `LabelledImages`: classes of which all objects are ignored are -1."""
        labels = np.zeros((len(self), len(self.class_names)), np.int8)
        places = self.true.images, self.true.labels
        ignored = self.true.ignored
        labels[places[0][ignored], places[1][ignored]] = -1
        labels[places[0][~ignored], places[1][~ignored]] = 1
        return LabelledImages(self.paths, labels, self.class_names, self.name)


def read_image(path):
    """An image file as RGB uint8 `[H, W, 3]`, its pixels where the file has them.

    A tag that asks for a turn is not followed: boxes and joints are given in stored pixels.

    Raises:
        ReadError: the file is absent or no image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it can't be read as an image"
        raise ReadError(path, reason) from error


class ImageSamples:
    """The sample function of a table of images, as `keras_vssl.data.Samples` is of videos.

    A file that can't be read is named in `skipped`, warned about once, and the next row takes its
    place.

    Args:
        images: a table with `paths`.
        plan: callable(row, (height, width), generator), gives a `View` and the target.
        sampler: the `Sampler` whose `shapes` the samples have.
        seed: int; the generator is that of (seed, epoch, row).
    """

    def __init__(self, images, plan, sampler, seed=0):
        self.images, self.plan, self.sampler, self.seed = images, plan, sampler, seed
        self.skipped = {}
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.images.paths)

    def __call__(self, row, epoch=0, group=()):
        for other in range(row, row + _TRIES):
            try:
                return self.read(other % len(self), epoch)
            except ReadError as error:
                failure = error
                with self._lock:
                    first = failure.path not in self.skipped
                    self.skipped[failure.path] = failure.reason
                if first:
                    print(f"Left out {failure}.", file=sys.stderr)
        raise ReadError(
            failure.path, f"{failure.reason}; {_TRIES} images in a row could not be read"
        )

    def read(self, row, epoch=0):
        """One sample: ({"clips": uint8 `[1, 1, h, w, 3]`, "index": int32}, target)."""
        image = read_image(self.images.paths[row])
        view, target = self.plan(row, image.shape[:2], plan_rng(self.seed, epoch, row))
        return {"clips": crop(image, view)[None, None], "index": np.int32(row)}, target


def folder(path, what):
    """An existing folder as an absolute path.

    Raises:
        FileNotFoundError: there is none.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if not os.path.isdir(path):
        raise FileNotFoundError(f"Expected {what}, but there is no folder {path}.")
    return path
