"""Finding out which frames a video has, with as little decoding as is safe."""

import itertools

import numpy as np

from keras_vssl.data.frame_index import FrameIndex, ReadError, VideoInfo
from keras_vssl.data.media import orientation, upright


def scan(media):
    """Build the FrameIndex: list the packets, decode the first frames, all if need be.

    Args:
        media: Media, just opened.

    Raises:
        ReadError: there is neither video nor sound, or no frame decodes.
    """
    rate, channels = media.sound
    if media.video is None:
        if rate is None:
            raise ReadError(media.path, "no video stream")
        info = VideoInfo(
            path=media.path,
            duration=media.duration,
            audio_rate=rate,
            audio_channels=channels,
            error="no video stream (audio only)",
        )
        return FrameIndex(info, np.zeros(0))
    fps, start, announced = media.fps, media.start, media.duration
    listed, last, error = media.list_packets()
    tables = None if error else index_packets(listed)
    media.rewind()
    base, errors = float(media.video.time_base), []
    frames = media.decode(media.packets(media.video), errors)
    head = list(itertools.islice(frames, 3))
    if not head:
        reason = (errors or [error or "it holds no picture"])[0]
        raise ReadError(media.path, f"no frame decodes: {reason}")
    turn = orientation(head[0])
    height, width = upright(head[0], turn, media.converter).shape[:2]
    stamps = [frame.pts for frame in head]
    # Fields stored as packets of their own, say, yield fewer frames than packets.
    if tables is None or stamps != tables[0][:3].tolist():
        stamps += [frame.pts for frame in frames]
        seconds, tables = frame_seconds(stamps, base, fps), ()
    else:
        seconds, errors = tables[0] * base, []
    reason = (errors or [error])[0]
    end = announced if last is None else max(announced, last - start)
    if end - announced < 0.45 / fps and announced:
        end = announced  # what lies beyond is the padding of the last packet of sound
    info = VideoInfo(
        path=media.path,
        decodable="partly" if reason else "yes",
        frames=len(seconds),
        width=width,
        height=height,
        fps=fps,
        duration=end or len(seconds) / fps,
        rotation=head[0].rotation,
        audio_rate=rate,
        audio_channels=channels,
        error=reason,
    )
    return FrameIndex(info, seconds, *tables, turn=turn)


def index_packets(packets):
    """Time stamp tables of `packets`, or None where time stamps can't number the frames.

    Numbering by sorted time stamps equals decoding from the start if every shown packet has a
    time stamp of its own, decoding begins at a key packet, nothing is to be shown before
    that, and no packet stored before a key packet is shown after it.

    Args:
        packets: list of (pts, size, is key, is hidden by an edit list, is sound: one
            undamaged picture) in stored order.

    Returns:
        (pts, sizes, keys) as in `FrameIndex`, or None.
    """
    shown = [p for p in packets if not p[3]]
    if not shown or not packets[0][2] or any(p[0] is None or not p[4] for p in packets):
        return None
    pts = np.array([p[0] for p in shown], dtype=np.int64)
    order = np.argsort(pts, kind="stable")
    sizes = np.array([p[1] for p in shown], dtype=np.int32)[order]
    pts = pts[order]
    if np.any(np.diff(pts) == 0) or min(p[0] for p in packets) < packets[0][0]:
        return None
    latest, keys = packets[0][0] - 1, []
    for stamp, _, is_key, _, _ in packets:
        if is_key:
            if stamp <= latest:
                return None
            keys.append((stamp, int(np.searchsorted(pts, stamp))))
        latest = max(latest, stamp)
    return pts, sizes, np.array(keys, dtype=np.int64)


def frame_seconds(stamps, time_base, fps):
    """Non-decreasing times in seconds from time stamps of which some may be missing.

    Args:
        stamps: list of int or None, in units of `time_base`.
        time_base: seconds a unit.
        fps: float > 0, frames a second, to fill in what is missing at either end.
    """
    known = [i for i, stamp in enumerate(stamps) if stamp is not None]
    if not known:
        return np.arange(len(stamps)) / fps
    values = np.array([stamps[i] for i in known], dtype=np.float64) * float(time_base)
    at = np.arange(len(stamps))
    seconds = np.interp(at, known, values)
    seconds += np.minimum(at - known[0], 0) / fps + np.maximum(at - known[-1], 0) / fps
    return np.maximum.accumulate(seconds)
