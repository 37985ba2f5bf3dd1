"""A data set transcoded once, so that reading random clips of it is fast: `prepare`."""

import concurrent.futures
import contextlib
import csv
import hashlib
import io
import json
import os
import queue
import shutil
import threading
import time

from keras_vssl.data.frame_index import ReadError, require_file
from keras_vssl.data.videos import Videos
from keras_vssl.data.worker import Worker
from keras_vssl.files import write_atomic, write_json_atomic

RECORD = "prepared.json"
_FORMAT = 1  # of what is written; another number is another setting
_UNFINISHED = ".unfinished"  # folder of what workers are writing
# What lies beside videos and says what they are: splits, captions, transcripts.
_TABLES = (".csv", ".json", ".md", ".srt", ".tsv", ".txt", ".vtt", ".xml")
# Saving the record may take this share of the time.
_SAVING = 0.05


def prepare(
    source,
    target,
    *,
    short_side=256,
    interval=12,
    quality=3,
    sound=True,
    flow=None,
    psnr=25.0,
    jobs=None,
    timeout=20.0,
    overwrite=False,
    progress=None,
):
    """Transcodes a data set into a folder that random clips are read from fast.

    Each video becomes MPEG-4 part 2 with a key frame every few frames, in an MP4 file **under its
    old name**, whatever its ending (readers go by content). That codec takes more disk than H.264,
    and opens and decodes in half the time. Class folders, `splits.csv`, manifests and the
    official split files mean the same videos as before, and a sampler draws the same clips. Tables
    beside the videos (.csv, .txt, .json, ...) come along. Frames keep their numbers and times;
    rotation is applied; sound, mixed to one channel, stays in step; see `transcode`.

    Every file is read back in full before it gets its name: number, size and times of the frames,
    and the error of each. One that fails, like one that can't be read, hangs or crashes the
    decoder, is left out by name, in the folder's CSV too. Killed and called again, it goes on; what
    is prepared already and unchanged is not done again.

    `target/prepared.json` holds the settings, the versions, what every video was made of (size,
    time of change, SHA-256) and what it became, and what was left out and why.

    Args:
        source: str, a folder as `Videos.from_folder` reads it, or a CSV as `Videos.from_csv` does.
        target: str, the folder to fill: new, empty, or prepared before with the same settings.
        short_side: int, pixels, even, of the shorter side; smaller videos keep their size, less an
            odd last row or column.
        interval: int, frames from one key frame to the next: what has to be decoded before a clip,
            half of it on average. Fewer take more disk.
        quality: int, 1 to 31, MPEG-4's quantiser; lower is better and larger.
        sound: bool, keep it.
        flow: str or None, a method of `FlowCache` whose flow of the prepared videos is kept in
            `target/flow`, for `FlowCache(target + "/flow", flow)`; needs OpenCV.
        psnr: float, decibel: a video of which a frame is further from what was meant is left out.
        jobs: int or None (the number of processors), videos at a time, each in its own process.
        timeout: float, seconds that opening a video, or decoding 32 frames, may take.
        overwrite: bool, begin again in a folder that was prepared, whatever the settings.
        progress: callable(done, total) or None, called after every video.

    Returns:
        Dict: "folder", "videos" (how many are prepared), "written" (how many of these just now),
        "failed" (list of {"path", "reason"}), "damaged" (the same, of videos of which only the
        frames before the damage were taken), "source_bytes" and "bytes" of the prepared ones.

    Raises:
        ValueError: a setting out of range; the target holds something else, was prepared with other
            settings, or lies in the source; OpenCV is not installed.
        FileNotFoundError: there is no such source.

    Example:

    ```python
    kv.data.prepare("kinetics/", "kinetics_256/")
    videos = kv.data.Videos.from_folder("kinetics_256/")
    ```
    """
    settings = _checked(
        short_side=short_side, interval=interval, quality=quality, sound=sound, psnr=psnr
    )
    if (jobs is not None and jobs < 1) or timeout <= 0:
        raise ValueError(
            f"Expected jobs of 1 or more and a positive timeout, received jobs={jobs} and "
            f"timeout={timeout}."
        )
    source, target = (os.path.abspath(os.path.expanduser(os.fspath(p))) for p in (source, target))
    cache = None
    if flow:
        from keras_vssl.data.flow import FlowCache

        cache = FlowCache(os.path.join(target, "flow"), flow)
        cache.require()
    names, manifest = _names(source)
    _check_apart(source, names, target)
    record = _Record(target, settings, names, overwrite)
    _copy_tables(source, target, names, manifest)
    work = _Work(names, target, record, cache, timeout)
    work.run(jobs or os.cpu_count() or 1, progress)
    if manifest:
        _write_manifest(source, target, manifest, names, left_out=record.failed)
    return work.report()


def _checked(**settings):
    """The settings as they are recorded; ValueError where one is out of range."""
    side, interval, quality = (settings[name] for name in ("short_side", "interval", "quality"))
    if side < 16 or side % 2:
        raise ValueError(f"Expected an even short_side of at least 16 pixels, received {side}.")
    if interval < 1:
        raise ValueError(f"Expected an interval of at least 1 frame, received {interval}.")
    if not 1 <= quality <= 31:
        raise ValueError(f"Expected a quality from 1 to 31, received {quality}.")
    return {"format": _FORMAT, **settings}


def _names(source):
    """({path of each video: its name below the target}, the CSV that lists them or None).

    Raises:
        FileNotFoundError, ValueError: as `Videos.from_folder` and `Videos.from_csv`.
    """
    manifest = None
    if os.path.isdir(source):
        videos = Videos.from_folder(source)
        table = os.path.join(source, "splits.csv")
        manifest = table if os.path.isfile(table) else None
    elif not os.path.exists(source):
        raise FileNotFoundError(f"There is no folder or CSV file {source}.")
    elif not source.lower().endswith((".csv", ".txt")):
        raise ValueError(f"Expected a folder of videos or a CSV, received the file {source}.")
    else:
        videos, manifest = Videos.from_csv(source), source
    root, paths = videos.root, videos.paths
    if any(name.startswith("../") for name in videos.relative_paths):
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
    return {path: os.path.relpath(path, root).replace(os.sep, "/") for path in paths}, manifest


def _check_apart(source, names, target):
    """ValueError where the target holds the source, or the source the target."""
    home = source if os.path.isdir(source) else os.path.dirname(source)
    real = os.path.realpath(target)
    for folder in {home, *map(os.path.dirname, names)}:
        folder = os.path.realpath(folder)
        if folder == real or folder.startswith(real + os.sep):
            raise ValueError(
                f"Expected a target apart from the videos, but {folder} is in {target}."
            )
    if os.path.isdir(source) and real.startswith(os.path.realpath(source) + os.sep):
        raise ValueError(f"Expected a target apart from the videos, but {target} is in {source}.")


class _Record:
    """`prepared.json`: settings, and what is done.

    Raises:
        ValueError: the target holds what was not prepared, or with other settings, or other videos.
    """

    def __init__(self, target, settings, names, overwrite):
        self._path = os.path.join(target, RECORD)
        self.videos, self.failed, versions = {}, {}, []
        held = self._read(target)
        if held and overwrite:
            for name in held["videos"]:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(target, name))
        elif held:
            _check_settings(held["settings"], settings, target)
            others = sorted(set(held["videos"]) - set(names.values()))
            if others:
                raise ValueError(
                    f"Expected {target} to hold videos of this source alone, but {len(others)} "
                    f"others were prepared there, the first {others[0]}; choose another folder, or "
                    "overwrite it."
                )
            self.videos, versions = held["videos"], held["versions"]
        now = _versions()
        self.settings = settings
        self._head = {"settings": settings, "versions": versions + [now] * (now not in versions)}
        self._lock, self._saved, self._took = threading.Lock(), 0.0, 0.0
        self.save()

    def _read(self, target):
        if os.path.isfile(target):
            raise ValueError(f"Expected a folder to write to, but {target} is a file.")
        if not os.path.isfile(self._path):
            if os.path.isdir(target) and any(n[0] != "." for n in os.listdir(target)):
                raise ValueError(
                    f"Expected a new or an empty folder, or one prepared before, but {target} holds "
                    f"files and no {RECORD}; choose another."
                )
            return None
        try:
            with open(self._path, encoding="utf-8") as file:
                held = json.load(file)
            if any(os.path.isabs(name) or ".." in name.split("/") for name in held["videos"]):
                raise ValueError("a name that leads out of the folder")
            return {name: held[name] for name in ("settings", "versions", "videos")}
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"Expected the record of a prepared folder in {self._path}, but it can't be read; "
                "delete the folder, or choose another."
            ) from None

    def done(self, path, name, target):
        """Whether a video is prepared, and neither it nor its source has changed since."""
        entry = self.videos.get(name)
        return (
            entry is not None
            and _unchanged(path, entry["source"])
            and _unchanged(os.path.join(target, name), entry["written"])
        )

    def add(self, name, entry):
        """Notes a video that is prepared, and saves the record now and then."""
        with self._lock:
            self.videos[name] = entry
            if time.monotonic() - self._saved > self._took / _SAVING:
                self._save(complete=False)

    def fail(self, name, reason):
        """Notes a video that is left out; what was made of an earlier state of it goes."""
        with self._lock:
            self.videos.pop(name, None)
            self.failed[name] = reason

    def save(self, complete=False):
        """Writes the file."""
        with self._lock:
            self._save(complete)

    def _save(self, complete):
        began = time.monotonic()
        videos, failed = (dict(sorted(part.items())) for part in (self.videos, self.failed))
        state = {"complete": complete, "videos": videos, "failed": failed}
        write_json_atomic(self._path, {**self._head, **state})
        self._saved = time.monotonic()
        self._took = self._saved - began


def _check_settings(held, settings, target):
    changed = [f"{name} {held.get(name)}" for name in settings if held.get(name) != settings[name]]
    if changed:
        raise ValueError(
            f"{target} was prepared with {', '.join(changed)}; use the same settings, choose another "
            "folder, or overwrite it."
        )


class _Work:
    """Preparing what is not prepared yet, several videos at a time."""

    def __init__(self, names, target, record, cache, timeout):
        self.names, self.target, self.record, self.cache = names, target, record, cache
        self.timeout, self.written, self._stopped = timeout, 0, False
        self._parts = os.path.join(target, _UNFINISHED)

    def run(self, jobs, progress):
        """Prepares all; what fails is in the record."""
        jobs = min(jobs, len(self.names))
        self._sweep()  # after a run that was killed
        idle = queue.SimpleQueue()
        pool = [Worker("keras_vssl.data.transcode") for _ in range(jobs)]
        for number, worker in enumerate(pool):
            idle.put((number, worker))

        def one(path):
            number, worker = job = idle.get()
            try:
                self._one(path, worker, os.path.join(self._parts, f"{os.getpid()}-{number}.mp4"))
            finally:
                idle.put(job)

        executor, complete = concurrent.futures.ThreadPoolExecutor(jobs), False
        try:
            futures = [executor.submit(one, path) for path in self.names]
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                future.result()
                if progress is not None:
                    progress(done, len(futures))
            complete = True
        finally:
            self._stopped = True  # what fails from here on fails for being stopped
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in pool:
                worker.stop()
            executor.shutdown()
            for worker in pool:  # one may have been on its way to its worker
                worker.stop()
            self._sweep()
            self.record.save(complete)

    def _sweep(self):
        """Removes what was not finished."""
        shutil.rmtree(self._parts, ignore_errors=True)
        for name in os.listdir(self.target):
            if name.startswith(f".{RECORD}."):
                os.unlink(os.path.join(self.target, name))

    def _one(self, path, worker, part):
        name = self.names[path]
        place = os.path.join(self.target, name)
        request = {key: value for key, value in self.record.settings.items() if key != "format"}
        request |= {"path": path, "part": part, "timeout": self.timeout}
        try:
            if self.record.done(path, name, self.target):
                if self.cache and not self.cache.has(place):
                    self.cache.write(place, self.timeout)
                return
            stamp = _stamp(path)
            made = worker.ask(request, self.timeout)
            if "full" in made:
                raise OSError(made["full"], os.strerror(made["full"]), self.target)
            if "error" in made:
                raise ReadError(path, made["error"])
            if not _unchanged(path, stamp):
                raise ReadError(path, "it was changed while it was read")
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.replace(part, place)
            if self.cache:
                self.cache.write(place, self.timeout)
        except ReadError as error:
            if not self._stopped:
                self.record.fail(name, error.reason)
                if os.path.isfile(place):
                    os.unlink(place)
            return
        self.record.add(name, {"source": stamp, "written": _stamp(place), **made})
        self.written += 1

    def report(self):
        """What `prepare` returns."""
        videos, failed = self.record.videos, self.record.failed
        damaged = {name: entry["damage"] for name, entry in videos.items() if entry["damage"]}
        rows = (
            [{"path": name, "reason": reason} for name, reason in sorted(part.items())]
            for part in (failed, damaged)
        )
        sizes = {
            key: sum(entry[part]["size"] for entry in videos.values())
            for key, part in (("source_bytes", "source"), ("bytes", "written"))
        }
        counts = {"folder": self.target, "videos": len(videos), "written": self.written}
        return {**counts, **dict(zip(("failed", "damaged"), rows)), **sizes}


def _copy_tables(source, target, names, manifest):
    """Copies the tables of a source folder; the one that lists the videos with their new names."""
    if manifest:
        _write_manifest(source, target, manifest, names)
    if not os.path.isdir(source):
        return
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in files:
            path = os.path.join(folder, file)
            if path == manifest or file == RECORD or not file.lower().endswith(_TABLES):
                continue
            place = os.path.join(target, os.path.relpath(path, source))
            with open(path, "rb") as table:
                write_atomic(place, table.read())


def _write_manifest(source, target, manifest, names, left_out=()):
    """The CSV with the videos' new names, without the rows of those left out."""
    with open(manifest, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), reader.fieldnames
    text, home = io.StringIO(), os.path.dirname(manifest)
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        name = names[os.path.abspath(os.path.join(home, row["path"]))]
        if name not in left_out:
            writer.writerow({**row, "path": name})
    write_atomic(os.path.join(target, os.path.basename(manifest)), text.getvalue())


def _stamp(path):
    """What tells that a file is still the same: its size, its time of change, its SHA-256."""
    status = require_file(path)
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": _sha256(path)}


def _sha256(path):
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReadError(path, (error.strerror or str(error)).lower()) from None


def _unchanged(path, stamp):
    """Whether a file is the one of the stamp; its content decides where its time differs."""
    try:
        status = require_file(path)
        if status.st_size != stamp["size"]:
            return False
        return status.st_mtime_ns == stamp["mtime_ns"] or _sha256(path) == stamp["sha256"]
    except ReadError:
        return False


def _versions():
    import av

    from keras_vssl import __version__

    libraries = {
        name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libswscale")
    }
    return {"keras_vssl": __version__, "av": av.__version__, **libraries}
