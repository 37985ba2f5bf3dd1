"""Fitting a task on videos: the batches, the checkpoint, what is reported meanwhile."""

import os

import keras

from keras_vssl.callbacks.checkpoint import Checkpoint
from keras_vssl.callbacks.finite import Finite
from keras_vssl.callbacks.throughput import Throughput
from keras_vssl.data.pipeline import Prefetcher
from keras_vssl.data.samples import Batches, Samples, stack


def fit_videos(
    task, videos, *, epochs, batch_size, seed, out, resume, save_every, workers, cache_bytes, shared
):
    """Trains `task` on usable `videos`; arguments as for `Task.fit`."""
    samples = Samples(videos, task.sampler, seed, target=task.target, cache_bytes=cache_bytes)
    size = min(batch_size or task.recipe.batch_size, len(videos))
    batches = Batches(len(videos), size, seed, group=task.sampler.group)
    quiet = shared["verbose"] == 0
    # Whatever would change the batches makes a checkpoint another run's.
    run = {"seed": seed, "batch_size": size, "videos": len(videos), "steps": batches.steps}
    state = None
    if out:
        state = Checkpoint(os.path.join(out, "checkpoints", "state.npz"), run, every=save_every)
    epoch, step = state.load() if state and resume else (0, 0)
    if (epoch, step) != (0, 0):
        state.build(task, *stack([samples(0)]))
    if not quiet:
        if task.recipe is not None:
            print(task.recipe.compare(epochs, len(videos)))
        if task.skipped:
            first = task.skipped[0]
            print(
                f"{len(task.skipped)} videos are left out; the first: "
                f"{first['path']}: {first['reason']}."
            )
        if (epoch, step) != (0, 0):
            print(f"Resuming at epoch {epoch + 1}, step {step + 1} of {batches.steps}.")
    history = None
    # An epoch that was begun before is finished in a `fit` of its own: it has fewer steps.
    stretches = [(epoch, step, epoch + 1)] if step else []
    stretches.append((epoch + 1 if step else epoch, 0, epochs))
    stretches = [stretch for stretch in stretches if stretch[0] < stretch[2]]
    if not stretches and state:
        state.restore(task)  # the run had ended: its weights are what is left to do
    for first, begin, last in stretches:
        source = Prefetcher(samples, batches, first, begin, workers=workers)
        callbacks = [Finite(), Throughput(source, size, quiet=quiet)]
        if state:
            state.begin = begin
            callbacks.append(state)
        history = keras.Model.fit(
            task,
            iter(source),
            initial_epoch=first,
            epochs=last,
            steps_per_epoch=batches.steps - begin,
            shuffle=False,  # the batches are shuffled already
            **{**shared, "callbacks": callbacks + shared["callbacks"]},
        )
        if task.stop_training:
            break
    known = {entry["path"] for entry in task.skipped}
    task._skipped += tuple(e for e in samples.skipped.values() if e["path"] not in known)
    return history if history is not None else keras.callbacks.History()
