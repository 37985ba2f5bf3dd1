"""Videos: the table of what exists. No decoding until asked."""

import csv
import os
import zlib

import numpy as np

from keras_vssl.data.metadata import metadata

EXTENSIONS = (
    ".3gp", ".avi", ".flv", ".gif", ".h264", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip


class Videos:
    """A table of videos: path, label, group, split, and metadata once probed.

    Rows keep the order they were given in. Indexing with a slice, a mask or row numbers gives
    the table of those rows.

    Args:
        paths: list of str, absolute or relative to `root`.
        labels: list of str or None, or None for no labels.
        groups: list of str or None: what must not be torn apart by a split (source recording,
            scene, person). None makes every video its own group.
        splits: list of str or None ("train", "val", "test").
        root: str or None, the folder that keys and reports are relative to.
        name: str or None, the data set's name in result records.

    Attributes:
        paths: list of str, absolute.
        labels, groups, splits: NumPy object arrays `[N]`.
        class_names: sorted list of str.
        class_ids: int64 array `[N]`, -1 where there is no label.
        infos: list of `VideoInfo` or None, filled by `probe`.
        missing: list of str, paths a split file named and the folder lacks.

    Example:

    ```python
    videos = kv.data.Videos.from_folder("clips/")
    videos = videos.split_by_group(test=0.3, seed=0)
    print(len(videos.train), videos.class_names)
    ```
    """

    def __init__(self, paths, labels=None, groups=None, splits=None, *, root=None, name=None):
        self.root = os.path.abspath(root) if root else None
        self.paths = [os.path.abspath(os.path.join(self.root or "", p)) for p in paths]
        count = len(self.paths)
        self.labels = _column(labels, count, "labels")
        self.groups = _column(groups, count, "groups")
        self.splits = _column(splits, count, "splits")
        self.name = name or (os.path.basename(self.root) if self.root else "videos")
        self.class_names = sorted({label for label in self.labels if label is not None})
        self.infos = [None] * count
        self.missing = []
        # A pool thread must not rebuild these for every sample.
        self.keys = np.array([zlib.crc32(p.encode()) for p in self.relative_paths], dtype=np.int64)

    # Sources

    @classmethod
    def from_folder(cls, root, *, name=None):
        """A folder of videos: class folders, a flat folder, or one with a `splits.csv`.

        Args:
            root: str. With `splits.csv` in it, that table is read. Else the files below it
                are found by their endings; the first folder below `root` is the label when
                every video lies in one, and a flat folder has no labels. Folders named
                train, val or test at the top are splits, with class folders in them.

        Raises:
            FileNotFoundError: no such folder. ValueError: no video in it.
        """
        root = os.path.abspath(os.path.expanduser(os.fspath(root)))
        if not os.path.isdir(root):
            raise FileNotFoundError(f"Expected a folder of videos, but there is no folder {root}.")
        if os.path.isfile(os.path.join(root, "splits.csv")):
            return cls.from_csv(os.path.join(root, "splits.csv"), name=name)
        found = []
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            found += [
                os.path.relpath(os.path.join(folder, f), root)
                for f in sorted(files)
                if f.lower().endswith(EXTENSIONS) and not f.startswith(".")
            ]
        if not found:
            raise ValueError(
                f"Expected videos in {root}, but found no file ending in "
                f"{', '.join(EXTENSIONS[:6])} or the like; check the folder."
            )
        parts = [path.split(os.sep) for path in found]
        splits = None
        if all(len(p) > 1 and p[0] in ("train", "val", "test") for p in parts):
            splits = [p[0] for p in parts]
            parts = [p[1:] for p in parts]
        labels = [p[0] for p in parts] if all(len(p) > 1 for p in parts) else None
        return cls(found, labels, None, splits, root=root, name=name)

    @classmethod
    def from_csv(cls, path, *, root=None, name=None):
        """A table with the columns path, label, group, split (all but path optional).

        Args:
            path: str, a CSV file with a header line (UTF-8).
            root: str or None, what relative paths start from; the CSV's folder by default.
        """
        path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        if not os.path.isfile(path):
            raise FileNotFoundError(f"Expected a CSV file, but there is no file {path}.")
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "path" not in (reader.fieldnames or ()):
                raise ValueError(
                    f"Expected a header line with the column 'path' (and label, group, split) in "
                    f"{path}, received the columns {reader.fieldnames}."
                )
            rows = list(reader)
        if not rows:
            raise ValueError(f"Expected at least one row in {path}, received only its header.")
        columns = [
            [row.get(c) or None for row in rows] if c in rows[0] else None
            for c in ("label", "group", "split")
        ]
        root = os.path.abspath(root) if root else os.path.dirname(path)
        return cls([row["path"] for row in rows], *columns, root=root, name=name)

    @classmethod
    def from_ucf101(cls, root, splits, *, split=1, strict=False):
        """UCF101: `CLASS/v_CLASS_gGG_cCC.avi` with the official `ucfTrainTestlist` folder.

        Args:
            root: str, the folder of class folders (UCF-101).
            splits: str, the folder with classInd.txt, trainlist0N.txt, testlist0N.txt.
            split: 1, 2 or 3.
            strict: bool, raise when a listed file is absent; else it is left out and named
                in `missing`.
        """
        from keras_vssl.data.layouts import ucf101

        return cls._from_layout(ucf101(splits, split), root, strict, "ucf101")

    @classmethod
    def from_hmdb51(cls, root, splits, *, split=1, strict=False):
        """HMDB51: `CLASS/NAME.avi` with the official `testTrainMulti_7030_splits` folder.

        Rows marked 0 in the split files belong to neither side and are left out. Args as for
        `from_ucf101`.
        """
        from keras_vssl.data.layouts import hmdb51

        return cls._from_layout(hmdb51(splits, split), root, strict, "hmdb51")

    @classmethod
    def _from_layout(cls, rows, root, strict, name):
        root = os.path.abspath(os.path.expanduser(os.fspath(root)))
        if not os.path.isdir(root):
            raise FileNotFoundError(f"Expected the videos' folder, but there is no folder {root}.")
        missing = [row[0] for row in rows if not os.path.isfile(os.path.join(root, row[0]))]
        if missing and (strict or len(missing) == len(rows)):
            raise FileNotFoundError(
                f"Expected {len(rows)} listed videos below {root}, but {len(missing)} are absent, "
                f"the first {missing[0]}; check the folder or use strict=False."
            )
        gone = set(missing)
        kept = [row for row in rows if row[0] not in gone]
        videos = cls(*(list(column) for column in zip(*kept)), root=root, name=name)
        # A class none of whose videos is here keeps its number.
        videos.class_names = sorted({row[1] for row in rows})
        videos.missing = missing
        return videos

    # Rows

    def __len__(self):
        return len(self.paths)

    def __repr__(self):
        return f"<Videos {self.name}: {len(self)} videos, {len(self.class_names)} classes>"

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        rows = np.atleast_1d(np.asarray(rows))
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        part = Videos(
            [self.paths[i] for i in rows],
            self.labels[rows],
            self.groups[rows],
            self.splits[rows],
            root=self.root,
            name=self.name,
        )
        part.class_names = self.class_names  # class ids mean the same in every part
        part.infos = [self.infos[i] for i in rows]
        part.missing = self.missing
        return part

    @property
    def relative_paths(self):
        """Paths relative to `root`, with forward slashes on every system."""
        paths = self.paths
        if self.root:
            paths = [os.path.relpath(p, self.root) for p in paths]
        return [p.replace(os.sep, "/") for p in paths]

    @property
    def class_ids(self):
        number = {name: i for i, name in enumerate(self.class_names)}
        return np.array([number.get(label, -1) for label in self.labels], dtype=np.int64)

    @property
    def train(self):
        """The rows whose split is "train"; all rows when the table has no splits."""
        return self._split("train")

    @property
    def val(self):
        """The rows whose split is "val"."""
        return self._split("val")

    @property
    def test(self):
        """The rows whose split is "test"."""
        return self._split("test")

    def _split(self, name):
        if all(split is None for split in self.splits):
            if name == "train":
                return self
            raise ValueError(
                f"Expected a {name!r} split, but the table has none; call split_by_group() or give "
                "a CSV with a split column."
            )
        return self[self.splits == name]

    def split_by_group(self, test=0.3, val=0.0, seed=0):
        """A copy with splits drawn group by group, so that no group is on two sides.

        Args:
            test, val: float, the share of each class's videos to put there, approximately:
                whole groups move, the largest first.
            seed: int.
        """
        if not 0 <= test + val < 1:
            raise ValueError(f"Expected test + val in [0, 1), received {test} + {val}.")
        groups = [
            f"row {i}" if g is None else f"group {g}" for i, g in enumerate(self.groups.tolist())
        ]
        members = {}
        for i, group in enumerate(groups):
            members.setdefault(group, []).append(i)
        names = sorted(members)
        plan_order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(names))
        ids = self.class_ids
        totals = np.bincount(ids + 1, minlength=len(self.class_names) + 1).astype(float)
        splits = np.full(len(self), "train", dtype=object)
        for split, share in (("test", test), ("val", val)):
            want, have = share * totals, np.zeros_like(totals)
            for g in plan_order:
                rows = members[names[g]]
                if splits[rows[0]] != "train":
                    continue
                add = np.bincount(ids[rows] + 1, minlength=len(totals))
                # Taken when it brings the split nearer to its share of each class.
                if np.abs(have + add - want).sum() < np.abs(have - want).sum():
                    splits[rows] = split
                    have += add
        copy = self[:]
        copy.splits = splits
        return copy

    # Metadata

    def probe(self, *, workers=None, timeout=10.0, progress=True, cache=True):
        """Reads every video's metadata, in parallel and once: later calls read the cache.

        Files that are damaged, gone or hang are kept in the table with the reason in their
        `VideoInfo`; `usable` leaves them out.

        Args:
            workers: int or None (the number of cores), worker processes.
            timeout: float, seconds after which a file is given up.
            progress: bool, show a bar when there is work to do.
            cache: bool, use the cache in `KERAS_VSSL_CACHE` or `~/.cache/keras_vssl`.

        Returns:
            self, with `infos` filled.
        """
        todo = [i for i, info in enumerate(self.infos) if info is None]
        if todo:
            paths = [self.paths[i] for i in todo]
            found = metadata(paths, self.root, workers, timeout, progress, cache)
            for i, info in zip(todo, found):
                self.infos[i] = info
        return self

    def usable(self, sampler=None):
        """The rows that can be read (and sampled), and what was left out with its reason.

        Args:
            sampler: `Sampler` or None; with one, videos it refuses (too short) are left out.

        Returns:
            (`Videos`, list of {"path", "reason"}).
        """
        self.probe()
        keep, left_out = [], []
        for i, info in enumerate(self.infos):
            reason = None
            if info.decodable == "no":
                reason = info.error or "it can't be decoded"
            elif sampler is not None:
                reason = sampler.refuses(info)
            if reason is None:
                keep.append(i)
            else:
                left_out.append({"path": self.relative_path(i), "reason": reason})
        return self[keep], left_out

    def relative_path(self, row):
        """The path of one row, relative to `root`."""
        path = self.paths[row]
        return os.path.relpath(path, self.root).replace(os.sep, "/") if self.root else path


def _column(values, count, name):
    if values is None:
        values = [None] * count
    if len(values) != count:
        raise ValueError(f"Expected {count} {name}, one a path, received {len(values)}.")
    column = np.empty(count, dtype=object)
    column[:] = [None if v is None else str(v) for v in values]
    return column
