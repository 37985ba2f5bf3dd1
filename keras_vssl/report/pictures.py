"""Pictures of a run, kept in its folder: thumbnails of videos, and what a masked method filled in."""

import base64
import io

import numpy as np

from keras_vssl.files import write_atomic

SIDE = 132
QUALITY = 78


def thumbnail(path, side=SIDE):
    """The middle frame of a video as JPEG bytes, its shorter side `side` pixels, cut square.

    Raises:
        ReadError: the video can't be read.
    """
    from PIL import Image

    from keras_vssl.data import VideoReader

    with VideoReader(path) as reader:
        (frame,) = reader.frames([reader.info.frames // 2])
    height, width = frame.shape[:2]
    cut = min(height, width)
    left, top = (width - cut) // 2, (height - cut) // 2
    box = (left, top, left + cut, top + cut)
    image = Image.fromarray(frame).resize((side, side), Image.BICUBIC, box=box)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def collect(paths, file):
    """Writes the thumbnails of `paths` to `file` (.npz); what can't be read is left out.

    Those already in the file are kept, so a page can be drawn again once the videos are gone.

    Returns:
        dict of path to JPEG bytes.
    """
    from keras_vssl.data import ReadError

    known = read(file)
    wanted = list(dict.fromkeys(map(str, paths)))
    fresh = {}
    for path in wanted:
        if path in known:
            continue
        try:
            fresh[path] = thumbnail(path)
        except (ReadError, OSError, ValueError):
            continue
    if fresh:
        _save(file, {**known, **fresh})
    return {path: jpeg for path, jpeg in {**known, **fresh}.items() if path in set(wanted)}


def read(file):
    """The thumbnails in `file`, a dict of path to JPEG bytes; empty where there is none."""
    try:
        with np.load(file, allow_pickle=False) as held:
            ends = np.cumsum(held["sizes"])
            data = held["jpeg"].tobytes()
            starts = ends - held["sizes"]
            return {
                str(path): data[start:end]
                for path, start, end in zip(held["paths"], starts, ends, strict=True)
            }
    except (OSError, ValueError, KeyError):
        return {}


def data_uri(image, kind="jpeg"):
    """JPEG or PNG bytes as an address that a page carries in itself."""
    return f"data:image/{kind};base64," + base64.b64encode(image).decode("ascii")


def reconstruction(task, clips, most=6):
    """Three rows a clip: its frames, what the network saw of them, and what it made of that.

    Args:
        task: has `reconstruct(clips)`, `inference_mask` `[N]`, and a backbone with `grid`, `patch`.
        clips: uint8 `[B, T, H, W, 3]`.
        most: int, frames shown of each clip.

    Returns:
        bytes, a PNG.
    """
    from PIL import Image

    hidden = task.inference_mask.reshape(task.backbone.grid)
    hidden = np.kron(hidden, np.ones(task.backbone.patch, bool))[None, ..., None]
    rows = np.stack([clips, np.where(hidden, 96, clips), task.reconstruct(clips)], axis=1)
    times = np.unique(np.linspace(0, clips.shape[1] - 1, most).round().astype(int))
    rows = rows[:, :, times].astype("uint8")
    rows = np.pad(rows, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    page = np.concatenate(np.concatenate(rows, axis=0).transpose(0, 2, 1, 3, 4), axis=0)
    page = page.reshape(page.shape[0], -1, 3)
    scale = max(1, round(96 / clips.shape[2]))
    image = Image.fromarray(page.repeat(scale, axis=0).repeat(scale, axis=1))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _save(file, thumbnails):
    buffer = io.BytesIO()
    np.savez(
        buffer,
        paths=np.array(list(thumbnails), dtype=str),
        sizes=np.array([len(jpeg) for jpeg in thumbnails.values()], dtype=np.int64),
        jpeg=np.frombuffer(b"".join(thumbnails.values()), dtype=np.uint8),
    )
    write_atomic(file, buffer.getvalue())
