"""The harness of the benchmarks: contenders take turns, results go to benchmarks/results/NAME.json.

Contenders run one after another in every round, in another order each time, so that what else the
machine does meanwhile falls on all of them, and what is compared is their ratio within a round. The
seconds themselves belong to the machine that the results name.
"""

import importlib.metadata
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def compare(name, contenders, rounds, *, warmup=1, most=None, unit="s"):
    """Runs contenders in turns; the first is ours, the others are its peers.

    Args:
        name: str, what is compared, for a table.
        contenders: dict of name to a callable, or to the list of str that starts a child process.
            A callable is timed as a whole, unless it returns a float, which is then what counts.
        rounds: int, how often each is measured.
        warmup: int, rounds before that, which count for nothing.
        most: float or None, the goal: the highest ratio to the best peer.
        unit: str, of what callables return.

    Returns:
        dict with "name", "unit", "ours", "rounds" (name of contender to a list, one value a round),
        "ratios" (name of peer to "median", "min" and "max" of ours / peer within a round, below 1
        where ours is less) and "most".

    Raises:
        subprocess.CalledProcessError: a child process failed.
    """
    ours, *peers = contenders
    measured = {contender: [] for contender in contenders}
    order, rng = list(contenders), random.Random(0)
    for number in range(-warmup, rounds):
        rng.shuffle(order)  # who comes after one whose threads linger must not always be the same
        for contender in order:
            value = _seconds(contenders[contender])
            if number >= 0:
                measured[contender].append(value)
    ratios = {peer: _spread(measured[ours], measured[peer]) for peer in peers}
    return {
        "name": name,
        "unit": unit,
        "ours": ours,
        "rounds": measured,
        "ratios": ratios,
        "most": most,
    }


def figure(name, value, unit, *, most=None, least=None):
    """One number that has no peer, with its goal: dict for the "figures" of `save`."""
    return {"name": name, "value": value, "unit": unit, "most": most, "least": least}


def save(name, about, comparisons=(), figures=(), *, packages, settings, notes=(), folder=RESULTS):
    """Writes benchmarks/results/NAME.json; returns what it holds.

    Args:
        name: str, the benchmark's module.
        about: str, a sentence or two for the page: what is measured, and how.
        comparisons: of `compare`. figures: of `figure`.
        packages: names of the distributions whose versions matter.
        settings: dict, sizes and lengths.
        notes: sentences about this run, such as which peer could not be installed.
        folder: path to write to, or None: nothing is written.
    """
    from keras_vssl.files import write_json_atomic

    found = {
        "name": name,
        "about": about,
        "command": " ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]]),
        "hardware": hardware(),
        "versions": versions(packages),
        "settings": settings,
        "comparisons": list(comparisons),
        "figures": list(figures),
        "notes": list(notes),
    }
    if folder is not None:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        write_json_atomic(pathlib.Path(folder) / f"{name}.json", found)
    return found


def show(found):
    """Prints the ratios and figures of a result."""
    for one in found["comparisons"]:
        ours = statistics.median(one["rounds"][one["ours"]])
        print(f"{one['name']}: {one['ours']} {ours:.4g} {one['unit']}")
        for peer, ratio in one["ratios"].items():
            theirs = statistics.median(one["rounds"][peer])
            spread = f"{ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})"
            print(f"  {peer} {theirs:.4g} {one['unit']}, ratio {spread}")
    for one in found["figures"]:
        print(f"{one['name']}: {one['value']:.4g} {one['unit']}")
    for note in found["notes"]:
        print(note)


def hardware():
    """The processor, its cores and the units that matter here, and how busy it is."""
    model, flags = platform.processor() or platform.machine(), ()
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            model = value.strip()
        elif key.strip() == "flags":
            flags = value.split()
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "avx512": "avx512f" in flags,
        "amx": "amx_tile" in flags,
        "platform": platform.system(),
        # Above the number of cores, others were at work too and only the ratios mean anything.
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def versions(packages):
    """Versions of Python and of distributions; None for one that is not installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _seconds(action):
    began = time.perf_counter()
    if callable(action):
        value = action()
        return value if isinstance(value, float) else time.perf_counter() - began
    done = subprocess.run(action, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.stderr.buffer.write(done.stderr)
        done.check_returncode()
    return seconds


def _spread(ours, theirs):
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
