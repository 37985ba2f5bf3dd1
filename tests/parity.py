"""Compares the converted networks with published implementations' outputs.

    python -m tests.parity [STEM ...]

A STEM is the path of a fixture without its extension (`STEM.json` and `STEM.npz`); without any, all
fixtures of `goldens/` that are answered for. The weights go
through `keras_vssl.convert`, as a checkpoint would; what computes a fixture's outputs is the module
that `tests/parities` names for it. Prints, for every output array, the largest
absolute error and the largest error relative to the array's largest value; exits with status 1
where one is out of tolerance and 2 where a fixture can't be compared. The fixtures are read by
`fixture.py` beside them, or in the folder that KERAS_VSSL_SHARED names.
"""

import dataclasses
import gc
import importlib.util
import os
import pathlib
import re
import sys
import time

import keras
import numpy as np

from tests import parities
from tests.parities import ParityError

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"
GOLDENS = pathlib.Path(os.environ.get("KERAS_VSSL_SHARED", SHARED)) / "goldens"
# What float32 loses over some fifty layers, of the largest value.
ROUNDING = 4e-6


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
    for suffix in (".json", ".npz"):
        if not pathlib.Path(f"{stem}{suffix}").is_file():
            raise ParityError(f"There is no fixture file {stem}{suffix}.")
    module = parities.find(stem.name)
    meta, weights, inputs, expected = _fixture_module(stem.parent).load(stem)
    got = module.outputs({**meta, "name": stem.name}, weights, inputs, expected)
    if absent := [name for name in expected if name not in got]:
        raise ParityError(f"{module.__name__} computes no {', '.join(absent)} for {stem.name}.")
    return [_compare(stem.name, name, got[name], expected[name], meta) for name in expected]


def main(stems):
    status = 0
    for stem in stems or all_stems():
        start, spent = time.perf_counter(), time.process_time()
        keras.backend.clear_session()  # a network after the other, not all of them
        gc.collect()
        try:
            rows = run(stem)
        except (ParityError, ValueError) as error:
            print(f"{stem}: {error}", file=sys.stderr)
            status = 2
            continue
        for row in rows:
            print(row)
        seconds = time.perf_counter() - start
        print(f"{rows[0].fixture:38s} {seconds:.1f} s, {time.process_time() - spent:.1f} s of CPU")
        if not all(row.passed for row in rows):
            status = max(status, 1)
    return status


def all_stems(folder=None):
    """The fixtures of a folder that a module here answers for; by default of the shared ones."""
    folder = folder or GOLDENS
    files = sorted(folder.glob("*.json"))
    return [file.with_suffix("") for file in files if parities.module_name(file.stem)]


def _fixture_module(folder):
    for candidate in (folder, GOLDENS):
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


def _compare(fixture, output, got, reference, meta):
    got, reference = np.asarray(got), np.asarray(reference)
    if got.shape != reference.shape:
        raise ParityError(
            f"{fixture}: {output} has shape {got.shape}, but the fixture {reference.shape}."
        )
    difference = np.abs(got.astype("float64") - reference.astype("float64"))
    absolute = float(difference.max(initial=0.0))
    largest = float(np.abs(reference).max(initial=0.0))
    limits = _limits(meta, output, reference, largest)
    passed = bool(np.isfinite(got).all()) and bool((difference <= limits).all())
    limit = float(np.max(limits, initial=0.0))
    return Row(fixture, output, absolute, absolute / max(largest, 1e-30), limit, passed)


def _limits(meta, output, reference, largest):
    """How far each element may be off: an array like the reference, or one number for all.

    A fixture states `tolerance` as `{"atol": a, "rtol": r}` (elementwise, as `np.allclose`), or as
    a number, which is relative to the largest absolute value of each output and never below what a
    largest value of 1 gives; "absolute" and "relative" in its words, and `tolerance_rule` or
    `tolerance_is` beside it, say otherwise. Integers are exact. A `.stats` array of mean, standard
    deviation, stride and size is held to the larger of the first two, or its size would excuse
    everything. No element of a deep network has to be nearer than the reference's own float32
    rounding, `ROUNDING` of the array's largest value: `mmv-full` and `mmv-audio_resnet50`, computed
    in float64, still miss their elementwise limits.
    """
    tolerance = meta["tolerance"]
    if reference.dtype.kind in "iub" or meta.get("tolerance_rule") == "exact":
        return 0.0
    if isinstance(tolerance, dict):
        if unknown := sorted(set(tolerance) - {"atol", "rtol"}):
            raise ParityError(f"The fixture's tolerance has unknown parts: {', '.join(unknown)}.")
        relative = float(tolerance.get("rtol", 0.0)) * np.abs(reference.astype("float64"))
        stated = float(tolerance.get("atol", 0.0)) + relative
        return np.maximum(stated, ROUNDING * largest) if meta.get("tensors") else stated
    text = str(tolerance)
    match = re.search(r"\d+(\.\d+)?(e-?\d+)?", text)
    if not match:
        raise ParityError(f"The fixture's tolerance {text!r} holds no number.")
    number = float(match[0])
    if "absolute" in text:
        return number
    if "floor" in meta.get("tolerance_is", ""):
        # "max abs error ... divided by the max abs of that reference output (floor 1e-6)"
        floor = re.search(r"floor (\d+(?:\.\d+)?(?:e-?\d+)?)", meta["tolerance_is"])
        if output.endswith(".stats") and reference.shape == (4,):
            limit = number * max(float(floor[1]), float(np.abs(reference[:2]).max()))
            return np.array([limit, limit, 0.0, 0.0])
        return number * max(float(floor[1]), largest)
    return number * (largest if "relative" in text else max(1.0, largest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
