"""Patches that move, found in videos and followed: pairs of pictures of the same thing."""

import dataclasses
import functools
import io
import json
import os
import zipfile
import zlib
from collections import Counter, deque

import numpy as np
from PIL import Image

from keras_vssl.data.cache import VideoCache, every_frame
from keras_vssl.data.frame_index import ReadError
from keras_vssl.data.keypoints import corners, displacements, homography, transfer
from keras_vssl.data.plans import Plan, Spatial, View
from keras_vssl.data.samplers import Sampler
from keras_vssl.data.trackers import grey, make_tracker
from keras_vssl.files import write_atomic

_FORMAT = 1  # of the kept files and of the constants here; another number is another cache
_LEAST_POINTS = 12  # keypoints without which a frame says nothing
_PAPER_SIDE = 448  # pixels, the shorter side of the paper's frames
_SLACK = 0.1  # what a box may leave the frame by, in shares of its side, and is moved back
# Why a frame or a track is left out, in the order of the tests.
REASONS = ("too short", "without texture", "still", "moving as a whole", "lost", "unlike")


@dataclasses.dataclass(frozen=True)
class TrackMiner:
    """Finds patches that move in a video and follows each.

    In every `every`-th frame keypoints are found, and found again `gap` frames later; a homography
    that most of them obey is the camera's motion. A keypoint moves if what is left of its motion
    exceeds `threshold`. A frame in which a smaller share of keypoints moves than `shares[0]`
    (nothing moves, or noise does), or a larger one than `shares[1]` (the camera's motion was not
    removed), is left out. Else the square that holds most moving keypoints is followed for `length`
    frames.

    A track is left out if the tracker loses it, if its box leaves the frame, or if the first and
    the last patch are not correlated.

    Args:
        tracker: a name of `keras_vssl.data.trackers.TRACKERS`, or `track(frames, box) -> boxes`.
        short_side: int, pixels of the frame's shorter side in which all this is done; a smaller
            video keeps its size.
        window: float, side of the patch in shares of the shorter side; the paper has 227 pixels
            in frames of 448 x 600.
        length: int, frames from the first patch to the last. In a shorter video: to its end.
        least: int, frames that a track has at least.
        every: int, frames from one search to the next.
        threshold: float, pixels a frame in a video whose shorter side is 448 pixels, as the paper's
            is; the tolerance of the homography too.
        gap: int, frames between the two that are compared: what noise adds counts for less.
        shares: (least, most).

    Reference:
        Wang, Gupta. ICCV 2015, Sec. 3, with SURF, improved dense trajectories and KCF; that code is
        not released. Here are Shi and Tomasi's corners, Lucas and Kanade's motion, RANSAC.
    """

    tracker: object = "mosse"
    short_side: int = 240
    window: float = 227 / _PAPER_SIDE
    length: int = 30
    least: int = 10
    every: int = 15
    threshold: float = 0.5
    gap: int = 3
    shares: tuple = (0.25, 0.75)

    def __post_init__(self):
        object.__setattr__(self, "shares", tuple(float(share) for share in self.shares))
        if not (self.short_side >= 32 and 0.1 <= self.window <= 1):
            raise ValueError(
                f"Expected a short_side of at least 32 pixels and a window from 0.1 to 1 of it, "
                f"received {self.short_side} and {self.window}."
            )
        if not (1 <= self.gap <= self.least <= self.length and self.every >= 1):
            raise ValueError(
                f"Expected 1 <= gap <= least <= length and every >= 1, received gap={self.gap}, "
                f"least={self.least}, length={self.length} and every={self.every}."
            )
        if not (self.threshold > 0 and 0 <= self.shares[0] < self.shares[1] <= 1):
            raise ValueError(
                f"Expected a threshold above 0 and shares=(least, most) from 0 to 1, received "
                f"{self.threshold} and {self.shares}."
            )

    def mine(self, frames, count):
        """The tracks of a video.

        Args:
            frames: iterable of uint8 `[H, W, 3]`. count: int, how many there are.

        Returns:
            (list of (first frame's number, float32 boxes `[n, 4]`), `Counter` of `REASONS`).
            Boxes are (left, top, right, bottom) in shares of the frame, as a `View` has them.
        """
        track = make_tracker(self.tracker) if isinstance(self.tracker, str) else self.tracker
        length, found, left_out = min(self.length, count - 1), [], Counter()
        if length < self.least:
            return found, Counter({"too short": 1})
        recent = deque(maxlen=length + 1)
        for i, frame in enumerate(frames):
            recent.append(self._resized(frame))
            start = i - length
            if start < 0 or start % self.every:
                continue
            box, reason = self.propose(recent[0], recent[self.gap])
            if box is not None:
                boxes, reason = self._follow(track, list(recent), box)
            if reason:
                left_out[reason] += 1
            else:
                found.append((start, boxes))
        return found, left_out

    def propose(self, before, after):
        """The patch of a frame that moves most.

        Args:
            before, after: uint8 `[H, W, 3]`, two frames, `gap` apart.

        Returns:
            (box in pixels, None), or (None, the reason out of `REASONS`).
        """
        before, after = grey(before), grey(after)
        points = corners(before)
        moved, kept = displacements(before, after, points)
        points, moved = points[kept], moved[kept]
        if len(points) < _LEAST_POINTS:
            return None, "without texture"
        # In pixels of these frames.
        threshold = self.threshold * self.gap * min(before.shape) / _PAPER_SIDE
        camera = transfer(homography(points, moved, threshold), points)
        moves = np.hypot(*(moved - camera).T) > threshold
        if moves.mean() < self.shares[0]:
            return None, "still"
        if moves.mean() > self.shares[1]:
            return None, "moving as a whole"
        side = round(self.window * min(before.shape))
        return best_box(points[moves], before.shape, side), None

    def _resized(self, frame):
        height, width = frame.shape[:2]
        scale = min(self.short_side / min(height, width), 1.0)
        if scale == 1.0:
            return frame
        size = round(width * scale), round(height * scale)
        return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))

    def _follow(self, track, frames, box):
        """(boxes in shares of the frame, None), or (None, the reason)."""
        boxes = np.asarray(track(frames, box), np.float64).reshape(-1, 4)
        if len(boxes) < len(frames):
            return None, "lost"
        height, width = frames[0].shape[:2]
        size, limit = boxes[:, 2:] - boxes[:, :2], np.array([width, height])
        inside = np.clip(boxes[:, :2], 0, np.maximum(limit - size, 0))
        slack = _SLACK * size.min(axis=1, keepdims=True)
        if not (np.abs(inside - boxes[:, :2]) <= slack).all() or (size > limit).any():
            return None, "lost"
        boxes = np.concatenate([inside, inside + size], axis=1)
        if not correlation(frames[0], boxes[0], frames[-1], boxes[-1]) > 0:
            return None, "unlike"
        return (boxes / np.tile(limit, 2)).astype(np.float32), None


def best_box(points, shape, side):
    """The square with most points in it; of equals the one nearest to the points' middle.

    Args:
        points: `[N, 2]`, x and y in pixels. shape: (height, width). side: int, pixels.

    Returns:
        (left, top, right, bottom), pixels.
    """
    height, width = shape
    counts = np.zeros((height + 1, width + 1), np.int64)
    x, y = np.clip(np.round(points).astype(int), 0, (width - 1, height - 1)).T
    np.add.at(counts, (y + 1, x + 1), 1)
    total = counts.cumsum(axis=0).cumsum(axis=1)
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
    inside = inside + total[:-side, :-side]
    tops, lefts = np.nonzero(inside == inside.max())
    x, y = np.median(points, axis=0) - side / 2
    best = np.argmin((lefts - x) ** 2 + (tops - y) ** 2)
    left, top = float(lefts[best]), float(tops[best])
    return left, top, left + side, top + side


def correlation(first, first_box, last, last_box, size=32):
    """Of two patches' grey levels, -1 to 1; not a number where a patch has one level alone."""
    patches = []
    for frame, box in ((first, first_box), (last, last_box)):
        patch = Image.fromarray(frame).convert("L").resize((size, size), box=tuple(box))
        patch = np.asarray(patch, np.float64)
        patches.append(patch - patch.mean())
    one, other = patches
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else float("nan")


class TrackCache(VideoCache):
    """The tracks of videos, one small file a video, mined once. Needs no OpenCV.

    A file holds the number of each track's first frame and its boxes in all its frames, and how
    many frames and tracks were left out for what reason. It can be empty of tracks.

    Args:
        folder: str or None, where it is kept; None is `tracks` in `KERAS_VSSL_CACHE`, else in
            `~/.cache/keras_vssl`.
        **settings: arguments of `TrackMiner`; the tracker by its name.

    Example:

    ```python
    cache = TrackCache(length=20)
    mine_tracks(["clip.mp4"], cache)
    for start, boxes in cache.read("clip.mp4"):
        print(start, boxes[0], boxes[-1])
    ```
    """

    def __init__(self, folder=None, **settings):
        known = [field.name for field in dataclasses.fields(TrackMiner)]
        if unknown := sorted(set(settings) - set(known)):
            raise ValueError(
                f"Expected settings out of {', '.join(known)}, received {unknown[0]}; leave it out."
            )
        self.miner = TrackMiner(**settings)
        if not isinstance(self.miner.tracker, str):
            raise ValueError(
                f"Expected a tracker by its name, because it names the cache, received "
                f"{self.miner.tracker!r}; a tracker of your own goes to TrackMiner."
            )
        self.changed = {
            field.name: getattr(self.miner, field.name)
            for field in dataclasses.fields(TrackMiner)
            if getattr(self.miner, field.name) != field.default
        }
        m = self.miner
        numbers = (
            m.short_side,
            m.window,
            m.length,
            m.least,
            m.every,
            m.threshold,
            m.gap,
            *m.shares,
        )
        name = "-".join([m.tracker, *(f"{n:.4g}" for n in numbers), f"v{_FORMAT}"])
        super().__init__(folder, "tracks", name)

    def require(self):
        make_tracker(self.miner.tracker)

    def write(self, video, timeout=20.0):
        """Mines a video and keeps its tracks; complete or not at all.

        Args:
            video: path.
            timeout: float, seconds that decoding 32 frames may take.

        Returns:
            str, the file's path.

        Raises:
            ReadError: a frame does not decode.
            ValueError: the tracker needs OpenCV, which is not installed or lacks it.
        """
        from keras_vssl.data.reader import VideoReader  # imports av

        path, file = self.path(video), io.BytesIO()
        with VideoReader(video, timeout=timeout) as reader:
            count = reader.info.frames
        found, left_out = self.miner.mine(every_frame(video, timeout), count)
        np.savez_compressed(
            file,
            starts=np.array([start for start, _ in found], np.int32),
            lengths=np.array([len(boxes) for _, boxes in found], np.int32),
            boxes=np.concatenate([np.zeros((0, 4), np.float32), *(boxes for _, boxes in found)]),
            left_out=np.array([left_out[reason] for reason in REASONS], np.int32),
        )
        write_atomic(path, file.getvalue())
        return path

    def read(self, video):
        """A video's tracks: list of (first frame's number, float32 boxes `[n, 4]`).

        Boxes are (left, top, right, bottom) in shares of the frame.

        Raises:
            ReadError: they are not kept, or the file is damaged.
        """
        return self._read(video)[0]

    def left_out(self, video):
        """How many frames and tracks were left out: `Counter` of `REASONS`."""
        return self._read(video)[1]

    def label(self, video, number):
        """The id of a video's track: int32 of 24 bits, the same wherever the video lies."""
        name = os.path.basename(self.path(video))
        return np.int32(zlib.crc32(f"{name}:{number}".encode()) & 0xFFFFFF)

    def refuses(self, video):
        """Why a video can't be used (one sentence), or None."""
        if not self.has(video):
            return self.absent()
        tracks, left_out = self._read(video)
        if tracks:
            return None
        why = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
        return (
            f"no moving patch of it was found and followed ({why}); leave it out, or mine it "
            f"otherwise with {self._command()} --option every=5 --option threshold=0.25"
        )

    def absent(self):
        """Why a video whose tracks are not kept can't be used, and what to do."""
        return f"its tracks are not in {self.folder}; run {self._command()}"

    def _command(self):
        options = "".join(
            f" --option {name}={json.dumps(value, separators=(',', ':')).strip(chr(34))}"
            for name, value in self.changed.items()
        )
        return f"keras-vssl mine FOLDER --kind tracks --cache {self.folder}{options}"

    def _read(self, video):
        path = self.path(video)
        try:
            return _load(path, os.stat(path).st_mtime_ns)
        except FileNotFoundError:
            raise ReadError(video, self.absent()) from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            reason = f"its tracks are damaged ({error}); delete {path}"
            raise ReadError(video, reason) from None


@functools.lru_cache(maxsize=4096)
def _load(path, modified):
    """(tracks, `Counter` of the reasons) of a file; read again only when its time changes."""
    with np.load(path, allow_pickle=False) as file:
        parts = (
            np.split(file["boxes"], np.cumsum(file["lengths"])[:-1]) if len(file["lengths"]) else []
        )
        tracks = list(zip(file["starts"].tolist(), parts))
        return tracks, Counter(dict(zip(REASONS, file["left_out"].tolist())))


def mine_tracks(videos, cache=None, workers=None, timeout=20.0, progress=None):
    """Finds and follows moving patches in those videos whose tracks are not kept yet.

    Args:
        videos: `Videos`, or a list of paths.
        cache: `TrackCache` or None (as it comes).
        workers, timeout, progress: see `VideoCache.write_all`.

    Returns:
        list of (path, reason) of the videos that can't be read.
    """
    cache = TrackCache() if cache is None else cache
    return cache.write_all(list(getattr(videos, "paths", videos)), workers, timeout, progress)


@dataclasses.dataclass(frozen=True)
class TrackedPatches(Sampler):
    """The first and the last patch of one track of a video, drawn from the mined ones.

    Views `[2, 1, H, W, 3]`, each mirrored or not on its own; target int32, the track's id, which
    the pairs of one track share.

    Args:
        tracks: `TrackCache`.
        size: int or (height, width), what a patch is resized to.
        flip: float, the probability of mirroring a patch.
    """

    tracks: TrackCache = dataclasses.field(default_factory=TrackCache)
    size: object = 227
    flip: float = 0.5

    frames = 1
    short = "skip"

    @property
    def spatial(self):
        return Spatial(None, self.size, "random", flip=self.flip)

    @property
    def views(self):
        return 2

    @property
    def mined(self):
        return (self.tracks,)

    def span(self, info):
        return self.tracks.miner.least + 1

    def refuses(self, info):
        return self.too_short(info) or self.tracks.refuses(info.path)

    def plan(self, info, rng):
        tracks = self.tracks.read(info.path)
        number = int(rng.integers(len(tracks)))
        start, boxes = tracks[number]
        views = tuple(
            View(
                np.array([start + place]),
                tuple(float(side) for side in boxes[place]),
                self.spatial.shape,
                bool(rng.random() < self.flip),
            )
            for place in (0, len(boxes) - 1)
        )
        return Plan(views, self.tracks.label(info.path, number))
