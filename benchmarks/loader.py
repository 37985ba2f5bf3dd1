"""How fast random clips come out of video files: this library's reader and pipeline beside others.

`python -m benchmarks.loader` writes files of 340x256 pixels, 300 frames and two key frames, reads random
16-frame clips from them, and does the same with real clips where they are present. Every contender reads
the same clips of the same files; a decoder has one thread where several clips are read at a time, and
all cores have work. `--smoke` takes a second.
"""

import argparse
import concurrent.futures
import functools
import importlib
import itertools
import os
import pathlib
import random
import sys
import tempfile

import numpy as np

from benchmarks import compare, prepare

ABOUT = (
    "Random clips of 16 consecutive frames; every contender opens the file, seeks, decodes and hands over "
    "uint8 RGB. Frames: one clip at a time, decoders of one thread. Batches: random 112x112 crops of "
    "128x171 pixels, resized by Pillow with anti-aliasing, as many clips at a time as there are cores; "
    "ours by the training pipeline, the others on a pool of threads. Own scaler: the same crops as each of "
    "the others makes them fastest, OpenCV without anti-aliasing, decord and PyAV by FFmpeg's scaler, which "
    "gives other pixels and has no goal. The figures say how many frames are those that were asked for."
)
FRAMES, SIZE, RESIZE = 16, 112, (128, 171)
# No more than a twentieth slower than the fastest of the others.
MOST = round(1 / 0.95, 3)


def main(argv=None, folder=compare.RESULTS):
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    shared = os.environ.get("KERAS_VSSL_SHARED", compare.ROOT.parent / "shared")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(shared) / "data")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clips", type=int, default=32, help="a round")
    parser.add_argument("--smoke", action="store_true", help="the shortest run, nothing is written")
    arguments = parser.parse_args(argv)
    rounds, clips = (1, 4) if arguments.smoke else (arguments.rounds, arguments.clips)
    from keras_vssl.data import Videos

    cores = compare.hardware()["cores"]
    readers, absent = contenders()
    comparisons, figures = [], []
    with tempfile.TemporaryDirectory() as root:
        count, frames, pixels = (1, 40, (96, 128)) if arguments.smoke else (4, 300, (256, 340))
        paths = [f"{root}/{number}.mp4" for number in range(count)]
        for seed, path in enumerate(paths):
            prepare.write(path, prepare.scene(pixels, frames, seed), pixels, frames // 2)
        sets = {f"{pixels[1]}x{pixels[0]}, {frames} frames, 2 key frames": paths}
        real = sorted(arguments.data.glob("tennis/*/*.mp4"))
        if real and not arguments.smoke:
            sets["real clips of tennis, 196x128, 60 frames"] = [str(p) for p in real[::6]]
        for title, paths in sets.items():
            if paths[0].startswith(str(arguments.data)):
                clips *= 4  # short videos: as long a round
            videos = Videos(paths).probe(progress=False, cache=False)
            single = {name: one_by_one(read, videos, clips) for name, read in readers.items()}
            same, own = {}, {}
            for name, read in readers.items():
                same[name] = batches(functools.partial(crop_same, read), videos, clips, cores)
                own[name] = batches(OWN.get(name), videos, clips, cores)
            same["keras_vssl"] = batches(None, videos, clips, cores)
            comparisons += [
                compare.compare(f"frames, {title}", single, rounds, most=MOST),
                compare.compare(f"batches, {title}", same, rounds, most=MOST),
                compare.compare(f"batches, own scaler, {title}", own, rounds),
            ]
            for name, read in readers.items():
                least = 100.0 if name == "keras_vssl" else None
                share = right_frames(read, videos, 2 if arguments.smoke else 6)
                figures.append(
                    compare.figure(f"frames asked for, {name}, {title}", share, "%", least=least)
                )
    found = compare.save(
        "loader",
        ABOUT,
        comparisons,
        figures,
        packages=("av", "decord", "opencv-python-headless", "numpy", "pillow"),
        settings={"clips_a_round": clips, "rounds": rounds, "workers": cores, "frames": FRAMES},
        notes=[f"{name} is not installed here." for name in absent],
        folder=None if arguments.smoke else folder,
    )
    compare.show(found)


def contenders():
    """Those that are installed, ours first, and the names of the others.

    Each is a function of a path and frame numbers that gives uint8 `[T, H, W, 3]`.
    """
    found, absent = {"keras_vssl": read_ours, "PyAV loop": read_av}, []
    for name, module, read in (("OpenCV", "cv2", read_cv), ("decord", "decord", read_decord)):
        try:
            importlib.import_module(module)
            found[name] = read
        except (ImportError, OSError):
            absent.append(name)
    return found, absent


def requests(videos, clips):
    """Rounds of (row, first frame), the same for every contender."""
    rng = random.Random(0)
    while True:
        rows = [rng.randrange(len(videos)) for _ in range(clips)]
        yield [(row, rng.randrange(videos.infos[row].frames - FRAMES + 1)) for row in rows]


def one_by_one(read, videos, clips):
    """The function of one round."""
    rounds = requests(videos, clips)

    def run():
        for row, first in next(rounds):
            clip = read(videos.paths[row], range(first, first + FRAMES))
            assert len(clip) == FRAMES

    return run


def batches(crop, videos, clips, workers):
    """The function of one round: batches of eight crops, by the same plans for every contender.

    `crop(path, view)` gives the view of a plan, `[T, h, w, 3]`. None: this library's pipeline.
    """
    from keras_vssl.data import Clips, Spatial
    from keras_vssl.data.pipeline import Batches, Prefetcher
    from keras_vssl.data.samples import Samples

    table = videos[np.resize(np.arange(len(videos)), clips)]
    sampler = Clips(FRAMES, spatial=Spatial(RESIZE, SIZE, "random"))
    samples, order = Samples(table, sampler, target=None), Batches(clips, min(8, clips))
    epochs = itertools.count()
    pool = concurrent.futures.ThreadPoolExecutor(workers)

    def ours():
        epoch = next(epochs)
        for (batch,) in Prefetcher(samples, order, epoch, last_epoch=epoch + 1, workers=workers):
            assert batch["clips"].shape[1:] == (1, FRAMES, SIZE, SIZE, 3)

    def theirs():
        epoch = next(epochs)
        rows = [order.rows(epoch, step) for step in range(order.steps)]
        views = [[(table.paths[r], samples.plan(int(r), epoch).views[0]) for r in b] for b in rows]
        futures = [[pool.submit(crop, *item) for item in batch] for batch in views]
        for batch in futures:
            clip = np.stack([future.result() for future in batch])
            assert clip.shape[1:] == (FRAMES, SIZE, SIZE, 3)

    return theirs if crop else ours


def right_frames(read, videos, clips):
    """Percent of the frames handed over that are nearer to the one asked for than to any other."""
    asked = right = 0
    for row, first in next(requests(videos, clips)):
        truth = _whole(videos.paths[row])
        for number, frame in enumerate(
            read(videos.paths[row], range(first, first + FRAMES)), first
        ):
            around = range(max(number - 4, 0), min(number + 5, len(truth)))
            distance = {i: np.abs(truth[i].astype(int) - frame).mean() for i in around}
            right += distance[number] <= min(distance.values()) and distance[number] < 4
            asked += 1
    return 100.0 * right / asked


@functools.lru_cache(maxsize=2)
def _whole(path):
    import av

    with av.open(path) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def read_ours(path, numbers):
    from keras_vssl.data import VideoReader

    with VideoReader(path) as reader:
        return np.stack(reader.frames(numbers))


def crop_same(read, path, view):
    """The crop that this library's pipeline would make of frames that another has read."""
    from keras_vssl.data.reader import crop

    return np.stack([crop(frame, view) for frame in read(path, view.frames.tolist())])


def read_av(path, numbers, size=None):
    """What a careful user writes: seek by time, decode on, keep what was asked for."""
    import av

    first, last = numbers[0], numbers[-1]
    extra = {} if size is None else {"width": size[1], "height": size[0]}
    with av.open(path) as file:
        stream = file.streams.video[0]
        stream.thread_type = "NONE"
        tick = 1 / (stream.average_rate * stream.time_base)
        start = stream.start_time or 0
        file.seek(int(first * tick) + start, stream=stream)
        frames = []
        for frame in file.decode(stream):
            number = round((frame.pts - start) / tick)
            if first <= number <= last:
                frames.append(frame.to_ndarray(format="rgb24", threads=1, **extra))
            if number >= last:
                break
    return np.stack(frames)


def crop_av(path, view):
    top, left = _corner(view)
    frames = read_av(path, view.frames.tolist(), RESIZE)
    return frames[:, top : top + SIZE, left : left + SIZE]


def read_cv(path, numbers, view=None):
    import cv2

    cv2.setNumThreads(1)
    file = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    file.set(cv2.CAP_PROP_POS_FRAMES, numbers[0])
    frames = []
    for _ in numbers:
        _, frame = file.read()
        if view is not None:
            (height, width), (a, b, c, d) = frame.shape[:2], view.box
            box = frame[round(b * height) : round(d * height), round(a * width) : round(c * width)]
            frame = cv2.resize(box, (SIZE, SIZE))
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    file.release()
    return np.stack(frames)


def crop_cv(path, view):
    return read_cv(path, view.frames.tolist(), view)


def read_decord(path, numbers):
    import decord

    return decord.VideoReader(path, num_threads=1).get_batch(list(numbers)).asnumpy()


def crop_decord(path, view):
    import decord

    file = decord.VideoReader(path, width=RESIZE[1], height=RESIZE[0], num_threads=1)
    top, left = _corner(view)
    frames = file.get_batch(view.frames.tolist()).asnumpy()
    return frames[:, top : top + SIZE, left : left + SIZE]


def _corner(view):
    return round(view.box[1] * RESIZE[0]), round(view.box[0] * RESIZE[1])


OWN = {"PyAV loop": crop_av, "OpenCV": crop_cv, "decord": crop_decord}


if __name__ == "__main__":
    sys.exit(main())
