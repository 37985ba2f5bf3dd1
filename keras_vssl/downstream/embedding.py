"""Embeddings: videos in, one feature vector a video out."""

import contextlib
import os
import types

import numpy as np

from keras_vssl.downstream.streaming import as_videos, compiled, stream, uniform_clips
from keras_vssl.files import ArrayFile


def embed(
    backbone,
    videos,
    clips=10,
    pooling="average",
    batch_size=8,
    workers=2,
    progress=False,
    *,
    sampler=None,
    per_clip=False,
    return_rows=False,
    skipped=None,
    out=None,
):
    """Features of videos: the mean over clips spread evenly over each video.

    Clips are cut as VCOP's retrieval cuts them (`linspace_starts`, centre crop) in the geometry
    that the backbone expects (`backbone.clip`); a video shorter than a clip is looped. The
    backbone runs in inference mode on batches of one fixed shape, while the next videos are
    decoded: memory holds a few videos' clips, however long the list.

    Args:
        backbone: `VideoBackbone`.
        videos: one path, a list of paths, or a `Videos`.
        clips: int, clips a video.
        pooling: "average" (over time and space), "retrieval" (VCOP: max-pool 1x2x2, flattened),
            a function of the feature map `[B, T, H, W, C]`, or a tuple of names, which gives
            a dict of features from one pass.
        batch_size: int, clips per forward pass.
        workers: int, threads that decode.
        progress: bool, show a bar.
        sampler: `Sampler` or None, cuts other clips than the above.
        per_clip: bool, True keeps the clips apart.
        return_rows: bool, also return which rows of `videos` the features belong to.
        skipped: list or None; {"path", "reason"} of videos left out is appended to it.
        out: path of an .npy file, or None. The features go there video by video, and come back as a
            `numpy.memmap` of it: memory then does not grow with the number of videos. For one
            pooling and a list of videos; the file is whole or absent.

    Returns:
        float32 `[D]` for one path, else `[N, D]` (`[clips, D]`, `[N, clips, D]` with
        `per_clip`). With `return_rows`, (features, int64 `[N]`).

    Raises:
        ValueError: a path or a list of paths names a video that can't be read. In a `Videos`
            such rows are left out, with one line on stderr. Or `out` with one path or with several
            poolings.

    Example:

    ```python
    backbone.embed("clip.mp4").shape                           # (512,)
    backbone.embed(videos.test, pooling="retrieval").shape     # (193, 9216)
    ```
    """
    single = isinstance(videos, (str, os.PathLike))
    table = as_videos(videos)
    sampler = sampler or uniform_clips(backbone.clip, clips)
    function = _compiled(backbone, pooling, sampler.shape[1:])
    rows, outputs = [], []
    strict = table is not videos
    if out is not None and (single or isinstance(pooling, (tuple, list))):
        raise ValueError(
            "Expected a list of videos and one pooling with `out`, received "
            f"{'one path' if single else pooling}; leave `out` away."
        )
    with contextlib.nullcontext() if out is None else ArrayFile(out) as file:
        for row, values in stream(
            function, table, sampler, batch_size, workers, progress, strict=strict, skipped=skipped
        ):
            rows.append(row)
            values = values if per_clip else [v.mean(axis=0) for v in values]
            outputs.append(values) if file is None else file.append(values[0])
        if not rows:
            raise ValueError(f"Expected at least one readable video, but none of {len(table)} is.")
    if out is not None:
        features = np.load(out, mmap_mode="r")
        return (features, np.array(rows, np.int64)) if return_rows else features
    features = [np.stack(column).astype(np.float32) for column in zip(*outputs, strict=True)]
    if single:
        features = [value[0] for value in features]
    if isinstance(pooling, (tuple, list)):
        features = dict(zip(pooling, features, strict=True))
    else:
        (features,) = features
    return (features, np.array(rows, np.int64)) if return_rows else features


def last_map(backbone, clips):
    """The feature map `[B, T, H, W, C]` of clips in inference mode, also of a frame network."""
    from keras import ops

    if len(backbone.input.shape) == 5:
        return backbone(clips, training=False)
    if clips.shape[1] != 1:
        raise ValueError(
            f"Expected clips of one frame for {type(backbone).__name__}, which takes frames, "
            f"received {clips.shape[1]}; set clip={{'frames': 1}}."
        )
    return ops.expand_dims(backbone(clips[:, 0], training=False), 1)


def pool(feature_map, pooling):
    """Turns a feature map `[B, T, H, W, C]` into `[B, D]`; see `embed`.

    For "retrieval", a map smaller than 2 in height or width is pooled over what there is.
    """
    from keras import ops

    if callable(pooling):
        return pooling(feature_map)
    if pooling not in ("average", "retrieval"):
        raise ValueError(
            f'Expected pooling "average", "retrieval" or a function, received {pooling!r}.'
        )
    if len(feature_map.shape) == 2:  # fully connected features are pooled already
        return feature_map
    if pooling == "average":
        return ops.mean(feature_map, axis=tuple(range(1, len(feature_map.shape) - 1)))
    window = (1, min(2, feature_map.shape[2]), min(2, feature_map.shape[3]))
    pooled = ops.max_pool(feature_map, window, strides=window, padding="valid")
    return ops.reshape(pooled, (-1, int(np.prod(pooled.shape[1:]))))


def _compiled(backbone, pooling, shape):
    """The backbone with pooling; kept beside the backbone so that it is traced once."""
    import keras

    names = tuple(pooling) if isinstance(pooling, (tuple, list)) else (pooling,)
    # Neither a layer nor a container: Keras must neither track nor save what it holds.
    if not hasattr(backbone, "_embedders"):
        object.__setattr__(backbone, "_embedders", types.SimpleNamespace(known={}))
    known = backbone._embedders.known
    key = names, shape
    if key not in known:
        inputs = keras.Input(shape, dtype="uint8")
        feature_map = last_map(backbone, inputs)
        known[key] = compiled(inputs, [pool(feature_map, name) for name in names])
    return known[key]
