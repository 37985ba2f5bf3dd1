"""Videos made for tests, whose frames say their number, and what a plain decode makes of them."""

import fractions
import random

import av
import numpy as np

from keras_vssl.data.reader import VideoReader

RATE = 44100


def picture(number, size=(96, 64)):
    """A frame that says its number, in 8 black or white squares along the top."""
    rng = np.random.default_rng(5)
    texture = rng.integers(60, 190, (size[1] // 8 + 16, size[0] // 8, 3), dtype=np.uint8)
    image = texture[number % 16 :][: size[1] // 8].repeat(8, axis=0).repeat(8, axis=1)
    for bit in range(8):
        image[:12, bit * 12 : bit * 12 + 12] = 255 * (number >> bit & 1)
    return np.ascontiguousarray(image)


def number_of(frame):
    return sum(1 << bit for bit in range(8) if frame[6, bit * 12 + 6].mean() > 127)


def write(path, codec="libx264", options=None, times=range(120), size=(96, 64), sound=None, turn=0):
    """Encode `picture(0)`, `picture(1)`, ... shown at `times` (units of 1/25 s)."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options=options or {})
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        if turn:
            video.set_display_rotation(turn)
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", rate=RATE, layout="stereo")
        for number, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame.pts, frame.time_base = at, fractions.Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            for first in range(0, sound.shape[1] - 1023, 1024):
                part = np.ascontiguousarray(sound[:, first : first + 1024])
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = RATE, first
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return str(path)


def decode_plainly(path):
    """What a plain loop over the whole file yields, damaged packets left out."""
    frames = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            try:
                frames += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
            except av.FFmpegError:
                continue
    return frames


def assert_random_is_sequential(path, turn=0):
    truth = [np.rot90(frame, turn // 90) for frame in decode_plainly(path)]
    with VideoReader(path) as reader:
        frames = reader.info.frames
        assert frames == len(truth) or reader.info.decodable != "yes"
        rng = random.Random(1)
        indices = [rng.randrange(frames) for _ in range(50)]
        together = reader.frames(indices)
        for i, frame in zip(indices, together, strict=True):
            assert np.array_equal(frame, truth[i]), f"{path}: frame {i} in one call"
        for i in indices[:20]:
            assert np.array_equal(reader.frames([i])[0], truth[i]), f"{path}: frame {i} alone"


STREAMS = {
    "closed_gop.mp4": ("libx264", {"x264-params": "keyint=15:bframes=3"}),
    "closed_gop.ts": ("libx264", {"x264-params": "keyint=15:bframes=3"}),
    "open_gop.mkv": ("libx264", {"x264-params": "open-gop=1:keyint=20:bframes=5:scenecut=0"}),
    "open_gop.ts": ("libx264", {"x264-params": "open-gop=1:keyint=20:bframes=5:scenecut=0"}),
    # Its key packets are none: pictures after them are whole only a refresh later.
    "intra_refresh.mkv": ("libx264", {"x264-params": "intra-refresh=1:keyint=20:bframes=0"}),
    "one_key.mp4": ("libx264", {"x264-params": "keyint=999:bframes=3"}),
    "no_time_stamps.h264": ("libx264", {"x264-params": "keyint=15:bframes=3"}),
    "broken_time_stamps.avi": ("libx264", {"x264-params": "keyint=15:bframes=3"}),
    "program_stream.mpg": ("mpeg2video", {"bf": "2", "g": "12"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2", "g": "12"}),
    "vp8.webm": ("libvpx", {"g": "40", "deadline": "realtime"}),
    "hevc_open_gop.mp4": (
        "libx265",
        {"x265-params": "open-gop=1:keyint=20:bframes=4:log-level=none"},
    ),
}
