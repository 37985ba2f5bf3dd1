"""Pairs of patches that lie as pictures on a disk, named by a list."""

import os

import numpy as np
from PIL import Image

from keras_vssl.data.plans import plan_rng
from keras_vssl.data.samplers import Sampler


def read_pairs(path):
    """Reads a list of pairs: lines "path label", the two of a pair one after the other.

    It is the form of the authors' `trainlist_label_8m`. A label may come in several pairs.

    Args:
        path: str, a text file (UTF-8).

    Returns:
        list of (path of the first patch, path of the second, int label), in the file's order.

    Raises:
        ValueError: a line of another form, two lines with different labels where a pair should
            be, or a line without a partner.
    """
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            name, _, label = line.strip().rpartition(" ")
            try:
                rows.append((name.strip(), int(label), number))
            except ValueError:
                name = ""
            if not name:
                raise ValueError(
                    f"Expected a path and a whole number in line {number} of {path}, received "
                    f"{line.strip()!r}."
                )
    pairs = []
    for (first, label, number), (second, other, _) in zip(rows[::2], rows[1::2]):
        if label != other:
            raise ValueError(
                f"Expected two lines of one label for each pair, but line {number} of {path} has "
                f"{label} and the next {other}; do not sort or shuffle the lines."
            )
        pairs.append((first, second, label))
    if len(rows) % 2 or not rows:
        raise ValueError(
            f"Expected pairs of lines in {path}, received {len(rows)} lines; add or remove one."
        )
    return pairs


class PatchPairs:
    """The pairs of a list as samples for `BatchSequence`, which shuffles pairs and splits none.

    A sample is `{"clips": uint8 [2, 1, H, W, 3]}` and the int32 label; each of the two pictures is
    resized, its aspect ignored, and mirrored on its own.

    Args:
        path: str, a list, see `read_pairs`.
        root: str or None, what its paths start from; the list's folder by default.
        size: int or (height, width), pixels.
        flip: float, the probability of mirroring.
        seed: int.

    Example:

    ```python
    pairs = kv.data.PatchPairs("trainlist_label_8m.txt", "patches/")
    task.fit(kv.data.BatchSequence(pairs, 50), epochs=5)
    ```
    """

    def __init__(self, path, root=None, size=227, flip=0.5, seed=0):
        self.pairs = read_pairs(path)
        self.root = os.path.dirname(os.path.abspath(path)) if root is None else root
        self.size = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        self.flip, self.seed = float(flip), int(seed)
        # Tasks compare labels as float32: their numbers among all labels, not they themselves.
        order = {label: i for i, label in enumerate(dict.fromkeys(p[2] for p in self.pairs))}
        self.labels = np.array([order[label] for *_, label in self.pairs], np.int32)

    def __len__(self):
        return len(self.pairs)

    @property
    def sampler(self):
        """What tells `BatchSequence` that pairs are drawn one by one."""
        return Sampler()

    def __call__(self, row, epoch=0, group=()):
        """One sample, see the class; `group` is unused.

        Raises:
            OSError: a picture is absent or damaged.
        """
        rng = plan_rng(self.seed, epoch, row)
        patches = [self._read(name, rng.random() < self.flip) for name in self.pairs[row][:2]]
        clips = np.stack(patches)[:, None]
        return {"clips": clips, "index": np.int32(row)}, self.labels[row]

    def _read(self, name, mirrored):
        height, width = self.size
        with Image.open(os.path.join(self.root, name)) as image:
            patch = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        patch = np.asarray(patch)
        return patch[:, ::-1] if mirrored else patch
