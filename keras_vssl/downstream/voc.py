"""PASCAL VOC's folders: labels of images, objects, and files of results."""

import os
import xml.etree.ElementTree as ElementTree

import numpy as np

from keras_vssl.downstream.images import BoxedImages, LabelledImages, folder
from keras_vssl.metrics.detection import FoundBoxes, TrueBoxes

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
_WHAT = "the folder of a year of PASCAL VOC, VOCdevkit/VOC2007 or the like"


def classes_of(root, split="trainval"):
    """The classes that a folder has label files of, sorted; () where it has none."""
    main = os.path.join(folder(root, _WHAT), "ImageSets", "Main")
    end = f"_{split}.txt"
    names = os.listdir(main) if os.path.isdir(main) else ()
    return tuple(sorted(name[: -len(end)] for name in names if name.endswith(end)))


def voc_images(root, split, class_names=VOC_CLASSES):
    """The images of a split and the classes in them.

    Args:
        root: str, the folder of a year, `VOCdevkit/VOC2007`, with `ImageSets/Main`, `JPEGImages`
            and, where `ImageSets/Main/CLASS_SPLIT.txt` are absent, `Annotations`.
        split: str, "train", "val", "trainval" or "test".
        class_names: strs.

    Returns:
        `LabelledImages`. VOC's files say 1, -1 and 0 (difficult); labels are 1, 0 and -1.

    Raises:
        FileNotFoundError: a file of the layout is absent. ValueError: a line that can't be read.
    """
    root, ids = _split(root, split)
    files = [os.path.join(root, "ImageSets", "Main", f"{c}_{split}.txt") for c in class_names]
    if not all(map(os.path.isfile, files)):
        return voc_boxes(root, split, class_names).labelled()
    labels = np.zeros((len(ids), len(class_names)), np.int8)
    for column, path in enumerate(files):
        found = dict(_pairs(path))
        missing = [name for name in ids if name not in found]
        if missing:
            raise ValueError(
                f"Expected a line for each image of {split}, but {path} has none for {missing[0]}."
            )
        labels[:, column] = [{"1": 1, "-1": 0, "0": -1}[found[name]] for name in ids]
    return LabelledImages(_paths(root, ids), labels, tuple(class_names), _name(root, split))


def voc_boxes(root, split, class_names=VOC_CLASSES):
    """The images of a split and the objects in them, from `Annotations/ID.xml`.

    Args:
        root, split, class_names: as for `voc_images`; objects of other classes are left out.

    Returns:
        `BoxedImages`. Boxes as VOC counts: the first pixel is 1, and the last belongs to the box.
    """
    root, ids = _split(root, split)
    number = {name: i for i, name in enumerate(class_names)}
    images, labels, boxes, difficult = [], [], [], []
    for row, name in enumerate(ids):
        for label, box, hard in _objects(os.path.join(root, "Annotations", f"{name}.xml")):
            if label in number:
                images.append(row)
                labels.append(number[label])
                boxes.append(box)
                difficult.append(hard)
    true = TrueBoxes(images, labels, boxes, difficult)
    names = tuple(class_names)
    return BoxedImages(_paths(root, ids), tuple(ids), true, names, names, _name(root, split))


def voc_results(images, results, pattern="comp4_det_test_{}.txt"):
    """The boxes that a detector wrote in VOC's format, a file a class.

    Args:
        images: `BoxedImages`.
        results: str, the folder of the files; a line is `ID SCORE LEFT TOP RIGHT BOTTOM`.
        pattern: str, the files' name, the class at `{}`.

    Returns:
        `FoundBoxes`.
    """
    results = folder(results, "a folder of results")
    number = {name: i for i, name in enumerate(images.ids)}
    places, labels, rows = [], [], []
    for label, name in enumerate(images.class_ids):
        path = os.path.join(results, pattern.format(name))
        for line in _lines(path):
            fields = line.split()
            if len(fields) != 6 or fields[0] not in number:
                raise ValueError(
                    f"Expected 'ID SCORE LEFT TOP RIGHT BOTTOM' with an image of the split in "
                    f"{path}, received {line!r}."
                )
            places.append(number[fields[0]])
            labels.append(label)
            rows.append([float(value) for value in fields[1:]])
    rows = np.array(rows, np.float64).reshape(-1, 5)
    return FoundBoxes(places, labels, rows[:, 1:], rows[:, 0])


def _split(root, split):
    root = folder(root, _WHAT)
    ids = [line.split()[0] for line in _lines(os.path.join(root, "ImageSets/Main", f"{split}.txt"))]
    if not ids:
        raise ValueError(f"Expected at least one image in {split}.txt of {root}, received none.")
    return root, ids


def _paths(root, ids):
    return tuple(os.path.join(root, "JPEGImages", f"{name}.jpg") for name in ids)


def _name(root, split):
    return f"{os.path.basename(root).lower()} {split}"


def _lines(path):
    if not os.path.isfile(path):
        raise FileNotFoundError(f"Expected a file of PASCAL VOC's layout, but there is no {path}.")
    with open(path, encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line.strip()]


def _pairs(path):
    for line in _lines(path):
        fields = line.split()
        if len(fields) != 2 or fields[1] not in ("1", "-1", "0"):
            raise ValueError(f"Expected 'ID 1', 'ID -1' or 'ID 0' in {path}, received {line!r}.")
        yield fields


def _objects(path):
    """(class, [left, top, right, bottom], difficult) of each object of an annotation."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"Expected an annotation for each image, but there is no {path}.")
    try:
        found = ElementTree.parse(path).getroot().findall("object")
        for entry in found:
            # Not `iter`: parts of a person (head, hands) have names and boxes too.
            box = entry.find("bndbox")
            sides = [float(box.find(side).text) for side in ("xmin", "ymin", "xmax", "ymax")]
            hard = entry.findtext("difficult", "0").strip() == "1"
            yield entry.findtext("name").strip(), sides, hard
    except (ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"Expected an annotation of PASCAL VOC in {path}, which can't be read: {error}."
        ) from error
