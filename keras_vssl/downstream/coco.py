"""COCO's instances: objects of images, and files of results."""

import json
import os

import numpy as np

from keras_vssl.downstream.images import BoxedImages, folder
from keras_vssl.metrics.detection import FoundBoxes, TrueBoxes


def coco_boxes(annotations, images):
    """The images of an instances file and the objects in them.

    Args:
        annotations: str, `instances_val2017.json` or the like.
        images: str, the folder of the images.

    Returns:
        `BoxedImages`, boxes as left, top, right, bottom, areas those of the masks, crowds ignored.
        `labelled()` gives the images' labels.

    Raises:
        FileNotFoundError: no such file or folder. ValueError: it is no instances file.
    """
    images = folder(images, "the folder of COCO's images")
    content = _read(annotations)
    try:
        entries = sorted(content["images"], key=lambda entry: entry["id"])
        classes = sorted(content["categories"], key=lambda entry: entry["id"])
        row = {entry["id"]: i for i, entry in enumerate(entries)}
        number = {entry["id"]: i for i, entry in enumerate(classes)}
        objects = content["annotations"]
        true = TrueBoxes(
            [row[entry["image_id"]] for entry in objects],
            [number[entry["category_id"]] for entry in objects],
            _corners([entry["bbox"] for entry in objects]),
            [entry.get("iscrowd", 0) for entry in objects],
            [entry["area"] for entry in objects],
        )
        return BoxedImages(
            tuple(os.path.join(images, entry["file_name"]) for entry in entries),
            tuple(entry["id"] for entry in entries),
            true,
            tuple(entry["name"] for entry in classes),
            tuple(entry["id"] for entry in classes),
            os.path.splitext(os.path.basename(annotations))[0],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"Expected images, categories and annotations as COCO's instances have them in "
            f"{annotations}; {error} is missing or unknown."
        ) from error


def coco_results(images, results):
    """The boxes that a detector wrote in COCO's format.

    Args:
        images: `BoxedImages`.
        results: str, a JSON list of `{"image_id", "category_id", "bbox": [x, y, w, h], "score"}`.

    Returns:
        `FoundBoxes`.
    """
    content = _read(results)
    row = {name: i for i, name in enumerate(images.ids)}
    number = {name: i for i, name in enumerate(images.class_ids)}
    try:
        return FoundBoxes(
            [row[entry["image_id"]] for entry in content],
            [number[entry["category_id"]] for entry in content],
            _corners([entry["bbox"] for entry in content]),
            [entry["score"] for entry in content],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"Expected a list of image_id, category_id, bbox and score in {results} for the "
            f"annotated images and classes; {error} is missing or unknown."
        ) from error


def _corners(boxes):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _read(path):
    if not os.path.isfile(path):
        raise FileNotFoundError(f"Expected a file in COCO's format, but there is no {path}.")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except ValueError as error:
        raise ValueError(f"Expected JSON in {path}, which can't be read: {error}.") from error
