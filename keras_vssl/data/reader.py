"""Reading frames and sound out of video files, exactly those asked for, in one pass."""

import dataclasses
import itertools
import os

import numpy as np
from PIL import Image

from keras_vssl.data.audio import Timeline
from keras_vssl.data.frame_index import IndexCache, ReadError, VideoInfo, require_file
from keras_vssl.data.media import Media, MediaError, is_disposable, reason_of, resample, upright
from keras_vssl.data.scan import scan

__all__ = ["ReadError", "VideoInfo", "VideoReader", "read_plan"]

# Seeking costs about as much as decoding this many frames.
_SEEK_FRAMES = 4
# Decoding of sound begins this long before the first sample wanted: codecs that overlap
# their blocks (AAC, Opus: 80 ms) or keep a bit reservoir (MP3) need a run-up.
_RUN_UP = 0.3
# Seconds of sound beyond either end that the resampling filter sees.
_MARGIN = 0.02

_INDICES = IndexCache()


class VideoReader:
    """Random access to the frames and the sound of one video file.

    Frame `i` is the `i`-th that decoding the first video stream from its start yields, byte for
    byte, whichever frames are asked for in whichever order. Only what the frames need is
    decoded. Containers' frame counts are not trusted: opening scans the packets (cached for
    the files used last) and decodes the first frames. Rotation that the file asks players
    for is applied. Use as a context manager, so that the file is closed.

    A frame that the decoder refuses (damage) is an error when asked for, not before. A file
    without a video stream can be opened for its sound.

    Args:
        path: str or path-like, a regular file.
        threads: int, decoding threads; 1 is best when several processes or threads read, 0
            lets the decoder choose.
        timeout: float, seconds that opening, or one call of `frames` or `audio`, may take.

    Raises:
        ReadError: the file can't be opened, holds neither video nor sound, none of its frames
            decodes, or the time is over.

    Example:

    ```python
    with VideoReader("clip.mp4") as reader:
        first, last = reader.frames([0, reader.info.frames - 1])  # uint8 [H, W, 3]
        sound = reader.audio(start=0.0, duration=1.0, rate=16000)  # float32 [16000]
    ```
    """

    def __init__(self, path, threads=1, timeout=20.0):
        self.path = os.fspath(path)
        status = require_file(self.path)
        key = (os.path.abspath(self.path), status.st_mtime_ns, status.st_size)
        self._frames = None  # iterator of (number, frame)
        self._next = None  # the number it yields next; None: it must not be used
        self._target = 0  # the number of the frame that is looked for
        self._left_out = set()  # numbers of frames on the way there that were not decoded
        self._sparse = True  # whether to leave any out; not once that led nowhere
        self._errors = []  # what the decoder refused, since the last call
        self._media = Media(self.path, threads, timeout)
        try:
            self._index = _INDICES.get(key)
            if self._index is None:
                self._index = scan(self._media)
                _INDICES.put(key, self._index)
        except MediaError as error:
            self.close()
            raise ReadError(self.path, reason_of(error)) from None
        except BaseException:
            self.close()
            raise

    @property
    def info(self):
        """VideoInfo of the file; `frames` counts packets unless the file had to be decoded."""
        # The cache finds a file under any spelling of its path.
        return dataclasses.replace(self._index.info, path=self.path)

    @property
    def timestamps(self):
        """float64 `[frames]`, seconds from the first frame, non-decreasing."""
        return self._index.seconds - self._origin

    @property
    def _origin(self):
        return self._index.seconds[0] if len(self._index.seconds) else 0.0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Close the file; frames already handed out stay valid."""
        self._frames = self._next = None  # the iterator holds decoder objects
        self._media.close()

    def frames(self, indices):
        """Frames by number.

        Args:
            indices: ints in 0..`info.frames` - 1, any order, repeats allowed.

        Returns:
            List of uint8 arrays `[H, W, 3]` (RGB) in the order asked. Sizes differ where the
            video changes its frame size midway. A repeated index gives the same array.

        Raises:
            ReadError: a frame that the video does not have or that does not decode; timeout.
        """
        indices = [int(i) for i in indices]
        found = {}
        self.visit(indices, found.__setitem__)
        return [found[i] for i in indices]

    def visit(self, indices, use):
        """Call `use(number, frame)` once for each distinct frame asked for, in one pass.

        Args and raises as in `frames`; one frame is held at a time.
        """
        self._media.start_clock()
        wanted, count = set(map(int, indices)), self.info.frames
        if not count:
            raise ReadError(self.path, self.info.error)
        for i in (min(wanted, default=0), max(wanted, default=0)):
            if not 0 <= i < count:
                reason = f"expected frame numbers from 0 to {count - 1}, received {i}"
                raise ReadError(self.path, reason)
        self._errors.clear()
        try:
            for target in sorted(wanted):
                if target in wanted:
                    self._go_to(target)
                    self._take(target, wanted, use)
            if wanted:  # seeking did not lead there; decoding from the start decides
                self._restart()
                self._take(max(wanted), wanted, use)
        except MediaError as error:
            raise ReadError(self.path, reason_of(error)) from None
        if wanted:
            reason = f"frame {min(wanted)} of {count} does not decode"
            raise ReadError(self.path, ": ".join([reason, *self._errors[:1]]))

    def audio(self, start, duration, rate):
        """A stretch of the first audio stream, mixed to one channel.

        Args:
            start: float, seconds from the first video frame (from the start of the file when
                it has no video); may be negative.
            duration: float, seconds.
            rate: int, Hz, of the result.

        Returns:
            float32 `[round(duration * rate)]` in [-1, 1]; zeros where the file has no sound.
        """
        result = np.zeros(max(round(duration * rate), 0), dtype=np.float32)
        if self._media.audio is None or not len(result):
            return result
        self._media.start_clock()
        self._next = None  # reading sound moves the position in the file
        native = self._media.sound[0] or rate
        begin = start + self._origin - _MARGIN
        length = round((duration + 2 * _MARGIN) * native)
        line = self._listen(begin, length, native, seek=True)
        if line is None:
            line = self._listen(begin, length, native, seek=False)
        samples = resample(line.samples, native, rate)[round(_MARGIN * rate) :][: len(result)]
        result[: len(samples)] = np.clip(samples, -1.0, 1.0)
        return result

    def verify(self):
        """Decode all frames, converting none.

        Returns:
            VideoInfo: `info`, or, where damage shows, "partly" with the decoder's reason and
            as `frames` those before the first that does not decode, so that every one of them
            can be read.

        Raises:
            ReadError: timeout.
        """
        info = self.info
        if self._index.pts is None:
            return info  # without time stamps, opening has decoded everything already
        self._media.start_clock()
        self._errors.clear()
        self._restart()
        decoded = {number for number, _ in self._frames}
        self._next = None
        missing = [i for i in range(info.frames) if i not in decoded]
        if not missing and not self._errors:
            return info
        frames = missing[0] if missing else info.frames
        reason = self._errors[0] if self._errors else f"frame {frames} does not decode"
        return dataclasses.replace(info, decodable="partly", frames=frames, error=reason)

    def _listen(self, begin, length, rate, seek):
        """Sound on a Timeline; None if seeking led past where it begins."""
        line = Timeline(begin, length, rate)
        stream, early = self._media.audio, begin - _RUN_UP
        first = stream.start_time
        if seek and first is not None and early > float(first * stream.time_base):
            if not self._media.seek(early / stream.time_base, stream):
                return None
            unsure = True
        else:
            self._media.rewind()
            unsure = False
        for seconds, samples, own_rate in self._media.hear():
            if unsure and (seconds is None or seconds > begin):
                return None
            unsure = False
            if seconds is not None and seconds >= line.end:
                break
            line.lay(resample(samples, own_rate, rate), seconds)
        return line

    def _restart(self, sparse=False):
        """Make `_frames` yield from the first frame on; see `_needed` for `sparse`."""
        media = self._media
        media.rewind()
        self._left_out.clear()
        packets = media.packets(media.video)
        frames = media.decode(self._needed(packets) if sparse else packets, self._errors)
        if self._index.pts is None:
            self._frames = enumerate(frames)
        else:
            self._frames = ((self._index.find(frame.pts), frame) for frame in frames)
        self._next, self._strict = 0, False

    def _needed(self, packets):
        """Leaves out, before the frame looked for, pictures that no other is made from."""
        context = self._media.video.codec_context
        for packet in packets:
            number = self._index.find(packet.pts)
            if 0 <= number < self._target and is_disposable(context, packet):
                self._left_out.add(number)
            else:
                yield packet

    def _go_to(self, target):
        """Make `_frames` yield `target` soon: go on, seek to a key packet, or start again."""
        self._target = target
        if self._next == target:
            return
        behind = self._next is None or self._next > target
        if self._index.pts is None:
            if behind:
                self._restart()
            return
        row = self._index.key_before(target)
        if not behind and self._index.keys[row, 1] <= self._next + _SEEK_FRAMES:
            return
        # Containers differ in what they seek by; where one overshoots, ask for an earlier key.
        if not any(self._seek(r, target) for r in (row, row - 1, row - 4) if r > 0):
            self._restart(sparse=self._sparse)

    def _seek(self, row, target):
        """Seek to a key packet; False if the file leads past `target` or elsewhere."""
        index, media, self._next = self._index, self._media, None
        if not media.seek(index.keys[row, 0], media.video):
            return False
        packets = media.packets(media.video)
        try:
            packet = next((p for p in packets if index.key_of(p) is not None), None)
        except MediaError:
            return False
        first = None if packet is None else index.key_of(packet)
        if first is None or first > target:
            return False
        seen = itertools.takewhile(index.has_seen, itertools.chain([packet], packets))
        self._left_out.clear()
        frames = media.decode(self._needed(seen) if self._sparse else seen, self._errors)
        numbered = ((index.find(frame.pts), frame) for frame in frames)
        # Pictures stored after the key packet but shown before it lack their references.
        self._frames = (pair for pair in numbered if pair[0] >= first)
        self._next, self._strict = first, True
        return True

    def _take(self, target, wanted, use):
        """Decode up to `target`, handing over and crossing off the frames in `wanted`."""
        for i, frame in self._frames:
            while self._next in self._left_out:
                self._next += 1
            # After a seek or a gap only an unbroken sequence of whole frames is believed.
            is_checked = self._strict or self._left_out
            if is_checked and (i != self._next or frame.is_corrupt):
                break
            self._next = i + 1
            if i in wanted:
                use(i, upright(frame, self._index.turn, self._media.converter))
                wanted.discard(i)
            if i >= target:
                return
        self._next, self._sparse = None, False


def read_plan(path, plan, threads=1, timeout=20.0):
    """Read what a plan asks for, decoding every frame once however many views share it.

    Args:
        path: str, the video file.
        plan: a `Plan`. Views of a group are of equal length and size, spans of sound too.
        threads: int, decoding threads.
        timeout: float, seconds for opening the file and again for its frames.

    Returns:
        Dict with "clips", uint8 `[V, T, h, w, 3]`, the plan's further groups of clips under their
        names, and, if the plan asks for sound, "audio", float32 `[A, samples]`. Crops are resized
        bilinearly from the exact box (fractions of a pixel count) and then mirrored. Groups of
        another source than the file's own frames are left out.

    Raises:
        ReadError: as `VideoReader`.
    """
    places, result = {}, {}
    for name, views in clip_groups(plan).items():
        shape = len(views), len(views[0].frames), *views[0].size, 3
        clips = result[name] = np.empty(shape, dtype=np.uint8)
        for v, view in enumerate(views):
            for t, i in enumerate(view.frames):
                places.setdefault(int(i), []).append((clips, view, v, t))
    with VideoReader(path, threads, timeout) as reader:
        if places:

            def use(i, frame):
                for clips, view, v, t in places[i]:
                    clips[v, t] = crop(frame, view)

            reader.visit(places, use)
        if plan.audio:
            spans = [reader.audio(a.start, a.duration, a.rate) for a in plan.audio]
            result["audio"] = np.stack(spans)
    return result


def clip_groups(plan, source="frames"):
    """The plan's groups of views from one source: dict of name to tuple, "clips" among them."""
    groups = {"clips": plan.views, **plan.groups}
    return {name: v for name, v in groups.items() if v and v[0].source == source}


def crop(frame, view):
    """Crop, resize and mirror one frame as a `View` asks: uint8 `[H, W, 3]` to `[h, w, 3]`."""
    height, width = frame.shape[:2]
    left, top, right, bottom = view.box
    box = left * width, top * height, min(right * width, width), min(bottom * height, height)
    if tuple(view.size) != (height, width) or box != (0, 0, width, height):
        size = view.size[1], view.size[0]
        # A decoder pads its rows, and Pillow would copy such a frame byte by byte.
        image = Image.fromarray(np.ascontiguousarray(frame))
        frame = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box))
    return frame[:, ::-1] if view.flip else frame
