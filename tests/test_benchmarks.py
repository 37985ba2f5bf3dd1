"""The benchmarks run, in small; the harness compares what it says; the page says what was measured."""

import importlib.util
import json
import pathlib
import sys

import pytest

from benchmarks import compare, embed, loader, startup

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def performance():
    spec = importlib.util.spec_from_file_location("performance", ROOT / "docs" / "performance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_contenders_take_turns_and_ratios_are_within_a_round():
    turns, seconds = [], {"a": [9.0, 1.0, 3.0, 10.0], "b": [9.0, 2.0, 2.0, 4.0]}

    def contender(name):
        return lambda: turns.append(name) or seconds[name].pop(0)

    found = compare.compare("x", {"a": contender("a"), "b": contender("b")}, 3, most=1.2)
    rounds = {"".join(turns[i : i + 2]) for i in range(0, 8, 2)}  # the first warms up
    assert len(turns) == 8 and rounds == {"ab", "ba"}
    assert found["rounds"] == {"a": [1.0, 3.0, 10.0], "b": [2.0, 2.0, 4.0]}
    assert found["ratios"] == {"b": {"median": 1.5, "min": 0.5, "max": 2.5}}
    with pytest.raises(compare.subprocess.CalledProcessError):
        compare.compare("x", {"a": [sys.executable, "-c", "raise SystemExit(3)"]}, 1)


def test_a_result_is_written_with_its_machine_and_shown_on_the_page(tmp_path, performance):
    ratios = {"peer": {"median": 1.25, "min": 1.0, "max": 2.0}}
    rounds = {"ours": [0.5], "peer": [0.4]}
    one = {
        "name": "x",
        "unit": "s",
        "ours": "ours",
        "rounds": rounds,
        "ratios": ratios,
        "most": 1.2,
    }
    figures = [compare.figure("recall", 0.99, "", least=0.95)]
    compare.save(
        "y", "Why.", [one], figures, packages=["numpy"], settings={}, notes=["N."], folder=tmp_path
    )
    found = json.loads((tmp_path / "y.json").read_text())
    assert found["hardware"]["cores"] >= 1 and isinstance(found["hardware"]["avx512"], bool)
    assert found["versions"]["numpy"]
    page = performance.page([found])
    assert "| x | 500 ms | peer | 400 ms | 1.25 (1.00 to 2.00) | at most 1.2: **missed** |" in page
    assert "| recall | 0.99 | at least 0.95: met |" in page and "- N." in page


def test_the_page_of_performance_is_current(performance):
    assert performance.main(["--check"]) == 0, "python docs/performance.py writes it again"


@pytest.mark.parametrize("benchmark", [startup, loader, embed])
def test_benchmarks_run_in_small(benchmark, capsys):
    before = {path: path.read_bytes() for path in compare.RESULTS.iterdir()}
    benchmark.main(["--smoke"])
    printed = capsys.readouterr().out
    if benchmark is startup:
        assert "keras-vssl --help" in printed
    if benchmark is loader:
        assert "frames asked for, keras_vssl, 128x96, 40 frames, 2 key frames: 100 %" in printed
    if benchmark is embed:
        assert "embedding 6 videos: speed" in printed
    assert {path: path.read_bytes() for path in compare.RESULTS.iterdir()} == before


def test_the_bare_model_of_the_first_step_is_the_same_network():
    task, model = startup.task(), startup.bare_model()
    shapes = [sorted(tuple(w.shape) for w in each.weights) for each in (task, model)]
    assert shapes[0] == shapes[1]
