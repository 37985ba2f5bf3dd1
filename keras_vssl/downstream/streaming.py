"""Streaming: all clips of all videos through a compiled function, in batches of one shape."""

import collections
import os
import sys

import numpy as np

from keras_vssl.data.reader import ReadError
from keras_vssl.data.samplers import Clips, Spatial
from keras_vssl.data.videos import Videos


def uniform_clips(clip, clips=10, crops=1, short="loop"):
    """The sampler of test-time clips for a backbone's input convention.

    Args:
        clip: dict `frames`, `stride`, `resize`, `size` (`backbone.clip`).
        clips: int, equally spaced clips.
        crops: 1 (centre) or 3 (along the longer side).
        short: rule for videos shorter than a clip.
    """
    if crops not in (1, 3):
        raise ValueError(
            f"Expected crops=1 (centre) or 3 (along the longer side), received {crops}."
        )
    resize = clip["resize"]
    spatial = Spatial(
        resize=tuple(resize) if isinstance(resize, (list, tuple)) else resize,
        size=clip["size"],
        mode="three" if crops == 3 else "centre",
    )
    return Clips(clip["frames"], clip["stride"], None, clips, "uniform", short, spatial)


def as_videos(videos):
    """A `Videos` of one path, a list of paths, or a `Videos` as it is."""
    if isinstance(videos, Videos):
        return videos
    if isinstance(videos, (str, os.PathLike)):
        videos = [videos]
    if not isinstance(videos, (list, tuple)) or not all(
        isinstance(path, (str, os.PathLike)) for path in videos
    ):
        raise ValueError(
            "Expected a path, a list of paths or a Videos, received "
            f"{type(videos).__name__}; load a folder with Videos.from_folder."
        )
    if not videos:
        raise ValueError("Expected at least one video, received an empty list.")
    return Videos([os.path.expanduser(os.fspath(path)) for path in videos])


def stream(
    function, videos, sampler, batch_size=8, workers=2, progress=False, *, strict, skipped=None
):
    """Runs a function over all clips of all videos, in order, in batches of one shape.

    Args:
        function: callable, uint8 `[batch_size, T, H, W, 3]` -> list of arrays `[batch_size, ...]`.
        videos: `Videos`. sampler: `Sampler`.
        strict: bool. True: a video that can't be read raises. False: it is left out.
        skipped: list or None, receives {"path", "reason"}.

    Yields:
        (row, list of arrays `[V, ...]`), a video at a time.
    """
    skipped = [] if skipped is None else skipped
    before = len(skipped)

    def leave_out(row, reason):
        path = videos.relative_path(row)
        if strict:
            raise ValueError(f"Expected a readable video, but {path} can't be used: {reason}.")
        skipped.append({"path": path, "reason": reason})

    videos.probe(progress=progress)
    keep = []
    for row, info in enumerate(videos.infos):
        reason = (info.error or "it can't be decoded") if info.decodable == "no" else None
        reason = reason or sampler.refuses(info)
        if reason is None:
            keep.append(row)
        else:
            leave_out(row, reason)
    keep = np.array(keep, np.int64)
    decoded = _decoded(videos[keep], keep, sampler, workers, leave_out)
    with _bar(len(keep), progress) as advance:
        for row, outputs in _batched(function, decoded, batch_size):
            advance()
            yield row, outputs
    if len(skipped) > before:
        first = skipped[before]
        print(
            f"Left out {len(skipped) - before} of {len(videos)} videos, the first "
            f"{first['path']}: {first['reason']}.",
            file=sys.stderr,
        )


def stream_arrays(function, clips, batch_size=8):
    """As `stream`, for decoded clips `[N, V, T, H, W, 3]`."""
    return _batched(function, enumerate(clips), batch_size)


def _decoded(videos, numbers, sampler, workers, leave_out):
    """(row, clips `[V, T, H, W, 3]`) of each video that can be read."""
    from keras_vssl.data.pipeline import iterate_plans

    def on_error(row, error):
        leave_out(numbers[row], error.reason if isinstance(error, ReadError) else str(error))

    if len(videos):
        for rows, clips in iterate_plans(videos, sampler, 1, workers=workers, on_error=on_error):
            yield int(numbers[rows[0]]), clips[0]


def _batched(function, videos, batch_size):
    """Packs clips of several videos into full batches and hands outputs back by video."""
    batch, owners, counts, parts = None, [], {}, collections.defaultdict(list)
    order = collections.deque()

    def run():
        outputs = function(batch)
        for i, owner in enumerate(owners):
            parts[owner].append([np.asarray(output[i]) for output in outputs])
        owners.clear()

    def finished():
        while order and len(parts[order[0]]) == counts[order[0]]:
            row = order.popleft()
            yield row, [np.stack(column) for column in zip(*parts.pop(row), strict=True)]

    for row, clips in videos:
        if batch is None:
            batch = np.zeros((batch_size, *clips.shape[1:]), clips.dtype)
        order.append(row)
        counts[row] = len(clips)
        for clip in clips:
            batch[len(owners)] = clip
            owners.append(row)
            if len(owners) == batch_size:
                run()
        yield from finished()
    if owners:  # the rest of the batch keeps old clips: the shape stays, nothing is retraced
        run()
    yield from finished()


def compiled(inputs, outputs):
    """A function of one uint8 batch to a list of float32 arrays, compiled, in inference mode."""
    import keras

    from keras_vssl.precision import gpus

    outputs = [keras.layers.Activation("linear", dtype="float32")(x) for x in outputs]
    model = keras.Model(inputs, outputs)
    # XLA's 3-D convolutions on a CPU take seven times as long as TensorFlow's own, and
    # torch.compile takes a minute for what runs in a second.
    backend = keras.config.backend()
    model.jit_compile = backend == "jax" or (backend == "tensorflow" and bool(gpus()))

    def run(batch):
        values = model.predict_on_batch(batch)
        return values if isinstance(values, (list, tuple)) else [values]  # Keras unwraps one

    return run


class _bar:
    """A tqdm bar as a function that advances it, or one that does nothing."""

    def __init__(self, total, wanted):
        self.total, self.wanted = total, wanted

    def __enter__(self):
        if not self.wanted:
            return lambda: None
        from tqdm import tqdm

        self.bar = tqdm(total=self.total, desc="embedding", unit="video", leave=False)
        return lambda: self.bar.update(1)

    def __exit__(self, *error):
        if self.wanted:
            self.bar.close()
