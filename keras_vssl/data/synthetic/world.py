"""Renders motion-world videos and writes folders of them: mp4 files, splits and captions."""

import csv
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np

from keras_vssl.data.synthetic import motion, scene, sound
from keras_vssl.files import write_atomic, write_json_atomic

_VERSION = 4  # of the world: raise it when the same arguments give different videos
_GROUP = 4  # videos that share one appearance


def render(class_index, seed=0, level="plain", frames=40, size=64, fps=25):
    """Renders one video of the motion world without writing a file.

    Args:
        class_index: index into `CLASSES`, or a name from it.
        seed: int or tuple of ints, 0 or more. The same seed gives another class the same appearance
            and the same start.
        level: `"plain"`, `"textured"` (shape and ground carry patterns) or `"distractors"`
            (patterns, three smaller shapes that mean nothing, and a camera that pans).
        frames: number of frames, 1 or more. Speeds are per frame: `fps` changes no picture.
        size: side of the square frame in pixels, 16 or more.
        fps: frames a second.

    Returns:
        `(video, audio, caption)`: uint8 `[frames, size, size, 3]`, float32 mono at 16,000 Hz in
        -1..1 of the same length in time, and an English sentence.

    Example:

    ```python
    video, audio, caption = kv.data.synthetic.render("bounce", seed=3, level="textured")
    ```
    """
    _check(level=level, frames=frames, size=size, fps=fps)
    name = _class_name(class_index)
    key = tuple(seed) if isinstance(seed, (tuple, list)) else (seed,)
    return _render(name, (*key, 1), (*key, 2), level, frames, size, fps)


def _render(name, look_key, motion_key, level, frames, size, fps):
    look = scene.Appearance.draw(np.random.default_rng(look_key))
    rng = np.random.default_rng(motion_key)
    track = motion.track(name, frames, rng)
    video = scene.draw(look, track, level, size, rng)
    return video, sound.sing(look, track, fps, rng), look.caption(name, level)


def write(
    root,
    level="plain",
    videos=1200,
    classes=12,
    frames=40,
    size=64,
    fps=25,
    seed=0,
    workers=2,
    progress=None,
):
    """Writes a folder of labelled motion-world videos with sound and captions.

    Class folders hold mp4 files (H.264, a key frame every 12 frames; AAC mono at 16,000 Hz).
    `splits.csv` (`path,label,group,split`) puts about a quarter of the groups into `test`; a group
    is four videos of mixed classes with one appearance, so that nothing about an appearance names a
    class. `captions.csv` (`path,caption`) holds a sentence a video. The content depends on the
    arguments only, not on `workers`. A folder that was written with the same arguments is kept as
    it is, and one that was interrupted is completed.

    Args:
        root: folder to write; created if absent.
        level: `"plain"`, `"textured"` or `"distractors"`, see `render`.
        videos: number of videos, at least one a class.
        classes: how many of `CLASSES`, from the first (2 to 20), or a sequence of their names.
        frames: frames a video.
        size: side of the square frame in pixels, even, 16 or more.
        fps: frames a second.
        seed: int, 0 or more.
        workers: threads that render and encode.
        progress: `None` or a function called with `(done, total)` after each video.

    Returns:
        `root` as a string.

    Raises:
        ValueError: an argument is out of range, or `root` holds something else.

    Example:

    ```python
    root = kv.data.synthetic.write("world", videos=1200, classes=12)
    videos = kv.data.Videos.from_csv(f"{root}/splits.csv")
    ```
    """
    root = os.fspath(root)
    names = _class_names(classes)
    _check(level=level, frames=frames, size=size, fps=fps, seed=seed, workers=workers)
    if size % 2:
        raise ValueError(f"`size` must be even for H.264, but {size} was received; use {size + 1}.")
    if not _is_int(videos) or videos < len(names):
        raise ValueError(
            f"`videos` must be an integer of at least one a class ({len(names)}), but {videos!r} "
            "was received."
        )
    spec = {
        "world": _VERSION,
        "level": level,
        "videos": int(videos),
        "classes": list(names),
        "frames": int(frames),
        "size": int(size),
        "fps": float(fps),
        "seed": int(seed),
    }
    spec_path = os.path.join(root, "spec.json")
    if _claim(root, spec_path, spec):
        return root
    rows = _plan(spec)
    for name in names:
        os.makedirs(os.path.join(root, name), exist_ok=True)

    def one(index):
        row = rows[index]
        path = os.path.join(root, row["path"])
        if not os.path.exists(path):  # files appear whole, so what is there is done
            video, audio, _ = _render(
                row["label"],
                (seed, 1, row["look"]),
                (seed, 2, index),
                level,
                frames,
                size,
                fps,
            )
            _encode(path, video, audio, fps)
        look = scene.Appearance.draw(np.random.default_rng((seed, 1, row["look"])))
        return look.caption(row["label"], level)

    captions = []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for caption in pool.map(one, range(videos)):
                captions.append(caption)
                if progress is not None:
                    progress(len(captions), videos)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    _write_csv(root, "splits.csv", ("path", "label", "group", "split"), rows)
    texts = [{"path": r["path"], "caption": c} for r, c in zip(rows, captions, strict=True)]
    _write_csv(root, "captions.csv", ("path", "caption"), texts)
    write_json_atomic(spec_path, {**spec, "complete": True})
    return root


def _claim(root, spec_path, spec):
    """Whether `root` is complete already; otherwise marks it as being written with `spec`."""
    if os.path.isfile(spec_path):
        with open(spec_path, encoding="utf-8") as file:
            found = json.load(file)
        complete = found.pop("complete", False)
        if found != spec:
            differ = sorted(k for k in {*found, *spec} if found.get(k) != spec.get(k))
            raise ValueError(
                f"{root} holds a motion world written with other arguments ({', '.join(differ)}); "
                "delete it or choose another folder."
            )
        return complete
    if os.path.exists(root) and (not os.path.isdir(root) or os.listdir(root)):
        raise ValueError(
            f"{root} exists and is not a motion world; choose a folder that is absent or empty."
        )
    os.makedirs(root, exist_ok=True)
    write_json_atomic(spec_path, {**spec, "complete": False})
    return False


def _plan(spec):
    """Rows of splits.csv, plus the number of the appearance each video has."""
    rng = np.random.default_rng((spec["seed"], 0))
    count, names = spec["videos"], spec["classes"]
    # Classes are dealt in random order over the groups: within a group, as between groups, one
    # video's class says nothing about another's.
    labels = rng.permutation(np.arange(count) % len(names))
    groups = -(-count // _GROUP)
    test = set(rng.permutation(groups)[: max(1, round(groups / 4))].tolist())
    rows = []
    for index, label in enumerate(labels):
        look, name = index // _GROUP, names[label]
        rows.append(
            {
                "path": f"{name}/v{index:05d}.mp4",
                "label": name,
                "group": f"g{look:04d}",
                "split": "test" if look in test else "train",
                "look": look,
            }
        )
    return rows


def _encode(path, video, audio, fps):
    import av

    part = f"{path}.part"
    try:
        with av.open(part, "w", format="mp4") as out:
            picture = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            picture.width, picture.height = video.shape[2], video.shape[1]
            picture.pix_fmt, picture.gop_size = "yuv420p", 12
            # One thread: the workers fill the cores. No macroblock tree: on frames this small
            # x264's reads memory it has not set, and equal pictures give other bytes each time.
            picture.codec_context.thread_count = 1
            picture.options = {
                "crf": "17",
                "preset": "veryfast",
                "sc_threshold": "0",
                "x264-params": "no-mbtree=1",
            }
            hum = out.add_stream("aac", rate=sound.RATE, layout="mono")
            for image in video:
                out.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            out.mux(picture.encode())
            samples = av.AudioFrame.from_ndarray(audio[None], format="fltp", layout="mono")
            # Without a time stamp the encoder's run-up is not cut, and all is heard 64 ms late.
            samples.sample_rate, samples.pts = sound.RATE, 0
            out.mux(hum.encode(samples))
            out.mux(hum.encode())
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def _write_csv(root, name, columns, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(os.path.join(root, name), text.getvalue())


def _is_int(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _class_name(index):
    if isinstance(index, str):
        return _class_names([index])[0]
    if not _is_int(index) or not 0 <= index < len(motion.CLASSES):
        raise ValueError(
            f"A class is an index from 0 to {len(motion.CLASSES) - 1} or a name from CLASSES, but "
            f"{index!r} was received."
        )
    return motion.CLASSES[index]


def _class_names(classes):
    if _is_int(classes) and 2 <= classes <= len(motion.CLASSES):
        return motion.CLASSES[:classes]
    names = (
        () if _is_int(classes) or isinstance(classes, (str, float, bool)) else tuple(classes or ())
    )
    if not names or len(set(names)) != len(names) or not set(names) <= set(motion.CLASSES):
        raise ValueError(
            f"`classes` must be a number from 2 to {len(motion.CLASSES)} or different names out of "
            f"{', '.join(motion.CLASSES)}, but {classes!r} was received."
        )
    return names


def _check(level, frames, size, fps, seed=0, workers=1):
    if level not in scene.LEVELS:
        raise ValueError(f"`level` must be one of {', '.join(scene.LEVELS)}, but is {level!r}.")
    for name, value, least in (
        ("frames", frames, 1),
        ("size", size, 16),
        ("seed", seed, 0),
        ("workers", workers, 1),
    ):
        if not _is_int(value) or value < least:
            raise ValueError(
                f"`{name}` must be an integer of {least} or more, but {value!r} was received."
            )
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps <= 1000:
        raise ValueError(f"`fps` must be a number above 0 and up to 1000, but is {fps!r}.")
