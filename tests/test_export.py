"""Every backbone leaves Keras with equal outputs: as a SavedModel, and as ONNX where torch runs."""

import sys
import tempfile

import keras
import numpy as np
import pytest

from keras_vssl.layers import LogMelSpectrogram
from tests import backends, contract


def bert():
    import keras_hub

    network = keras_hub.models.BertBackbone(
        vocabulary_size=30, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16,
        max_sequence_length=8,
    )  # fmt: skip
    return contract.kv.backbones.BertText(network)


def av_hubert():
    front_end = contract.kv.backbones.LipResNet(width=4, blocks=(1, 1, 1, 1), pooled=True)
    return contract.kv.backbones.AVHuBERTEncoder(
        front_end, width=16, heads=2, depth=1, audio_dim=12, position_kernel=8, position_groups=4
    )


def fusion():
    return contract.kv.backbones.TokenFusion(5, 7, 6, width=8, heads=2, output=4)


def words(rng):
    ids = rng.integers(1, 20, (2, 6)).astype("int32")
    ids[1, 4:] = 0
    return ids


def tokens(rng):
    found = {}
    for name, count, channels in (("text", 3, 5), ("video", 4, 7), ("audio", 2, 6)):
        found[name] = rng.normal(size=(2, count, channels)).astype("float32")
        found[f"{name}_mask"] = np.ones((2, count), "float32")
    found["text_mask"][1] = 0
    return found


def speech(rng):
    return {
        "clips": rng.normal(size=(2, 5, 32, 32, 1)).astype("float32"),
        "audio": rng.normal(size=(2, 5, 12)).astype("float32"),
    }


# What takes no clip of three channels: name -> (a tiny network, the shape of one example, or a
# function of a generator to two of them).
OTHERS = {
    **contract.SOUND,
    "DAVEnet": (lambda: contract.kv.backbones.DAVEnet((4, 6, 6), (1, 1), 5, bands=8), (16, 8)),
    "WordBag": (lambda: contract.kv.backbones.WordBag(20, 6, 8, 4), words),
    "BertText": (bert, words),
    "TokenFusion": (fusion, tokens),
    "AVHuBERTEncoder": (av_hubert, speech),
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
    if callable(shape):
        return make(), shape(rng)
    return make(), rng.uniform(-1, 1, (2, *shape)).astype("float32")


def check(name, kind, call, rows):
    """Exports a network and runs what came out on as many rows as it was made for."""
    backbone, inputs = network(name)
    inputs = keras.tree.map_structure(lambda array: array[:rows], inputs)
    front_end = getattr(backbone, "front_end", None)
    if kind == "onnx" and isinstance(front_end, LogMelSpectrogram):
        # ONNX has no place for the front-end's overlapping frames: it takes the spectrogram.
        inputs = contract.outputs(front_end, inputs)
    expected = contract.outputs(backbone, inputs)
    signature = [
        keras.tree.map_structure(
            lambda array: keras.InputSpec(
                shape=(None if rows > 1 else 1, *array.shape[1:]), dtype=str(array.dtype)
            ),
            inputs,
        )
    ]
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
    names = [entry.name for entry in session.get_inputs()]
    fed = inputs if isinstance(inputs, dict) else {names[0]: inputs}
    if set(fed) != set(names):  # numbered, in the order of the keys
        fed = dict(zip(names, (inputs[key] for key in sorted(inputs)), strict=True))
    return session.run(None, fed)[0]


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
