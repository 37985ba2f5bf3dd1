"""What every converter promises, on a file that the format's own library wrote."""

import numpy as np
import pytest

from keras_vssl.convert import ConvertError, convert, read_state_dict
from tests.backends import to_numpy


def save_torch(state, folder):
    """`torch.save` of tensors, nested and prefixed as training scripts do."""
    torch = pytest.importorskip("torch")
    path = folder / "checkpoint.pth"
    tensors = {f"module.{name}": torch.tensor(np.asarray(array)) for name, array in state.items()}
    torch.save({"epoch": 3, "state_dict": tensors}, path)
    return path


def save_safetensors(state, folder):
    numpy = pytest.importorskip("safetensors.numpy")
    path = folder / "model.safetensors"
    numpy.save_file({name: np.ascontiguousarray(array) for name, array in state.items()}, path)
    return path


def check_format(state, format, folder, save=save_torch, inputs=None, victim=None, **options):
    """Reads a saved file, recognises it, and complains by name of what is wrong in it.

    Args:
        state: dict of name to array, small.
        format: str, the format that has to be recognised.
        folder: `tmp_path`.
        save: function of (state, folder) that writes it and returns its path.
        inputs: what the model takes, or `None`: outputs are not compared then.
        victim: str, the tensor to leave out and to misshape. Default: the last of one axis.
        **options: of `convert`.

    Returns:
        The model that was read from the file.
    """
    path = save(state, folder)
    converted = convert(path, **options)
    assert converted.provenance["format"] == format
    assert len(converted.provenance["sha256"]) == 64
    assert converted.provenance["licence"] and converted.provenance["citation"]
    plain = convert(state, format=format, **options).model
    for got, expected in zip(converted.model.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(got.value), to_numpy(expected.value))
    if inputs is not None:
        got, expected = (model(inputs, training=False) for model in (converted.model, plain))
        np.testing.assert_allclose(to_numpy(got), to_numpy(expected), rtol=1e-5, atol=1e-6)

    read = read_state_dict(path)
    if victim is None:
        counted = [name for name in read if not name.endswith("num_batches_tracked")]
        victim = [name for name in counted if np.ndim(read[name]) == 1][-1]
    missing = {name: array for name, array in read.items() if name != victim}
    with pytest.raises(ConvertError, match=f"(?s){victim}"):
        convert(missing, format=format, **options)
    with pytest.raises(ConvertError, match="no.such.tensor"):
        convert({**read, "no.such.tensor": np.zeros(3, "float32")}, format=format, **options)
    misshapen = {**read, victim: np.concatenate([read[victim], read[victim][:1]])}
    with pytest.raises(ConvertError, match=f"(?s){victim}"):
        convert(misshapen, format=format, **options)
    return converted.model
