"""Small real files for tests: written with the codec users have."""

import os

import numpy as np


def moving_square(frames=16, width=64, height=48, seed=0):
    """A bright square on its way over a dark ground: uint8 `[T, H, W, 3]`."""
    rng = np.random.default_rng(seed)
    colour, ground = rng.integers(120, 256, 3), rng.integers(0, 100, 3)
    x, y = rng.integers(0, width), rng.integers(0, height)
    dx, dy = rng.integers(-3, 4, 2)
    video = np.empty((frames, height, width, 3), dtype=np.uint8)
    video[:] = ground
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    for t in range(frames):
        inside = ((columns - x - dx * t) % width < 12) & ((rows - y - dy * t) % height < 12)
        video[t][inside] = colour
    return video


def write_clip(path, frames=16, width=64, height=48, fps=25, seed=0, video=None):
    """Writes an mp4; returns its path as str."""
    import av

    os.makedirs(os.path.dirname(path), exist_ok=True)
    video = moving_square(frames, width, height, seed) if video is None else video
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = video.shape[2], video.shape[1], "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "12"}
        for image in video:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return str(path)


def write_folder(root, classes=2, each=4, **kwargs):
    """Class folders of clips under `root`; returns it as str."""
    for c in range(classes):
        for i in range(each):
            write_clip(f"{root}/class_{c}/clip_{i}.mp4", seed=17 * c + i, **kwargs)
    return str(root)
