"""One entry of `keras-vssl bench`: a method and a seed, or the baselines of a network."""

import argparse
import os
import resource
import sys
import time

from keras_vssl.cli import bench, inputs, methods, mine, session
from keras_vssl.files import write_json_atomic

TIMED = 6  # steps that tell how many fit into --minutes; the first two compile and warm up


def measure(args, entry):
    """Trains, evaluates and writes entry.json into the entry's folder.

    Args:
        args: namespace of `keras-vssl bench`.
        entry: str, "METHOD:SEED" or "random@BACKBONE:SEED".
    """
    name, _, seed = entry.rpartition(":")
    args.seed = int(seed)
    picked = session.start(args)
    videos = inputs.read_videos(args.folder)
    train, test = _parts(videos)
    folder = bench.place(args.out, name, args.seed)
    if name.startswith("random@"):
        found = _baselines(args, name.removeprefix("random@"), train, test, picked)
    else:
        found = _method(args, name, train, test, picked, folder)
    write_json_atomic(os.path.join(folder, "entry.json"), {**found, **picked})
    return 0


def _parts(videos):
    if {"train", "test"} <= set(videos.splits):
        return videos.train, videos.test
    split = videos.split_by_group(test=0.3, seed=0)
    return split.train, split.test


def _method(args, name, train, test, picked, folder):
    from keras_vssl.cli.pretrain import compile_task

    said = argparse.Namespace(method=name, option={}, backbone=args.backbone)
    said.batch_size = args.batch_size
    for flag in methods.FLAGS:
        setattr(said, flag, getattr(args, flag, None))
    chosen, arguments = methods.settings(said, is_cpu_only=True)
    known = methods.METHODS[name].flags
    arguments = {k: v for k, v in arguments.items() if k not in methods.FLAGS or k in known}
    task = methods.build(name, chosen["backbone"], arguments, picked["precision"])
    kept, _ = inputs.readable(train, args.workers)
    kept, _ = mine.prepare(task.sampler, kept, args.workers)
    kept, _ = inputs.usable(kept, task)
    size = min(chosen["batch_size"], len(kept))
    said.optimizer = args.optimizer or methods.METHODS[name].optimizer
    said.learning_rate = args.learning_rate
    steps = args.steps or _fitting_steps(args, said, task, kept, size)
    per_epoch = max(1, len(kept) // size)
    epochs = -(-steps // per_epoch)
    compile_task(task, said, steps, size)
    clock = _clock(steps)
    task.fit(
        kept, epochs=epochs, batch_size=size, seed=args.seed, out=folder, resume=True,
        callbacks=[clock], workers=max(args.workers, 1), cache_bytes=int(args.cache_gb * 2**30),
        verbose=2,
    )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10 if _is_linux() else 2**20)
    common = {
        "method": name,
        "backbone": chosen["backbone"],
        "dataset": os.path.basename(args.folder),
        "seed": args.seed,
        "steps": steps,
        "batch_size": size,
        "videos_train": len(kept),
    }
    cost = {"peak_mib": peak, **clock.found()}
    rows = [
        {**common, "protocol": "cost", "metric": metric, "value": float(value)}
        for metric, value in cost.items()
    ]
    rows += [{**common, **row} for row in _pretext(args, task, test, size)]
    rows += _transfer(args, task.backbone, train, test, name, chosen["backbone"], baselines=False)
    for row in rows:
        row.update(seed=args.seed, steps=steps)  # each seed is a pre-training of its own
    return {"backbone": chosen["backbone"], "rows": rows}


def _pretext(args, task, test, size):
    """How well the method does its own task on held-out videos."""
    import keras

    chance = task.chance(size)
    if not chance:
        return []
    test, _ = inputs.readable(test, args.workers)
    test, _ = mine.prepare(task.sampler, test, args.workers)
    usable, _ = test.usable(task.sampler)
    if not len(usable):
        return []
    metric = next(iter(chance))
    keras.utils.set_random_seed(args.seed)
    values = task.evaluate(test, batch_size=size, seed=args.seed, verbose=0, return_dict=True)
    return [
        {
            "protocol": "pretext",
            "metric": metric,
            "value": float(values[metric]),
            "chance": float(chance[metric]),
            "videos_test": len(usable),
        }
    ]


def _transfer(args, backbone, train, test, method, name, baselines):
    from keras_vssl.downstream import evaluate

    clip = {"frames": args.frames, "stride": args.stride, "size": args.size}
    backbone.clip = {**backbone.clip, **{k: v for k, v in clip.items() if v is not None}}
    found = evaluate(
        backbone, train, test, protocols=tuple(args.protocol), seeds=(args.seed,),
        baselines=baselines, method=method, dataset=os.path.basename(args.folder),
        backbone_name=name, finetune_epochs=args.finetune_epochs, finetune_batch_size=16,
        clips=args.views, batch_size=32, workers=max(args.workers, 1),
        cache_bytes=int(args.cache_gb * 2**30),
    )  # fmt: skip
    return found.rows


def _baselines(args, name, train, test, picked):
    clip = {"frames": args.frames, "stride": args.stride, "size": args.size}
    backbone = inputs.load_backbone(name, picked["precision"], clip)
    rows = _transfer(args, backbone, train, test, "random", name, baselines="only")
    return {"backbone": name, "rows": rows}


def _fitting_steps(args, said, task, videos, size):
    """The steps that fit into --minutes, from the time of a few; the weights are put back."""
    from keras_vssl.cli.pretrain import compile_task
    from keras_vssl.data.samples import Batches, Samples, stack

    compile_task(task, said, 100, size)
    samples = Samples(videos, task.sampler, args.seed, target=task.target)
    rows = Batches(len(videos), size, args.seed).rows(0, 0)
    batch = stack([samples(int(row)) for row in rows])
    before, seconds = task.get_weights(), []
    for _ in range(TIMED):
        began = time.perf_counter()
        task.train_on_batch(*batch)
        seconds.append(time.perf_counter() - began)
    task.set_weights(before)
    steps = max(1, int(60 * args.minutes / min(seconds[2:])))
    print(f"{steps} steps take about {args.minutes:g} minutes here", file=sys.stderr)
    return steps


def _clock(steps):
    """A callback that stops after so many steps of all, and times them."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seconds, self.last = [], None  # a training that is resumed at its end never begins

        def on_train_begin(self, logs=None):
            self.last = None

        def on_train_batch_end(self, batch, logs=None):
            now = time.perf_counter()
            if self.last is not None:  # the first step compiles
                self.seconds.append(now - self.last)
            self.last = now
            if int(self.model.optimizer.iterations) >= steps:
                self.model.stop_training = True

        def on_epoch_begin(self, epoch, logs=None):
            self.last = None  # between epochs the checkpoint is written

        def found(self):
            middle = sorted(self.seconds)[len(self.seconds) // 2 :][:1]
            return {"milliseconds_per_step": 1000 * middle[0]} if middle else {}

    return Clock()


def _is_linux():
    return sys.platform.startswith("linux")  # elsewhere ru_maxrss counts bytes
