"""Pipelines: batches of decoded clips from one sample function, for any consumer.

`Samples` turns (row, epoch) into one decoded sample; everything else here only asks it in
parallel and in order. Nothing but metadata and a few batches is ever in memory.
"""

import collections
import concurrent.futures
import sys
import threading
import time

import numpy as np

from keras_vssl.data.samplers import plan_rng

_ORDER_KEY = 0xFFFFFFFF  # the shuffle's stream beside the videos' own
_TRIES = 16


class Samples:
    """The sample function: row and epoch in, decoded clips and target out.

    A file that can't be read is named in `skipped`, warned about once, and replaced by another
    row drawn from the generator of (seed, epoch, row): training goes on, reproducibly.

    Args:
        videos: `Videos`; rows the sampler refuses must be left out before (`videos.usable`).
        sampler: `Sampler`.
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

    def plan(self, row, epoch):
        """The plan of a row in an epoch."""
        rng = plan_rng(self.seed, epoch, self.videos.keys[row])
        return self.sampler.plan(self.videos.infos[row], rng)

    def __call__(self, row, epoch=0):
        """Reads one sample.

        Returns:
            ({"clips": uint8 `[V, T, H, W, 3]`, "index": int32}, target).

        Raises:
            ReadError: this row and all its replacements failed.
        """
        from keras_vssl.data.reader import ReadError

        rng = None
        for _ in range(_TRIES):
            try:
                return self.read(row, epoch)
            except ReadError as error:
                self._skip(row, error)
                failure = error
            if rng is None:
                rng = plan_rng(self.seed ^ 0x5EED, epoch, self.videos.keys[row])
            row = int(rng.integers(len(self)))
        raise ReadError(
            failure.path, f"{failure.reason}; {_TRIES} videos in a row could not be read"
        )

    def read(self, row, epoch=0):
        """Reads one sample or raises `ReadError`: no replacement."""
        from keras_vssl.data.reader import ReadError, read_plan

        try:
            plan = self.plan(row, epoch)
            path = self.videos.paths[row]
            if self._cache is not None:
                data = self._cache.read(path, self.videos.infos[row], plan, self.timeout)
            else:
                data = read_plan(path, plan, threads=self.threads, timeout=self.timeout)
        except ReadError:
            raise
        except (OSError, ValueError, ArithmeticError) as error:
            raise ReadError(self.videos.paths[row], str(error)) from error
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
    """Whole decoded videos, kept while they fit into `limit` bytes."""

    def __init__(self, limit):
        self.limit, self.used = limit, 0
        self.videos = {}
        self.lock = threading.Lock()

    def read(self, path, info, plan, timeout):
        """`read_plan` through the cache."""
        from keras_vssl.data.reader import VideoReader, crop, read_plan

        size = info.frames * info.height * info.width * 3
        with self.lock:
            frames = self.videos.get(path)
            fits = frames is not None or self.used + size <= self.limit
        if plan.audio or not fits:
            return read_plan(path, plan, timeout=timeout)
        if frames is None:
            with VideoReader(path, timeout=timeout) as reader:
                frames = reader.frames(range(reader.info.frames))
            with self.lock:
                if path not in self.videos:
                    self.videos[path] = frames
                    self.used += sum(frame.nbytes for frame in frames)
        clips = [
            np.stack([crop(frames[i], view) for i in view.frames.tolist()])
            for view in plan.views
        ]
        return {"clips": np.stack(clips)}


class Batches:
    """Which rows make up each batch of each epoch: `rows(epoch, step)`.

    Args:
        count: int, rows.
        batch_size: int. With fewer rows than that, rows repeat to fill a batch.
        seed: int. shuffle: bool.
    """

    def __init__(self, count, batch_size, seed=0, shuffle=True):
        if count < 1 or batch_size < 1:
            raise ValueError(
                f"Expected at least one video and a batch of at least one, received {count} videos "
                f"and batch_size={batch_size}."
            )
        self.count, self.batch_size, self.seed, self.shuffle = count, batch_size, seed, shuffle
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


def stack(samples):
    """A batch of samples: `({"clips": [B, V, T, H, W, 3], "index": [B]}, targets or None)`."""
    inputs = {name: np.stack([s[0][name] for s in samples]) for name in samples[0][0]}
    if samples[0][1] is None:
        return inputs, None
    return inputs, np.stack([np.asarray(s[1]) for s in samples])


class Prefetcher:
    """Keeps the next batches coming from a pool of threads, in order.

    Decoding releases the interpreter lock, so threads suffice. At most `depth` batches are
    held.

    Args:
        samples: `Samples`. batches: `Batches`.
        first_epoch, first_step: int, where to begin.
        last_epoch: int or None (no end).
        workers: int, threads. depth: int, batches ahead.

    Attributes:
        waited: float, seconds the consumer spent waiting for a batch.
    """

    def __init__(
        self,
        samples,
        batches,
        first_epoch=0,
        first_step=0,
        last_epoch=None,
        workers=2,
        depth=3,
    ):
        self.samples, self.batches = samples, batches
        self.start, self.last_epoch = (first_epoch, first_step), last_epoch
        self.workers, self.depth = max(1, workers), depth
        self.waited = 0.0

    def __iter__(self):
        order = self._order()
        queue = collections.deque()
        pool = concurrent.futures.ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        try:
            while True:
                while len(queue) < self.depth:
                    place = next(order, None)
                    if place is None:
                        break
                    rows = self.batches.rows(*place)
                    queue.append([pool.submit(self.samples, int(r), place[0]) for r in rows])
                if not queue:
                    return
                began = time.perf_counter()
                batch = stack([future.result() for future in queue.popleft()])
                self.waited += time.perf_counter() - began
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _order(self):
        epoch, step = self.start
        while self.last_epoch is None or epoch < self.last_epoch:
            while step < self.batches.steps:
                yield epoch, step
                step += 1
            epoch, step = epoch + 1, 0


def tf_dataset(
    samples, batch_size, *, shuffle=True, workers=2, prefetch=2, first_epoch=0, first_step=0
):
    """A `tf.data.Dataset` of batches; each pass over it is the next epoch.

    Parallel, prefetching, of fixed shapes, and deterministic given the samples' seed.

    Args:
        samples: `Samples`.
        batch_size: int; incomplete batches are dropped.
        shuffle: bool, another order each epoch.
        workers: int, samples decoded at a time.
        prefetch: int, batches kept ready.
        first_epoch, first_step: int, where to begin.

    Returns:
        Dataset of `({"clips": uint8 [B, V, T, H, W, 3], "index": int32 [B]}, target [B])`, or
        of the inputs alone when the samples have no target.
    """
    import tensorflow as tf

    batches = Batches(len(samples), batch_size, samples.seed, shuffle)
    place = {"epoch": first_epoch, "step": first_step}
    probe = samples(0, first_epoch)[1]
    target = None if probe is None else np.asarray(probe)
    sampler = samples.sampler

    def order():
        epoch, step = place["epoch"], place["step"]
        place.update(epoch=epoch + 1, step=0)
        for step in range(step, batches.steps):
            for row in batches.rows(epoch, step):
                yield np.int64(row), np.int64(epoch)

    def read(row, epoch):
        data, y = samples(int(row), int(epoch))
        out = [data["clips"], data["index"]]
        return out if target is None else [*out, np.asarray(y, dtype=target.dtype)]

    def load(row, epoch):
        kinds = [tf.uint8, tf.int32] + ([] if target is None else [tf.as_dtype(target.dtype)])
        clips, index, *y = tf.numpy_function(read, [row, epoch], kinds)
        clips.set_shape(sampler.shape)
        index.set_shape(())
        inputs = {"clips": clips, "index": index}
        if target is None:
            return inputs
        y[0].set_shape(target.shape)
        return inputs, y[0]

    spec = tf.TensorSpec((), tf.int64)
    dataset = tf.data.Dataset.from_generator(order, output_signature=(spec, spec))
    dataset = dataset.map(load, num_parallel_calls=workers, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(prefetch)
    if first_step == 0:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches.steps))
    return dataset


def _sequence_class():
    import keras

    class BatchSequence(keras.utils.PyDataset):
        """A `keras.utils.PyDataset` of batches, for every backend; needs no TensorFlow.

        Args:
            samples: `Samples`. batch_size: int. shuffle: bool.
            threads: int, samples decoded at a time.
            first_epoch: int.
            fixed: bool, the same plans in every epoch (validation).
        """

        def __init__(
            self, samples, batch_size, *, shuffle=True, threads=2, first_epoch=0, fixed=False
        ):
            # Threads of our own: Keras' worker pool would count epochs on its side of the fence.
            super().__init__(workers=1, use_multiprocessing=False)
            self.samples = samples
            self.batches = Batches(len(samples), batch_size, samples.seed, shuffle)
            self.epoch, self.fixed = first_epoch, fixed
            self._pool = concurrent.futures.ThreadPoolExecutor(threads)
            self._ahead = {}

        def __len__(self):
            return self.batches.steps

        def _submit(self, step):
            key = (self.epoch, step)
            if key not in self._ahead:
                self._ahead[key] = [
                    self._pool.submit(self.samples, int(r), self.epoch)
                    for r in self.batches.rows(self.epoch, step)
                ]
            return key

        def __getitem__(self, step):
            key = self._submit(step)
            if step + 1 < len(self):
                self._submit(step + 1)
            inputs, y = stack([future.result() for future in self._ahead.pop(key)])
            return (inputs,) if y is None else (inputs, y)

        def on_epoch_end(self):
            if not self.fixed:
                self.epoch += 1
            self._ahead.clear()

    return BatchSequence


def __getattr__(name):
    # Keras is imported only by those who ask for its dataset class.
    if name == "BatchSequence":
        globals()[name] = _sequence_class()
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def iterate_plans(videos, sampler, batch_size, *, workers=2, seed=0, on_error=None, cache_bytes=0):
    """One pass over a table, in order, for embedding and testing.

    Args:
        videos: `Videos`. sampler: `Sampler`.
        batch_size: int; the last batch may be smaller.
        workers: int, threads.
        on_error: callable(row, ReadError) for rows left out; None raises the error.

    Yields:
        (rows int64 `[b]`, clips uint8 `[b, V, T, H, W, 3]`).
    """
    from keras_vssl.data.reader import ReadError

    samples = Samples(videos, sampler, seed, target=None, cache_bytes=cache_bytes)
    pool = concurrent.futures.ThreadPoolExecutor(max(1, workers), thread_name_prefix="decode")
    try:
        ahead, rows, clips, position = collections.deque(), [], [], 0
        while ahead or position < len(videos):
            while position < len(videos) and len(ahead) < batch_size + workers:
                ahead.append((position, pool.submit(samples.read, position)))
                position += 1
            row, future = ahead.popleft()
            try:
                data, _ = future.result()
            except ReadError as error:
                if on_error is None:
                    raise
                on_error(row, error)
                continue
            rows.append(row)
            clips.append(data["clips"])
            if len(rows) == batch_size:
                yield np.array(rows), np.stack(clips)
                rows, clips = [], []
        if rows:
            yield np.array(rows), np.stack(clips)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
