"""How much faster random clips are read from a prepared video than from the video as it was.

`python -m benchmarks.prepare` encodes a video of 340x256 pixels and 300 frames as x264 does by itself
(a key frame every 250 frames: two of them; then again with the second in the middle), prepares it with
the default settings, and reads random clips of 16 consecutive frames from both, in turn, in one
thread: whole frames, and crops of 112 pixels as training does, these also from a video prepared with
--short-side 128. A round is the same clips from all; results/prepare.json holds the median ratio of
the rounds, the least and the greatest, the sizes on disk, and the errors.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

import av
import numpy as np

import keras_vssl as kv
from keras_vssl.data.plans import Plan, View
from keras_vssl.data.reader import read_plan
from keras_vssl.files import write_json_atomic

RESULTS = pathlib.Path(__file__).parent / "results" / "prepare.json"
LENGTH = 16  # frames a clip
FULL = {"size": (256, 340), "frames": 300, "keys": 250, "rounds": 9, "clips": 40}
SMOKE = {"size": (96, 128), "frames": 100, "keys": 60, "rounds": 3, "clips": 20}


def main(argv=None):
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, small: does it run")
    parser.add_argument("--out", type=pathlib.Path, help="the file to write")
    arguments = parser.parse_args(argv)
    sizes = SMOKE if arguments.smoke else FULL
    found = measure(**sizes)
    if not arguments.smoke:
        halves = measure(**{**sizes, "keys": sizes["frames"] // 2})
        found["key_frames_at_0_and_150"] = {k: v for k, v in halves.items() if "ratio" in k}
    found = {"command": "python -m benchmarks.prepare" + " --smoke" * arguments.smoke, **found}
    if arguments.out or not arguments.smoke:
        write_json_atomic(arguments.out or RESULTS, found)
    print(json.dumps(found, indent=2))
    return 0


def measure(size, frames, keys, rounds, clips):
    """The results as a dict.

    Args:
        size: (height, width). frames: int. keys: int, frames from one key frame to the next.
        rounds: int. clips: int, a round.
    """
    half = size[0] // 4 * 2
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "source")
        os.mkdir(source)
        write(os.path.join(source, "video.mp4"), scene(size, frames), size, keys)
        records = {}
        for name, settings in (("prepared", {}), ("prepared_half", {"short_side": half})):
            kv.data.prepare(source, os.path.join(folder, name), jobs=1, **settings)
            with open(os.path.join(folder, name, "prepared.json"), encoding="utf-8") as file:
                records[name] = json.load(file)
        paths = {name: os.path.join(folder, name, "video.mp4") for name in ("source", *records)}
        last = frames - LENGTH
        full = {name: paths[name] for name in ("source", "prepared")}
        entire = compare(full, whole(size), last, rounds, clips)
        cropped = compare(paths, crop, last, rounds, clips)
    record = records["prepared"]
    return {
        "ratio": ratio(entire, "prepared"),
        "ratio_cropped": ratio(cropped, "prepared"),
        "ratio_cropped_half": ratio(cropped, "prepared_half"),
        "clips_per_second": {
            "whole": {name: speed(times, clips) for name, times in entire.items()},
            "cropped": {name: speed(times, clips) for name, times in cropped.items()},
        },
        "rounds": rounds,
        "clips_a_round": clips,
        "frames_a_clip": LENGTH,
        "made": {name: made(held) for name, held in records.items()},
        "video": {
            "size": list(size),
            "frames": frames,
            "key_frames": -(-frames // keys),
            "key_frame_every": keys,
            "encoder": "libx264, preset medium, crf 23",
            "bytes": record["videos"]["video.mp4"]["source"]["size"],
        },
        "versions": {**record["versions"][-1], "python": platform.python_version()},
        "hardware": {"cpu": cpu(), "cores": os.cpu_count()},
    }


def made(record):
    """Settings, size relative to the source, and error (decibel), of the one prepared video."""
    entry = record["videos"]["video.mp4"]
    share = entry["written"]["size"] / entry["source"]["size"]
    error = {name: entry[name] for name in ("psnr", "lowest_psnr")}
    return {"settings": record["settings"], "bytes_ratio": round(share, 3), **error}


def scene(size, frames, seed=0):
    """Frames with the spectrum of photographs: a panning ground, four things that move, noise.

    Yields:
        uint8 `[H, W, 3]`.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    room = 64
    grid = np.meshgrid(np.fft.fftfreq(height + room), np.fft.rfftfreq(width + room), indexing="ij")
    frequency = np.maximum(np.hypot(*grid), 1 / (width + room))

    def texture():
        wave = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
        image = np.fft.irfft2(wave / frequency, s=(height + room, width + room))
        return image / image.std()

    def colours():
        return 40 * texture()[..., None] + 15 * np.stack([texture() for _ in range(3)], -1)

    ground, side = colours() + 128, min(size) // 4
    things = [(colours()[:side, :side] + rng.uniform(60, 200, 3)) for _ in range(4)]
    places, speeds = rng.uniform(0, 1, (4, 2)), rng.uniform(-0.02, 0.02, (4, 2))
    for t in range(frames):
        x, y = (int(room / 2 * (1 + np.sin(t / period))) for period in (60, 41))
        image = ground[y : y + height, x : x + width].copy()
        for thing, place, speed in zip(things, places, speeds, strict=True):
            share = np.abs((place + speed * t) % 2 - 1)  # to and fro
            top, left = (share * (np.array(size) - side)).astype(int)
            image[top : top + side, left : left + side] = thing
        image += rng.normal(0, 2, size)[..., None]
        yield np.clip(image, 0, 255).astype(np.uint8)


def write(path, images, size, keys):
    """Encodes frames with x264's defaults, a key frame every `keys` frames."""
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"x264-params": f"keyint={keys}:min-keyint={keys}:scenecut=0"}
        for image in images:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))


def whole(size):
    """Makes the view of a clip of whole frames of this size, as `crop` does."""
    return lambda frames: View(frames, (0, 0, 1, 1), size)


def crop(frames):
    """The view of a clip as training has it: four fifths of each side, at 112 x 112 pixels."""
    return View(frames, (0.1, 0.1, 0.9, 0.9), (112, 112))


def compare(paths, view, last, rounds, clips):
    """Seconds of each round, a list for each of the files: the same clips of all, in turn."""
    rng, times = np.random.default_rng(1), {name: [] for name in paths}
    for turn in range(rounds + 1):  # in the first, files are indexed and memory is found
        spent = dict.fromkeys(paths, 0.0)
        for first in rng.integers(0, last + 1, clips if turn else 1):
            plan = Plan((view(np.arange(first, first + LENGTH)),))
            for name, path in paths.items():
                began = time.perf_counter()
                read_plan(path, plan)
                spent[name] += time.perf_counter() - began
        for name in paths if turn else ():
            times[name].append(spent[name])
    return times


def ratio(times, name):
    """How many times faster than the source, by round: median, least and greatest."""
    ratios = [a / b for a, b in zip(times["source"], times[name], strict=True)]
    values = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return {key: round(value, 2) for key, value in values.items()}


def speed(times, clips):
    """Clips a second in the median round."""
    return round(clips / statistics.median(times), 1)


def cpu():
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
