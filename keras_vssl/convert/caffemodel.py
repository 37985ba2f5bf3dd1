"""Reads Caffe's files: protocol buffers of a network's layers, without Caffe and its classes."""

import math
import mmap
import os
import re

import numpy as np

from keras_vssl.convert.mapping import ConvertError

# Wire types of protocol buffers.
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
# NetParameter's layers: field -> (field of a layer's name, field of its blobs). The second is
# V1LayerParameter, of files before Caffe's release candidate 2 and of C3D's Caffe.
_LAYERS = {100: (1, 7), 2: (4, 6)}


class _Damaged(Exception):
    """Bytes that are no protocol buffer."""


def read(path):
    """The blobs of a `.caffemodel`, or the mean of a `.binaryproto`.

    The file is mapped, not loaded: an array is a view of it, so that a network is in memory once
    when its blobs are placed in a model.

    Args:
        path: str or path-like. A file that ends in `.binaryproto` holds a single blob.

    Returns:
        dict of name to float32 array: the layer's name, a dot and the blob's index (`conv1.0` the
        kernel, `conv1.1` the bias), in the shape that the file states; `mean` for a
        `.binaryproto`.

    Raises:
        ConvertError: the file is damaged, cut off, or holds no blobs.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        try:
            # Private pages: arrays may be written to, as PyTorch wants, the file never is.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except ValueError as error:
            raise ConvertError(f"{path} is empty.") from error
    is_mean = path.lower().endswith(".binaryproto")
    try:
        found = {"mean": _blob(data, 0, len(data))} if is_mean else _blobs(data)
    except _Damaged as error:
        kind = "mean" if is_mean else "network"
        raise ConvertError(
            f"{path} can't be read as a {kind} that Caffe saved, or is damaged: {error}."
        ) from error
    if not found:
        raise ConvertError(
            f"{path} holds no layer with weights; expected a network that Caffe saved."
        )
    return found


def strip(array, rank):
    """A blob without the leading axes of size 1 that old files have: `1, 1, O, I` is `O, I`."""
    extra = array.ndim - rank
    if extra > 0 and all(size == 1 for size in array.shape[:extra]):
        return array.reshape(array.shape[extra:])
    return array


def shape_of(state, name, rank):
    """As `mapping.shape_of`, without the leading axes of size 1 of old files."""
    if name not in state:
        raise ConvertError(f"The checkpoint lacks {name}, from which the architecture is read.")
    shape = strip(state[name], rank).shape
    if len(shape) != rank:
        raise ConvertError(f"{name} has shape {tuple(state[name].shape)}; expected {rank} axes.")
    return tuple(int(size) for size in shape)


def layers_of(state):
    """The names of the layers whose blobs `state` has, in its order."""
    return list(dict.fromkeys(re.sub(r"\.\d+$", "", name) for name in state))


def _blobs(data):
    found = {}
    for field, wire, start, end in _fields(data, 0, len(data)):
        if field not in _LAYERS or wire != _LENGTH:
            continue
        name_field, blob_field = _LAYERS[field]
        name, blobs = "", []
        for inner, inner_wire, first, last in _fields(data, start, end):
            if inner_wire == _LENGTH and inner == name_field:
                name = data[first:last].decode("utf-8", "replace")
            elif inner_wire == _LENGTH and inner == blob_field:
                blobs.append((first, last))
        for index, (first, last) in enumerate(blobs):
            key = f"{name}.{index}"
            if key in found:
                raise _Damaged(f"two layers are called {name!r}")
            found[key] = _blob(data, first, last, key)
    return found


def _blob(data, start, end, name="the blob"):
    """A BlobProto: dimensions and packed numbers."""
    sizes, pieces, shape = {}, {}, None
    for field, wire, first, last in _fields(data, start, end):
        if wire == _VARINT:
            sizes[field] = first
        elif field == 7 and wire == _LENGTH and last - first < 1024:
            # BlobShape; in C3D's form field 7 is a gradient, and `shape` isn't looked at.
            shape = (first, last)
        elif field in (5, 6, 8):
            pieces.setdefault((field, wire), []).append((first, last))
    if 5 in sizes:
        # C3D's Caffe: num, channels, length, height, width are fields 1 to 5, the numbers 6.
        dimensions, field = [sizes.get(i, 0) for i in range(1, 6)], 6
    else:
        field = 5
        if shape is not None:
            dimensions = _dimensions(data, *shape)
        else:
            dimensions = [sizes[i] for i in range(1, 5) if i in sizes]
    kinds = {
        (field, _LENGTH): "<f4",
        (field, _FOUR_BYTES): "<f4",  # one number a field: not packed
        (8, _LENGTH): "<f8",
        (8, _EIGHT_BYTES): "<f8",
    }
    parts = []
    for kind, dtype in kinds.items():
        for first, last in pieces.get(kind, ()):
            if (last - first) % np.dtype(dtype).itemsize:
                raise _Damaged(f"{name} ends within a number")
            count = (last - first) // np.dtype(dtype).itemsize
            # NumPy refuses an empty piece at the end of a buffer.
            parts.append(np.frombuffer(data, dtype, count, first) if count else np.zeros(0, dtype))
    numbers = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, "<f4"), *parts])
    if math.prod(dimensions) != numbers.size or not dimensions:
        raise _Damaged(
            f"{name} has {numbers.size} numbers for the shape {tuple(dimensions)} that it states"
        )
    return numbers.astype("float32", copy=False).reshape(dimensions)


def _dimensions(data, start, end):
    sizes = []
    for field, wire, first, last in _fields(data, start, end):
        if field == 1 and wire == _VARINT:
            sizes.append(first)
        elif field == 1 and wire == _LENGTH:
            while first < last:
                size, first = _varint(data, first, last)
                sizes.append(size)
    return sizes


def _fields(data, position, end):
    """Yields (field, wire type, start, end) of a message; for a varint its value, twice."""
    while position < end:
        key, position = _varint(data, position, end)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position, end)
            yield field, wire, value, value
            continue
        if wire == _LENGTH:
            size, position = _varint(data, position, end)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise _Damaged(f"byte {position} starts no field")
        if field == 0:
            raise _Damaged(f"byte {position} starts no field")
        if size > end - position:
            raise _Damaged(f"it ends {size - (end - position)} bytes too early")
        yield field, wire, position, position + size
        position += size


def _varint(data, position, end):
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise _Damaged("it ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Damaged(f"byte {position} is of a number that has no end")
