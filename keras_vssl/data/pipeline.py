"""Pipelines: batches of decoded clips from one sample function, for any consumer.

`Samples` turns (row, epoch) into one decoded sample; everything here only asks it in parallel and
in order. Nothing but metadata and a few batches is ever in memory.
"""

import collections
import concurrent.futures
import time

import numpy as np

from keras_vssl.data.samples import Batches, Samples, stack


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
                    rows = self.batches.groups(*place)
                    queue.append(
                        [pool.submit(self.samples, int(r), place[0], group) for r, group in rows]
                    )
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
        Dataset of `({"clips": uint8 [B, V, T, H, W, 3], "index": int32 [B]}, target [B])` with
        whatever else the sampler's `shapes` name, or of the inputs alone when the samples have
        no target.
    """
    import tensorflow as tf

    group = samples.sampler.group
    batches = Batches(len(samples), batch_size, samples.seed, shuffle, group)
    place = {"epoch": first_epoch, "step": first_step}
    probe = samples(0, first_epoch)[1]
    target = None if probe is None else np.asarray(probe)
    shapes = {**samples.sampler.shapes, "index": ((), "int32")}

    def order():
        epoch, first = place["epoch"], place["step"]
        place.update(epoch=epoch + 1, step=0)
        for step in range(first, batches.steps):
            for row, group in batches.groups(epoch, step):
                yield np.int64(row), np.int64(epoch), group

    def read(row, epoch, group):
        data, y = samples(int(row), int(epoch), group)
        out = [data[name] for name in shapes]
        return out if target is None else [*out, np.asarray(y, dtype=target.dtype)]

    def load(row, epoch, group):
        kinds = [tf.as_dtype(dtype) for _, dtype in shapes.values()]
        kinds += [] if target is None else [tf.as_dtype(target.dtype)]
        values = tf.numpy_function(read, [row, epoch, group], kinds)
        inputs = dict(zip(shapes, values))
        for name, (shape, _) in shapes.items():
            inputs[name].set_shape(shape)
        if target is None:
            return inputs
        values[-1].set_shape(target.shape)
        return inputs, values[-1]

    spec, rows = tf.TensorSpec((), tf.int64), tf.TensorSpec((None,), tf.int64)
    dataset = tf.data.Dataset.from_generator(order, output_signature=(spec, spec, rows))
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
            group = samples.sampler.group
            self.batches = Batches(len(samples), batch_size, samples.seed, shuffle, group)
            self.epoch, self.fixed = first_epoch, fixed
            self._pool = concurrent.futures.ThreadPoolExecutor(threads)
            self._ahead = {}

        def __len__(self):
            return self.batches.steps

        def _submit(self, step):
            key = (self.epoch, step)
            if key not in self._ahead:
                self._ahead[key] = [
                    self._pool.submit(self.samples, int(r), self.epoch, group)
                    for r, group in self.batches.groups(self.epoch, step)
                ]
            return key

        def __getitem__(self, step):
            key = self._submit(step)
            if step + 1 < len(self):
                self._submit(step + 1)
            return stack([future.result() for future in self._ahead.pop(key)])

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
