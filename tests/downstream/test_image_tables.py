"""Readers of PASCAL VOC, COCO, FLIC and MPII, and the crops around persons."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from keras_vssl import downstream as d
from keras_vssl.data.frame_index import ReadError
from keras_vssl.data.plans import plan_rng
from keras_vssl.data.reader import crop
from keras_vssl.downstream.images import ImageSamples, read_image
from keras_vssl.downstream.poses import mirror
from keras_vssl.metrics import FoundBoxes, coco_detection, voc_detection
from tests.downstream.image_files import SHAPES, write_coco, write_flic, write_voc


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return write_voc(tmp_path_factory.mktemp("voc"), {"trainval": 30, "test": 12})


def test_voc_labels_of_class_files_and_of_annotations_agree(voc, tmp_path):
    images = d.voc_images(voc, "trainval", SHAPES)
    assert len(images) == 30 and images.name == "voc2007 trainval"
    assert set(np.unique(images.labels)) == {-1, 0, 1}  # a difficult object among them
    assert read_image(images.paths[3]).shape == (56, 72, 3)
    boxes = d.voc_boxes(voc, "trainval", SHAPES)
    assert np.array_equal(boxes.labelled().labels, images.labels)
    bare = write_voc(tmp_path, {"trainval": 30, "test": 12}, class_files=False)
    assert np.array_equal(d.voc_images(bare, "trainval", SHAPES).labels, images.labels)
    assert len(d.VOC_CLASSES) == 20 and sorted(d.VOC_CLASSES) == list(d.VOC_CLASSES)


def test_voc_boxes_are_what_the_annotations_say_and_parts_are_no_objects(voc):
    boxes = d.voc_boxes(voc, "test", SHAPES)
    first = boxes.true.images[0]
    rows = boxes.true.images == first
    text = (pathlib.Path(voc) / "Annotations" / f"{boxes.ids[first]}.xml").read_text()
    assert text.count("<object>") == rows.sum()
    assert f"<xmin>{int(boxes.true.boxes[rows][0, 0])}</xmin>" in text
    # No side is below 16 pixels, both ends counted; a part's would be.
    sides = boxes.true.boxes[:, 2:] - boxes.true.boxes[:, :2] + 1
    assert sides.min() >= 16


def test_voc_result_files_are_evaluated(voc, tmp_path):
    images = d.voc_boxes(voc, "test", SHAPES)
    for label, name in enumerate(SHAPES):
        rows = np.flatnonzero((images.true.labels == label) & ~images.true.ignored)
        lines = [
            f"{images.ids[images.true.images[i]]} 0.5 " + " ".join(map(str, images.true.boxes[i]))
            for i in rows
        ]
        (tmp_path / f"comp4_det_test_{name}.txt").write_text("\n".join(lines))
    found = d.voc_results(images, tmp_path)
    assert np.allclose(voc_detection(found, images.true, 3), 1)
    (tmp_path / "comp4_det_test_disc.txt").write_text("nowhere 0.5 1 1 2 2")
    with pytest.raises(ValueError, match="image of the split"):
        d.voc_results(images, tmp_path)


def test_what_voc_folders_lack_is_said_in_one_sentence(voc, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        d.voc_images(tmp_path / "nowhere", "test")
    with pytest.raises(FileNotFoundError, match="val.txt"):
        d.voc_images(voc, "val")
    broken = write_voc(tmp_path, {"test": 2})
    name = (pathlib.Path(broken) / "ImageSets/Main/test.txt").read_text().split()[0]
    (pathlib.Path(broken) / "Annotations" / f"{name}.xml").write_text("<annotation><object>")
    with pytest.raises(ValueError, match=f"{name}.xml"):
        d.voc_boxes(broken, "test")


def test_coco_instances_and_results(tmp_path):
    images = d.coco_boxes(*write_coco(tmp_path))
    assert images.ids == (4, 7, 9) and images.class_names == ("car", "dog")
    assert images.true.boxes[0].tolist() == [5, 6, 25, 36]
    assert images.true.ignored.tolist() == [False, True, False]
    assert images.true.areas.tolist() == [300, 90, 1500]
    # Only a crowd of cars in image 7: neither there nor not there.
    assert images.labelled().labels.tolist() == [[1, 0], [-1, 1], [0, 0]]
    results = [
        {"image_id": 7, "category_id": 18, "bbox": [5, 6, 20, 30], "score": 0.9},
        {"image_id": 4, "category_id": 3, "bbox": [1, 2, 40, 40], "score": 0.8},
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    assert coco_detection(d.coco_results(images, path), images.true, 2)["ap"] == pytest.approx(1)
    path.write_text(json.dumps([{**results[0], "category_id": 99}]))
    with pytest.raises(ValueError, match="99 is missing or unknown"):
        d.coco_results(images, path)


def test_flic_rows(tmp_path):
    paths = write_flic(tmp_path, {"train": 3})
    poses = d.Poses.from_csv(paths["train"])
    assert poses.joints.shape == (3, 7, 2) and poses.visible.all() and poses.lengths is None
    fields = paths["train"].read_text().splitlines()[1].split(",")
    assert poses.paths[1].endswith(f"images/{fields[0]}")
    assert poses.joints[1].ravel().tolist() == [float(v) for v in fields[1:]]
    # A joint of -1,-1 is not annotated; the torso is measured where the file has its joints.
    fields[3:5] = "-1", "-1"
    paths["train"].write_text(",".join(fields) + "\n")
    poses = d.Poses.from_csv(paths["train"], torso=(2, 6))
    assert poses.visible[0].tolist() == [True, False] + [True] * 5
    assert poses.lengths[0] == pytest.approx(
        np.linalg.norm(poses.joints[0, 2] - poses.joints[0, 6])
    )
    paths["train"].write_text("a.jpg,1,2\nb.jpg,1,2,3\n")
    with pytest.raises(ValueError, match="equal length"):
        d.Poses.from_csv(paths["train"])


def test_mpii_rows(tmp_path):
    rows = [
        {"filename": "a.jpg", "train": 1, "head_rect": [0, 0, 30, 40], "is_visible": None,
         "joint_pos": {str(i): [i, 2 * i] for i in range(16)}},
        {"filename": "b.jpg", "train": 0, "head_rect": [0, 0, 3, 4], "is_visible": None,
         "joint_pos": {"9": [5.0, 6.0]}},
    ]  # fmt: skip
    path = tmp_path / "data.json"
    path.write_text("\n".join(map(json.dumps, rows)))
    poses = d.Poses.from_mpii(path, tmp_path)
    assert poses.lengths.tolist() == pytest.approx([30, 3])  # 0.6 of the diagonal
    assert poses.visible.sum(axis=1).tolist() == [16, 1]
    assert len(d.Poses.from_mpii(path, tmp_path, train=True)) == 1
    assert [d.MPII_JOINTS[i] for i in d.MPII_UPPER[:2]] == ["upper neck", "head top"]
    for left, right in d.MPII_SWAPS:
        assert {d.MPII_JOINTS[left].split()[1]} == {d.MPII_JOINTS[right].split()[1]}


def person(seed=0):
    rng = np.random.default_rng(seed)
    visible = np.ones(7, bool)
    visible[1] = False
    return rng.uniform(40, 90, (7, 2)), visible, rng.integers(0, 256, (120, 150, 3), np.uint8)


def test_horizontal_flip_twice_returns_the_sample_including_joint_order():
    joints, visible, image = person()
    crops = d.PoseCrops(48, flip=0.0)
    view, target = crops.crop(joints, visible, image.shape[:2], plan_rng(0, 0, 0))
    mirrored = dataclasses.replace(view, flip=True)
    once, flipped = crop(image, mirrored), mirror(target, d.FLIC_SWAPS)
    assert not np.array_equal(flipped, target)
    assert np.array_equal(once[:, ::-1], crop(image, view))
    assert np.array_equal(mirror(flipped, d.FLIC_SWAPS), target)
    # The mirror's left wrist is where the right wrist was, on the other side.
    assert flipped[0, 0] == -target[6, 0] and flipped[0, 1] == target[6, 1]


def test_a_flipped_plan_is_the_mirror_of_the_plan_that_is_not():
    joints, visible, image = person()
    plans = [
        d.PoseCrops(48, flip=flip).crop(joints, visible, image.shape[:2], plan_rng(0, 0, 0))
        for flip in (0.0, 1.0)
    ]
    assert [view.flip for view, _ in plans] == [False, True] and plans[0][0].box == plans[1][0].box
    assert np.array_equal(plans[1][1], mirror(plans[0][1], d.FLIC_SWAPS))


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_outputs_go_back_to_the_image_they_came_from(flip):
    joints, visible, image = person()
    crops = d.PoseCrops(48, flip=flip)
    view, target = crops.crop(joints, visible, image.shape[:2], plan_rng(0, 0, 0))
    back = crops.place(target, view, image.shape[:2])
    assert np.allclose(back[visible], joints[visible], atol=1e-4)


def test_boxes_are_those_of_the_visible_joints_enlarged_and_shifted_as_stated():
    joints, visible, image = person()
    seen = joints[visible]
    size, centre = np.ptp(seen, axis=0) + 1, (seen.min(axis=0) + seen.max(axis=0) + 1) / 2
    shape = (10_000, 10_000)  # nothing is cut
    moved = joints + 5000
    factors, shifts = [], []
    for epoch in range(300):
        view, target = d.PoseCrops(48).crop(moved, visible, shape, plan_rng(0, epoch, 0))
        low, high = np.array(view.box[:2]) * 10_000, np.array(view.box[2:]) * 10_000
        factors.append((high - low) / size)
        shifts.append((low + high) / 2 - centre - 5000)
        # The shift may push the outermost joint of a small person over the edge.
        assert np.abs(target[:, :2]).max() < 0.55 and target[:, 2].sum() == visible.sum()
    factors, shifts = np.array(factors), np.array(shifts)
    assert 1.5 <= factors.min() < 1.52 and 1.98 < factors.max() <= 2
    assert -5 <= shifts.min() < -4.9 and 4.9 < shifts.max() <= 5
    assert np.abs(factors[:, 0] - factors[:, 1]).max() > 0.3  # a factor for each side
    view, _ = d.PoseCrops(48).crop(moved, visible, shape)
    low, high = np.array(view.box[:2]) * 10_000, np.array(view.box[2:]) * 10_000
    assert np.allclose((high - low) / size, 1.5) and not view.flip


def test_boxes_are_cut_at_the_edges_of_the_image():
    joints = np.array([[1.0, 1.0], [99.0, 79.0]])
    view, target = d.PoseCrops(48, swaps=()).crop(joints, np.ones(2, bool), (80, 100))
    assert view.box == (0, 0, 1, 1)
    assert np.allclose(target[0, :2], [1 / 100 - 0.5, 1 / 80 - 0.5])
    outside = np.array([[-30.0, 5.0], [-20.0, 9.0]])
    view, _ = d.PoseCrops(48, swaps=()).crop(outside, np.ones(2, bool), (80, 100))
    assert view.box[2] > view.box[0] and view.box[3] > view.box[1]


def test_a_damaged_image_costs_one_sample_and_is_named(voc, capfd):
    images = d.voc_images(voc, "test", SHAPES)
    paths = ("nowhere.jpg", *images.paths[1:])
    images = dataclasses.replace(images, paths=paths)
    view = d.PoseCrops(16, swaps=()).crop(np.array([[30.0, 30]]), np.ones(1, bool), (56, 72))[0]
    samples = ImageSamples(images, lambda row, shape, rng: (view, row), None)
    data, target = samples(0)
    assert target == 1 and data["clips"].shape == (1, 1, 16, 16, 3)
    samples(0)
    assert list(samples.skipped) == ["nowhere.jpg"]
    assert capfd.readouterr().err.count("Left out nowhere.jpg") == 1
    with pytest.raises(ReadError, match="nowhere.jpg"):
        samples.read(0)


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 images and 1 classes"):
        d.LabelledImages(("a", "b"), np.zeros((2, 3)), ("x",))
    with pytest.raises(ValueError, match="visible joint of every person"):
        d.Poses(("a",), np.zeros((1, 2, 2)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="One length|one length"):
        d.Poses(("a",), np.zeros((1, 2, 2)), np.ones((1, 2)), lengths=[1, 2])
    assert len(FoundBoxes([], [], [], []).boxes) == 0
