"""Writes Caffe's files with Google's protocol buffers, which Caffe itself reads and writes with."""

import numpy as np
import pytest

# Field numbers of caffe.proto: message -> (name, number, type, repeated, packed).
_BLOB = {
    "BlobShape": [("dim", 1, "int64", True, True)],
    "BlobProto": [
        ("num", 1, "int32", False, False),
        ("channels", 2, "int32", False, False),
        ("height", 3, "int32", False, False),
        ("width", 4, "int32", False, False),
        ("data", 5, "float", True, True),
        ("diff", 6, "float", True, True),
        ("shape", 7, "BlobShape", False, False),
        ("double_data", 8, "double", True, True),
    ],
}
_LAYERS = {
    "LayerParameter": [
        ("name", 1, "string", False, False),
        ("type", 2, "string", False, False),
        ("bottom", 3, "string", True, False),
        ("blobs", 7, "BlobProto", True, False),
    ],
    "V1LayerParameter": [
        ("bottom", 2, "string", True, False),
        ("name", 4, "string", False, False),
        ("type", 5, "int32", False, False),
        ("blobs", 6, "BlobProto", True, False),
    ],
    "NetParameter": [
        ("name", 1, "string", False, False),
        ("layers", 2, "V1LayerParameter", True, False),
        ("input", 3, "string", True, False),
        ("layer", 100, "LayerParameter", True, False),
    ],
}
# C3D's Caffe has a fifth axis in the midst of a blob's fields.
_BLOB_C3D = {
    "BlobProto": [
        ("num", 1, "int32", False, False),
        ("channels", 2, "int32", False, False),
        ("length", 3, "int32", False, False),
        ("height", 4, "int32", False, False),
        ("width", 5, "int32", False, False),
        ("data", 6, "float", True, True),
        ("diff", 7, "float", True, True),
    ],
}


def messages(form="new"):
    """The message classes of `form`: "new", "v1" and "legacy" (Caffe's), or "c3d"."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{form}.proto", package=f"tests_{form}", syntax="proto2"
    )
    for name, fields in {**(_BLOB_C3D if form == "c3d" else _BLOB), **_LAYERS}.items():
        message = file.message_type.add(name=name)
        for field, number, type_, is_repeated, is_packed in fields:
            new = message.field.add(name=field, number=number)
            new.label = kind.LABEL_REPEATED if is_repeated else kind.LABEL_OPTIONAL
            if type_[0].isupper():
                new.type, new.type_name = kind.TYPE_MESSAGE, f".tests_{form}.{type_}"
            else:
                new.type = getattr(kind, f"TYPE_{type_.upper()}")
            new.options.packed = is_packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [message.name for message in file.message_type]
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tests_{form}.{name}"))
        for name in names
    }


def caffemodel(form="new"):
    """A function of (state, folder) that writes a `.caffemodel` and returns its path.

    Args:
        form: "new" (shapes of any rank), "v1" (V1LayerParameter with such shapes), "legacy" (V1
            with four dimensions, as old files have them), "c3d" (with five).
    """

    def save(state, folder):
        classes = messages(form)
        net = classes["NetParameter"](name="network", input=["data"])
        layers = net.layer if form == "new" else net.layers
        blobs = {}
        for name, array in state.items():
            layer, index = name.rsplit(".", 1)
            blobs.setdefault(layer, []).append((int(index), array))
        layers.add(name="data")  # a layer without blobs
        for layer, arrays in blobs.items():
            message = layers.add(name=layer, bottom=["before"])
            for _, array in sorted(arrays, key=lambda item: item[0]):
                fill(message.blobs.add(), np.asarray(array), form)
        path = folder / "network.caffemodel"
        path.write_bytes(net.SerializeToString())
        return path

    return save


def fill(blob, array, form="new"):
    """Puts an array into a BlobProto."""
    blob.data.extend(array.reshape(-1).tolist())
    if form in ("new", "v1"):
        blob.shape.dim.extend(array.shape)
        return
    names = ("num", "channels", "length", "height", "width")
    names = names if form == "c3d" else (*names[:2], *names[3:])
    sizes = [1] * (len(names) - array.ndim) + list(array.shape)
    for name, size in zip(names, sizes):
        setattr(blob, name, size)
