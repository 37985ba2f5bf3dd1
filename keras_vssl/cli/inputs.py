"""Reads what the arguments name: videos, their split, and whether they are long enough."""

import os
import sys


def say(line):
    """One line about what is going on, on stderr: stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def on_terminal():
    """Whether progress bars make sense: in a log file they are noise."""
    return sys.stderr.isatty()


def read_videos(path):
    """The `Videos` of a folder, of a folder's splits.csv, or of a CSV.

    Raises:
        ValueError, FileNotFoundError: nothing there, or nothing that can be read as videos.
    """
    from keras_vssl.data.videos import Videos

    expanded = os.path.expanduser(path)
    if os.path.isdir(expanded):
        return Videos.from_folder(expanded)
    if not os.path.exists(expanded):
        raise FileNotFoundError(f"There is no folder or CSV file {path}.")
    if not expanded.lower().endswith((".csv", ".txt")):
        raise ValueError(
            f"Expected a folder of videos or a CSV with a column 'path', received the file {path}."
        )
    return Videos.from_csv(expanded)


def training_part(videos, split="auto"):
    """The rows to train on: "train" where the table has splits, so that test videos stay unseen.

    Args:
        videos: `Videos`.
        split: "auto", "train" or "all".
    """
    has = any(name == "train" for name in videos.splits)
    if split == "train" and not has:
        raise ValueError("There is no split named train; use --split all.")
    if split == "all" or not has:
        return videos
    return videos.train


def readable(videos, workers=None):
    """The videos that can be read, and those that can't.

    Args:
        videos: `Videos`.
        workers: int or None, probing processes.

    Returns:
        (`Videos`, list of {"path", "reason"}).

    Raises:
        ValueError: fewer than two readable videos.
    """
    videos.probe(workers=workers or None, progress=on_terminal())
    kept, unreadable = videos.usable()
    if len(kept) < 2:
        first = f"; the first: {unreadable[0]['path']}: {unreadable[0]['reason']}"
        raise ValueError(
            f"Expected at least two readable videos, but {len(kept)} of {len(videos)} can be "
            f"read{first if unreadable else ''}."
        )
    if unreadable:
        say(f"{len(unreadable)} of {len(videos)} videos can't be read and are left out, the first "
            f"{unreadable[0]['path']}: {unreadable[0]['reason']}")  # fmt: skip
    return kept, unreadable


def usable(videos, task, geometry=None):
    """The readable videos that a task can use, and those it can't.

    Args:
        videos: `Videos`, readable ones.
        task: `Task`.
        geometry: callable(frames of each video) giving the advice for short videos.

    Returns:
        (`Videos`, list of {"path", "reason"}).

    Raises:
        ValueError: fewer than two usable videos, or more than half are too short.
    """
    sampler = task.sampler
    kept, refused = videos.usable(sampler)
    short = 0
    if refused:  # for their length, and nothing else
        short = sum(
            reason is not None and reason == sampler.too_short(info)
            for info, reason in ((info, sampler.refuses(info)) for info in videos.infos)
        )
    if short > len(videos) / 2 and short == len(refused):
        need = max(sampler.span(info) for info in videos.infos)
        advice = geometry([info.frames for info in videos.infos]) if geometry else ""
        raise ValueError(
            f"{short} of {len(videos)} videos are too short: one sample needs {need} "
            f"frames{advice}."
        )
    if len(kept) < 2:
        raise ValueError(
            f"Expected at least two usable videos, but {len(refused)} of {len(videos)} can't be "
            f"used; the first: {refused[0]['path']}: {refused[0]['reason']}; {task.advice}."
        )
    if refused:
        say(f"{len(refused)} of {len(videos)} videos are left out, the first "
            f"{refused[0]['path']}: {refused[0]['reason']}")  # fmt: skip
    return kept, refused


def fitting(clips, frames, gap, stride):
    """Advice on clip lengths for videos that are too short, as a callable for `usable`.

    The gap keeps its proportion to the clip. All videos are to fit if that leaves clips of four
    frames or more, else nine in ten.
    """

    def span(length, between):
        return clips * ((length - 1) * stride + 1) + (clips - 1) * between

    def longest(room):
        for length in range(frames, 1, -1):
            between = round(gap * length / frames)
            if span(length, between) <= room:
                return length, between
        return None

    def advice(lengths):
        ordered = sorted(lengths)
        parts = f" ({clips} clips of {frames} and {clips - 1} gaps of {gap})"
        for share, room in (("all", ordered[0]), ("nine in ten", ordered[len(ordered) // 10])):
            found = longest(room)
            if found and (found[0] >= 4 or share != "all"):
                return (
                    f"{parts}; --frames {found[0]} --gap {found[1]} fits {share} of them, "
                    "--short loop repeats short videos"
                )
        return f"{parts}; --short loop repeats short videos"

    return advice


def load_backbone(preset, policy, clip=None):
    """The backbone of a preset, computing in `policy`, with parts of its clip replaced."""
    from keras_vssl.backbones import VideoBackbone

    backbone = VideoBackbone.from_preset(preset, dtype=policy)
    changed = {name: value for name, value in (clip or {}).items() if value is not None}
    if "size" in changed and "resize" not in changed:
        changed["resize"] = scaled(backbone.clip["resize"], backbone.clip["size"], changed["size"])
    wanted = {**backbone.clip, **changed}
    side = wanted["size"]
    shape = (wanted["frames"], *(side if isinstance(side, (tuple, list)) else (side, side)), 3)
    built = getattr(backbone, "clip_shape", (None,))
    if None not in built and tuple(built) != shape:
        # A transformer has positions for one grid, so another clip takes another graph.
        backbone = VideoBackbone.from_preset(preset, dtype=policy, clip_shape=shape)
    backbone.clip = wanted
    return backbone


def check_preset(preset, architectures=False):
    """Fails early, before a framework loads, where a preset's name stands for nothing."""
    from keras_vssl import hub
    from keras_vssl.backbones.presets import ARCHITECTURES

    if preset in ARCHITECTURES and architectures:
        return
    hub.resolve(preset)


def scaled(resize, size, new):
    """The frame that a crop of `new` pixels is cut from, as `resize` is to `size`."""
    if resize is None or size == new:
        return resize
    if isinstance(resize, (list, tuple)):
        return [max(new, round(side * new / size)) for side in resize]
    return max(new, round(resize * new / size))
