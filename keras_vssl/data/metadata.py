"""Probed metadata, kept between runs."""

import hashlib
import json
import os
import sys

from keras_vssl.files import write_json_atomic


def cache_folder():
    """Where probed metadata is kept: `KERAS_VSSL_CACHE`, else `~/.cache/keras_vssl`."""
    default = os.path.join(os.path.expanduser("~"), ".cache", "keras_vssl")
    return os.environ.get("KERAS_VSSL_CACHE") or default


def metadata(paths, root, workers=None, timeout=10.0, progress=True, cache=True):
    """The `VideoInfo` of every path, from the cache where the file has not changed since.

    Args:
        paths: list of str, absolute.
        root: str or None, names the cache file.
        workers, timeout, progress, cache: as for `Videos.probe`.

    Returns:
        list of `VideoInfo`.
    """
    from keras_vssl.data.probe import probe_files
    from keras_vssl.data.reader import VideoInfo

    known = _read(root) if cache else {}
    stamps = [_stamp(path) for path in paths]
    infos, todo = [], []
    for i, (path, stamp) in enumerate(zip(paths, stamps)):
        entry = known.get(path)
        fresh = entry is not None and stamp is not None and entry["stamp"] == stamp
        infos.append(VideoInfo(**entry["info"]) if fresh else None)
        if not fresh:
            todo.append(i)
    if not todo:
        return infos
    with _Bar(len(todo), progress and len(todo) > 20, "probing videos") as show:
        found = probe_files(
            [paths[i] for i in todo], workers=workers, timeout=timeout, decode=False, progress=show
        )
    for i, info in zip(todo, found):
        infos[i] = info
        if stamps[i] is not None:
            known[paths[i]] = {"stamp": stamps[i], "info": info.to_dict()}
    if cache:
        try:
            write_json_atomic(_cache_path(root), known)
        except OSError as error:
            print(f"The metadata cache could not be written ({error}).", file=sys.stderr)
    return infos


def _stamp(path):
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _cache_path(root):
    digest = hashlib.sha256((root or "").encode()).hexdigest()[:16]
    return os.path.join(cache_folder(), f"probe-{digest}.json")


def _read(root):
    try:
        with open(_cache_path(root), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


class _Bar:
    """A tqdm bar as a `callable(done, total)`, or nothing."""

    def __init__(self, total, wanted, text):
        self.total, self.wanted, self.text = total, wanted, text

    def __enter__(self):
        if not self.wanted:
            return None
        from tqdm import tqdm

        self.bar = tqdm(total=self.total, desc=self.text, unit="video", leave=False, disable=None)
        return lambda done, total: self.bar.update(done - self.bar.n)

    def __exit__(self, *error):
        if self.wanted:
            self.bar.close()
