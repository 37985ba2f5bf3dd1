"""What is computed of videos once and kept on disk: one file a video, named by what it holds."""

import concurrent.futures
import functools
import hashlib
import os

from keras_vssl.data.frame_index import ReadError, require_file
from keras_vssl.data.metadata import cache_folder

_PROBE = 65536  # bytes of a video's start, middle and end that its name in the cache stands for
_CHUNK = 32  # frames decoded at a time


class VideoCache:
    """Base of the caches: where a video's file is, and filling it for many videos.

    A file is named by the video's content (its size, and 64 KiB of its start, middle and end), so
    a moved or copied video keeps its file and a changed one gets its own. The settings name the
    folder. A subclass writes the file of one video (`write`, complete or not at all) and says
    what to do where it is absent (`absent`).

    Args:
        folder: str or None, where it is kept; None is `kind` in `KERAS_VSSL_CACHE`, else in
            `~/.cache/keras_vssl`.
        kind: str, what is kept, in a word: "flow".
        settings: str, names what the files depend on besides the video.
    """

    def __init__(self, folder, kind, settings):
        self.folder = os.path.expanduser(folder or os.path.join(cache_folder(), kind))
        self.kind, self.settings = kind, settings

    def require(self):
        """Raises `ValueError` where a package that `write` needs is not installed."""

    def write(self, video, timeout=20.0):
        """Computes what is kept of a video; see the subclass."""
        raise NotImplementedError

    def absent(self):
        """Why a video of which nothing is kept can't be used, and what to do."""
        raise NotImplementedError

    def path(self, video):
        """The file that holds, or would hold, what is kept of a video.

        Raises:
            ReadError: there is no such video.
        """
        video = os.fspath(video)
        status = require_file(video)
        name = _content(video, status.st_size, status.st_mtime_ns)
        return os.path.join(self.folder, self.settings, f"{name}.npz")

    def has(self, video):
        """Whether the video's file is kept; not that of a video which can't be read."""
        try:
            return os.path.isfile(self.path(video))
        except ReadError:
            return False

    def write_all(self, videos, workers=None, timeout=20.0, progress=None):
        """Computes what is not kept yet; run again after an interruption, it goes on.

        Args:
            videos: list of paths.
            workers: int, threads; None: one a processor.
            timeout: float, as for `write`.
            progress: callable(done, total) or None, called after every video.

        Returns:
            list of (path, reason) of the videos that can't be read.

        Raises:
            ValueError: a package that it needs is not installed.
        """
        self.require()  # fails here rather than once a video
        failed = []

        def one(video):
            try:
                if not self.has(video):
                    self.write(video, timeout)
            except ReadError as error:
                return video, error.reason

        pool = concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count() or 1)
        try:
            for done, failure in enumerate(pool.map(one, videos), 1):
                failed += [failure] if failure else []
                if progress is not None:
                    progress(done, len(videos))
        finally:
            pool.shutdown(cancel_futures=True)
        return failed


def every_frame(video, timeout=20.0):
    """The frames of a video from the first to the last, uint8 `[H, W, 3]`; memory stays flat.

    Args:
        video: path.
        timeout: float, seconds that decoding 32 frames may take.

    Raises:
        ReadError: a frame does not decode.
    """
    from keras_vssl.data.reader import VideoReader  # imports av

    with VideoReader(video, timeout=timeout) as reader:
        count = reader.info.frames
        if not count:
            raise ReadError(video, reader.info.error)
        for start in range(0, count, _CHUNK):  # in pieces: the time limit is for decoding
            yield from reader.frames(range(start, min(start + _CHUNK, count)))


@functools.lru_cache(maxsize=4096)
def _content(path, size, modified):
    """A name for what a file holds; read again only when size or time of change differ."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with open(path, "rb") as file:
        for place in (0, max(size - _PROBE, 0) // 2, max(size - _PROBE, 0)):
            file.seek(place)
            digest.update(file.read(_PROBE))
    return digest.hexdigest()
