"""Every backbone leaves Keras with equal outputs: as a SavedModel, and as ONNX where torch runs."""

import sys
import tempfile

import keras
import numpy as np
import pytest

from keras_vssl.layers import LogMelSpectrogram
from tests import backends, contract

# What takes no clip of three channels: name -> (a tiny network, what one example is).
OTHERS = {
    **contract.SOUND,
    "LipResNet": (lambda: contract.kv.backbones.LipResNet(width=4, pooled=True), (3, 32, 32, 1)),
    "WaveResNet": (lambda: contract.kv.backbones.WaveResNet(width=4), (1400,)),
    "RAVEnEncoder": (
        lambda: contract.kv.backbones.RAVEnEncoder(
            contract.kv.backbones.WaveResNet(width=4), width=16, heads=2, depth=1
        ),
        (1400,),
    ),
}
NAMES = [*contract.BACKBONES, *OTHERS]


def network(name):
    """A tiny network, and two examples as a user has them: uint8 clips, waveforms."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    if name in contract.BACKBONES:
        clips = rng.integers(0, 256, (2, 16, 32, 32, 3), dtype="uint8")
        return contract.BACKBONES[name](clip=contract.CLIP), clips
    make, shape = OTHERS[name]
    return make(), rng.uniform(-1, 1, (2, *shape)).astype("float32")


def check(name, kind, call, rows):
    """Exports a network and runs what came out on as many rows as it was made for."""
    backbone, inputs = network(name)
    inputs = inputs[:rows]
    front_end = getattr(backbone, "front_end", None)
    if kind == "onnx" and isinstance(front_end, LogMelSpectrogram):
        # ONNX has no place for the front-end's overlapping frames: it takes the spectrogram.
        inputs = contract.outputs(front_end, inputs)
    expected = contract.outputs(backbone, inputs)
    shape = (None if rows > 1 else 1, *inputs.shape[1:])
    signature = [keras.InputSpec(shape=shape, dtype=str(inputs.dtype))]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx" if kind == "onnx" else folder
        backbone.export(path, format=kind, input_signature=signature, verbose=False)
        got = call(path, inputs)
    gap = np.abs(got - expected).max() / max(1.0, np.abs(expected).max())
    assert got.shape == expected.shape and gap < 1e-4, f"{name}: {kind} is off by {gap}"


def run_saved_model(path, inputs):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    return loaded.serve(inputs).numpy()


def run_onnx(path, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: inputs})[0]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow's own format")
@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_gives_equal_outputs(name):
    check(name, "tf_saved_model", run_saved_model, rows=2)


def test_onnx_gives_equal_outputs():
    if "torch" not in backends.INSTALLED:
        pytest.skip("PyTorch writes the ONNX files, and is not installed")
    pytest.importorskip("onnxruntime")
    printed = backends.python("torch", "-m", "tests.test_export")
    assert [line.split()[0] for line in printed.splitlines() if line.endswith("passed")] == NAMES


def main():
    for name in NAMES:
        check(name, "onnx", run_onnx, rows=1)
        print(f"{name} passed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
