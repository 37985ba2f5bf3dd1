"""RoIAlign and pasted patches agree with NumPy restatements, sample by sample."""

import numpy as np
from keras import ops

from keras_vssl.layers.pasting import paste_patches
from keras_vssl.layers.roi_align import ROIAlign
from tests import backends

RNG = np.random.default_rng(0)


def bilinear(picture, y, x):
    """A sample of `[H, W, C]` as the published kernel takes it."""
    height, width = picture.shape[:2]
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(picture.shape[2])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = picture[top, left] * (1 - dx) + picture[top, right] * dx
    lower = picture[bottom, left] * (1 - dx) + picture[bottom, right] * dx
    return upper * (1 - dy) + lower * dy


def aligned(features, boxes, size, samples):
    out = np.zeros((*boxes.shape[:2], size, size, features.shape[-1]))
    for b, n, row, column in np.ndindex(*out.shape[:4]):
        left, top, right, bottom = boxes[b, n]
        for i, j in np.ndindex(samples, samples):
            y = top - 0.5 + (row + (i + 0.5) / samples) * (bottom - top) / size
            x = left - 0.5 + (column + (j + 0.5) / samples) * (right - left) / size
            out[b, n, row, column] += bilinear(features[b], y, x) / samples**2
    return out


def test_roi_align_equals_its_restatement_and_so_does_its_gradient():
    features = RNG.normal(size=(2, 6, 5, 3)).astype("float32")
    boxes = RNG.uniform(0, 5, (2, 4, 4)).astype("float32")
    boxes[..., 2:] = boxes[..., :2] + RNG.uniform(0.3, 4, (2, 4, 2))
    boxes[0, 0] = (-6, -5, 8, 9)  # much of it outside
    layer = ROIAlign(3, 2)
    wanted = aligned(features, boxes, 3, 2)
    got = backends.run(layer, features, boxes, jit=True)
    assert np.allclose(got, wanted, atol=1e-5) and (wanted[0, 0] == 0).any()
    assert got.shape == layer.compute_output_shape(features.shape, boxes.shape)
    # It is linear in the map: the gradient is its transpose, and misses nothing.
    weights, other = RNG.normal(size=got.shape), RNG.normal(size=features.shape)
    value, (gradient, _) = backends.value_and_grad(
        lambda f, b: ops.sum(layer(f, b) * ops.convert_to_tensor(weights, "float32")),
        features,
        boxes,
    )
    assert np.isclose(value, np.sum(wanted * weights), atol=1e-3)
    assert np.isclose(
        np.sum(gradient * other), np.sum(aligned(other, boxes, 3, 2) * weights), atol=1e-3
    )


def resized(picture, height, width):
    """Bilinear, at half pixels, nothing from outside: `cv2.resize`."""
    rows = np.clip((np.arange(height) + 0.5) * len(picture) / height - 0.5, 0, len(picture) - 1)
    columns = (np.arange(width) + 0.5) * picture.shape[1] / width - 0.5
    columns = np.clip(columns, 0, picture.shape[1] - 1)
    return np.array([[bilinear(picture, y, x) for x in columns] for y in rows])


def test_patches_are_cut_resized_and_blended_where_they_are_shown():
    clips = RNG.uniform(size=(1, 3, 12, 14, 2)).astype("float32")
    # Left, top, right, bottom; the first patch is hidden on frame 1, the second lies over it.
    boxes = np.array(
        [[[1, 2, 7, 8], [3, 2, 9, 9], [8, 6, 13, 12]], [[0, 0, 4, 4], [4, 5, 8, 9], [9, 7, 14, 10]]]
    )
    opacity = np.array([[0.9, 0.0, 1.0], [1.0, 0.8, 0.85]])
    tracks = np.concatenate([boxes, opacity[..., None]], -1)[None].astype("float32")
    patches = np.array([[[0, 0, 0.5], [2, 0, 0.5]]], "float32")
    wanted = clips[0].copy()
    for box, alpha, source in zip(boxes, opacity, (0, 2)):
        left, top, right, bottom = box[source]
        cut = clips[0, source, top:bottom, left:right]
        for frame, (left, top, right, bottom) in enumerate(box):
            part = wanted[frame, top:bottom, left:right]
            part += alpha[frame] * (resized(cut, bottom - top, right - left) - part)
    got = backends.run(paste_patches, clips, tracks, patches, jit=True)[0]
    assert np.allclose(got, wanted, atol=1e-5)
    # A rhombus has half the area of its box, an ellipse pi / 4, and both may fade to the edge.
    clips = np.zeros((1, 2, 40, 40, 1), "float32")
    clips[0, 0] = 1
    tracks = np.tile(np.array([5, 5, 35, 35, 1], "float32"), (1, 1, 2, 1))
    shares = []
    for look in ((0, 0.5), (1, 0.5), (2, 0.5), (0, 0.3)):
        patches = np.array([[[0, *look]]], "float32")
        shares.append(backends.run(paste_patches, clips, tracks, patches)[0, 1].sum() / 900)
    assert np.allclose(shares[:3], [1, np.pi / 4, 0.5], atol=0.04)
    # 1 within 0.3 of the centre and falling to 0 at 0.5: a frustum.
    assert np.isclose(shares[3], (1 + 0.6 + 0.36) / 3, atol=0.02)
