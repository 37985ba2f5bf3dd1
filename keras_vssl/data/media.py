"""One media file, opened: packets, decoded frames, sound. Imports av, alone in this package."""

import time

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import VideoReformatter

from keras_vssl.data.audio import to_mono
from keras_vssl.data.frame_index import ReadError

# A header may announce any frame size; more pixels than 8K square are refused.
_MAX_PIXELS = 8192 * 8192
MediaError = av.FFmpegError
# From version 17 on, PyAV would start as many threads as there are cores for every small frame.
_CONVERT = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


class Media:
    """An open file, its first video and its first audio stream, and a clock that runs out.

    Args:
        path: str, a regular file.
        threads: int, decoding threads; 0 lets the decoder choose.
        timeout: float, seconds until the methods give up, from `start_clock` on.

    Raises:
        ReadError: the file can't be opened.
    """

    def __init__(self, path, threads, timeout):
        self.path = path
        self._threads = threads
        self._timeout = timeout
        self._container = None
        self.converter = VideoReformatter()
        self.start_clock()
        self.open()

    def start_clock(self):
        """Give the calls that follow `timeout` seconds from now."""
        self._deadline = time.monotonic() + self._timeout

    def _check_clock(self):
        if time.monotonic() > self._deadline:
            raise ReadError(self.path, f"timed out after {self._timeout:g} s")

    def open(self):
        """Open the file, again if it is open: the one sure way back to its start."""
        self.close()
        self._check_clock()
        try:
            self._container = av.open(
                "file:" + self.path,  # else "a:b.mp4" or "concat:..." would name a protocol
                timeout=(self._timeout, self._timeout),
                # A playlist in disguise must not make the reader fetch from the network.
                options={"protocol_whitelist": "file", "max_pixels": str(_MAX_PIXELS)},
                metadata_errors="ignore",
            )
        except (av.FFmpegError, ValueError) as error:
            raise ReadError(self.path, reason_of(error)) from None
        streams = self._container.streams
        # Cover pictures of music files are listed as video.
        videos = [s for s in streams.video if not s.disposition & s.disposition.attached_pic]
        self.video = videos[0] if videos else None
        self.audio = streams.audio[0] if streams.audio else None
        if self.video is not None:
            self.video.thread_type = "NONE" if self._threads == 1 else "AUTO"
            self.video.codec_context.thread_count = self._threads
        self._at_start = True

    def close(self):
        """Close the file now, not when the garbage collector finds it."""
        if self._container is not None:
            self._container.close()
        self._container = self.video = self.audio = None

    def rewind(self):
        """Make the next packets those at the start of the file."""
        if not self._at_start:
            self.open()
        self._at_start = False

    def seek(self, seconds_or_pts, stream):
        """Seek to before a time stamp of `stream`, in its time base; False if it can't be."""
        self._at_start = False
        try:
            self._container.seek(int(seconds_or_pts), stream=stream)
        except av.FFmpegError:
            return False
        return True

    @property
    def start(self):
        """float, seconds: the earliest time stamp in the file, where it is after zero."""
        return max(self._container.start_time or 0, 0) / av.time_base

    @property
    def duration(self):
        """float, seconds, as the container announces it, or 0."""
        return max(self._container.duration or 0, 0) / av.time_base

    @property
    def fps(self):
        """float, average frames per second of the video stream, as announced."""
        for rate in (self.video.average_rate, self.video.guessed_rate, self.video.base_rate):
            if rate:
                return float(rate)
        return 25.0  # what FFmpeg assumes of streams that do not say

    @property
    def sound(self):
        """(samples per second, channels) of the audio stream, or (None, None)."""
        if self.audio is None:
            return None, None
        return self.audio.codec_context.sample_rate, self.audio.codec_context.channels

    def packets(self, stream):
        """The packets of `stream` that hold data, from the current position on."""
        for packet in self._container.demux(stream):
            self._check_clock()
            # To a decoder, an empty packet would mean that the stream ends.
            if packet.size:
                yield packet

    def list_packets(self):
        """List the video's packets, from the start of the file, without decoding.

        Returns:
            (packets as `index_packets` takes them, seconds at which the last packet of any
            stream ends or None, an error that ended the list early or None).
        """
        self.rewind()
        codec, listed, last, error = self.video.codec_context.name, [], None, None
        try:
            for packet in self.packets(None):
                if packet.pts is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    last = end if last is None else max(last, end)
                if packet.stream_index == self.video.index:
                    sound = not packet.is_corrupt and holds_one_picture(codec, packet)
                    flags = packet.is_keyframe, packet.is_discard, sound
                    listed.append((packet.pts, packet.size, *flags))
        except av.FFmpegError as caught:
            error = reason_of(caught)
        return listed, last, error

    def decode(self, packets, errors):
        """Frames of video `packets`; one that the decoder refuses costs that packet only.

        Args:
            packets: iterable of packets.
            errors: list, to which the decoder's errors are added as str.
        """
        context = self.video.codec_context
        packets = iter(packets)
        while True:
            self._check_clock()
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:  # reading failed; flush what has been read
                errors.append(reason_of(error))
                packet = None
            try:
                yield from context.decode(packet)
            except av.error.EOFError:
                pass
            except av.FFmpegError as error:
                errors.append(reason_of(error))
            if packet is None:
                return

    def hear(self):
        """Decode the audio stream from the current position on; damage is left out.

        Yields:
            (seconds or None, float32 `[n]`, mean of the channels, samples per second).
        """
        packets = self.packets(self.audio)
        while True:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet else ()
            except av.FFmpegError:
                continue
            if packet is None:
                return
            for frame in frames:
                seconds = None if frame.pts is None else float(frame.pts * frame.time_base)
                channels = len(frame.layout.channels)
                mono = to_mono(frame.to_ndarray(), channels, frame.format.is_planar)
                yield seconds, mono, frame.sample_rate


def is_disposable(context, packet):
    """Whether no other picture is decoded from a packet's, as far as its bytes tell.

    Known of H.264 as mp4 and mkv store it; False for what is not known.

    Args:
        context: the stream's codec context.
        packet: a packet that holds one picture.
    """
    header = context.extradata or b""
    if context.name != "h264" or header[:1] != b"\x01" or len(header) < 5:
        return False
    data, length, at = memoryview(packet), (header[4] & 3) + 1, 0
    while at + length < len(data):
        unit = data[at + length]
        if 1 <= unit & 31 <= 5:  # a slice; nal_ref_idc 0: not used for reference (H.264, 7.4.1)
            return not unit & 96
        at += length + int.from_bytes(data[at : at + length], "big")
    return False


def holds_one_picture(codec, packet):
    """Whether a packet yields exactly one frame, as far as its bytes tell without decoding.

    Args:
        codec: str, FFmpeg's codec name.
        packet: a packet, whose bytes are read for the two codecs known to do otherwise.
    """
    if codec == "vp8":  # alternate reference frames are packets of their own, never shown
        return bool(memoryview(packet)[0] & 0x10)
    if codec == "mpeg4":  # DivX: two pictures packed into one packet, then one that is empty
        # What FFmpeg encoded has neither, and its pictures of which nothing moves are as small.
        plain = b"Lavc" in (packet.stream.codec_context.extradata or b"")
        return (plain or packet.size >= 20) and bytes(packet).count(b"\x00\x00\x01\xb6") == 1
    return True


def orientation(frame):
    """How players are to turn the stored frames: (a, b, c, d) of the display matrix, or None.

    The stored (x, y) is shown at (a x + c y, b x + d y).
    """
    # Not `frame.side_data`: it ties the frame into a reference cycle, and its memory with it.
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    return a, b, c, d


def upright(frame, matrix, converter):
    """A decoded frame as an uint8 array `[H, W, 3]`, turned as its `orientation` asks.

    Args:
        converter: of one `Media`. `frame.to_ndarray` would make one, with its tables, a frame: half
            the time of a small frame's conversion.
    """
    array = converter.reformat(frame, format="rgb24", **_CONVERT).to_ndarray()
    if matrix is None:
        return array
    a, b, c, d = matrix
    if abs(b) > abs(a):  # a quarter turn: columns become rows
        array = array.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        array = array[:, ::-1]
    if d < 0:
        array = array[::-1]
    return np.ascontiguousarray(array)


def resample(samples, rate, new_rate):
    """Mono float32 `[n]` at another number of samples per second, aligned at the first."""
    if rate == new_rate or not len(samples):
        return samples
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="flt", layout="mono", rate=new_rate)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def reason_of(error):
    """What an error of the decoder says, without its number and path."""
    return getattr(error, "strerror", None) or str(error)
