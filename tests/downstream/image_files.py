"""Small data sets of images in the official formats."""

import json
import pathlib

import numpy as np
from PIL import Image

SHAPES = ("disc", "square", "cross")


def background(rng, height=56, width=72):
    return rng.integers(40, 110, (height, width, 3)).astype(np.uint8)


def draw(image, shape, box, colour):
    """Draws a shape into a box (left, top, right, bottom in pixels)."""
    left, top, right, bottom = box
    y, x = np.mgrid[top:bottom, left:right]
    v = (y - (top + bottom - 1) / 2) / ((bottom - top) / 2)
    u = (x - (left + right - 1) / 2) / ((right - left) / 2)
    inside = {
        "disc": u**2 + v**2 <= 1,
        "square": np.ones_like(u, bool),
        "cross": (abs(u) < 0.3) | (abs(v) < 0.3),
    }[shape]
    image[top:bottom, left:right][inside] = colour


def write_voc(root, counts, seed=0, class_files=True):
    """`VOCdevkit/VOC2007` with shapes as classes; sizes and colours say nothing about the class.

    Args:
        counts: dict of split to number of images. class_files: bool, write CLASS_SPLIT.txt.

    Returns:
        The path of the year's folder.
    """
    root = pathlib.Path(root) / "VOC2007"
    for name in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    number = 0
    for split, count in counts.items():
        ids, marks = [], {shape: [] for shape in SHAPES}
        for _ in range(count):
            number += 1
            name, image, objects = f"{number:06d}", background(rng), []
            here = rng.random(3) < 0.5
            for shape in np.array(SHAPES)[here]:
                side = int(rng.integers(16, 26))
                left, top = int(rng.integers(0, 72 - side)), int(rng.integers(0, 56 - side))
                box = (left, top, left + side, top + side)
                draw(image, shape, box, rng.integers(150, 256, 3))
                objects.append((shape, box, rng.random() < 0.1))
            Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
            (root / "Annotations" / f"{name}.xml").write_text(_annotation(name, objects))
            ids.append(name)
            for shape in SHAPES:
                hard = [h for s, _, h in objects if s == shape]
                marks[shape].append("-1" if not hard else "0" if all(hard) else "1")
        main = root / "ImageSets" / "Main"
        (main / f"{split}.txt").write_text("\n".join(ids) + "\n")
        if class_files:
            for shape in SHAPES:
                lines = [f"{i} {m:>2}" for i, m in zip(ids, marks[shape])]
                (main / f"{shape}_{split}.txt").write_text("\n".join(lines) + "\n")
    return str(root)


def _annotation(name, objects):
    rows = [
        f"<object><name>{shape}</name><pose>Unspecified</pose><truncated>0</truncated>"
        f"<difficult>{int(hard)}</difficult><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>"
        f"<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax>"
        f"<ymax>2</ymax></bndbox></part></object>"
        for shape, (left, top, right, bottom), hard in objects
    ]
    size = "<size><width>72</width><height>56</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}.jpg</filename>{size}{''.join(rows)}</annotation>"


def write_coco(folder):
    """An instances file of three images and three objects, one of them a crowd."""
    folder = pathlib.Path(folder)
    (folder / "val").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in (7, 9, 4):
        Image.fromarray(background(rng)).save(folder / "val" / f"{number:012d}.jpg")
    content = {
        "images": [
            {"id": n, "file_name": f"{n:012d}.jpg", "width": 72, "height": 56} for n in (7, 9, 4)
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 18, "bbox": [5, 6, 20, 30], "area": 300.0,
             "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 9.5, 9.5], "area": 90.0,
             "iscrowd": 1},
            {"id": 3, "image_id": 4, "category_id": 3, "bbox": [1, 2, 40, 40], "area": 1500.0,
             "iscrowd": 0},
        ],
    }  # fmt: skip
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return str(path), str(folder / "val")


COLOURS = np.array(
    [[255, 60, 60], [255, 255, 60], [60, 255, 60], [255, 255, 255], [60, 255, 255], [60, 60, 255],
     [255, 60, 255]]
)  # fmt: skip


def write_flic(root, counts, seed=0):
    """`images/` and `SPLIT_joints.csv` of persons that are seven dots, a colour a joint.

    The arms hang, are lifted or are stretched out, each side by itself: a mean pose misses by far.

    Returns:
        dict of split to the CSV's path.
    """
    root, rng, paths = pathlib.Path(root), np.random.default_rng(seed), {}
    (root / "images").mkdir(parents=True)
    # Left wrist to right wrist, in shares of the shoulders' half width; +x is the person's left.
    arms = np.array([[[1.3, 2.0], [1.2, 1.0]], [[1.3, -2.0], [1.2, -1.0]], [[3.0, 0.1], [2.0, 0]]])
    for split, count in counts.items():
        lines = []
        for number in range(count):
            image, scale = background(rng, 120, 150), rng.uniform(9, 14)
            centre = np.array([rng.uniform(60, 90), rng.uniform(50, 70)])
            left, right = arms[rng.integers(3)], arms[rng.integers(3)] * [-1, 1]
            joints = np.array([*left, [1, 0], [0, -1.2], [-1, 0], *right[::-1]])
            joints = centre + scale * (joints + rng.normal(0, 0.08, (7, 2)))
            for (x, y), colour in zip(joints.round().astype(int), COLOURS):
                image[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = colour
            name = f"{split}_{number:04d}.jpg"
            Image.fromarray(image).save(root / "images" / name, quality=95)
            numbers = [str(round(v, 3)) for v in joints.ravel()]
            lines.append(",".join([name, *numbers]))
        paths[split] = root / f"{split}_joints.csv"
        paths[split].write_text("\n".join(lines) + "\n")
    return paths
