"""Caffe's files are read without Caffe: every form of a blob, and no surprise from damage."""

import tracemalloc

import numpy as np
import pytest

from keras_vssl.convert import ConvertError, caffemodel, read_state_dict
from tests.convert import caffe_files


def network():
    random = np.random.RandomState(0)
    shapes = {
        "conv1.0": (4, 3, 2, 2),
        "conv1.1": (4,),
        "bn/1.0": (4,),
        "bn/1.2": (1,),
        "fc.0": (5, 8),
        "fc.1": (5,),
    }
    state = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    state["bn/1.1"] = state["bn/1.0"] ** 2
    return dict(sorted(state.items()))


@pytest.mark.parametrize("form", ["new", "v1", "legacy", "c3d"])
def test_every_form_of_a_file_gives_its_blobs(tmp_path, form):
    state = network()
    path = caffe_files.caffemodel(form)(state, tmp_path)
    read = caffemodel.read(path)
    assert sorted(read) == sorted(state)
    for name, array in state.items():
        assert read[name].dtype == np.float32
        if form in ("legacy", "c3d"):
            rank = 4 if form == "legacy" else 5
            assert read[name].shape == (1,) * (rank - array.ndim) + array.shape
        got = caffemodel.strip(read[name], array.ndim)
        np.testing.assert_array_equal(got, array)


def test_a_mean_is_a_bare_blob(tmp_path):
    mean = np.random.RandomState(0).uniform(80, 120, (1, 3, 5, 5)).astype("float32")
    blob = caffe_files.messages()["BlobProto"]()
    caffe_files.fill(blob, mean, "legacy")
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob.SerializeToString())
    np.testing.assert_array_equal(caffemodel.read(path)["mean"], mean)
    assert list(read_state_dict(path)) == ["mean"]


def test_doubles_gradients_and_unpacked_numbers(tmp_path):
    blob = caffe_files.messages()["BlobProto"]()
    blob.double_data.extend([0.5, 1.5])
    blob.diff.extend([7.0, 7.0, 7.0])
    blob.shape.dim.extend([2])
    path = tmp_path / "a.binaryproto"
    path.write_bytes(blob.SerializeToString())
    np.testing.assert_array_equal(caffemodel.read(path)["mean"], [0.5, 1.5])
    # Each number with its own key (field 5, four bytes), in two runs.
    numbers = b"".join(b"\x2d" + np.float32(x).tobytes() for x in (1, 2, 3))
    path.write_bytes(b"\x08\x03" + numbers)
    np.testing.assert_array_equal(caffemodel.read(path)["mean"], [1, 2, 3])


def test_a_file_is_mapped_and_not_loaded(tmp_path):
    state = {"conv1.0": np.zeros((64, 64, 16, 16), "float32"), "conv1.1": np.ones(64, "float32")}
    path = caffe_files.caffemodel()(state, tmp_path)
    assert path.stat().st_size > 4 << 20
    tracemalloc.start()
    read = read_state_dict(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    read["conv1.1"] += 1  # a page of its own: the file stays as it is
    np.testing.assert_array_equal(caffemodel.read(path)["conv1.1"], np.ones(64))


def test_damage_is_one_sentence_wherever_it_is(tmp_path):
    path = caffe_files.caffemodel()(network(), tmp_path)
    whole, broken = path.read_bytes(), tmp_path / "broken.caffemodel"
    named = 0
    for end in range(0, len(whole), 7):
        broken.write_bytes(whole[:end])
        try:
            # Between two layers a file that was cut off is one with fewer layers.
            assert set(caffemodel.read(broken)) < set(network())
        except ConvertError as error:
            assert "broken.caffemodel" in str(error) and "\n" not in str(error)
            named += 1
    assert named > len(whole) // 7 - 10
    random = np.random.RandomState(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.randint(0, len(whole), 4):
            damaged[place] = random.randint(256)
        broken.write_bytes(bytes(damaged))
        try:
            caffemodel.read(broken)
        except ConvertError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x0a\x03net", b"\x00" * 9])
def test_what_is_no_network_is_one_sentence(tmp_path, content):
    path = tmp_path / "a.caffemodel"
    path.write_bytes(content)
    with pytest.raises(ConvertError, match="a.caffemodel"):
        read_state_dict(path)
    with pytest.raises(ConvertError, match="no checkpoint file"):
        read_state_dict(tmp_path / "absent.caffemodel")


def test_a_shape_that_does_not_fit_its_numbers_is_named(tmp_path):
    classes = caffe_files.messages()
    net = classes["NetParameter"]()
    blob = net.layer.add(name="conv1").blobs.add()
    caffe_files.fill(blob, np.zeros((2, 3), "float32"))
    blob.shape.dim[0] = 4
    path = tmp_path / "a.caffemodel"
    path.write_bytes(net.SerializeToString())
    with pytest.raises(ConvertError, match=r"conv1\.0 has 6 numbers for the shape \(4, 3\)"):
        caffemodel.read(path)
    net.layer[0].blobs[0].shape.dim[0] = 2
    net.layer.add(name="conv1").blobs.add().CopyFrom(net.layer[0].blobs[0])
    path.write_bytes(net.SerializeToString())
    with pytest.raises(ConvertError, match="two layers are called 'conv1'"):
        caffemodel.read(path)
