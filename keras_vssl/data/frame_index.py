"""What is known of a video before its frames are decoded: VideoInfo, FrameIndex, and a cache."""

import bisect
import collections
import dataclasses
import os
import stat
import threading

import numpy as np


class ReadError(Exception):
    """A file that can't be read, or not the part that was asked for.

    Args:
        path: str, the file.
        reason: str, what is wrong with it, for a person to read.
    """

    def __init__(self, path, reason):
        super().__init__(path, reason)  # both in args, so that the exception survives pickling
        self.path = str(path)
        self.reason = reason

    def __str__(self):
        return f"{self.path}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Args:
        path: str, the file.
        decodable: "yes", "partly" (damaged: `frames` counts what can be read) or "no".
        frames: int, number of frames of the first video stream, in presentation order.
        width: int, pixels, of the first frame after rotation.
        height: int, pixels, of the first frame after rotation.
        fps: float, average frames per second.
        duration: float, seconds, of the longest stream.
        rotation: int, degrees counter-clockwise that players turn the stored frame by.
        audio_rate: int, Hz, or None without sound.
        audio_channels: int, or None without sound.
        error: str, what went wrong, or None.
    """

    path: str
    decodable: str = "no"
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration: float = 0.0
    rotation: int = 0
    audio_rate: int | None = None
    audio_channels: int | None = None
    error: str | None = None

    def to_dict(self):
        """The fields as a dict that JSON can hold; `VideoInfo(**d)` reads it back."""
        return dataclasses.asdict(self)


def require_file(path):
    """`os.stat` of a readable regular file that is not empty; anything else is a ReadError.

    A FIFO or a device would block the open call for ever, so they are refused before it.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise ReadError(path, (getattr(error, "strerror", None) or str(error)).lower()) from None
    if stat.S_ISDIR(status.st_mode):
        raise ReadError(path, "not a regular file (a directory); give a video file")
    if not stat.S_ISREG(status.st_mode):
        raise ReadError(path, "not a regular file (a pipe, socket or device)")
    if status.st_size == 0:
        raise ReadError(path, "the file is empty")
    if not os.access(path, os.R_OK):
        raise ReadError(path, "permission denied")
    return status


@dataclasses.dataclass(frozen=True)
class FrameIndex:
    """Which frames a video has and where decoding can begin.

    Frame `i` is the `i`-th that decoding from the start yields. Where packets have trustworthy
    time stamps that is the `i`-th smallest `pts`, and a frame can be reached by seeking;
    elsewhere (`pts` is None) frames were counted by decoding and are reached by counting.

    Args:
        info: VideoInfo.
        seconds: float64 `[frames]`, absolute times of the frames, non-decreasing.
        pts: int64 `[frames]` in units of the stream's time base, or None.
        sizes: int32 `[frames]`, bytes of each frame's packet: tells that a packet found after
            seeking is the one it claims to be. None when `pts` is.
        keys: int64 `[keys, 2]`: pts and first frame number not before each key packet.
        turn: how the first frame, and so all, are to be turned, as `media.orientation` says.
    """

    info: VideoInfo
    seconds: np.ndarray
    pts: np.ndarray | None = None
    sizes: np.ndarray | None = None
    keys: np.ndarray | None = None
    turn: tuple | None = None

    def find(self, pts):
        """The number of the frame with this time stamp, or -1."""
        if pts is None:
            return -1
        # Asked for every packet and every frame: NumPy's search takes ten times as long to start.
        i = bisect.bisect_left(memoryview(self.pts), pts)
        return i if i < len(self.pts) and self.pts[i] == pts else -1

    def has_seen(self, packet):
        """Whether a demuxed packet is one that the scan from the start has seen."""
        i = self.find(packet.pts)
        return packet.is_discard or (i >= 0 and self.sizes[i] == packet.size)

    def key_of(self, packet):
        """First frame number not before `packet`, or None if it is no key packet of ours."""
        if not packet.is_keyframe or packet.pts is None or not self.has_seen(packet):
            return None
        rows = np.flatnonzero(self.keys[:, 0] == packet.pts)
        return int(self.keys[rows[0], 1]) if len(rows) else None

    def key_before(self, frame):
        """Row of `keys` from which decoding to `frame` (a frame number) has least to do."""
        return max(int(np.searchsorted(self.keys[:, 1], frame, side="right")) - 1, 0)


class IndexCache:
    """The indices used last, keyed by path, modification time and size; safe across threads.

    Args:
        frames: int, how many frames the kept indices may have together (about 20 bytes each).
    """

    def __init__(self, frames=1_000_000):
        self._room = frames
        self._entries = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key):
        """The index stored under `key`, or None."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key, index):
        """Store `index` and drop what was used longest ago when there are too many."""
        cost = len(index.seconds) + 100  # an index of few frames has its own overhead
        with self._lock:
            if key in self._entries or cost > self._room:
                return
            self._entries[key] = index
            self._room -= cost
            while self._room < 0:
                _, old = self._entries.popitem(last=False)
                self._room += len(old.seconds) + 100
