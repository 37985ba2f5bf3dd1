"""Videos whose parts have texture, so that keypoints are found and followed in them."""

import numpy as np


def texture(height, width, seed, fineness=0.15, wave=(0.0, 0.0)):
    """Blurred colour noise: float `[H, W, 3]`, 0 to 255.

    Args:
        fineness: float, cycles a pixel over which the spectrum falls off.
        wave: (x, y), cycles a pixel that it falls off from: with more than 0, rough stripes.
    """
    noise = np.random.default_rng(seed).normal(size=(3, height, width))
    rows, columns = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    smooth = sum(
        np.exp(-((np.hypot(rows[:, None] - y, columns[None] - x) / fineness) ** 2))
        for x, y in (wave, (-wave[0], -wave[1]))
    )
    planes = np.fft.irfft2(np.fft.rfft2(noise) * smooth, (height, width))
    planes = (planes - planes.mean(axis=(1, 2), keepdims=True)) / planes.std(
        axis=(1, 2), keepdims=True
    )
    return np.clip(np.moveaxis(planes, 0, -1) * 50 + 128, 0, 255)


def square_over_ground(
    frames=24, size=96, side=60, start=(8.0, 14.0), step=(1.1, 0.6), seed=0, **kind
):
    """A textured square on its way over a textured ground that stands still.

    Args:
        size: int, pixels of the frame's sides. side: int, of the square's.
        start: (x, y) of its upper left corner in the first frame. step: its motion a frame.
        seed: int. **kind: of the square's texture.

    Returns:
        (uint8 `[T, size, size, 3]`, int `[T, 4]`, where the square is: left, top, right, bottom).
    """
    ground, square = texture(size, size, 2 * seed), texture(side, side, 2 * seed + 1, **kind)
    video, boxes = [], []
    for t in range(frames):
        x, y = (int(round(a + t * b)) for a, b in zip(start, step))
        frame = ground.copy()
        frame[y : y + side, x : x + side] = square
        video.append(frame)
        boxes.append((x, y, x + side, y + side))
    return np.stack(video).astype(np.uint8), np.array(boxes)


def panned(video, step=2):
    """The same seen by a camera that moves to the right; narrower by what it moves over."""
    width = video.shape[2] - step * (len(video) - 1)
    return np.stack([frame[:, step * t : step * t + width] for t, frame in enumerate(video)])
