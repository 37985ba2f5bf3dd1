"""Compares the converted networks with published implementations' outputs.

    python -m tests.parity STEM [STEM ...]

A STEM is the path of a fixture without its extension (`STEM.json` and `STEM.npz`). The weights go
through `keras_vssl.convert`, as a checkpoint would. Prints, for every output array, the largest
absolute error and the largest error relative to the array's largest value; exits with status 1
where one is out of tolerance and 2 where a fixture can't be compared. The fixtures are read by
`fixture.py` beside them, or in the folder that KERAS_VSSL_SHARED names.
"""

import dataclasses
import importlib.util
import os
import pathlib
import re
import sys
import time

import numpy as np

_C3D_STAGES = ("1", "2", "3a", "3b", "4a", "4b", "5a", "5b")
# An endpoint's name here for a layer's name there.
_ENDPOINTS = {
    "backbone_c3d": {f"relu{stage}": f"conv{stage}" for stage in _C3D_STAGES},
    # VCOP's conv1 is the bare convolution; mmaction2's is one with normalisation and ReLU.
    "backbone_r3d": {"conv1": "stem_conv", "conv2": "layer1", "conv3": "layer2", "conv4": "layer3"},
    "vcop": {"stem": "stem", "stage3": "layer2", "conv5": "layer4"},
}
_SLUGS = tuple(_ENDPOINTS)


class ParityError(ValueError):
    """A fixture that can't be compared, and why."""


@dataclasses.dataclass
class Row:
    """One output array of one fixture."""

    fixture: str
    output: str
    absolute: float
    relative: float
    limit: float
    passed: bool

    def __str__(self):
        verdict = "pass" if self.passed else "FAIL"
        return (
            f"{self.fixture:38s} {self.output:18s} abs {self.absolute:9.2e} "
            f"rel {self.relative:9.2e} limit {self.limit:9.2e} {verdict}"
        )


def run(stem):
    """Compares one fixture.

    Args:
        stem: path without extension.

    Returns:
        list of `Row`, one for each output array.

    Raises:
        ParityError: the fixture is absent or of a network that is not converted here.
    """
    stem = pathlib.Path(stem)
    if stem.suffix in (".json", ".npz"):
        stem = stem.with_suffix("")
    slug = stem.name.split("-")[0]
    for suffix in (".json", ".npz"):
        if not pathlib.Path(f"{stem}{suffix}").is_file():
            raise ParityError(f"There is no fixture file {stem}{suffix}.")
    if slug not in _SLUGS:
        raise ParityError(
            f"No network here answers for fixture {stem.name}: {slug!r} is none of "
            f"{', '.join(_SLUGS)}."
        )
    meta, weights, inputs, expected = _fixture_module(stem.parent).load(stem)
    got = _outputs(slug, meta, weights, inputs, expected)
    return [_compare(stem.name, name, got[name], expected[name], meta) for name in expected]


def main(stems):
    if not stems:
        print("usage: python -m tests.parity STEM [STEM ...]", file=sys.stderr)
        return 2
    status = 0
    for stem in stems:
        start = time.perf_counter()
        try:
            rows = run(stem)
        except (ParityError, ValueError) as error:
            print(f"{stem}: {error}", file=sys.stderr)
            status = 2
            continue
        for row in rows:
            print(row)
        print(f"{rows[0].fixture:38s} {time.perf_counter() - start:.1f} s")
        if not all(row.passed for row in rows):
            status = max(status, 1)
    return status


def _fixture_module(folder):
    shared = os.environ.get("KERAS_VSSL_SHARED")
    folders = [folder, *([pathlib.Path(shared) / "goldens"] if shared else [])]
    folders.append(pathlib.Path(__file__).resolve().parents[2] / "shared" / "goldens")
    for candidate in folders:
        path = candidate / "fixture.py"
        if path.is_file():
            spec = importlib.util.spec_from_file_location("parity_fixture", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ParityError(
        f"There is no fixture.py in {folder}; set KERAS_VSSL_SHARED to the folder whose goldens/ "
        f"has it."
    )


def _outputs(slug, meta, weights, inputs, expected):
    from keras_vssl.convert import convert

    if "features" in inputs:
        head = convert(weights).model
        return _head_outputs(head, inputs["features"], inputs["labels"])

    model = convert(weights, **_options(meta, inputs, weights)).model
    if "tuple" in inputs:  # B, V, C, T, H, W
        clips = np.moveaxis(inputs["tuple"], 2, -1)
        return {"logits": _numpy(model(clips, training=False))}
    (clip,) = inputs.values()
    if clip.dtype == np.uint8:
        # The stored bytes stand for (x - 128) / 64, as the fixture's notes say.
        clip = (clip.astype("float32") - 128.0) / 64.0
    endpoints = dict(_ENDPOINTS[slug])
    if "conv1.conv.conv_s.weight" in weights:
        endpoints["conv1"] = "stem"
    if meta.get("config", {}).get("use_pool1"):
        endpoints["stem"] = "stem_pool"  # VMZ counts the pooling as the end of its stem
    return _network_outputs(endpoints, model, np.moveaxis(clip, 1, -1), expected)


def _options(meta, inputs, weights):
    """What a fixture's configuration says and its tensors do not."""
    config, options = meta.get("config", {}), {}
    if "bn_eps" in config:
        options["epsilon"] = float(config["bn_eps"])
    elif "VMZ" in meta.get("source", ""):
        options["epsilon"] = 1e-3
    if config.get("use_pool1"):
        options["stem_pool"] = True
    if config.get("with_pool1") is False:
        options["stem_pool"] = False
    if "fc6.weight" in weights:
        # What the four poolings and the padded fifth leave of the fixture's clip.
        time_, height, width = next(iter(inputs.values())).shape[2:]
        options["dense_shape"] = (time_ // 16, (height // 16 + 2) // 2, (width // 16 + 2) // 2)
    return options


def _network_outputs(endpoints, model, clip, expected):
    import keras

    backbone = getattr(model, "backbone", model)
    arrays = {}
    wanted = {_base(name) for name in expected} - {"logits"}
    if wanted:
        names = {name: _endpoint_name(endpoints, backbone, name) for name in wanted}
        tensors = {endpoint: backbone.endpoints[endpoint] for endpoint in set(names.values())}
        maps = keras.Model(backbone.inputs[0], tensors)(clip, training=False)
        maps = {name: _numpy(value) for name, value in maps.items()}
        for name, endpoint in names.items():
            arrays[name] = _shaped(name, maps[endpoint])
    got = {}
    for name in expected:
        if name == "logits":
            got[name] = _numpy(model(clip[:, None], training=False))  # one view
        else:
            got[name] = _reduced(name, arrays[_base(name)], expected[name])
    return got


def _base(name):
    return re.sub(r"([._](sub|stats|shape))$", "", name)


def _endpoint_name(endpoints, backbone, name):
    last = list(backbone.endpoints)[-1]
    if name in ("feature", "features", "retrieval"):
        return last
    name = endpoints.get(name, name)
    if name not in backbone.endpoints:
        name = {"stem": "conv1", "layer2": "conv3b", "layer4": last}.get(name, name)
    if name not in backbone.endpoints:
        raise ParityError(
            f"{type(backbone).__name__} has no endpoint for the output {name!r}; it has "
            f"{', '.join(backbone.endpoints)}."
        )
    return name


def _shaped(name, array):
    """Channels last to channels first, pooled where the fixture's output is."""
    array = np.moveaxis(array, -1, 1)
    if name == "feature":
        return array.mean(axis=tuple(range(2, array.ndim)))
    if name == "fc7":
        return array.reshape(array.shape[0], -1)
    if name == "retrieval" and array.ndim == 4:  # frames: max over 3x3, stride 2
        windows = np.lib.stride_tricks.sliding_window_view(array, (3, 3), axis=(2, 3))
        return windows[:, :, ::2, ::2].max(axis=(4, 5)).reshape(array.shape[0], -1)
    if name == "retrieval":  # clips: max over 1x2x2
        batch, channels, frames, height, width = array.shape
        array = array[..., : height // 2 * 2, : width // 2 * 2]
        array = array.reshape(batch, channels, frames, height // 2, 2, width // 2, 2)
        return array.max(axis=(4, 6)).reshape(batch, -1)
    return array


def _reduced(name, array, reference):
    """The part of an array that the fixture keeps."""
    kind = name[len(_base(name)) :]
    if not kind:
        return array
    if kind == "_shape":
        return np.asarray(array.shape)
    if kind.endswith("stats"):
        values = [array.mean(dtype="float64"), array.std(dtype="float64"), np.abs(array).max()]
        return np.asarray(values[: len(reference)])
    least = 4096 if kind == "_sub" else 2048
    return array.reshape(-1)[:: max(1, array.size // least)]


def _compare(fixture, output, got, reference, meta):
    got, reference = np.asarray(got), np.asarray(reference)
    if got.shape != reference.shape:
        raise ParityError(
            f"{fixture}: {output} has shape {got.shape}, but the fixture {reference.shape}."
        )
    difference = np.abs(got.astype("float64") - reference.astype("float64"))
    absolute = float(difference.max(initial=0.0))
    largest = float(np.abs(reference).max(initial=0.0))
    tolerance, is_absolute, is_relative = _tolerance(meta)
    if is_absolute or reference.dtype.kind in "iu":
        limit = tolerance if reference.dtype.kind == "f" else 0.0
    else:
        limit = tolerance * (largest if is_relative else max(1.0, largest))
    passed = bool(np.isfinite(got).all()) and absolute <= limit
    return Row(fixture, output, absolute, absolute / max(largest, 1e-30), limit, passed)


def _tolerance(meta):
    """The number in the fixture's words, and whether it is absolute or relative to the maximum."""
    text = str(meta["tolerance"])
    match = re.search(r"\d+(\.\d+)?(e-?\d+)?", text)
    if not match:
        raise ParityError(f"The fixture's tolerance {text!r} holds no number.")
    return float(match[0]), "absolute" in text, "relative" in text


def _head_outputs(head, features, labels):
    """Logits, mean cross-entropy and its gradient with respect to the features."""
    import keras
    from keras import ops

    def loss_of(x):
        logits = head(x, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return ops.mean(losses), logits

    x = ops.convert_to_tensor(features)
    loss, logits, gradient = _value_and_gradient(loss_of, x)
    return {"logits": logits, "loss": loss, "grad_features": gradient}


def _value_and_gradient(function, x):
    import keras

    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            loss, logits = function(x)
        gradient = tape.gradient(loss, x)
    elif backend == "jax":
        import jax

        (loss, logits), gradient = jax.value_and_grad(function, has_aux=True)(x)
    else:
        x = x.detach().requires_grad_(True)
        loss, logits = function(x)
        loss.backward()
        gradient = x.grad
    return _numpy(loss), _numpy(logits), _numpy(gradient)


def _numpy(tensor):
    from keras import ops

    return ops.convert_to_numpy(tensor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
