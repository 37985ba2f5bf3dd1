"""Whether embedding keeps its memory flat, and how fast a large gallery is searched.

`python -m benchmarks.embed` embeds lists of videos of growing length, each in a process of its own, into a
file, and compares the processes' peak memory. Then it searches a gallery of a million vectors, exactly
and approximately. `--smoke` does the same in small, in this process.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import compare, prepare

ABOUT = (
    "Embedding: one clip a video, R3D nano, features streamed to an .npy file by `embed(out=...)`; the peak "
    "memory of a process of its own for each length of the list. Retrieval: the 10 nearest of a million "
    "vectors of 128 values for 256 queries at a time, by cosine, with `GalleryIndex`; the vectors are drawn "
    "around 20,000 centres. Recall is the share of the true 10 nearest that the approximate search finds."
)
QUERIES, NEAREST, DIM = 256, 10, 128


def main(argv=None, folder=compare.RESULTS):
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embed", description=__doc__)
    parser.add_argument("--videos", default="200,1000,4000", help="lengths of the list")
    parser.add_argument("--gallery", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="the shortest run, nothing is written")
    parser.add_argument("--embed", nargs=2, help=argparse.SUPPRESS)  # a folder and a length
    arguments = parser.parse_args(argv)
    if arguments.embed:
        return print(json.dumps(embed(arguments.embed[0], int(arguments.embed[1]))))
    lengths = [int(length) for length in arguments.videos.split(",")]
    count, rounds = arguments.gallery, arguments.rounds
    if arguments.smoke:
        lengths, count, rounds = [6], 4000, 1
    figures = memory(lengths, arguments.smoke)
    found, notes = retrieval(count, rounds)
    found = compare.save(
        "embed",
        ABOUT,
        [],
        [*figures, *found],
        packages=("keras", "tensorflow", "numpy", "faiss-cpu"),
        settings={"videos": lengths, "gallery": [count, DIM], "queries": QUERIES, "k": NEAREST},
        notes=notes,
        folder=None if arguments.smoke else folder,
    )
    compare.show(found)


def memory(lengths, is_smoke):
    """Peak memory after embedding lists of several lengths."""
    figures, peaks = [], []
    with tempfile.TemporaryDirectory() as root:
        for seed in range(4):
            images = prepare.scene((96, 128), 40, seed)
            prepare.write(f"{root}/{seed}.mp4", images, (96, 128), 20)
        for length in lengths:
            if is_smoke:
                found = embed(root, length)
            else:
                command = [sys.executable, "-m", "benchmarks.embed", "--embed", root, str(length)]
                done = subprocess.run(command, cwd=compare.ROOT, check=True, stdout=subprocess.PIPE)
                found = json.loads(done.stdout.splitlines()[-1])
            peaks.append(found["peak"])
            name = f"embedding {length:,} videos: "
            figures.append(compare.figure(name + "peak memory", found["peak"], "MB"))
            rate = length / found["seconds"]
            figures.append(compare.figure(name + "speed", rate, "videos a second"))
    if len(lengths) > 1:
        growth = peaks[-1] / peaks[-2]
        name = f"peak memory, {lengths[-1]:,} videos by {lengths[-2]:,}"
        figures.append(compare.figure(name, growth, "", most=1.05))
    return figures


def embed(root, length):
    """Embeds a list of videos into a file; dict of "seconds" and "peak" memory in MB."""
    import keras_vssl as kv

    paths = sorted(map(str, pathlib.Path(root).glob("*.mp4")))
    videos = kv.data.Videos(list(np.resize(paths, length)))
    backbone = kv.backbones.R3D.from_preset("r3d_nano")
    out = os.path.join(root, "features.npy")
    began = time.perf_counter()
    features = backbone.embed(videos, clips=1, out=out)
    seconds = time.perf_counter() - began
    assert features.shape == (length, 128) and np.isfinite(features[-1]).all()
    # Kilobytes on Linux, bytes on macOS.
    scale = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    return {"seconds": seconds, "peak": peak}


def retrieval(count, rounds):
    """The figures of searching a gallery, and notes of what could not be measured."""
    from keras_vssl.downstream import GalleryIndex

    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(2, count // 50), DIM), dtype="float32")

    def draw(number):
        near = centres[rng.integers(0, len(centres), number)]
        near += 0.7 * rng.standard_normal((number, DIM), dtype="float32")
        return near

    gallery, query = draw(count), draw(QUERIES)
    exact = GalleryIndex(gallery)
    searches, figures, notes = {"exact": lambda: exact.neighbours(query, NEAREST)[0]}, [], []
    try:
        began = time.perf_counter()
        approximate = GalleryIndex(gallery, "approximate")
        figures.append(
            compare.figure("building the approximate index", time.perf_counter() - began, "s")
        )
        searches["approximate"] = lambda: approximate.neighbours(query, NEAREST)[0]
    except ImportError:
        notes.append("Faiss is not installed here: no approximate search.")
    name = f"{NEAREST} nearest of {count:,}, {QUERIES} queries"
    seconds = compare.compare(name, searches, rounds)["rounds"]
    for kind, values in seconds.items():
        figures.append(compare.figure(f"{name}, {kind}", statistics.median(values), "s", most=1))
    if "approximate" in searches:
        pairs = zip(searches["exact"]().tolist(), searches["approximate"]().tolist(), strict=True)
        recall = sum(len(set(a) & set(b)) for a, b in pairs) / (QUERIES * NEAREST)
        figures.append(compare.figure("recall of the approximate search", recall, ""))
    return figures, notes


if __name__ == "__main__":
    sys.exit(main())
