"""Trackers: a box in the first of some frames, followed through the others.

A tracker is any `track(frames, box) -> boxes`: `frames` is a list of uint8 `[H, W, 3]`, `box`
(left, top, right, bottom) in pixels of the first. It gives float `[n, 4]`, the boxes in the first n
frames, the given one among them; n is less than the number of frames where it lost its target.
"""

import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# OpenCV's trackers that need no file of weights -> the names of what makes one.
_OPENCV = {
    "mil": ("TrackerMIL_create",),
    "kcf": ("TrackerKCF_create", "legacy.TrackerKCF_create"),
    "csrt": ("TrackerCSRT_create", "legacy.TrackerCSRT_create"),
}
TRACKERS = ("mosse", *_OPENCV)


def make_tracker(name="mosse"):
    """A tracker by its name.

    Args:
        name: "mosse" (Bolme et al. CVPR 2010; NumPy alone), "mil" (Babenko et al. CVPR 2009;
            OpenCV), "kcf" (Henriques et al. PAMI 2015, which the paper used) or "csrt" (Lukezic et
            al. CVPR 2017), both of OpenCV's contributed modules.

    Returns:
        `track(frames, box) -> boxes`, see the module.

    Raises:
        ValueError: an unknown name, or OpenCV is not installed or lacks it.
    """
    if name not in TRACKERS:
        raise ValueError(f"Expected a tracker of {', '.join(TRACKERS)}, received {name!r}.")
    if name == "mosse":
        return mosse
    try:
        import cv2
    except ImportError:
        raise ValueError(
            f"Tracker {name!r} needs OpenCV, which is not installed; pip install keras-vssl[flow], "
            'or use the tracker "mosse".'
        ) from None
    for path in _OPENCV[name]:
        make = cv2
        for part in path.split("."):
            make = getattr(make, part, None)
        if make is not None:
            return lambda frames, box: _follow(make(), frames, box)
    raise ValueError(
        f"Tracker {name!r} is in OpenCV's contributed modules alone; pip install "
        'opencv-contrib-python-headless in place of opencv-python-headless, or use "mosse".'
    )


def _follow(tracker, frames, box):
    left, top, right, bottom = (int(round(side)) for side in box)
    tracker.init(np.ascontiguousarray(frames[0]), (left, top, right - left, bottom - top))
    boxes = [box]
    for frame in frames[1:]:
        found, (x, y, width, height) = tracker.update(np.ascontiguousarray(frame))
        if not found:
            break
        boxes.append((x, y, x + width, y + height))
    return np.array(boxes, np.float64)


def grey(frame):
    """uint8 `[H, W, 3]` as float32 luma `[H, W]`, 0 to 255."""
    return frame.astype(np.float32) @ _LUMA


def mosse(frames, box, rate=0.125, least_psr=6.0):
    """An adaptive correlation filter: it finds the shift of a box of fixed size.

    The filter turns the box's content into a narrow peak at its centre. It is trained on the first
    box and small warps of it, and takes in each box that it finds. A shift of more than half a box
    from one frame to the next is beyond it.

    Args:
        frames, box: see the module.
        rate: float, what a new box weighs in the filter.
        least_psr: float, the least ratio of the peak, over the mean of the response around it, to
            the standard deviation there; with less the target is lost.

    Returns:
        float64 `[n, 4]`.

    Reference:
        Bolme, Beveridge, Draper, Lui. Visual object tracking using adaptive correlation filters.
        CVPR 2010; the peak's place between pixels by a parabola is ours.
    """
    left, top, right, bottom = (float(side) for side in box)
    height, width = max(int(round(bottom - top)), 8), max(int(round(right - left)), 8)
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    # Offsets from the centre, in the order of the FFT: the wanted peak is at [0, 0].
    rows, columns = np.fft.fftfreq(height, 1 / height), np.fft.fftfreq(width, 1 / width)
    goal = np.fft.rfft2(np.exp(-(rows[:, None] ** 2 + columns[None] ** 2) / (2 * 2.0**2)))

    def spectrum(image, x, y, warp=None):
        patch = np.log1p(_cut(image, x, y, height, width, warp))
        patch = (patch - patch.mean()) / (patch.std() + 1e-5)
        return np.fft.rfft2(patch * window)

    x, y = (left + right) / 2, (top + bottom) / 2
    image = grey(frames[0])
    rng = np.random.default_rng(0)
    warps = [None, *(np.eye(2) + rng.uniform(-0.05, 0.05, (2, 2)) for _ in range(7))]
    first = [spectrum(image, x, y, warp) for warp in warps]
    above = sum(goal * np.conj(f) for f in first)
    below = sum(f * np.conj(f) for f in first).real
    boxes = [tuple(box)]
    for frame in frames[1:]:
        image = grey(frame)
        ridge = 1e-3 * below.mean()
        found = spectrum(image, x, y)
        response = np.fft.irfft2(above / (below + ridge) * found, (height, width))
        down, across = np.unravel_index(np.argmax(response), response.shape)
        if not _sharpness(response, down, across) >= least_psr:
            break
        dx = columns[across] + _vertex(response[down], across)
        dy = rows[down] + _vertex(response[:, across], down)
        x, y = x + dx, y + dy
        left, top, right, bottom = left + dx, top + dy, right + dx, bottom + dy
        boxes.append((left, top, right, bottom))
        found = spectrum(image, x, y)
        above = rate * goal * np.conj(found) + (1 - rate) * above
        below = rate * (found * np.conj(found)).real + (1 - rate) * below
    return np.array(boxes, np.float64)


def _cut(image, x, y, height, width, warp=None):
    """Pixels around a centre, between pixels by interpolation; the edge goes on outside."""
    rows, columns = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    if warp is None:
        return bilinear(image, x - 0.5 + columns[None], y - 0.5 + rows[:, None])
    across = warp[0, 0] * columns[None] + warp[0, 1] * rows[:, None]
    down = warp[1, 0] * columns[None] + warp[1, 1] * rows[:, None]
    return bilinear(image, x - 0.5 + across, y - 0.5 + down)


def bilinear(image, x, y):
    """Values of `image` `[H, W]` at pixel numbers x, y (arrays that broadcast)."""
    height, width = image.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    right, down = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def _sharpness(response, row, column):
    """The peak-to-sidelobe ratio, 11 x 11 pixels around the peak left out."""
    height, width = response.shape
    rest = np.ones(response.shape, bool)
    around = np.arange(-5, 6)
    rest[np.ix_((row + around) % height, (column + around) % width)] = False
    side = response[rest]
    return (response[row, column] - side.mean()) / (side.std() + 1e-9) if side.size else 0.0


def _vertex(line, i):
    """Where a parabola through a peak and its neighbours is highest, from the peak's place."""
    before, peak, after = line[i - 1], line[i], line[(i + 1) % len(line)]
    bend = before - 2 * peak + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
