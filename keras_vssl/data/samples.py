"""The sample function, and which rows make up a batch."""

import dataclasses
import sys
import threading

import numpy as np

from keras_vssl.data.plans import plan_rng

_ORDER_KEY = 0xFFFFFFFF  # the shuffle's stream beside the videos' own
_GROUP_SALT = 0x6E0FF  # the groups' streams beside the videos' own
_TRIES = 16


class Samples:
    """The sample function: row and epoch in, decoded clips and target out.

    A file that can't be read is named in `skipped`, warned about once, and replaced by another
    row drawn from the generator of (seed, epoch, row): training goes on, reproducibly.

    Where the sampler's `group` is above 1, neighbours in a batch share a draw. It is made from the
    generator of (seed, epoch, the group's first video) for the lengths of all videos of the group,
    so that it depends on which rows `Batches` put together and on nothing else: each member makes
    it again for itself, wherever and whenever it is read.

    Args:
        videos: `Videos`; rows the sampler refuses must be left out before (`videos.usable`).
        sampler: `Sampler`. One whose plans have views of flow has the `FlowCache` they are read
            from as `flow`.
        seed: int.
        target: "plan" (the pretext's target), "label" (class ids, supervised) or None.
        threads: int, decoder threads a file.
        timeout: float, seconds after which a file is given up.
        cache_bytes: int. Decoded videos are kept in memory up to this many bytes: small sets
            are decoded once. 0 keeps nothing.
    """

    def __init__(
        self, videos, sampler, seed=0, target="plan", threads=1, timeout=20.0, cache_bytes=0
    ):
        if target not in ("plan", "label", None):
            raise ValueError(f'Expected target "plan", "label" or None, received {target!r}.')
        videos.probe()
        self.videos, self.sampler, self.seed, self.target = videos, sampler, seed, target
        self.threads, self.timeout = threads, timeout
        self.skipped = {}
        self._labels = videos.class_ids
        self._lock = threading.Lock()
        self._cache = FrameCache(cache_bytes) if cache_bytes else None

    def __len__(self):
        return len(self.videos)

    def plan(self, row, epoch, group=()):
        """The plan of a row in an epoch.

        Args:
            group: rows that share a draw, as `Batches.groups` gives them; empty: none does.
        """
        rng = plan_rng(self.seed, epoch, self.videos.keys[row])
        if not len(group):
            return self.sampler.plan(self.videos.infos[row], rng)
        return self.sampler.plan(self.videos.infos[row], rng, self._common(group, epoch))

    def _common(self, group, epoch):
        rng = plan_rng(self.seed ^ _GROUP_SALT, epoch, self.videos.keys[group[0]])
        return self.sampler.common([self.videos.infos[row] for row in group], rng)

    def __call__(self, row, epoch=0, group=()):
        """Reads one sample; `group` as for `plan`.

        Returns:
            ({"clips": uint8 `[V, T, H, W, 3]`, "index": int32, and what else the sampler's
            `shapes` name}, target).

        Raises:
            ReadError: this row and all its replacements failed.
        """
        from keras_vssl.data.reader import ReadError

        rng = None
        for _ in range(_TRIES):
            try:
                return self.read(row, epoch, group)
            except ReadError as error:
                self._skip(row, error)
                failure = error
            if rng is None:
                rng = plan_rng(self.seed ^ 0x5EED, epoch, self.videos.keys[row])
            others = self._others(group, epoch)
            row = int(others[rng.integers(len(others))])
        raise ReadError(
            failure.path, f"{failure.reason}; {_TRIES} videos in a row could not be read"
        )

    def _others(self, group, epoch):
        """The rows that may take the place of one that can't be read."""
        if not len(group):
            return range(len(self))
        # Not a member: the group's videos differ. Its draw stands, for the others have it too.
        common, members = self._common(group, epoch), set(map(int, group))
        fits = [
            row
            for row in range(len(self))
            if row not in members and self.sampler.fits(self.videos.infos[row], common)
        ]
        return fits or group  # a copy of its neighbour, rather than the end of the run

    def read(self, row, epoch=0, group=()):
        """Reads one sample or raises `ReadError`: no replacement."""
        from keras_vssl.data.reader import ReadError, clip_groups, read_plan

        try:
            plan = self.plan(row, epoch, group)
            path = self.videos.paths[row]
            if self._cache is not None:
                data = self._cache.read(path, self.videos.infos[row], plan, self.timeout)
            else:
                data = read_plan(path, plan, threads=self.threads, timeout=self.timeout)
            for name, views in clip_groups(plan, "flow").items():
                data[name] = self.sampler.flow.read(path, views)
        except ReadError:
            raise
        except (OSError, ValueError, ArithmeticError) as error:
            raise ReadError(self.videos.paths[row], str(error)) from error
        data.update(plan.arrays)
        data["index"] = np.int32(row)
        target = plan.target if self.target == "plan" else None
        if self.target == "label":
            target = self._labels[row]
        return data, target

    def _skip(self, row, error):
        with self._lock:
            first = row not in self.skipped
            self.skipped[row] = {
                "path": self.videos.relative_path(row),
                "reason": error.reason,
                "count": self.skipped.get(row, {"count": 0})["count"] + 1,
            }
        if first:
            print(f"Left out {error.path}: {error.reason}.", file=sys.stderr)


class FrameCache:
    """Whole decoded videos, kept while they fit into `limit` bytes.

    Sound is read from the file every time: that is cheap, and what is heard must not depend, not
    even by rounding, on which videos happened to fit.
    """

    def __init__(self, limit):
        self.limit, self.used = limit, 0
        self.videos = {}
        self.lock = threading.Lock()

    def read(self, path, info, plan, timeout):
        """`read_plan` through the cache."""
        from keras_vssl.data.reader import VideoReader, clip_groups, crop, read_plan

        size = info.frames * info.height * info.width * 3
        with self.lock:
            frames = self.videos.get(path)
            fits = frames is not None or self.used + size <= self.limit
        if not fits:
            return read_plan(path, plan, timeout=timeout)
        if frames is None:
            with VideoReader(path, timeout=timeout) as reader:
                frames = reader.frames(range(reader.info.frames))
            size = sum(frame.nbytes for frame in frames)
            with self.lock:  # another thread may have filled the place meanwhile
                if path not in self.videos and self.used + size <= self.limit:
                    self.videos[path] = frames
                    self.used += size
        data = {
            name: np.stack(
                [np.stack([crop(frames[i], v) for i in v.frames.tolist()]) for v in views]
            )
            for name, views in clip_groups(plan).items()
        }
        if plan.audio:
            sound = dataclasses.replace(plan, views=(), groups={})
            data |= read_plan(path, sound, timeout=timeout)
        return data


class Batches:
    """Which rows make up each batch of each epoch: `rows(epoch, step)`, `groups(epoch, step)`.

    Args:
        count: int, rows.
        batch_size: int. With fewer rows than that, rows repeat to fill a batch.
        seed: int. shuffle: bool.
        group: int, how many neighbours in a batch share a draw (`Sampler.group`).
    """

    def __init__(self, count, batch_size, seed=0, shuffle=True, group=1):
        if count < 1 or batch_size < 1:
            raise ValueError(
                f"Expected at least one video and a batch of at least one, received {count} videos "
                f"and batch_size={batch_size}."
            )
        self.count, self.batch_size, self.seed, self.shuffle = count, batch_size, seed, shuffle
        self.group = group
        self.steps = max(1, count // batch_size)
        self._order = (None, None)

    def rows(self, epoch, step):
        """Row numbers `[batch_size]`."""
        known, order = self._order
        if known != epoch:
            order = np.arange(self.count)
            if self.shuffle:
                order = plan_rng(self.seed, epoch, _ORDER_KEY).permutation(self.count)
            order = np.resize(order, max(self.count, self.batch_size))
            self._order = (epoch, order)
        return order[step * self.batch_size : (step + 1) * self.batch_size]

    def groups(self, epoch, step):
        """`[(row, group), ...]` of a batch, as `Samples` takes them.

        A group is the rows of `group` neighbours, fewer at the end of a batch that they don't
        divide; empty where each row is on its own.
        """
        rows, size = self.rows(epoch, step), self.group
        if size == 1:
            return [(row, rows[:0]) for row in rows]
        return [(row, rows[i - i % size :][:size]) for i, row in enumerate(rows)]


def stack(samples):
    """A batch of samples.

    Returns:
        `({"clips": [B, V, T, H, W, 3], "index": [B], ...}, targets)`, or `(inputs,)` alone where
        the samples have no target.
    """
    inputs = {name: np.stack([s[0][name] for s in samples]) for name in samples[0][0]}
    if samples[0][1] is None:
        return (inputs,)
    return inputs, np.stack([np.asarray(s[1]) for s in samples])
